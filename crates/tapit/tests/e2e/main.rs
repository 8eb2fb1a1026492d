//! The whole program from outside: a real server, real containers, the command line as it is typed.
//!
//! Needs root. Each test has a server of its own on a data directory of its own, and checks at its end that nothing of it
//! is left on the host.

mod harness;

mod access;
mod build;
mod changes;
mod chaos;
mod confinement;
mod counts;
mod demo;
mod diff;
mod exec;
mod failures;
mod fallback;
mod images;
mod leftovers;
mod logs;
mod page;
mod reading;
mod recovery;
mod registries;
mod registry;
mod routing;
mod spares;
mod spot;
mod tasks;
mod usage;
mod workloads;
mod wrong;
