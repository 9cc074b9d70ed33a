//! Any bytes, as the bodies of commands to a trading venue: nothing panics, every command is answered, the laws hold.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::apply::run(bytes);
});
