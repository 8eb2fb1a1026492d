//! A layer that is unpacked on top of another one. It needs root.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("unpack", bytes));
