//! The two clocks, under the names that the server calls them by.

pub use tapit_container::engine::clock::{moment, timestamp as now};
