//! Open connections, and the choice of those that end when there are too many or one takes too long.
//!
//! Every program on this computer can connect. A connection that has not shown the token has a place for two seconds
//! and one request, and gives it up to those that come after it. Connections that have shown the token have places of
//! their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::platform::process_limits::open_files;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

const MOST_WITH_TOKEN: usize = 64;

/// Divisor of the number of files that a process may open: the quotient limits the connections without the token.
/// Labels and checkpoints need files, too.
const SHARE_WITHOUT_TOKEN: usize = 4;
const MOST_WITHOUT_TOKEN: usize = 512;
const FEWEST_WITHOUT_TOKEN: usize = 4;

/// Smallest usual limit on the open files of a process, for systems that do not tell their limit.
const USUAL_DESCRIPTORS: usize = 256;

/// Longest time from connecting until the token is shown.
const LONGEST_WITHOUT_TOKEN: Duration = Duration::from_secs(2);

/// Longest time from one request to the next: labelers think for a while.
const LONGEST_BETWEEN_REQUESTS: Duration = Duration::from_secs(120);

const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Largest size of a request's head: browsers send the cookies of all servers on this computer.
const LONGEST_HEAD_BYTES: usize = 64 << 10;

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    places: Mutex<Places>,
    next: AtomicU64,
}

/// Connections in the order in which they came.
#[derive(Debug)]
struct Places {
    without_token: BTreeMap<u64, Connection>,
    most_without_token: usize,
    with_token: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    /// Time when the connection came or, once it has shown the token, when its last request began.
    since: Instant,
    task: AbortHandle,
}

/// Connection of a request.
#[derive(Debug, Clone)]
pub(super) struct Via {
    id: u64,
    connections: Arc<Connections>,
}

impl Via {
    /// Keeps the connection open for further requests.
    pub(super) fn has_shown_token(&self) {
        let Places { without_token, with_token, .. } = &mut *self.connections.lock();
        if let Some(connection) = without_token.remove(&self.id) {
            let longest_silent = with_token.iter().min_by_key(|(_, one)| one.since).map(|(id, _)| *id);
            if let Some(silent) = longest_silent.filter(|_| with_token.len() >= MOST_WITH_TOKEN) {
                end(with_token.remove(&silent));
            }
            with_token.insert(self.id, connection);
        }
        if let Some(connection) = with_token.get_mut(&self.id) {
            connection.since = Instant::now();
        }
    }
}

impl Connections {
    pub(super) fn new() -> Self {
        let descriptors = open_files().and_then(|files| usize::try_from(files).ok()).unwrap_or(USUAL_DESCRIPTORS);
        let most_without_token = (descriptors / SHARE_WITHOUT_TOKEN).clamp(FEWEST_WITHOUT_TOKEN, MOST_WITHOUT_TOKEN);
        let places = Places { without_token: BTreeMap::new(), most_without_token, with_token: BTreeMap::new() };
        Self { places: Mutex::new(places), next: AtomicU64::new(0) }
    }

    /// Answers the requests of a connection, in a task of its own.
    pub(super) fn serve(self: &Arc<Self>, stream: TcpStream, router: Router) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let via = Via { id, connections: Arc::clone(self) };
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(via.clone());
            router.call(request)
        });
        let connection =
            http1::Builder::new().max_buf_size(LONGEST_HEAD_BYTES).serve_connection(TokioIo::new(stream), service);
        let connections = Arc::clone(self);
        // The lock is held until the task has its place, because the task may end at once.
        let mut places = self.lock();
        let task = tokio::spawn(async move {
            // The error of a client that disconnects does not matter here.
            connection.await.ok();
            let mut places = connections.lock();
            places.without_token.remove(&id);
            places.with_token.remove(&id);
        });
        places.without_token.insert(id, Connection { since: Instant::now(), task: task.abort_handle() });
        places.end_oldest();
    }

    /// Limits the connections without the token to half of those that are open now.
    pub(super) fn make_do_with_fewer(&self) {
        let mut places = self.lock();
        places.most_without_token = (places.without_token.len() / 2).max(FEWEST_WITHOUT_TOKEN);
        places.end_oldest();
    }

    /// Ends connections that take too long, in an endless loop.
    pub(super) async fn end_late_ones(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let places = &mut *self.lock();
            end_those_after(LONGEST_WITHOUT_TOKEN, &mut places.without_token);
            end_those_after(LONGEST_BETWEEN_REQUESTS, &mut places.with_token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// Ends the oldest connections without the token that exceed the limit.
    fn end_oldest(&mut self) {
        while self.without_token.len() > self.most_without_token {
            end(self.without_token.pop_first().map(|(_, oldest)| oldest));
        }
    }
}

fn end_those_after(longest: Duration, connections: &mut BTreeMap<u64, Connection>) {
    let late = connections.extract_if(.., |_, connection| connection.since.elapsed() > longest);
    late.for_each(|(_, connection)| end(Some(connection)));
}

fn end(connection: Option<Connection>) {
    connection.iter().for_each(|connection| connection.task.abort());
}
