//! What the bridge takes: a journal of `mix1_10k` is written into PostgreSQL, then COPY alone loads the same new rows into the
//! same tables; then the journal grows at a steady rate while the bridge follows.

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use postgres::Client;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xq_cluster::{Cluster, Durability};
use xq_journal::{EventJournal, EventSettings, FileStorage, UnrecoveredEvents};
use xq_perf::flow::FlowName;
use xq_perf::venue::{Naming, Running, VenueFlow};
use xq_protocol::{JournalId, Message, Traded};
use xq_settlement_bridge::{Bridge, Sealed, Settings, Target, Until};

/// How much, and how often.
#[derive(clap::Args)]
pub struct Args {
    /// Timed commands of the flow.
    #[arg(long, default_value_t = 300_000)]
    commands: usize,
    /// Rounds of both; the figures are of each.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Rows a transaction holds at most.
    #[arg(long, default_value_t = Settings::ROWS)]
    rows: usize,
    /// Trades a second at which the lag is measured.
    #[arg(long, default_value_t = 15_000)]
    rate: u64,
}

/// The name that the flows give their journal.
const ID: JournalId = JournalId([7; 16]);
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8; 2] = &[0xFF, 0xFF];
/// Bytes that are handed over at a time, as the bridge does.
const PIECE: usize = 64 << 10;

/// New rows of one transaction: by where they go.
type Copies = Vec<(String, Vec<u8>)>;

/// Measures and prints one line of JSON.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let flow = VenueFlow::build(&FlowName::Mix1At10k.build(args.commands), Naming::Exchange);
    // One journal ends where the other's timed commands begin: what they share is written before the clock starts.
    let [before, whole] = [tempfile::tempdir()?, tempfile::tempdir()?];
    drop(opened(before.path(), &flow)?);
    let (mut journal, mut running) = opened(whole.path(), &flow)?;
    for frame in flow.timed.frames() {
        for event in running.apply(&frame) {
            journal.append(event.bytes())?;
        }
    }
    drop(journal);
    let cluster = Cluster::temporary(Durability::Full)?;
    let rounds = (0..args.rounds).map(|_| round(&cluster, [before.path(), whole.path()], args.rows));
    let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
    let lag = lag(&cluster, &flow, args)?;
    println!(
        "{}",
        json!({
            "flow": "mix1_10k", "commands": args.commands, "rows_a_transaction": args.rows, "rounds": rounds, "lag": lag
        })
    );
    Ok(())
}

/// The bridge catches up with the second journal; then COPY alone loads the same new rows.
fn round(
    cluster: &Cluster,
    [before, whole]: [&Path; 2],
    rows_max: usize,
) -> anyhow::Result<serde_json::Value> {
    cluster.database("round")?;
    Bridge::new(settings(cluster, ("round", rows_max), before)?).run(Until::CaughtUp, &mut |_| ())?;
    let mut admin = cluster.admin("round")?;
    admin.batch_execute("CHECKPOINT")?;
    let mut kept: Vec<Copies> = Vec::new();
    let (mut rows, mut trades) = (0, 0);
    let bridge = Bridge::new(settings(cluster, ("round", rows_max), whole)?);
    let started = Instant::now();
    bridge.run(Until::CaughtUp, &mut |batch: &Sealed| {
        (rows, trades) = (rows + batch.rows, trades + batch.trades);
        let copies = batch.copies().map(|(table, rows)| (table, rows.to_vec()));
        kept.push(copies.collect());
    })?;
    let bridge_s = started.elapsed().as_secs_f64();
    let (copied, raw_s) = raw(&mut admin, &kept)?;
    drop(admin);
    cluster.admin("postgres")?.batch_execute("DROP DATABASE round")?;
    Ok(json!({
        "bridge_s": bridge_s, "rows": rows, "trades": trades, "transactions": kept.len(),
        "rows_per_s": per(rows, bridge_s), "trades_per_s": per(trades, bridge_s),
        "raw_rows": copied, "raw_s": raw_s, "raw_rows_per_s": per(copied, raw_s), "share_of_raw": raw_s / bridge_s,
    }))
}

fn per(count: u64, seconds: f64) -> f64 {
    (f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds).round()
}

fn settings(
    cluster: &Cluster,
    (database, rows_max): (&str, usize),
    folder: &Path,
) -> anyhow::Result<Settings> {
    Ok(Settings {
        target: Target::parse(&cluster.url("xq_bridge", database), None)?,
        folder: folder.to_owned(),
        rows_max,
    })
}

