//! The bridge killed under load, again and again, and every fourth time PostgreSQL before it: at the end every row is what a
//! replay of the journal gives.

use super::load::{Draws, Session};
use super::record::Record;
use super::{CONFIGURATION, GUESTS, TRADERS, cycle, venue};
use crate::exchange::{self, Trial};
use crate::settled::{committed, have_postgresql, spawn_bridge};
use crate::shell;
use anyhow::{Context, ensure};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use xq_cluster::{Cluster, Durability};

/// Commands whose events must come to PostgreSQL in each cycle, at least.
const COMMITTED_MIN: u64 = 2_000;
/// Of so many cycles one kills PostgreSQL, too.
const POSTGRESQL_EVERY: u32 = 4;
/// How long a cycle may wait for what it needs to see.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Up to so long after the progress the bridge is killed: at any step of a transaction.
const MOMENTS_US: u64 = 60_000;

/// What happened in all cycles.
#[derive(Default)]
struct Tally {
    bridges: u32,
    postgresqls: u32,
    fewest: u64,
}

/// So many cycles, on journals and a database that begin anew.
pub fn campaign(binary: &Path, (cycles, seed): (u32, u64)) -> anyhow::Result<()> {
    have_postgresql()?;
    let folder = shell::root().join("target/crash/bridge");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| folder.display().to_string());
        }
        Ok(()) | Err(_) => {}
    }
    let trial = Trial::prepare(binary, &folder, exchange::free_address()?, &GUESTS)?;
    trial.configure(&GUESTS, CONFIGURATION)?;
    let cluster = Cluster::temporary(Durability::Full)?;
    let url = cluster.url("xq_bridge", "xq");
    println!("bridge: {cycles} cycles, seed {seed}, in {}", folder.display());
    let started = Instant::now();
    venue::open(&trial)?;
    let running = cycle::start(&trial)?;
    let mut draws = Draws(seed);
    let seeds = TRADERS.map(|_| draws.next());
    let acknowledged = AtomicUsize::new(0);
    let (stop, stopped) = watch::channel(false);
    let tally = std::thread::scope(|scope| {
        let load = scope.spawn(|| load(&trial, seed, (seeds, &acknowledged), &stopped));
        let tally = cycles_of(&trial, &cluster, (cycles, &mut draws));
        // Nobody listens when the sessions failed: then their error is told below.
        let _ = stop.send(true);
        load.join().expect("the load does not panic")?;
        tally
    })?;
    running.terminate()?;
    let postgres = ["--postgres", &url, "--config", "xq.toml"];
    trial.ask(&[&["bridge", "--once"][..], &postgres].concat())?;
    let reconciled = trial.ask(&[&["reconcile"][..], &postgres].concat())?;
    ensure!(reconciled.contains("differences    0"), "{reconciled}");
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    for (what, count) in [
        ("bridges killed under load", u64::from(tally.bridges)),
        ("PostgreSQL killed before them", u64::from(tally.postgresqls)),
        ("commands written, fewest in a cycle", tally.fewest),
        ("acknowledged meanwhile", u64::try_from(acknowledged)?),
        ("rows lost or doubled", 0),
    ] {
        println!("  {what:<42}{count:>12}");
    }
    reconciled
        .lines()
        .for_each(|line| println!("  reconcile: {line}"));
    println!("  {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The two traders ask as fast as they are answered, until they are stopped.
fn load(
    trial: &Trial,
    seed: u64,
    (seeds, acknowledged): ([u64; 2], &AtomicUsize),
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut records = TRADERS.map(|guest| Record::new(guest.session(0)));
    runtime.block_on(async {
        let sessions = records
            .iter_mut()
            .zip(seeds)
            .enumerate()
            .map(|(trader, (record, chance))| {
                let (config, stopped) = (trial.client(&TRADERS[trader], 0), stopped.clone());
                async move {
                    let mut session = Session {
                        trader,
                        seed,
                        record,
                        acknowledged,
                    };
                    session.run(config, Draws(chance), stopped).await
                }
            });
        let [first, second] = sessions.collect::<Vec<_>>().try_into().ok().expect("two traders");
        tokio::try_join!(first, second)
    })?;
    Ok(())
}

fn cycles_of(trial: &Trial, cluster: &Cluster, (cycles, draws): (u32, &mut Draws)) -> anyhow::Result<Tally> {
    let url = cluster.url("xq_bridge", "xq");
    let mut tally = Tally {
        fewest: u64::MAX,
        ..Tally::default()
    };
    for number in 1..=cycles {
        let before = committed_now(cluster)?;
        let mut bridge = spawn_bridge(trial, &url)?;
        let killed = wait_for(cluster, before + COMMITTED_MIN).and_then(|()| {
            let until = Instant::now() + Duration::from_micros(draws.below(MOMENTS_US));
            while Instant::now() < until {
                std::thread::yield_now();
            }
            if number.is_multiple_of(POSTGRESQL_EVERY) {
                cluster.kill()?;
                tally.postgresqls += 1;
            }
            Ok(())
        });
        // It ended by itself, perhaps: then nothing came, and that is told.
        bridge.kill()?;
        bridge.wait()?;
        killed.with_context(|| format!("cycle {number}"))?;
        cluster.start()?;
        tally.bridges += 1;
        tally.fewest = tally.fewest.min(committed_now(cluster)? - before);
    }
    Ok(tally)
}

fn committed_now(cluster: &Cluster) -> anyhow::Result<u64> {
    let mut client = cluster.connect("xq_bridge", "xq")?;
    Ok(committed(&mut client).map_or(0, |(seq, _)| seq))
}

fn wait_for(cluster: &Cluster, seq: u64) -> anyhow::Result<()> {
    let (mut client, begun) = (cluster.connect("xq_bridge", "xq")?, Instant::now());
    while committed(&mut client).is_none_or(|(committed, _)| committed < seq) {
        ensure!(
            begun.elapsed() < PATIENCE,
            "PostgreSQL has not come to command {seq} within {PATIENCE:?}: see bridge.log"
        );
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
