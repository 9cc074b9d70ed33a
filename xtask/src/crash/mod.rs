//! `cargo xtask crash`: the exchange is killed under load, again and again, while it takes snapshots and is backed up and
//! archived, and everything it acknowledged must be there once. What was acknowledged is kept here, outside the process
//! that dies.

mod bridge;
mod canary;
mod check;
mod copies;
mod cycle;
mod death;
mod load;
mod power;
mod record;
mod segments;
mod tally;
mod venue;

use crate::exchange::{self, Guest, Trial};
use crate::shell;
use anyhow::{Context, ensure};
use check::Found;
use copies::{Copies, whole};
use cycle::{Cycle, Moment, Way};
use load::Draws;
use power::Disks;
use record::Record;
use std::path::Path;
use std::time::Instant;
use tally::Tally;

/// How long, and from which seed.
#[derive(clap::Args)]
pub struct Args {
    /// Times that the process is killed under load (SIGKILL).
    #[arg(long, default_value_t = 20)]
    cycles: u32,
    /// Kill the bridge to PostgreSQL in place of the exchange, every fourth time PostgreSQL before it.
    #[arg(long, conflicts_with_all = ["power_cut", "disk_full"])]
    bridge: bool,
    /// Times that the power of a disk of its own is cut under load; needs root, for loop mounts.
    #[arg(long, default_value_t = 0)]
    power_cut: u32,
    /// Times that disks of its own are full under load; needs root, for loop mounts.
    #[arg(long, default_value_t = 0)]
    disk_full: u32,
    /// What chance begins with: commands, resends and moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Cycles between two checks of everything.
const CHECK_EVERY: u32 = 25;
/// Cycles between two rounds of copies.
const COPY_EVERY: u32 = 5;

const GUESTS: [Guest; 5] = [
    Guest::new("operator", 1, "operator"),
    Guest::new("bank", 2, "bank"),
    Guest::new("issuer", 3, "issuer"),
    Guest::new("alice", 10, "trader"),
    Guest::new("bob", 11, "trader"),
];
/// Who trades, in one session each.
const TRADERS: [Guest; 2] = [GUESTS[3], GUESTS[4]];

/// Segments as small as can be configured, so that their ends come often; no grace and no pause after a restart, so
/// that trade goes on at once; snapshots as often as can be.
const CONFIGURATION: &str = "\
[journal]
command_segment_mib = 1
event_segment_mib = 1

[follower]
snapshot_every_commands = 1024

[threads]
tick_interval_ms = 10

[exchange]
accounts_max = 64
balances_max = 1024
orders_max = 65536
level_pages_max = 1024
reopen_after_ms = 0
disconnect_grace_ms = 0

[log]
level = \"info\"
";

/// Runs the cycles asked for.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let binary = exchange::build()?;
    if args.bridge {
        return bridge::campaign(&binary, (args.cycles, args.seed));
    }
    if args.cycles > 0 {
        campaign(&binary, Way::Kill, (args.cycles, args.seed))?;
    }
    if args.power_cut > 0 {
        campaign(&binary, Way::PowerCut, (args.power_cut, args.seed))?;
    }
    if args.disk_full > 0 {
        campaign(&binary, Way::DiskFull, (args.disk_full, args.seed))?;
    }
    Ok(())
}

/// A folder without anything in it, and a trial in that.
fn prepared(binary: &Path, way: Way) -> anyhow::Result<Trial> {
    let folder = shell::root().join("target/crash").join(way.name());
    // What an earlier run left mounted there must be gone before its folder is.
    for mounted in ["data", "copies"] {
        power::unmount(&folder.join(mounted))?;
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| folder.display().to_string());
        }
        Ok(()) | Err(_) => {}
    }
    println!("{}, in {}", way.name(), folder.display());
    let trial = Trial::prepare(binary, &folder, exchange::free_address()?, &GUESTS)?;
    trial.configure(&GUESTS, CONFIGURATION)?;
    Ok(trial)
}

/// So many cycles that end one way, on journals that begin anew.
fn campaign(binary: &Path, way: Way, (cycles, seed): (u32, u64)) -> anyhow::Result<()> {
    let trial = prepared(binary, way)?;
    let (journals, of_copies) = (trial.journals(), Copies::folder_of(&trial));
    let disks = match way {
        Way::Kill => None,
        Way::PowerCut | Way::DiskFull => Some((way, Disks::make([&journals, &of_copies])?)),
    };
    let started = Instant::now();
    println!("  {cycles} cycles, seed {seed}");
    venue::open(&trial)?;
    let mut records = TRADERS.map(|guest| Record::new(guest.session(0)));
    let (mut tally, mut draws, mut copies) = (Tally::default(), Draws(seed), Copies::of(&trial));
    for number in 1..=cycles {
        let moment = Moment::of(number);
        Cycle::new((&trial, disks.as_ref()), moment, (seed, &mut draws))
            .run((&mut records, &mut copies), &mut tally)
            .with_context(|| format!("cycle {number}, {moment:?}"))?;
        if number % COPY_EVERY == 0 {
            copies
                .run(&records, (seed, &mut draws))
                .with_context(|| format!("copies after cycle {number}"))?;
        }
        if number % CHECK_EVERY == 0 && number < cycles {
            let found = check_all((&trial, &copies), &records)?;
            println!("  after {number:>3}: {found}");
        }
    }
    let found = check_all((&trial, &copies), &records)?;
    let verified = trial.ask(&["verify", "--config", "xq.toml"])?;
    tally.show(&copies.copied, &found);
    verified.lines().for_each(|line| println!("  verify: {line}"));
    let took = started.elapsed().as_secs_f64();
    println!("  {took:.1} s, {:.2} s a cycle", took / f64::from(cycles));
    tally.all_was_hit(way, &copies.copied)
}

/// Starts once more, stops cleanly, and compares the journals, and what was archived of them, with what was acknowledged.
fn check_all((trial, copies): (&Trial, &Copies<'_>), records: &[Record]) -> anyhow::Result<Found> {
    cycle::start(trial)?.terminate()?;
    let forgotten: u64 = records.iter().map(|record| record.forgotten).sum();
    ensure!(forgotten == 0, "{forgotten} outcomes were told no more");
    let together = trial.config().with_file_name("whole");
    whole(&trial.journals(), &[copies.archived()], &together)?;
    check::check(&together, records)
}
