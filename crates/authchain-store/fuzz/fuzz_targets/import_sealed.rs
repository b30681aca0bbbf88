//! What is inside a sealed file of another program.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::import_sealed(bytes));
