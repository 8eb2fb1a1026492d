//! Tries what a registry says besides manifests and blobs. See `crate::fuzzing`.

use reqwest::header::HeaderValue;

use super::challenge::{Challenge, choose};
use super::{fetch, host, words};

/// The first lines are headers of every kind that is read, the rest is the body of a refusal.
pub fn answer(bytes: &[u8]) {
    let mut rest = bytes;
    for _ in 0..4 {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let Ok(header) = HeaderValue::from_bytes(line) else { continue };
        let _ = host::rest(&header);
        let Ok(text) = header.to_str() else { continue };
        let _ = fetch::parse_range(text);
        match choose([text].into_iter()) {
            Some(Challenge::Bearer { realm, service }) => {
                let service = service.unwrap_or_default();
                assert!(realm.len() + service.len() <= text.len(), "{text:?} grows to {realm:?} and {service:?}");
            }
            Some(Challenge::Basic) | None => {}
        }
    }
    let said = words::said(rest);
    assert!(said.chars().count() <= 300 && !said.contains(char::is_control), "{said:?}");
}
