//! Everything that must pass before a commit: form, lints, tidiness, tests.

use crate::shell::{cargo, run};
use crate::tidy;
use anyhow::Result;

/// Checks form, lints and tidiness, then runs every test of the workspace.
pub fn test() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(&mut cargo(&["test", "--workspace"]))
}

/// Writes every file that is generated from the code: golden bytes, schema, documents, scenarios' outcomes.
pub fn bless() -> Result<()> {
    run(cargo(&["test", "-p", "xq-protocol", "-p", "xq-journal", "-p", "xq-engine"]).env("XQ_BLESS", "1"))?;
    println!("Blessed. Read the difference before it is committed: `git diff`.");
    Ok(())
}
