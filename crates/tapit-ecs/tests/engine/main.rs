//! The engine against an account in memory, in virtual time.

mod breaks;
mod fallback;
mod logs;
mod looks;
mod many;
mod shared;
mod stage;
mod starts;
mod trouble;
