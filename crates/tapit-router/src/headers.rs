//! Header fields that must not pass the router, and those that it speaks for itself. Pure.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// CGI programs would take it for the variable HTTP_PROXY and send their own requests there.
const PROXY: HeaderName = HeaderName::from_static("proxy");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields that concern one connection only.
const HOP_BY_HOP: [HeaderName; 8] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

/// The protocol that a request asks to switch to.
pub(crate) fn upgrade_of(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    // HTTP/2 in clear text would run past everything that the router does for a request.
    let is_http2 = tokens(headers, UPGRADE).any(|token| token.get(..3).is_some_and(|t| t.eq_ignore_ascii_case("h2c")));
    let is_asked = tokens(headers, CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    (version == Version::HTTP_11 && is_asked && !is_http2).then(|| protocol.clone())
}

/// Puts the fields of a switch of protocols back, on either side.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Removes what concerns one connection only, also what its Connection field lists.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = tokens(headers, CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            // A client must not be able to take these away from the app.
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        for name in listed {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Prepares the header of a request for a backend: no hop-by-hop fields, and nothing that the client says about where
/// the request comes from. `Host` must be there already.
pub(crate) fn prepare_request(headers: &mut HeaderMap, peer: IpAddr) {
    let takes_trailers = tokens(headers, TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers);
    headers.remove(PROXY);
    // The router has answered it, or will when it reads the body.
    headers.remove(EXPECT);
    let spoofed: Vec<HeaderName> = headers.keys().filter(|name| speaks_of_origin(name.as_str())).cloned().collect();
    for name in spoofed {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Ok(address) = HeaderValue::try_from(peer.to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, address.clone());
        headers.insert(REAL_IP, address);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// Fields by which proxies tell where a request comes from. Underscores count as hyphens: many frameworks make one
/// variable of both.
fn speaks_of_origin(name: &str) -> bool {
    let same = |wanted: &str| {
        name.len() >= wanted.len()
            && name.bytes().zip(wanted.bytes()).all(|(byte, wanted)| byte == wanted || (byte == b'_' && wanted == b'-'))
    };
    same("x-forwarded-") || (same(REAL_IP.as_str()) && name.len() == REAL_IP.as_str().len()) || name == FORWARDED
}

fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn prepared(fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = headers(fields);
        prepare_request(&mut headers, IpAddr::from([192, 0, 2, 7]));
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    const OWN: [&str; 5] = [
        "host: a.test",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: a.test",
        "x-forwarded-proto: http",
        "x-real-ip: 192.0.2.7",
    ];

    #[test]
    fn what_the_client_says_of_its_origin_is_overwritten() {
        let spoofed = [
            ("host", "a.test"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-real_ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("proxy", "http://evil.test"),
        ];
        assert_eq!(prepared(&spoofed), OWN);
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_lists_are_removed() {
        let fields = [
            ("host", "a.test"),
            ("connection", "keep-alive, X-Private, host"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("proxy-authorization", "Basic eA=="),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
        ];
        assert_eq!(prepared(&fields), OWN);
    }

    #[test]
    fn other_fields_pass_and_trailers_stay_welcome() {
        let lines = prepared(&[("host", "a.test"), ("cookie", "a=b"), ("te", "trailers, gzip"), ("x-real-ipod", "1")]);
        let mut wanted = OWN.to_vec();
        wanted.extend(["cookie: a=b", "te: trailers", "x-real-ipod: 1"]);
        wanted.sort_unstable();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn an_upgrade_is_one_only_when_the_connection_says_so() {
        let asked = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade_of(&asked, Version::HTTP_11), Some(HeaderValue::from_static("websocket")));
        assert_eq!(upgrade_of(&asked, Version::HTTP_10), None);
        let unasked = headers(&[("upgrade", "websocket")]);
        assert_eq!(upgrade_of(&unasked, Version::HTTP_11), None);
        let http2 = headers(&[("connection", "upgrade"), ("upgrade", "H2C")]);
        assert_eq!(upgrade_of(&http2, Version::HTTP_11), None);
    }
}
