//! The frames of a command that runs in an instance.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("frames", bytes));
