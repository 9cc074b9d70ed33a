//! The bodies of the fuzz targets, plain functions of bytes: cargo-fuzz runs them with coverage, `cargo xtask fuzz` a
//! bounded number of times with any compiler. Each panics when what it promises does not hold.
#![allow(dead_code, reason = "each program uses its part")]

pub mod apply;
pub mod command_journal;
pub mod decode;
pub mod event_journal;
pub mod text;

#[path = "../../protocol/tests/support/hostile.rs"]
mod hostile;

/// What became of an input; both must come about when many are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some of it meant something.
    Taken,
    /// Nothing of it did, and the error said why.
    Refused,
}

impl Verdict {
    fn taken_if(holds: impl FnOnce() -> bool) -> Verdict {
        match holds() {
            true => Verdict::Taken,
            false => Verdict::Refused,
        }
    }
}
