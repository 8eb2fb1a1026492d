//! What a registry says besides manifests and blobs: challenges, ranges, waits and refusals.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapit_container::fuzzing::try_out("answer", bytes));
