//! The engine against an account in memory, in virtual time.

mod breaks;
mod fallback;
mod logs;
mod looks;
mod many;
mod memory;
mod run_breaks;
mod runs;
mod shared;
mod stage;
mod starts;
mod trouble;
