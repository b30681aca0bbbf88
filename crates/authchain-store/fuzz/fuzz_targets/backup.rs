//! A backup of a store.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::backup(bytes));
