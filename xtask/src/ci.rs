//! What runs on a clean checkout beside the tests: mutants, instruction limits, short crash and fuzz runs.

use crate::shell::{cargo, run, run_expecting_failure};
use anyhow::Result;

/// A defect compiled in: the package and feature that hold it, and the test that must notice it.
struct Mutant {
    package: &'static str,
    feature: &'static str,
    tests: &'static [&'static str],
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        package: "xq-journal",
        feature: "mutant-skip-sync",
        tests: &[],
    },
    Mutant {
        package: "xq-journal",
        feature: "mutant-swap-records",
        tests: &[],
    },
    Mutant {
        package: "xq-server",
        feature: "mutant-tell-before-durable",
        tests: &["--lib"],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-drop-dedup",
        tests: &["--test", "scenarios"],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-forget-refund",
        tests: &["--test", "scenarios"],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-skip-transfer",
        tests: &["--test", "scenarios"],
    },
];

/// Compiles each mutant and requires that its tests fail.
pub fn mutants() -> Result<()> {
    for mutant in MUTANTS {
        let named = ["test", "-p", mutant.package, "--features", mutant.feature];
        let arguments: Vec<&str> = named.iter().chain(mutant.tests).copied().collect();
        run_expecting_failure(&mut cargo(&arguments))?;
        println!("{}: killed", mutant.feature);
    }
    println!("{} mutants, all killed", MUTANTS.len());
    Ok(())
}

/// Everything that the clean checkout must show, short forms of the long runs.
pub fn ci() -> Result<()> {
    crate::test::test()?;
    mutants()?;
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
