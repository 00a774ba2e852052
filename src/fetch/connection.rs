//! Settings of the HTTP library, and the meaning of its errors.

use std::path::Path;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::address::Address;
use super::fetch_error::FetchError;
use crate::error::{Error, Result};
use crate::platform::files;

/// Returns the agent that opens connections. It leaves redirects and refusals to the caller. Its proxies are
/// those of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
///
/// `timeout` bounds each silence of a server, not a whole download. `certificates` is a PEM file of
/// authorities to trust instead of those that come with the program.
pub(super) fn agent(timeout: Duration, certificates: Option<&Path>) -> Result<ureq::Agent> {
    let roots = certificates.map_or(Ok(RootCerts::WebPki), read_certificates)?;
    let config = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("preftune/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .timeout_per_write(Some(timeout));
    Ok(config.build().new_agent())
}

fn read_certificates(path: &Path) -> Result<RootCerts> {
    let text = files::read(path)?;
    let found: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Error::input(path, "no certificates in this file", "SSL_CERT_FILE names a file in PEM format"));
    }
    Ok(found.into())
}

/// Sorts an error of the library by what to do next.
pub(super) fn trouble(error: ureq::Error, address: &Address) -> FetchError {
    use ureq::Error as E;
    match error {
        E::HostNotFound => FetchError::passing(format!("{address}: no such host, or no connection")),
        E::Timeout(_) => FetchError::passing(format!("{address}: the server is silent")),
        E::Io(error) if certificate_refused(&error) => refused_certificate(address, &error),
        E::Io(_) | E::ConnectionFailed | E::Protocol(_) | E::BodyStalled | E::ConnectProxyFailed(_) => {
            FetchError::passing(format!("{address}: no connection: {error}"))
        }
        E::Rustls(error) => refused_certificate(address, &error),
        error => Error::failed(format!("{address}: {error}"), "").into(),
    }
}

/// Checks whether an error is a refused certificate: the TLS library reports these as errors of reading and
/// writing.
fn certificate_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}

fn refused_certificate(address: &Address, error: &dyn std::error::Error) -> FetchError {
    Error::failed(
        format!("{address}: the connection is not trusted: {error}"),
        "behind a proxy that reads traffic, name its certificates in SSL_CERT_FILE",
    )
    .into()
}
