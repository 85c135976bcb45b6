#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ekstore_fuzz::windows(bytes));
