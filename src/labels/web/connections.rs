//! Connections that are open, and which ends when there are too many or one takes too long.
//!
//! Every program on this computer can connect. A connection that has not shown the token has a place for
//! two seconds and one request, and gives it up to the next; those that have shown it have places of their
//! own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Places for connections that have shown the token, and for others. Systems give a process as few as 256
/// file descriptors, and labels and checkpoints need some.
const MOST_WITH_TOKEN: usize = 64;
const MOST_WITHOUT_TOKEN: usize = 128;

/// From connecting until the token is shown.
const LONGEST_WITHOUT_TOKEN: Duration = Duration::from_secs(2);

/// From one request to the next: labelers think for a while.
const LONGEST_BETWEEN_REQUESTS: Duration = Duration::from_secs(120);

const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Browsers send the cookies of all servers on this computer.
const LONGEST_HEAD_BYTES: usize = 64 << 10;

/// All connections, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<BTreeMap<u64, Connection>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    has_token: bool,
    /// When it came or, once it has shown the token, when its last request began.
    since: Instant,
    task: AbortHandle,
}

/// The connection that a request comes by.
#[derive(Debug, Clone)]
pub(super) struct Via {
    id: u64,
    connections: Arc<Connections>,
}

impl Via {
    /// Keeps the connection open for further requests.
    pub(super) fn has_shown_token(&self) {
        let mut open = self.connections.lock();
        if open.get(&self.id).is_some_and(|connection| !connection.has_token) {
            make_room(&mut open, true);
        }
        if let Some(connection) = open.get_mut(&self.id) {
            connection.has_token = true;
            connection.since = Instant::now();
        }
    }
}

impl Connections {
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
        // Held until the task is listed: it may end at once.
        let mut open = self.lock();
        make_room(&mut open, false);
        let task = tokio::spawn(async move {
            // A client that breaks off is its own affair.
            connection.await.ok();
            connections.lock().remove(&id);
        });
        open.insert(id, Connection { has_token: false, since: Instant::now(), task: task.abort_handle() });
    }

    /// Ends the connection that has been without the token for longest.
    pub(super) fn end_oldest_without_token(&self) {
        end_oldest(&mut self.lock(), false);
    }

    /// Ends connections that take too long, for ever.
    pub(super) async fn end_late_ones(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            self.lock().retain(|_, connection| {
                let longest = if connection.has_token { LONGEST_BETWEEN_REQUESTS } else { LONGEST_WITHOUT_TOKEN };
                let is_late = connection.since.elapsed() > longest;
                if is_late {
                    connection.task.abort();
                }
                !is_late
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends connections of a kind until there is a place for one more.
fn make_room(open: &mut BTreeMap<u64, Connection>, has_token: bool) {
    let most = if has_token { MOST_WITH_TOKEN } else { MOST_WITHOUT_TOKEN };
    while open.values().filter(|connection| connection.has_token == has_token).count() >= most {
        end_oldest(open, has_token);
    }
}

fn end_oldest(open: &mut BTreeMap<u64, Connection>, has_token: bool) {
    let of_kind = open.iter().filter(|(_, connection)| connection.has_token == has_token);
    let oldest = of_kind.min_by_key(|(_, connection)| connection.since).map(|(id, _)| *id);
    if let Some(connection) = oldest.and_then(|id| open.remove(&id)) {
        connection.task.abort();
    }
}
