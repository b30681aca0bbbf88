//! A file of any other program.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::import_file(bytes));
