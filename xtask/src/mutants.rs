//! `cargo xtask mutants`: deliberate defects, each compiled in by a feature, each noticed by the tests named for it.

use crate::shell::{cargo, heard};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;

/// A defect compiled in: the package and feature that hold it, and every test that must notice it.
struct Mutant {
    package: &'static str,
    feature: &'static str,
    killers: &'static [Killer],
}

/// A test that notices a defect.
struct Killer {
    /// Which of the package's test programs holds it, as cargo is told.
    target: &'static [&'static str],
    /// Its full name.
    test: &'static str,
    /// All that it must say when it fails, so that it does not fail for another reason: scenarios, a message.
    says: &'static [&'static str],
}

/// The executable specification, failing at these scenarios.
const fn scenarios(files: &'static [&'static str]) -> Killer {
    Killer {
        target: &["--test", "scenarios"],
        test: "through_the_engine_and_its_replay",
        says: files,
    }
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        package: "xq-journal",
        feature: "mutant-skip-sync",
        killers: &[Killer {
            target: &["--test", "power_cut"],
            test: "power_cuts_lose_nothing_acknowledged",
            says: &["panicked"],
        }],
    },
    Mutant {
        package: "xq-journal",
        feature: "mutant-swap-records",
        killers: &[Killer {
            target: &["--test", "basics"],
            test: "commands_come_back_in_order_over_many_segments",
            says: &["panicked"],
        }],
    },
    Mutant {
        package: "xq-server",
        feature: "mutant-tell-before-durable",
        killers: &[Killer {
            target: &["--lib"],
            test: "publisher::tests::nothing_is_told_before_it_is_durable",
            says: &["panicked"],
        }],
    },
    Mutant {
        package: "xq-server",
        feature: "mutant-follower-differs",
        killers: &[Killer {
            target: &["--test", "snapshots"],
            test: "a_follower_compares_takes_snapshots_and_the_exchange_goes_on",
            says: &[
                "ended with exit status: 70, then exit status: 70",
                "by the follower",
            ],
        }],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-drop-dedup",
        killers: &[scenarios(&[
            "sessions/requests.scn:",
            "sessions/window.scn:",
            "sessions/restart-remembers.scn:",
        ])],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-forget-refund",
        killers: &[scenarios(&["trading/price-improvement.scn:"])],
    },
    Mutant {
        package: "xq-engine",
        feature: "mutant-skip-transfer",
        killers: &[scenarios(&["trading/fees-split.scn:"])],
    },
];

/// Compiles each mutant and requires that each of its killers fails, which without the defect passes.
pub fn mutants() -> Result<()> {
    let mut sound = BTreeSet::new();
    for mutant in MUTANTS {
        for killer in mutant.killers {
            if sound.insert((mutant.package, killer.test)) {
                passes(mutant.package, killer)?;
            }
            fails(mutant, killer)?;
        }
        println!("{}: killed", mutant.feature);
    }
    println!("{} mutants, all killed", MUTANTS.len());
    Ok(())
}

/// Requires that the test passes without a defect: one that always fails notices nothing.
fn passes(package: &str, killer: &Killer) -> Result<()> {
    let (_, said) = heard(&mut cargo(&arguments(package, &[], killer)))?;
    let verdict = verdict(&said, killer.test);
    ensure!(
        verdict == Verdict::Passed,
        "{}: {verdict:?} without a defect:\n{said}",
        killer.test
    );
    Ok(())
}

/// Requires that the test fails with the defect, saying what it must.
fn fails(mutant: &Mutant, killer: &Killer) -> Result<()> {
    let Mutant { package, feature, .. } = mutant;
    let (succeeded, said) = heard(&mut cargo(&arguments(package, &["--features", feature], killer)))?;
    let verdict = verdict(&said, killer.test);
    ensure!(
        verdict == Verdict::Failed && !succeeded,
        "{feature} lives: {} is {verdict:?} with it:\n{said}",
        killer.test
    );
    for word in killer.says {
        ensure!(
            said.contains(word),
            "{feature}: {} fails without a word of `{word}`:\n{said}",
            killer.test
        );
    }
    Ok(())
}

/// What cargo is told in order to run one test and no other.
fn arguments<'a>(package: &'a str, features: &[&'a str], killer: &Killer) -> Vec<&'a str> {
    let only = ["--", "--exact", killer.test];
    [&["test", "-p", package][..], features, killer.target, &only].concat()
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    /// No such test, or nothing that compiles.
    NotRun,
}

/// How this test ended, from its own line of what the test program said.
fn verdict(said: &str, test: &str) -> Verdict {
    let lines = said.lines().filter_map(|line| line.strip_prefix("test "));
    let mut verdicts = lines.filter_map(|line| line.strip_prefix(test)?.strip_prefix(" ... "));
    match verdicts.next() {
        Some("ok") => Verdict::Passed,
        Some("FAILED") => Verdict::Failed,
        _ => Verdict::NotRun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_of_the_test_itself_counts() {
        let said =
            "running 2 tests\ntest a::b ... FAILED\ntest a::b_too ... ok\n\ntest result: FAILED. 1 passed";
        assert_eq!(verdict(said, "a::b"), Verdict::Failed);
        assert_eq!(verdict(said, "a::b_too"), Verdict::Passed);
        assert_eq!(verdict(said, "b"), Verdict::NotRun);
        assert_eq!(verdict("error: test failed", "a::b"), Verdict::NotRun);
    }
}
