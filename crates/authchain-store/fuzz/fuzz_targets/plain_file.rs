//! The JSON of a plain file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::plain_file(bytes));
