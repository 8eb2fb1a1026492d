//! A user of an image, and the image's lists of users and groups.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("users", bytes));
