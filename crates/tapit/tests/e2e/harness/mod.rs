//! What the tests stand on: a server of their own, the command line, images, load, and a look at the host for leftovers.

pub mod cli;
pub mod debian;
#[path = "../../../../tapit-container/tests/images/fake_registry.rs"]
#[allow(dead_code, reason = "the tests of the image store use more of it")]
pub mod fake_registry;
pub mod http;
pub mod image;
pub mod images;
pub mod leaks;
pub mod load;
pub mod nft;
pub mod page;
pub mod server;
pub mod views;

use std::time::{Duration, Instant};

pub use load::Load;
pub use server::Server;

/// Instances as small as they come, so that dozens fit beside one another.
pub const SMALL: &str = "memory=0.03 cpu=0.1";

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// Waits for a condition; fails the test with what was seen last when it does not come to pass in time.
pub fn until<T>(seconds: u64, what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    within(Duration::from_secs(seconds), what, look)
}

fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + time;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= end => panic!("after {time:?} still not {what}; seen last: {seen}"),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// `Ok` when it holds, else what was seen instead.
pub fn holds(condition: bool, seen: impl std::fmt::Display) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen.to_string()) }
}
