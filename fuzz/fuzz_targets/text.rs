//! Any text is a command that prints to itself, or an error that names its place.
#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../../protocol/tests/support/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|text: &str| hostile::any_text(text));
