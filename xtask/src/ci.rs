//! What runs on a clean checkout: every proof there is, the long ones in a short form, and how long each takes.

use crate::settled::have_postgresql;
use crate::shell::{cargo, run};
use anyhow::Result;
use std::time::Instant;

/// The habits that a clean checkout must pass, the quickest verdicts first.
const PARTS: &[&[&str]] = &[
    &["test"],
    &["conformance"],
    &["fix-acceptance"],
    &["bench", "--gate"],
    &["crash", "--cycles", "6"],
    &["crash", "--bridge", "--cycles", "4"],
    &["oracle", "--commands", "500000", "--seed", "1"],
    &["fuzz"],
    &["mutants"],
];

/// Runs every part, up to the first that fails; tells how long each took.
pub fn ci() -> Result<()> {
    have_postgresql()?;
    let mut took = Vec::new();
    for part in PARTS {
        let started = Instant::now();
        run(&mut cargo(&[&["xtask"][..], part].concat()))?;
        took.push((part.join(" "), started.elapsed().as_secs()));
    }
    for (part, seconds) in &took {
        println!("{seconds:>6} s  {part}");
    }
    let total: u64 = took.iter().map(|(_, seconds)| seconds).sum();
    println!("{total:>6} s  in all");
    Ok(())
}
