//! The parts of the two smallest processes that every container has: its monitor and its process 1.
//!
//! They are one program without a standard library, allocator or C library, because there are two of them per instance
//! and each page that they write counts. `tapit-container` builds `main.rs` at its own build, carries the program as
//! bytes and runs it from sealed memory; it uses this library for the form of the log's index alone. Everything that is
//! decided stands in safe modules that are tested on the host; only `sys` speaks with the kernel.

#![cfg_attr(not(test), no_std)]

pub mod ending;
pub mod index;
pub mod init;
pub mod log;
pub mod monitor;
pub mod search;
pub mod sys;
pub mod text;
