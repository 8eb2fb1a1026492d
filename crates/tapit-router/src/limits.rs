//! Every bound of the router in one place. Tests use small ones; the server uses the defaults.

use std::time::Duration;

/// How long the router waits, and how much it holds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of clients served at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// For the first byte of a new connection until the end of its request's header, and for each later header.
    pub header_read: Duration,
    /// Bytes of a request's header; more is answered with 431.
    pub header_bytes: usize,
    /// How long an idle connection of a client is kept.
    pub keep_alive: Duration,
    /// How long the client may send nothing of a body it owes, or take nothing of a response.
    pub stall: Duration,
    /// For a TCP connection to a backend.
    pub connect: Duration,
    /// From the last byte of the request to the header of the response; then 504.
    pub response_header: Duration,
    /// How long a request waits for a backend to appear; then 503.
    pub hold: Duration,
    /// Requests of one route that wait for a backend at a time; more are answered with 503 at once.
    pub held_per_route: u32,
    /// How long a backend that failed is passed over while others are there, and the pause before it is tried again.
    pub suspect: Duration,
    /// Bytes of a body that are kept in memory so that an idempotent request can be sent again.
    pub replay_bytes: u64,
    /// How often a request is sent again after it may have reached a backend.
    pub resends: u32,
    /// Idle connections kept to one backend.
    pub idle_per_backend: usize,
    /// How long an idle connection to a backend is used for requests that could be sent again.
    pub idle: Duration,
    /// The same for requests that could not be sent again: the longer a connection has been idle, the likelier is it that
    /// the backend closes it just as the request is written.
    pub idle_unrepeatable: Duration,
    /// How long requests in flight may go on once the router is told to end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_read: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            keep_alive: Duration::from_secs(75),
            stall: Duration::from_secs(60),
            connect: Duration::from_secs(2),
            response_header: Duration::from_secs(60),
            hold: Duration::from_secs(5),
            held_per_route: 1024,
            suspect: Duration::from_millis(500),
            replay_bytes: 64 * 1024,
            resends: 2,
            idle_per_backend: 256,
            idle: Duration::from_secs(30),
            idle_unrepeatable: Duration::from_secs(1),
            drain: Duration::from_secs(30),
        }
    }
}
