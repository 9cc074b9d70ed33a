//! `cargo xtask bench`: instructions a command of each flow against the limits that stand beside the benchmarks.

use crate::shell;
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// What to do with what is counted.
#[derive(clap::Args)]
pub struct Args {
    /// Counts instructions only, and fails when a flow is over its limit; needs valgrind.
    #[arg(long)]
    gate: bool,
    /// Sets the limits anew: what is counted now and a twentieth, never more than is demanded.
    #[arg(long, conflicts_with = "gate")]
    set_limits: bool,
}

/// Timed commands that are counted.
const COMMANDS: u64 = 100_000;
/// The limits: instructions a command by flow.
const LIMITS: &str = "benches/instructions.json";

/// Flows, and the instructions a command that are demanded of each; no limit stands above.
const DEMANDED: &[(&str, u64)] = &[
    ("ec1_10k", 800),
    ("ec1_1k", 800),
    ("mix1_10k", 800),
    ("sweep", 1_600),
];

type Limits = BTreeMap<String, u64>;

/// Counts instructions; without `--gate`, measures rates too.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let path = shell::root().join(LIMITS);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut limits: Limits = serde_json::from_str(&text).context(LIMITS)?;
    check(&limits).context(LIMITS)?;
    let counter = build()?;
    let mut over = Vec::new();
    for (flow, demanded) in DEMANDED {
        let counted = count(&counter, flow)?;
        let limit = limits.get_mut(*flow).context("every flow has its limit")?;
        if args.set_limits {
            *limit = limit_of(counted, *demanded);
        }
        let verdict = if counted <= *limit { "ok  " } else { "FAIL" };
        println!("{verdict} {flow:<9} {counted:>6} instructions a command, at most {limit}");
        if counted > *limit {
            over.push(*flow);
        }
    }
    if args.set_limits {
        std::fs::write(&path, serde_json::to_string_pretty(&limits)? + "\n")?;
    }
    if !over.is_empty() {
        bail!("over the limit: {}", over.join(", "));
    }
    if !args.gate && !args.set_limits {
        let rates = ["run", "--release", "-p", "xq-benches", "--bin", "engine_flow"];
        shell::run(&mut shell::cargo(&rates))?;
    }
    Ok(())
}

/// Requires a limit for each flow and for no other, none above what is demanded.
fn check(limits: &Limits) -> anyhow::Result<()> {
    for (flow, demanded) in DEMANDED {
        let limit = limits.get(*flow).with_context(|| format!("{flow}: no limit"))?;
        ensure!(
            limit <= demanded,
            "{flow}: at most {demanded} instructions are demanded, the limit says {limit}"
        );
    }
    ensure!(
        limits.len() == DEMANDED.len(),
        "a limit is of no flow that is counted"
    );
    Ok(())
}

/// The limit that holds what was counted: room for a twentieth of noise, never above what is demanded.
fn limit_of(counted: u64, demanded: u64) -> u64 {
    demanded.min(counted + counted / 20)
}

/// Builds the program that is counted; tells where it is.
fn build() -> anyhow::Result<PathBuf> {
    let build = ["build", "--release", "-p", "xq-benches", "--bin", "count_flow"];
    let mut command = shell::cargo(&build);
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(std::process::Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "count_flow does not build");
    let said = String::from_utf8_lossy(&output.stdout);
    let messages = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables
        .next_back()
        .context("cargo did not say where count_flow is")
}

/// Instructions a command between entering and leaving the timed loop.
fn count(counter: &PathBuf, flow: &str) -> anyhow::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*timed_commands*")
        .arg(counter)
        .args([flow, &COMMANDS.to_string()]);
    let output = valgrind
        .output()
        .context("cannot start valgrind: install it to count instructions")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{flow}: valgrind failed:\n{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, instructions) = collected.context("valgrind does not say what it collected")?;
    let instructions: u64 = instructions.trim().parse().context("valgrind's count")?;
    ensure!(instructions > COMMANDS, "{flow}: the timed loop was not found");
    Ok(instructions / COMMANDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_follows_what_is_counted_down_and_never_above_what_is_demanded() {
        assert_eq!(limit_of(600, 800), 630);
        assert_eq!(limit_of(790, 800), 800);
        assert_eq!(limit_of(4_000, 800), 800);
    }

    #[test]
    fn no_limit_stands_above_what_is_demanded() {
        let mut limits: Limits = DEMANDED
            .iter()
            .map(|(flow, limit)| ((*flow).to_owned(), *limit))
            .collect();
        check(&limits).expect("as demanded");
        limits.insert("sweep".to_owned(), 1_601);
        check(&limits).expect_err("above");
        limits.insert("sweep".to_owned(), 1_000);
        check(&limits).expect("below");
        limits.insert("other".to_owned(), 1);
        check(&limits).expect_err("of no flow");
        limits.clear();
        check(&limits).expect_err("none");
    }
}
