//! Any bytes as the one segment of an event journal: opened as recovery and readers do; whole, cut or named.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::event_journal::run(bytes);
});
