//! Who may pass: the peer on the unix socket, the token on TCP, and no web page that a browser was tricked with.
//!
//! A page of another site can make a browser send requests here. Its `Origin` gives it away. When it has bound its own
//! name to this address (DNS rebinding), origin and host agree, but the host is that name: on TCP without a token only
//! addresses and `localhost` are answered, which cannot be rebound. With a token any name goes, for a browser does not
//! know the token, and a proxy in front may use any name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::errors::ApiError;

/// Where a request came in.
pub(super) enum Door {
    /// By the unix socket, from a user who may do everything.
    Unix,
    /// By the unix socket, from somebody else.
    Stranger {
        uid: u32,
    },
    Tcp {
        token: Option<String>,
    },
}

pub(super) async fn watch(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    match door.check(request.headers(), request.uri().authority()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl Door {
    fn check(&self, headers: &HeaderMap, target: Option<&Authority>) -> Result<(), ApiError> {
        let host = match target {
            // The absolute form of a request overrides the header.
            Some(authority) => Some(authority.as_str()),
            None => single(headers, &HOST)?,
        };
        check_origin(single(headers, &ORIGIN)?, host)?;
        match self {
            Door::Unix => Ok(()),
            Door::Stranger { uid } => Err(ApiError::denied(format!(
                "user {uid} may not use this socket; only the server's own user and root may"
            ))),
            Door::Tcp { token: Some(token) } => check_token(token, single(headers, &AUTHORIZATION)?),
            Door::Tcp { token: None } => check_host(host),
        }
    }
}

/// The one value of a header. Two of them are refused: programs in a row may each believe another one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(ApiError::usage(format!("the request has two {name} headers")));
    }
    first
        .map(|value| value.to_str().map_err(|_| ApiError::usage(format!("the {name} header is not readable text"))))
        .transpose()
}

fn check_origin(origin: Option<&str>, host: Option<&str>) -> Result<(), ApiError> {
    let Some(origin) = origin else { return Ok(()) };
    let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if site.zip(host).is_some_and(|(site, host)| site.eq_ignore_ascii_case(host)) {
        Ok(())
    } else {
        Err(ApiError::denied("the request was made by a page of another site (its Origin is not this host)"))
    }
}

fn check_host(host: Option<&str>) -> Result<(), ApiError> {
    let Some(host) = host else {
        return Err(ApiError::usage("the request has no Host header"));
    };
    let expected = host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host().to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok() || name == "localhost" || name.ends_with(".localhost")
    });
    if expected {
        Ok(())
    } else {
        Err(ApiError::denied(
            "without a token, the API answers only to an address or to localhost as the host name; \
             use one of them, or start the server with TAPIT_TOKEN set",
        ))
    }
}

fn check_token(token: &str, authorization: Option<&str>) -> Result<(), ApiError> {
    let Some(authorization) = authorization else {
        return Err(ApiError::denied("the server wants a token; set TAPIT_TOKEN"));
    };
    let given = authorization
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim());
    match given {
        Some(given) if same(given.as_bytes(), token.as_bytes()) => Ok(()),
        Some(_) | None => Err(ApiError::denied("the token is not the server's; check TAPIT_TOKEN")),
    }
}

/// Compares in a time that depends on the lengths alone, so that a token cannot be guessed byte by byte.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let differences = given.iter().zip(expected).fold(0u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    given.len() == expected.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(door: &Door, headers: &[(&str, &str)]) -> bool {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        door.check(&headers, None).is_ok()
    }

    #[test]
    fn without_a_token_only_addresses_and_localhost_are_hosts() {
        let door = Door::Tcp { token: None };
        for good in ["127.0.0.1:80", "127.0.0.1", "[::1]:8080", "localhost:9", "LOCALHOST", "x.localhost", "10.0.0.1"] {
            assert!(check(&door, &[("host", good)]), "{good}");
        }
        for bad in ["evil.example", "evil.example:80", "localhost.evil.example", "", "127.0.0.1.evil.example", "a b"] {
            assert!(!check(&door, &[("host", bad)]), "{bad}");
        }
        assert!(!check(&door, &[]));
    }

    #[test]
    fn a_page_of_another_site_is_refused_at_every_door() {
        for door in [Door::Unix, Door::Tcp { token: None }] {
            assert!(check(&door, &[("host", "localhost:80"), ("origin", "http://localhost:80")]));
            for origin in ["https://evil.example", "null", "http://localhost:81", "http://localhost", ""] {
                assert!(!check(&door, &[("host", "localhost:80"), ("origin", origin)]), "{origin}");
            }
        }
    }

    #[test]
    fn a_configured_token_is_wanted_from_everybody_on_tcp() {
        let door = Door::Tcp { token: Some("secret".to_owned()) };
        let with = |value: &str| check(&door, &[("host", "tapit.example"), ("authorization", value)]);
        assert!(with("Bearer secret"));
        assert!(with("bearer secret"));
        for bad in ["Bearer secre", "Bearer secrets", "Bearer ", "secret", "Basic secret", "Bearer SECRET"] {
            assert!(!with(bad), "{bad}");
        }
        assert!(!check(&door, &[("host", "127.0.0.1")]));
    }

    #[test]
    fn headers_that_decide_are_given_once() {
        let twice = [("host", "127.0.0.1"), ("host", "127.0.0.1")];
        let mut headers = HeaderMap::new();
        for (name, value) in twice {
            headers.append(name, value.parse().unwrap());
        }
        assert!(Door::Tcp { token: None }.check(&headers, None).is_err());
    }
}
