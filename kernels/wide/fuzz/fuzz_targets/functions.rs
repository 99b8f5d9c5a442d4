//! Functions made of the fuzzer's bytes, compared with the interpreter of the tests, which run the
//! same for a moment. From `kernels/wide`: `cargo +nightly fuzz run functions`.
#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::differential::fuzz(data));
