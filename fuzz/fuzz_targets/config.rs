//! The configuration of an image.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("config", bytes));
