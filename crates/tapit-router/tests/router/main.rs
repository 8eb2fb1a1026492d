//! The router between real sockets: small backends and clients in this process, one router per test.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod hold;
mod limits;
mod messages;
mod replace;
mod retry;
mod routes;
mod shutdown;
mod support;
mod upgrade;
