//! Texts of schedules made of the fuzzer's bytes. A test runs the same for a moment. From the root:
//! `cargo +nightly fuzz run schedule`.
#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::schedule(&String::from_utf8_lossy(data)));
