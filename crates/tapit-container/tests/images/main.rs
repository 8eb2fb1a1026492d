//! The image store from outside: archives and registries in, directories and sentences out.
//!
//! Root is needed: unpacking makes namespaces, owners and overlay whiteouts.

mod archives;
mod fake_registry;
mod import;
mod keep;
mod pull;
mod real_registry;
mod support;
mod unpack;
