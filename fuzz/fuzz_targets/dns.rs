//! A question to the name service of an app.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("dns", bytes));
