//! `cargo xtask fuzz`: every fuzz target with a bounded number of inputs, the same ones for the same seed.

mod mutate;
mod seeds;
#[path = "../../../fuzz/targets/mod.rs"]
mod targets;

use crate::shell;
use anyhow::{Context, bail, ensure};
use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;
use targets::Verdict;

/// Which targets, how long, and from which seed.
#[derive(clap::Args)]
pub struct Args {
    /// One target; all when it is left out.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Inputs for each target; else so many as take some seconds.
    #[arg(long)]
    inputs: Option<u32>,
    /// What chance begins with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this one input instead.
    #[arg(long, value_name = "FILE", requires = "target")]
    file: Option<PathBuf>,
}

/// A target as it is run here.
struct Target {
    name: &'static str,
    run: fn(&[u8]) -> Verdict,
    seeds: fn() -> anyhow::Result<Vec<Vec<u8>>>,
    inputs: u32,
}

const TARGETS: [Target; 5] = [
    Target {
        name: "decode",
        run: targets::decode::run,
        seeds: seeds::frames_and_packets,
        inputs: 50_000,
    },
    Target {
        name: "text",
        run: targets::text::run,
        seeds: seeds::lines,
        inputs: 50_000,
    },
    Target {
        name: "apply",
        run: targets::apply::run,
        seeds: seeds::commands,
        inputs: 2_000,
    },
    Target {
        name: "command_journal",
        run: targets::command_journal::run,
        seeds: seeds::command_journal,
        inputs: 5_000,
    },
    Target {
        name: "event_journal",
        run: targets::event_journal::run,
        seeds: seeds::event_journal,
        inputs: 5_000,
    },
];

/// Of so many inputs, one at least must be taken and one refused.
const SHARE_OF: u32 = 50;

/// Runs the targets.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let wanted = |target: &&Target| args.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    ensure!(
        !targets.is_empty(),
        "no such target; there are: {}",
        TARGETS.map(|target| target.name).join(", ")
    );
    for target in targets {
        match &args.file {
            Some(file) => {
                let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
                println!("{}: {:?}", target.name, (target.run)(&bytes));
            }
            None => target.run_many(args.inputs.unwrap_or(target.inputs), args.seed)?,
        }
    }
    Ok(())
}

impl Target {
    fn run_many(&self, inputs: u32, seed: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        let seeds = (self.seeds)().with_context(|| format!("seeds of {}", self.name))?;
        let whole = u32::try_from(seeds.len()).context("seeds are few")?;
        let mut mutator = Mutator::new(seeds, seed);
        let (mut taken, mut refused) = (0, 0);
        for number in 0..inputs.max(whole) {
            // The first inputs are the seeds as they are.
            let bytes = match usize::try_from(number)? {
                at if number < whole => mutator.seed(at).to_vec(),
                _ => mutator.next_input(),
            };
            match catch_unwind(AssertUnwindSafe(|| (self.run)(&bytes))) {
                Ok(Verdict::Taken) => taken += 1,
                Ok(Verdict::Refused) => refused += 1,
                Err(_) => return self.keep(&bytes, (seed, number)),
            }
        }
        let took = started.elapsed().as_secs_f64();
        println!(
            "{:<16}{taken:>8} taken {refused:>8} refused {took:>8.1} s",
            self.name
        );
        let least = inputs / SHARE_OF;
        ensure!(
            taken >= least && refused >= least,
            "{}: these inputs try nothing",
            self.name
        );
        Ok(())
    }

    /// Keeps the input that a target did not survive, and says how to run it again.
    fn keep(&self, bytes: &[u8], (seed, number): (u64, u32)) -> anyhow::Result<()> {
        let folder = shell::root().join("target/fuzz");
        let path = folder.join(format!("{}-{seed}-{number}", self.name));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&path, bytes)?;
        bail!(
            "{} panicked: cargo xtask fuzz --target {} --file {}",
            self.name,
            self.name,
            shown(&path)
        )
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(shell::root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever adds a target for cargo-fuzz adds it here, too.
    #[test]
    fn every_target_of_cargo_fuzz_is_run() {
        let manifest =
            std::fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).expect("it is committed");
        let bins = manifest
            .split("[[bin]]")
            .skip(1)
            .filter_map(|bin| bin.split('"').nth(1));
        let mut bins: Vec<&str> = bins.collect();
        let mut names = TARGETS.map(|target| target.name);
        bins.sort_unstable();
        names.sort_unstable();
        assert_eq!(bins, names);
    }

    #[test]
    fn seeds_are_taken_and_a_seed_gives_the_same_inputs_again() {
        for target in &TARGETS {
            let seeds = (target.seeds)().expect("seeds are made");
            let taken = seeds
                .iter()
                .filter(|seed| (target.run)(seed) == Verdict::Taken)
                .count();
            assert!(
                taken * 10 > seeds.len(),
                "{}: {taken} of {}",
                target.name,
                seeds.len()
            );
            let inputs = || -> Vec<Vec<u8>> {
                let mut mutator = Mutator::new(seeds.clone(), 7);
                (0..20).map(|_| mutator.next_input()).collect()
            };
            assert_eq!(inputs(), inputs());
        }
    }
}
