//! `ec1_1k`, `ec1_10k`: one series, mostly moves. Seed 42, base price 100,000, 1,000 accounts; the rest is said
//! in `ec`.

use super::ec::Session;
use super::tape::{Flow, Shape, Tape};

/// The flow with so many orders resting and so many commands.
pub(super) fn ec1(name: &'static str, resting: u32, commands: usize) -> Flow {
    let mut tape = Tape::new(
        Shape {
            name,
            series: 1,
            accounts: 1_000,
        },
        42,
    );
    let mut session = Session::new(0, 100_000, resting);
    session.prefill(&mut tape);
    tape.end_prefill();
    while tape.len() < commands {
        session.step(&mut tape);
    }
    tape.finish()
}
