//! Google's file of an OAuth client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| authchain_store::fuzzing::client_secrets(bytes));
