//! What runs on a clean checkout beside the tests: mutants, instruction limits, short crash and fuzz runs.

use crate::shell::{cargo, run};
use anyhow::Result;

/// Everything that the clean checkout must show, short forms of the long runs.
pub fn ci() -> Result<()> {
    crate::test::test()?;
    crate::mutants::mutants()?;
    for habit in [
        &["bench", "--gate"][..],
        &["oracle", "--commands", "500000", "--seed", "1"],
        &["crash", "--cycles", "5"],
        &["fuzz"],
    ] {
        run(&mut cargo(&[&["xtask"][..], habit].concat()))?;
    }
    Ok(())
}
