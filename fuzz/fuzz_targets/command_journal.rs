//! Any bytes as the one segment of a command journal: judged as recovery would, and read; whole, cut or named.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::command_journal::run(bytes);
});
