//! The adapter to the SDK over a connection that answers from a script: what is sent, how answers and errors are read.
//!
//! What no emulator says (throttling, expired credentials, draining services, spot interruptions) is said here in AWS's
//! words. That requests are understood is shown by the tests against the emulator.

mod answers;
mod canned;
mod connect;
mod errors;
mod requests;
