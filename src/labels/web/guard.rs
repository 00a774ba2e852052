//! Access control of the page.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::SLOWEST_REQUEST;
use super::connections::Via;

/// Headers of every response. They allow the page to load only this server's own style, script and replies.
const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Properties that a request must have.
#[derive(Debug)]
pub(super) struct Guard {
    /// Accepted hosts: `127.0.0.1:PORT` and `localhost:PORT`.
    hosts: [String; 2],
    token: String,
    /// Name of the cookie, with the port in it, because cookies do not tell ports apart.
    cookie: String,
}

/// Means by which a request was admitted.
enum Entry {
    WithToken,
    WithCookie,
}

impl Guard {
    pub(super) fn new(port: u16, token: &str) -> Self {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        Self { hosts, token: token.into(), cookie: format!("preftune-{port}") }
    }

    /// Returns the means by which a request is admitted, or the status and the reason of its refusal.
    fn check(&self, request: &Request) -> Result<Entry, (StatusCode, &'static str)> {
        if let Some(fault) = self.fault(request.method(), request.headers()) {
            return Err(fault);
        }
        let given = request.uri().query().and_then(|query| query.strip_prefix("token="));
        if request.uri().path() == "/" && given.is_some_and(|token| self.is_token(token)) {
            return Ok(Entry::WithToken);
        }
        match self.has_cookie(request.headers()) {
            true => Ok(Entry::WithCookie),
            false => Err((StatusCode::UNAUTHORIZED, "open the address that preftune printed, with its token")),
        }
    }

    /// Returns what is wrong with a request, if anything.
    fn fault(&self, method: &Method, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let host = only(headers, HOST);
        if !host.is_some_and(|host| self.hosts.iter().any(|own| own == host)) {
            return Some((StatusCode::FORBIDDEN, "this is not the address that was printed"));
        }
        match *method {
            Method::GET => {}
            Method::POST => {
                let own = host.map(|host| format!("http://{host}"));
                if own.as_deref() != only(headers, ORIGIN) {
                    return Some((StatusCode::FORBIDDEN, "this request does not come from the page of label"));
                }
            }
            _ => return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET and POST")),
        }
        None
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let values = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        values.into_iter().any(|(name, value)| name == self.cookie && self.is_token(value))
    }

    /// Checks the token in a time that does not depend on how much of it was guessed.
    fn is_token(&self, text: &str) -> bool {
        Sha256::digest(text) == Sha256::digest(&self.token)
    }

    /// Exchanges the token in the address for a cookie, so that the token does not stay in the address.
    fn sign_in(&self) -> Response {
        let cookie = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", self.cookie, self.token);
        (StatusCode::SEE_OTHER, [(LOCATION, "/".to_string()), (SET_COOKIE, cookie)]).into_response()
    }
}

/// Admits a request, or refuses it with a reason and ends its connection.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Err((status, what)) => last(refuse(request.uri().path(), status, what)),
        Ok(entry) => {
            if let Some(via) = request.extensions().get::<Via>() {
                via.has_shown_token();
            }
            match entry {
                Entry::WithToken => guard.sign_in(),
                Entry::WithCookie => {
                    let late = |_| last(refusal(StatusCode::REQUEST_TIMEOUT, "the request took too long"));
                    tokio::time::timeout(SLOWEST_REQUEST, next.run(request)).await.unwrap_or_else(late)
                }
            }
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Marks the response as the last one of its connection.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns a refusal that the requester of this path can read: plain text for people, who open the page itself, and
/// JSON otherwise.
fn refuse(path: &str, status: StatusCode, what: &'static str) -> Response {
    match (path, status) {
        ("/", StatusCode::UNAUTHORIZED) => (status, what).into_response(),
        _ => refusal(status, what),
    }
}

/// Returns the value of a header, or `None` if the header is missing or comes twice.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

pub(super) fn refusal(status: StatusCode, what: &str) -> Response {
    (status, Json(json!({ "error": what }))).into_response()
}
