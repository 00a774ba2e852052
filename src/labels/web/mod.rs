//! Labelling in a browser: a page on this computer for any number of people.
//!
//! Other pages that a browser has open must not answer or read anything here. The server therefore listens on the
//! loopback address only, requires the token that was printed at the start, and checks `Host` and `Origin`.

mod api;
mod connections;
mod guard;
mod saved_session;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};

use super::queue::SharedQueue;
use crate::error::{Error, Result};
use crate::format_version::FormatVersion;
use connections::Connections;
use guard::Guard;
use saved_session::Kept;

/// Largest size of a request's body.
const LONGEST_BODY_BYTES: usize = 64 << 10;

/// Longest time that a request may take before it is refused.
const SLOWEST_REQUEST: Duration = Duration::from_secs(10);

const TOKEN_DIGITS: usize = 32;

/// Number of connections that may wait to be accepted; a client that finds no place tries again after a second.
const BACKLOG: u32 = 4096;

/// Number of connections accepted before the open ones are served again.
const ACCEPTED_AT_ONCE: usize = 16;

/// Time to wait for a free file descriptor.
const SHORT_OF_DESCRIPTORS: Duration = Duration::from_millis(10);

/// Time for a last reply to reach the browser.
const FAREWELL: Duration = Duration::from_millis(200);

/// Longest time until all open pages know of the end: a page in the background asks once a second.
const LONGEST_FAREWELL: Duration = Duration::from_secs(3);

/// Server of the labelling page.
#[derive(Debug)]
pub struct LabelServer {
    address: SocketAddr,
    token: String,
    queue: Arc<SharedQueue>,
    runtime: Runtime,
}

/// State that all handlers share.
#[derive(Debug)]
struct AppState {
    queue: Arc<SharedQueue>,
    instructions: String,
}

impl LabelServer {
    /// Serves the page on a port of the loopback address. Port 0 is the port that this log's page had before or, if it
    /// is taken, any free port.
    ///
    /// # Errors
    /// [`Error::Failed`] if the port is taken or the system gives no random token.
    pub fn start(queue: Arc<SharedQueue>, instructions: &str, port: u16) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| Error::failed(format!("cannot start a server: {error}"), ""))?;
        // Sockets belong to the runtime in which they are made.
        let inside = runtime.enter();
        let log = queue.with(|queue| queue.log().path().to_path_buf());
        let kept = Kept::beside(&log).filter(|kept| [0, kept.port].contains(&port));
        // The old token is used only with the old port: on another port an open page would not find the server, and the
        // program that has the old port may know the token.
        let as_before = kept.and_then(|kept| Some((listen(kept.port).ok()?, kept.token)));
        let ((address, listener), token) = match as_before {
            Some(as_before) => as_before,
            None => (listen(port).map_err(|error| taken(port, &error))?, random_token()?),
        };
        if let Err(error) =
            (Kept { version: FormatVersion, port: address.port(), token: token.clone() }).write_beside(&log)
        {
            tracing::warn!("open pages will not resume after a restart: {error}");
        }
        let guard = Arc::new(Guard::new(address.port(), &token));
        let app = Arc::new(AppState { queue: Arc::clone(&queue), instructions: instructions.into() });
        runtime.spawn(accept(listener, router(app, guard)));
        drop(inside);
        Ok(Self { address, token, queue, runtime })
    }

    /// Returns the address to open, which contains the token.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.token)
    }

    /// Stops the server when every open page knows that no more questions follow and pending requests are answered.
    pub fn stop(self) {
        let started = Instant::now();
        while !self.queue.with(|queue| queue.has_told_everybody()) && started.elapsed() < LONGEST_FAREWELL {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(FAREWELL);
        self.runtime.shutdown_timeout(FAREWELL);
    }
}

fn taken(port: u16, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot serve on port {port}: {error}"), "choose another with --port, or 0 for any")
}

fn listen(port: u16) -> std::io::Result<(SocketAddr, TcpListener)> {
    let socket = TcpSocket::new_v4()?;
    // The address is reused, so that an open page continues at once when the program runs again. On Windows this would
    // share the port.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    Ok((listener.local_addr()?, listener))
}

/// Returns 128 random bits as hexadecimal digits.
fn random_token() -> Result<String> {
    let mut bytes = [0; TOKEN_DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|error| Error::failed(format!("no random numbers: {error}"), ""))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn router(app: Arc<AppState>, guard: Arc<Guard>) -> Router {
    let file = |content_type: &'static str, text: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, content_type)], text).into_response() })
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("page.html")))
        .route("/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/api/instructions", get(api::instructions))
        .route("/api/next", post(api::next))
        .route("/api/answer", post(api::answer))
        .route("/api/skip", post(api::skip))
        .route("/api/undo", post(api::undo))
        .route("/api/stop", post(api::stop))
        .with_state(app)
        .layer(DefaultBodyLimit::max(LONGEST_BODY_BYTES))
        .layer(from_fn_with_state(guard, guard::admit))
}

async fn accept(listener: TcpListener, router: Router) {
    let connections = Arc::new(Connections::new());
    tokio::spawn(Arc::clone(&connections).end_late_ones());
    for count in 1_usize.. {
        match listener.accept().await {
            Ok((stream, _)) => connections.serve(stream, router.clone()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                connections.make_do_with_fewer();
                tokio::time::sleep(SHORT_OF_DESCRIPTORS).await;
            }
        }
        if count.is_multiple_of(ACCEPTED_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
}
