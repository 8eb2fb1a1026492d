//! A stream in whatever compression, within a budget.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("compressed", bytes));
