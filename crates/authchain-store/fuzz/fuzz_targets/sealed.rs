//! The sealed format: opening and wrapping anew.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::sealed(bytes));
