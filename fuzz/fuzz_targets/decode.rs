//! Any bytes are a frame or an error that says what is wrong; what is a frame prints.
#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../../protocol/tests/support/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::any_bytes(bytes));
