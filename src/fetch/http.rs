//! HTTP requests with redirects, one at a time: which server gets the token, where a redirect may lead, and
//! how a request is interrupted while a server is silent.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::address::Address;
use super::body;
use super::body::Body;
use super::connection;
use super::endpoints::Endpoints;
use super::fetch_error::{FetchError, status_text};
use super::waiting::wait;
use crate::error::{Error, Result};
use crate::platform::Interrupt;

/// Largest number of redirects that are followed for one request.
const MAX_REDIRECTS: usize = 5;

/// The redirects that are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Redirects {
    Anywhere,
    SameOrigin,
}

/// Headers of a request, besides those that every request has.
pub(super) type Headers = [(HeaderName, String)];

/// A sender of requests.
pub(super) struct Client {
    agent: ureq::Agent,
    /// Token of the hub, with the only server that gets it.
    token: Option<(Address, HeaderValue)>,
    pub(super) interrupt: Interrupt,
    /// Pause before the second attempt; the pause doubles with each further attempt.
    pub(super) first_pause: Duration,
}

/// Answer of a server, with a body that is still to be read.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Answer {
    /// Returns the value of a header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// # Errors
    /// [`Error::Usage`] for a token with invalid characters or one that would be sent unencrypted over a
    /// network; fails when the certificates cannot be read.
    pub(super) fn new(places: &Endpoints, interrupt: Interrupt) -> Result<Self> {
        let token = places.token.as_deref().map(|token| authorization(token, &places.endpoint)).transpose()?;
        let agent = connection::agent(places.timeout, places.certificates.as_deref())?;
        Ok(Self { agent, token, interrupt, first_pause: places.first_pause })
    }

    /// Requests a file, and follows redirects to any server.
    pub(super) fn get(&self, address: &Address, headers: &Headers) -> std::result::Result<Answer, FetchError> {
        self.follow(&Method::GET, address, headers, Redirects::Anywhere)
    }

    /// Requests the headers of a file. A redirect to another server is returned as the answer, because it has
    /// the hub's headers about the file.
    pub(super) fn head(&self, address: &Address) -> std::result::Result<Answer, FetchError> {
        self.follow(&Method::HEAD, address, &[], Redirects::SameOrigin)
    }

    fn follow(
        &self,
        method: &Method,
        address: &Address,
        headers: &Headers,
        redirects: Redirects,
    ) -> std::result::Result<Answer, FetchError> {
        let mut here = address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.exchange(method, &here, headers)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return accepted(answer, address);
            }
            let next = redirected(&here, answer.header(LOCATION.as_str()))?;
            if redirects == Redirects::SameOrigin && !here.same_origin(&next) {
                return Ok(answer);
            }
            here = next;
        }
        Err(Error::failed(
            format!("{address}: redirected more than {MAX_REDIRECTS} times, lastly to {here}"),
            "the server's redirects lead in a circle; try again later, or another address",
        )
        .into())
    }

    /// Sends one request in a thread of its own, so that an interruption need not wait for the answer.
    fn exchange(
        &self,
        method: &Method,
        address: &Address,
        headers: &Headers,
    ) -> std::result::Result<Answer, FetchError> {
        let request = self.request(method, address, headers)?;
        let agent = self.agent.clone();
        let (head_sender, head) = sync_channel(1);
        let (chunks, body) = sync_channel(body::CHUNKS_AHEAD);
        let work = move || match agent.run(request) {
            Err(error) => drop(head_sender.send(Err(error))),
            Ok(response) => {
                let (parts, body) = response.into_parts();
                if head_sender.send(Ok((parts.status.as_u16(), parts.headers))).is_ok() {
                    body::pump(body.into_reader(), &chunks);
                }
            }
        };
        std::thread::Builder::new()
            .name("fetch".into())
            .spawn(work)
            .map_err(|error| Error::failed(format!("cannot start a thread: {error}"), ""))?;
        match wait(&head, &self.interrupt)? {
            None => Err(FetchError::passing(format!("{address}: the request ended without an answer"))),
            Some(Err(error)) => Err(connection::trouble(error, address)),
            Some(Ok((status, headers))) => {
                Ok(Answer { status, headers, body: Body::new(body, self.interrupt.clone(), address) })
            }
        }
    }

    fn request(&self, method: &Method, address: &Address, headers: &Headers) -> Result<Request<()>> {
        // Lengths and positions are those of the file itself only if it is not compressed.
        let mut request = Request::builder().method(method).uri(address.uri()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some((owner, token)) = &self.token
            && owner.same_origin(address)
        {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(()).map_err(|error| Error::failed(format!("{address}: cannot be asked for: {error}"), ""))
    }
}

fn authorization(token: &str, endpoint: &Address) -> Result<(Address, HeaderValue)> {
    if !endpoint.is_https() && !endpoint.is_loopback() {
        return Err(Error::usage(
            format!("{endpoint} is not https, and the Hugging Face token would be sent in the clear"),
            "use https in HF_ENDPOINT, or unset HF_TOKEN and remove the token file",
        ));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        Error::usage("the Hugging Face token has characters that a token cannot have", "check HF_TOKEN")
    })?;
    value.set_sensitive(true);
    Ok((endpoint.clone(), value))
}

fn redirected(here: &Address, location: Option<&str>) -> std::result::Result<Address, FetchError> {
    let bad = |what: String| FetchError::Final(Error::failed(what, "try again later, or another address"));
    let next = location
        .and_then(|location| here.join(location))
        .ok_or_else(|| bad(format!("{here}: redirected to {:?}, which is no web address", location.unwrap_or(""))))?;
    if here.is_https() && !next.is_https() {
        return Err(bad(format!("{here}: redirected from https to {next}, which anyone on the way could alter")));
    }
    Ok(next)
}

/// Returns the answer if the request succeeded, otherwise the error for its status.
fn accepted(answer: Answer, address: &Address) -> std::result::Result<Answer, FetchError> {
    let status = answer.status;
    let what = format!("{address}: the server answered {}", status_text(status));
    match status {
        200..=299 => match answer.header(CONTENT_ENCODING.as_str()) {
            None | Some("identity" | "") => Ok(answer),
            Some(encoding) => Err(Error::failed(
                format!("{address}: the server sent {encoding} data, though asked for the file as it is"),
                "something between here and the server may be altering answers",
            )
            .into()),
        },
        408 | 429 | 500..=599 => {
            let secs = answer.header(RETRY_AFTER.as_str()).and_then(|value| value.trim().parse().ok());
            Err(FetchError::Passing { what, retry_after: secs.map(Duration::from_secs) })
        }
        _ => Err(FetchError::Refused { status, what }),
    }
}
