//! A reference to an image, and the name of a registry.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("reference", bytes));
