//! The server: wires the store, the planners, an engine, the router and the API.
//!
//! `run` is what `tapit server` calls. A request goes through `api` into `service`, which admits it against the `ledger`
//! and wakes `reconcile`; everything after that, and after any change that the engine sees, is the loop's work.

pub mod api;
mod clock;
mod config;
mod doctor;
mod engine;
mod execute;
mod hub;
mod keep;
mod ledger;
mod lock;
pub mod metrics;
mod prepare;
mod reconcile;
mod requests;
mod server;
mod service;
mod snapshot;
mod teardown;
#[cfg(test)]
mod tests;
mod traffic;
pub mod view;

pub use config::{EcsArgs, EngineArgs, ServerArgs};
pub use doctor::examine;
pub use server::run;
pub use teardown::teardown;