fn open(folder: &Path) -> anyhow::Result<EventJournal> {
    let storage = Arc::new(FileStorage::open(folder)?);
    let found = UnrecoveredEvents::open(storage, EventSettings::default(), ID)?;
    Ok(found.recover()?.finish()?.0)
}

/// The tables emptied and the same rows copied again, a transaction for each of the bridge's.
fn raw(client: &mut Client, kept: &[Copies]) -> anyhow::Result<(u64, f64)> {
    client.batch_execute(
        "SET search_path TO xq; TRUNCATE assets, business_days, participants, accounts, series, orders, balances, trades, \
         busts, transfers, rejects, freezes, sessions, series_history, log; CHECKPOINT",
    )?;
    let mut copied = 0;
    let started = Instant::now();
    for copies in kept {
        let mut transaction = client.transaction()?;
        for (table, rows) in copies {
            let mut writer = transaction.copy_in(&format!("COPY {table} FROM STDIN BINARY"))?;
            writer.write_all(HEADER)?;
            for piece in rows.chunks(PIECE) {
                writer.write_all(piece)?;
            }
            writer.write_all(TRAILER)?;
            copied += writer.finish()?;
        }
        transaction.commit()?;
    }
    Ok((copied, started.elapsed().as_secs_f64()))
}

/// A journal with all that comes before the timed commands.
fn opened(folder: &Path, flow: &VenueFlow) -> anyhow::Result<(EventJournal, Running)> {
    let (mut journal, mut running) = (open(folder)?, Running::new());
    for frame in flow.opening.frames().chain(flow.prefill.frames()) {
        for event in running.apply(&frame) {
            journal.append(event.bytes())?;
        }
    }
    Ok((journal, running))
}

/// A journal that grows by so many trades a second; how long after its last event was appended a command was committed.
fn lag(cluster: &Cluster, flow: &VenueFlow, args: &Args) -> anyhow::Result<serde_json::Value> {
    let folder = tempfile::tempdir()?;
    let (mut journal, mut running) = opened(folder.path(), flow)?;
    let (first, count) = (running.seq.0 + 1, flow.timed.len());
    cluster.database("steady")?;
    let begun = Instant::now();
    let appended: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
    let bridge = Bridge::new(settings(cluster, ("steady", args.rows), folder.path())?);
    let (stop, progress) = (bridge.stop(), bridge.progress());
    let mut lags = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    let mut done = first - 1;
    let seconds = std::thread::scope(|scope| -> anyhow::Result<f64> {
        let writing = scope.spawn(|| -> anyhow::Result<f64> {
            while progress.read().committed.0 + 1 < first {
                std::thread::sleep(Duration::from_millis(5));
            }
            let (started, mut trades) = (Instant::now(), 0_u64);
            for (at, frame) in flow.timed.frames().enumerate() {
                for event in running.apply(&frame) {
                    trades += u64::from(event.header().template_id == Traded::TEMPLATE);
                    journal.append(event.bytes())?;
                }
                appended[at].store(micros(begun), Ordering::Release);
                let due = Duration::from_nanos(trades * 1_000_000_000 / args.rate);
                // A look at the clock in every few: what is due in the next millisecond may come at once.
                if due > started.elapsed() + Duration::from_millis(1) {
                    std::thread::sleep(due - started.elapsed());
                }
            }
            let took = started.elapsed().as_secs_f64();
            let last = first - 1 + u64::try_from(count)?;
            while progress.read().committed.0 < last {
                std::thread::sleep(Duration::from_millis(1));
            }
            stop.store(true, Ordering::Relaxed);
            Ok(took)
        });
        bridge.run(Until::Stopped, &mut |batch: &Sealed| {
            let now = micros(begun);
            for seq in done + 1..=batch.to.cursor.seq.0 {
                if let Some(at) = seq
                    .checked_sub(first)
                    .and_then(|at| appended.get(usize::try_from(at).ok()?))
                {
                    lags.saturating_record(now.saturating_sub(at.load(Ordering::Acquire)).max(1));
                }
            }
            done = batch.to.cursor.seq.0;
        })?;
        writing.join().ok().context("the writer does not panic")?
    })?;
    ensure!(
        lags.len() == u64::try_from(count)?,
        "every command was committed once"
    );
    Ok(json!({
        "trades_per_s": per(flow.outcome.trades, seconds), "asked": args.rate,
        "p50_ms": ms(&lags, 0.5), "p99_ms": ms(&lags, 0.99), "max_ms": ms(&lags, 1.0),
    }))
}

fn ms(lags: &Histogram<u64>, quantile: f64) -> u64 {
    lags.value_at_quantile(quantile) / 1_000
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
