//! The image store from outside: archives and registries in, directories and sentences out.
//!
//! Root is needed: unpacking makes namespaces, owners and overlay whiteouts.

mod archives;
mod crash;
mod debian_registry;
mod fake_registry;
mod found;
mod hostile;
mod hostile_archives;
mod import;
mod keep;
mod packed;
mod pull;
mod push;
mod real_registry;
mod registry_faults;
mod registry_login;
mod registry_mirrors;
mod registry_resume;
mod remote;
mod split;
mod support;
mod transfer;
mod trees;
mod unpack;
