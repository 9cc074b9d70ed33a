//! Any text is a command that prints to itself, or an error that names its place.
#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::text::run(bytes);
});
