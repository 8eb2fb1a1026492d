//! Which requests are refused before anybody is asked, and which host a request is for. Pure.

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

use crate::client::Framing;

/// Why a request was refused. Its text is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("CONNECT is not served here")]
    Connect,
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    #[error("the only Transfer-Encoding taken is chunked")]
    Coding,
    #[error("the request has no Host")]
    NoHost,
    #[error("the request has more than one Host")]
    ManyHosts,
    #[error("the request's Host is not a host name")]
    BadHost,
    #[error("the only Expect taken is 100-continue")]
    Expectation,
}

impl Malformed {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TwoLengths | Self::NoHost | Self::ManyHosts | Self::BadHost => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whom a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Lower case, without a port or a final dot; empty when the request names none.
    pub(crate) host: String,
    /// What the Host header has to say, when that is not what it says already.
    pub(crate) replaced_host: Option<HeaderValue>,
}

pub(crate) fn screen<B>(request: &Request<B>, framing: Framing) -> Result<Target, Malformed> {
    if request.method() == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if framing == Framing::Ambiguous {
        return Err(Malformed::TwoLengths);
    }
    let headers = request.headers();
    // A further coding would be lost with this hop's header and leave the app with a body that it cannot read.
    if headers.get_all(TRANSFER_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformed::Coding);
    }
    if headers.get_all(EXPECT).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Malformed::Expectation);
    }
    target(request, headers)
}

fn target<B>(request: &Request<B>, headers: &HeaderMap) -> Result<Target, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::ManyHosts);
    }
    let authority = match (request.uri().authority(), named) {
        (Some(authority), _) => authority.clone(),
        (None, Some(value)) if value.is_empty() => return Ok(Target { host: String::new(), replaced_host: None }),
        (None, Some(value)) => Authority::try_from(value.as_bytes()).map_err(|_| Malformed::BadHost)?,
        (None, None) if request.version() < Version::HTTP_11 => {
            return Ok(Target { host: String::new(), replaced_host: None });
        }
        (None, None) => return Err(Malformed::NoHost),
    };
    if authority.as_str().contains('@') {
        return Err(Malformed::BadHost);
    }
    let replaced_host = match request.uri().authority() {
        Some(authority) => Some(HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::BadHost)?),
        None => None,
    };
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok(Target { host, replaced_host })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, headers: &[(&str, &str)]) -> Result<String, Malformed> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        screen(&request.body(()).unwrap(), Framing::Plain).map(|target| target.host)
    }

    #[test]
    fn a_host_loses_its_port_case_and_final_dot() {
        assert_eq!(check("/", &[("host", "Shop.LocalHost:8080")]).as_deref(), Ok("shop.localhost"));
        assert_eq!(check("/", &[("host", "shop.localhost.")]).as_deref(), Ok("shop.localhost"));
        assert_eq!(check("/", &[("host", "[::1]:80")]).as_deref(), Ok("[::1]"));
    }

    #[test]
    fn the_host_of_an_absolute_uri_wins_and_replaces_the_header() {
        let request = Request::builder().uri("http://a.test:81/x").header("host", "b.test").body(()).unwrap();
        let target = screen(&request, Framing::Plain).unwrap();
        assert_eq!(target.host, "a.test");
        assert_eq!(target.replaced_host, Some(HeaderValue::from_static("a.test:81")));
    }

    #[test]
    fn hosts_that_are_missing_doubled_or_no_names_are_refused() {
        assert_eq!(check("/", &[]), Err(Malformed::NoHost));
        assert_eq!(check("/", &[("host", "a"), ("host", "a")]), Err(Malformed::ManyHosts));
        assert_eq!(check("http://a/", &[("host", "a"), ("host", "a")]), Err(Malformed::ManyHosts));
        for host in ["a b", "a/b", "me@a", "a\"", "a:b:c"] {
            assert_eq!(check("/", &[("host", host)]), Err(Malformed::BadHost), "{host}");
        }
    }

    #[test]
    fn an_old_client_may_leave_the_host_out() {
        let request = Request::builder().version(Version::HTTP_10).uri("/").body(()).unwrap();
        assert_eq!(screen(&request, Framing::Plain).unwrap().host, "");
    }

    #[test]
    fn codings_and_expectations_that_we_cannot_keep_are_refused() {
        let host = ("host", "a");
        assert_eq!(check("/", &[host, ("transfer-encoding", "gzip, chunked")]), Err(Malformed::Coding));
        assert_eq!(check("/", &[host, ("expect", "a-miracle")]), Err(Malformed::Expectation));
        assert!(check("/", &[host, ("transfer-encoding", "Chunked"), ("expect", "100-Continue")]).is_ok());
    }

    #[test]
    fn connect_and_two_lengths_are_refused() {
        let connect = Request::builder().method("CONNECT").uri("a:1").body(()).unwrap();
        assert_eq!(screen(&connect, Framing::Plain), Err(Malformed::Connect));
        let post = Request::builder().method("POST").header("host", "a").body(()).unwrap();
        assert_eq!(screen(&post, Framing::Ambiguous), Err(Malformed::TwoLengths));
    }
}
