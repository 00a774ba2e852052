//! Web addresses: parsed, extended, and compared by the server they belong to.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::{Error, Result};

/// An `http` or `https` address with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(Uri);

impl Address {
    /// Reads an address. `source` names the place of `text`, for the error.
    pub(super) fn parse(text: &str, source: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            Error::usage(
                format!("{source}: {text:?} is no web address"),
                "it begins with https:// and a host name, such as https://huggingface.co",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let uri: Uri = text.split('#').next()?.parse().ok()?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        (known && uri.host().is_some_and(|host| !host.is_empty())).then_some(Self(uri))
    }

    /// Returns the address of `path` below this address, without its query.
    pub(super) fn below(&self, path: &str) -> Result<Self> {
        let base = self.0.path().trim_end_matches('/');
        Self::parse(&format!("{}{base}/{path}", self.origin_text()), "address")
    }

    /// Returns the address that a redirect from this address leads to, or `None` if `location` is no address.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.starts_with("http://") || location.starts_with("https://") {
            return Self::read(location);
        }
        if location.starts_with("//") {
            return Self::read(&format!("{}:{location}", self.scheme()));
        }
        if location.starts_with('/') {
            return Self::read(&format!("{}{location}", self.origin_text()));
        }
        let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::read(&format!("{}{folder}/{location}", self.origin_text()))
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// Checks whether both addresses have the same scheme, host and port.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        let origin = |address: &Self| (address.is_https(), address.host().to_ascii_lowercase(), address.port());
        origin(self) == origin(other)
    }

    /// Checks whether the host of this address is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    fn origin_text(&self) -> String {
        format!("{}://{}", self.scheme(), self.0.authority().map_or("", |authority| authority.as_str()))
    }
}

/// Shows an address without user, password and query, which may be secret.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.0.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{}{port}{}", self.scheme(), self.host(), self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text, "test").unwrap()
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for text in ["", "huggingface.co", "ftp://host/", "https://", "/path", "file:///etc/passwd"] {
            assert_eq!(Address::parse(text, "HF_ENDPOINT").unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn paths_are_added_with_one_slash() {
        for base in ["https://host", "https://host/"] {
            assert_eq!(address(base).below("a/b").unwrap().to_string(), "https://host/a/b");
        }
        assert_eq!(address("https://host/base/").below("a").unwrap().to_string(), "https://host/base/a");
    }

    #[test]
    fn redirects_may_be_absolute_or_relative() {
        let from = address("https://host/models/file?x=1");
        let joined = |location: &str| from.join(location).unwrap().uri().to_string();
        assert_eq!(joined("https://other/y?z=2#part"), "https://other/y?z=2");
        assert_eq!(joined("//other/y"), "https://other/y");
        assert_eq!(joined("/y?z=2"), "https://host/y?z=2");
        assert_eq!(joined("y"), "https://host/models/y");
        assert!(from.join("https://").is_none());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = address("https://host/a");
        assert!(origin.same_origin(&address("https://HOST:443/b")));
        for other in ["http://host/a", "https://host:444/a", "https://host.evil/a", "https://host@evil/a"] {
            assert!(!origin.same_origin(&address(other)), "{other}");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for text in ["http://localhost:80", "http://127.0.0.1", "http://127.1.2.3:9", "http://[::1]:8080/"] {
            assert!(address(text).is_loopback(), "{text}");
        }
        for text in ["http://localhost.evil", "http://10.0.0.1", "http://127.0.0.1.evil"] {
            assert!(!address(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(address("https://me:secret@host:8/a?signature=x").to_string(), "https://host:8/a");
    }
}
