//! What Docker's configuration says about logins.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("credentials", bytes));
