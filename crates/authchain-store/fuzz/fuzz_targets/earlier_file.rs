//! Versions 1 and 2 of the encrypted files of earlier programs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::earlier_file(bytes));
