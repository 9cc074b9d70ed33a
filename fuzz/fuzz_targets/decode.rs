//! Any bytes are a frame or an error that says what is wrong; what is a frame prints.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::decode::run(bytes);
});
