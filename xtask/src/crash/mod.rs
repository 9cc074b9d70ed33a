//! `cargo xtask crash`: the exchange is killed under load, again and again, and everything it acknowledged must be
//! there once. What was acknowledged is kept here, outside the process that dies.

mod bridge;
mod canary;
mod check;
mod cycle;
mod load;
mod power;
mod record;
mod segments;
mod venue;

use crate::exchange::{self, Guest, Trial};
use crate::shell;
use anyhow::{Context, ensure};
use check::Found;
use cycle::{Cycle, Tally, Way};
use load::Draws;
use power::SmallDisk;
use record::Record;
use std::path::Path;
use std::time::Instant;

/// How long, and from which seed.
#[derive(clap::Args)]
pub struct Args {
    /// Times that the process is killed under load (SIGKILL).
    #[arg(long, default_value_t = 20)]
    cycles: u32,
    /// Kill the bridge to PostgreSQL in place of the exchange, every fourth time PostgreSQL before it.
    #[arg(long, conflicts_with = "power_cut")]
    bridge: bool,
    /// Times that the power of a disk of its own is cut under load; needs root, for loop mounts.
    #[arg(long, default_value_t = 0)]
    power_cut: u32,
    /// What chance begins with: commands, resends and moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Acknowledged in each cycle, at least.
const ACKNOWLEDGED_MIN: usize = 1_000;
/// Of so many cycles …
const SHARE_OF: u32 = 200;
/// … so many kills at a segment's end, and so many during recovery.
const SHARE: u32 = 20;
/// Cycles between two checks of everything.
const CHECK_EVERY: u32 = 25;

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
/// that trade goes on at once.
const CONFIGURATION: &str = "\
[journal]
command_segment_mib = 1
event_segment_mib = 1

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
level = \"warn\"
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
    Ok(())
}

/// So many cycles of one way to die, on journals that begin anew.
fn campaign(binary: &Path, way: Way, (cycles, seed): (u32, u64)) -> anyhow::Result<()> {
    let folder = shell::root().join("target/crash").join(way.name());
    // What an earlier run left mounted there must be gone before its folder is.
    power::unmount(&folder.join("data"))?;
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| folder.display().to_string());
        }
        Ok(()) | Err(_) => {}
    }
    let trial = Trial::prepare(binary, &folder, exchange::free_address()?, &GUESTS)?;
    trial.configure(&GUESTS, CONFIGURATION)?;
    let disk = match way {
        Way::Kill => None,
        Way::PowerCut => Some(SmallDisk::make(&folder.join("disk.img"), &trial.journals())?),
    };
    let started = Instant::now();
    println!(
        "{}: {cycles} cycles, seed {seed}, in {}",
        way.name(),
        folder.display()
    );
    venue::open(&trial)?;
    let mut records = TRADERS.map(|guest| Record::new(guest.session(0)));
    let (mut tally, mut draws) = (Tally::default(), Draws(seed));
    for number in 1..=cycles {
        let mut cycle = Cycle::new((&trial, disk.as_ref()), (number, seed), &mut draws);
        cycle
            .run(&mut records, &mut tally)
            .with_context(|| format!("cycle {number}"))?;
        if number % CHECK_EVERY == 0 && number < cycles {
            let found = check_all(&trial, &records)?;
            println!("  after {number:>3}: {found}");
        }
    }
    let found = check_all(&trial, &records)?;
    let verified = trial.ask(&["verify", "--config", "xq.toml"])?;
    summary(&tally, &found, &verified, started);
    let due = |share: u32| cycles * share / SHARE_OF;
    if way == Way::Kill {
        let (ends, recoveries) = (tally.kills_at_segment_end, tally.kills_in_recovery);
        ensure!(ends >= due(SHARE), "only {ends} kills at a segment's end");
        ensure!(
            recoveries >= due(SHARE),
            "only {recoveries} kills during recovery"
        );
    }
    Ok(())
}

/// Starts once more, stops cleanly, and compares the journals with what was acknowledged.
fn check_all(trial: &Trial, records: &[Record]) -> anyhow::Result<Found> {
    cycle::start(trial)?.terminate()?;
    check::check(&trial.journals(), records)
}

fn summary(tally: &Tally, found: &Found, verified: &str, started: Instant) {
    let took = started.elapsed();
    let rows = [
        ("cycles", u64::from(tally.cycles)),
        ("kills at any moment", u64::from(tally.kills_anywhere)),
        ("kills at a segment's end", u64::from(tally.kills_at_segment_end)),
        ("kills during recovery", u64::from(tally.kills_in_recovery)),
        (
            "power cuts, each lost what was not synced",
            u64::from(tally.power_cuts),
        ),
        (
            "acknowledged, fewest in a cycle",
            tally.acknowledged_fewest as u64,
        ),
        ("acknowledged", found.acknowledged),
        ("resent", tally.resent as u64),
        ("answered again as at first", found.repeated),
        ("told, all as the journal says", found.told),
        ("commands", found.commands),
        ("events, all as executed again", found.events),
        ("acknowledged and lost", 0),
        ("executed twice", 0),
        ("assets that do not sum to zero", 0),
    ];
    for (what, count) in rows {
        println!("  {what:<42}{count:>12}");
    }
    println!("  event hash {}", found.event_hash);
    verified.lines().for_each(|line| println!("  verify: {line}"));
    println!(
        "  {:.1} s, {:.2} s a cycle",
        took.as_secs_f64(),
        took.as_secs_f64() / f64::from(tally.cycles.max(1))
    );
}
