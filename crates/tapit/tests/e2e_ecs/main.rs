//! The whole program on the ECS engine, against an emulator of AWS: real containers, the command line as it is typed.
//!
//! Each test has an account and a server of its own, and checks at its end that nothing is left in the account. Nothing of
//! the emulator's laxity passes: a layer in front of it refuses what AWS refuses.

mod harness;
#[path = "../../../tapit-ecs/tests/support/mod.rs"]
#[allow(dead_code, reason = "the engine's own tests use more of it")]
mod support;

mod deaths;
mod faults;
mod logs;
mod page;
mod rollouts;
mod tasks;
