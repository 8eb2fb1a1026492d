//! The wall clock, read in one place of the server.

use std::time::{SystemTime, UNIX_EPOCH};

use tapit_model::Timestamp;

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
