//! What a fuzzer feeds with hostile bytes: one function for each parser of such bytes, which panics when a promise of that
//! parser is broken.
//!
//! The targets in `fuzz/` call them through `TARGETS`, and so do the tests here, with the seeds of those targets and with
//! mutations of them. The functions stand beside what they try, because most of that is private. Nothing of the product
//! calls them: the module is only there for tests and with the feature `fuzzing`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod regress;
mod wire;

use crate::{engine, images, linux};

/// A function that takes any bytes and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by the name that it has in `fuzz/`.
pub const TARGETS: [(&str, Target); 13] = [
    ("answer", images::registry::fuzzing::answer),
    ("archive", images::fuzzing::archive),
    ("compressed", linux::unpack::fuzzing::compressed),
    ("config", images::fuzzing::config),
    ("credentials", images::fuzzing::credentials),
    ("dns", engine::dns::fuzzing::question),
    ("frames", wire::frames),
    ("logindex", wire::log_index),
    ("manifest", images::fuzzing::manifest),
    ("reference", images::fuzzing::reference),
    ("tar", images::fuzzing::tar),
    ("unpack", linux::unpack::fuzzing::unpack),
    ("users", linux::user::fuzzing::users),
];

/// Tries a target by its name. Panics where it finds something, and for a name that is none.
pub fn try_out(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(bytes);
}
