//! A key file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::key_file(bytes));
