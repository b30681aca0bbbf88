//! A sealed file: its first line and the envelope.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::sealed_file(bytes));
