//! An archive of images, from its bytes to what is known of each image.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("archive", bytes));
