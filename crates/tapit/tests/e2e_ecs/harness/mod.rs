//! What the tests stand on: an account, a server on it, and what the tests of the embedded engine stand on as well.

#[path = "../../e2e/harness/cli.rs"]
#[allow(dead_code, reason = "the tests of the embedded engine use more of it")]
pub mod cli;
#[path = "../../e2e/harness/http.rs"]
pub mod http;
pub mod images;
#[path = "../../e2e/harness/load.rs"]
#[allow(dead_code, reason = "the tests of the embedded engine use more of it")]
pub mod load;
#[path = "../../e2e/harness/page.rs"]
#[allow(dead_code, reason = "the tests of the embedded engine use more of it")]
pub mod page;
pub mod server;
#[path = "../../e2e/harness/views.rs"]
#[allow(dead_code, reason = "the tests of the embedded engine use more of it")]
pub mod views;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

pub use server::Server;

/// The smallest task that Fargate has.
pub const SMALL: &str = "memory=0.5 cpu=0.25";

/// How often a condition is looked at: each look is a command.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for a condition; fails the test with what was seen last when it does not come to pass in time.
pub fn until<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let time = Duration::from_secs(seconds);
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

/// Of all instances, as a target of the load balancer is named.
pub fn addresses(shown: &Value) -> BTreeSet<String> {
    let instances = shown["instances"].as_array().expect("a list");
    instances.iter().filter_map(|one| one["ip"].as_str()).map(|ip| format!(" {ip}:")).collect()
}

/// Whether a request failed at a target that is not one of these. AWS's load balancer sends nothing to a target before it has
/// passed a check; the emulator's makes none, and sends requests to a container whose program does not listen yet.
pub fn never_checked(serving: BTreeSet<String>) -> impl Fn(&str) -> bool {
    move |why| why.contains("connect error") && !serving.iter().any(|ip| why.contains(ip))
}
