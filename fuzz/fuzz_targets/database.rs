//! Files of records made of the fuzzer's bytes. A test runs the same for a moment. From the root:
//! `cargo +nightly fuzz run database`.
#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::database(&String::from_utf8_lossy(data)));
