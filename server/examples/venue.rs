//! A venue at its size (100,000 series, 4 M resting orders, 10 M balances) behind the rings: what a snapshot and the
//! follower cost those who trade meanwhile.
//!
//! `venue open FOLDER` fills journals with such a venue and has a snapshot taken. `venue trade FOLDER` goes on from there:
//! orders all over the venue, in batches of 16 at a fixed rate. Each batch has its scheduled time, and is late by what lies
//! between that and the moment at which whoever listens hears of its first order. Seconds in which a snapshot was being
//! written are told apart from the others of the same run: of each second the longest time without anything heard, too, of
//! which a machine that others share has some of its own.

mod measured;

use clap::{Parser, Subcommand, ValueEnum};
use measured::{due, f64_of, load, ns_of, percentiles, report, stolen_ticks, threads_cpu};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use xq_journal::{CommandSettings, EventSettings};
use xq_perf::large::LargeVenue;
use xq_protocol::{JournalId, Seq};
use xq_server::{
    Cadence, ClockLeap, FollowerWatch, Following, Ingress, Journals, Pipeline, PipelineConfig, Recovered,
    Report, Retention, Source, SteadyClock, recover,
};

/// Orders offered at once.
const BATCH: usize = 16;
/// Longest sleep of those who offer and listen.
const NAP: Duration = Duration::from_micros(50);
/// Bytes that are offered at once while the venue is opened.
const PIECE: usize = 256 << 10;
/// Seconds of a run that are not counted: memory that was restored is touched for the first time.
const WARM: usize = 5;
/// What never comes.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
    /// The journals' folder.
    #[arg(global = true, default_value = "venue")]
    folder: PathBuf,
    /// Of the whole size, one part of so many.
    #[arg(long, global = true, default_value_t = 1)]
    parts: u32,
}

#[derive(Subcommand)]
enum Task {
    /// Fills the journals and has a snapshot taken.
    Open,
    /// Starts from there, and trades.
    Trade(Trade),
}

#[derive(clap::Args)]
struct Trade {
    /// Orders a second.
    #[arg(long, default_value_t = 200_000)]
    rate: u64,
    /// For so long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A follower, and whether it takes snapshots.
    #[arg(long, value_enum, default_value_t = Follower::Snapshots)]
    follower: Follower,
    /// A snapshot after so many commands.
    #[arg(long, default_value_t = 4_000_000)]
    every: u64,
    /// Real-time priority of the journaler; matcher and publisher have the one below.
    #[arg(long)]
    priority: Option<u8>,
    /// Write `venue_<follower>.json` into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Follower {
    Off,
    On,
    Snapshots,
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.task {
        Task::Open => open(&arguments.folder, arguments.parts),
        Task::Trade(trade) => {
            let figures = trade.run(&arguments.folder, arguments.parts);
            println!("{figures:#}");
            let name = format!("venue_{:?}", trade.follower).to_lowercase();
            report(&name, trade.out.as_deref(), &[figures]);
        }
    }
}

fn recovered(folder: &Path) -> Recovered {
    let journals = Journals {
        folder: folder.to_owned(),
        commands: CommandSettings {
            expected_id: Some(LargeVenue::new(1).genesis().journal_id),
            ..CommandSettings::default()
        },
        events: EventSettings::default(),
    };
    let clock = SteadyClock::start();
    recover(&journals, &clock, ClockLeap::Accept, &mut |_, _| {}).expect("the journals are whole")
}

/// Snapshots after so many commands, and nothing moved away.
fn following(commands: u64) -> Following {
    Following {
        cadence: Cadence {
            commands,
            time: NEVER,
        },
        retention: Retention::default(),
    }
}

/// What there is to be read of the process' memory, MiB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}

fn open(folder: &Path, parts: u32) {
    let mut commands = 0;
    LargeVenue::new(parts).open(&mut |_| commands += 1);
    let recovered = recovered(folder);
    assert_eq!(recovered.last_seq(), Seq::ZERO, "an empty folder");
    let id = recovered.journal_id();
    let begun = Instant::now();
    let mut pipeline = Pipeline::start(&PipelineConfig::default(), recovered).expect("threads start");
    // One snapshot, at the end of the last epoch that is whole.
    let watch = pipeline.follow((id, None), following(commands - commands % 1_024));
    let watch = watch.expect("a thread");
    let (mut ingress, mut piece) = (pipeline.ingress(), Vec::with_capacity(PIECE + 1_024));
    LargeVenue::new(parts).open(&mut |frame| {
        piece.extend_from_slice(frame.bytes());
        if piece.len() >= PIECE {
            offer_all(&mut ingress, &piece);
            piece.clear();
        }
    });
    offer_all(&mut ingress, &piece);
    while pipeline.durable().seq().0 < commands {
        std::thread::sleep(NAP);
    }
    println!("{commands} commands in {:.1} s", begun.elapsed().as_secs_f64());
    while watch.snapshot_seq.load(Ordering::Acquire) == 0 {
        assert_eq!(watch.failed.load(Ordering::Relaxed), 0, "there is room");
        std::thread::sleep(NAP);
    }
    let mib = watch.snapshot_bytes.load(Ordering::Relaxed) >> 20;
    let took = Duration::from_micros(watch.snapshot_us.load(Ordering::Relaxed));
    println!(
        "a snapshot of {mib} MiB in {took:.1?}; {} MiB of memory, {} MiB with mapped journals at the most",
        memory("RssAnon:"),
        memory("VmHWM:")
    );
    drop(ingress);
    pipeline.stop().expect("it stops cleanly");
}

/// Offers all of it, however long the ring is full.
fn offer_all(ingress: &mut Ingress, bytes: &[u8]) {
    let mut taken = 0;
    while taken < bytes.len() {
        let now = ingress.offer(&bytes[taken..]);
        taken += now;
        if now == 0 {
            std::thread::sleep(NAP);
        }
    }
}

/// The venue's orders, from where the journal ends: each is one command, so that their number says which comes next.
fn goes_on(parts: u32, last: Seq) -> LargeVenue {
    let (mut venue, mut commands) = (LargeVenue::new(parts), 0);
    venue.open(&mut |_| commands += 1);
    for _ in commands..last.0 {
        venue.flow(&mut |_| {});
    }
    venue
}

impl Trade {
    /// Starts the follower, if there is to be one. It begins with the same snapshot: what it does until it stands where the
    /// exchange stands is no part of the run.
    fn followed(&self, pipeline: &mut Pipeline, (id, report): (JournalId, &Report)) -> Arc<FollowerWatch> {
        let every = match self.follower {
            Follower::Off => return Arc::default(),
            Follower::On => u64::MAX,
            Follower::Snapshots => self.every,
        };
        let watch = pipeline.follow((id, report.snapshot), following(every));
        let watch = watch.expect("a thread");
        while watch.executed.load(Ordering::Relaxed) < report.commands.last_seq.0 {
            std::thread::sleep(NAP);
        }
        watch
    }

    fn run(&self, folder: &Path, parts: u32) -> Value {
        let recovered = recovered(folder);
        let (id, report) = (recovered.journal_id(), recovered.report.clone());
        let recovery = json!({
            "took_s": report.took.as_secs_f64(),
            "snapshot": report.snapshot.map(|seq| seq.0),
            "commands_executed_again": report.commands.last_seq.0 - report.snapshot.unwrap_or(Seq::ZERO).0,
            "memory_mib": memory("RssAnon:"),
        });
        println!("{recovery}");
        let mut venue = goes_on(parts, report.commands.last_seq);
        let config = PipelineConfig {
            real_time_priority: self.priority,
            ..PipelineConfig::default()
        };
        let mut pipeline = Pipeline::start(&config, recovered).expect("threads start");
        let mut source = pipeline.source().expect("the journal is mapped");
        source
            .skip_to(report.commands.last_seq.next())
            .expect("the next command");
        let watch = self.followed(&mut pipeline, (id, &report));
        let before = threads_cpu("self");
        let mut ingress = pipeline.ingress();
        let every = Duration::from_nanos(1_000_000_000 * 16 / self.rate);
        let batches = usize::try_from(self.seconds * self.rate / 16).expect("fits");
        let start = Instant::now() + Duration::from_millis(5);
        let (seconds, ring_full) = std::thread::scope(|scope| {
            let offering = std::thread::Builder::new().name("offers".to_owned());
            let offering =
                offering.spawn_scoped(scope, || offer(&mut ingress, &mut venue, (batches, start, every)));
            let seconds = listen(&mut source, &watch, (batches, start, every));
            (seconds, offering.expect("a thread").join().expect("it ends"))
        });
        let (took, seconds) = (start.elapsed(), &seconds[WARM.min(seconds.len())..]);
        let orders = u64::try_from(batches * BATCH).expect("fits");
        let cpu = measured::cpu_an_order(&before, &threads_cpu("self"), orders);
        let executed = watch.executed.load(Ordering::Relaxed);
        let behind = (executed > 0).then(|| pipeline.durable().seq().0 - executed);
        let figures = json!({
            "recovery": recovery,
            "follower": format!("{:?}", self.follower).to_lowercase(),
            "offered_a_second": self.rate,
            "orders_a_second": f64_of(orders) / took.as_secs_f64(),
            "all": figures_of(seconds, |_| true),
            "no_snapshot_being_written": figures_of(seconds, |second| second.written == 0),
            "a_snapshot_being_written": figures_of(seconds, |second| second.written > 0),
            "snapshot_s": f64_of(watch.snapshot_us.load(Ordering::Relaxed)) / 1e6,
            "snapshot_mib": watch.snapshot_bytes.load(Ordering::Relaxed) >> 20,
            "behind_at_the_end": behind,
            "memory_mib": memory("RssAnon:"),
            "memory_and_mapped_journals_mib_max": memory("VmHWM:"),
            "ring_full": ring_full,
            "cpu_ns_an_order": cpu,
            "load_1_min": load(),
        });
        drop((ingress, source));
        pipeline.stop().expect("it stops cleanly");
        figures
    }
}

/// Offers each batch when it is due; how often the ring was full.
fn offer(
    ingress: &mut Ingress,
    venue: &mut LargeVenue,
    (batches, start, every): (usize, Instant, Duration),
) -> u64 {
    nap_exactly();
    let (mut full, mut batch) = (0, Vec::with_capacity(4_096));
    for place in 0..batches {
        batch.clear();
        for _ in 0..BATCH {
            venue.flow(&mut |frame| batch.extend_from_slice(frame.bytes()));
        }
        let due = due(start, every, place);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        let mut taken = 0;
        while taken < batch.len() {
            let now = ingress.offer(&batch[taken..]);
            taken += now;
            if now == 0 {
                full += 1;
                std::thread::sleep(NAP);
            }
        }
    }
    full
}

/// What was heard in a second of the run.
#[derive(Default)]
struct Second {
    /// How late each batch's first order was heard of, nanoseconds.
    late: Vec<u64>,
    /// The longest time without anything heard, nanoseconds.
    gap: u64,
    /// Batches that were heard of while a snapshot was being written.
    written: usize,
    /// Ticks of 10 ms that the hypervisor took.
    stolen: u64,
}

/// Hears every order's last event.
fn listen(
    source: &mut Source,
    watch: &Arc<FollowerWatch>,
    (batches, start, every): (usize, Instant, Duration),
) -> Vec<Second> {
    nap_exactly();
    let (mut seconds, mut heard, mut last) = (Vec::new(), 0, start);
    let mut stolen = stolen_ticks();
    while heard < batches * BATCH {
        let mut any = false;
        while let Some(frame) = source.next_event().expect("the journal is whole") {
            any = true;
            if !frame.header.is_last() {
                continue;
            }
            heard += 1;
            if heard % BATCH != 1 {
                continue;
            }
            let (now, due) = (Instant::now(), due(start, every, heard / BATCH));
            let second = usize::try_from((due - start).as_secs()).expect("fits");
            if second >= seconds.len() {
                let before = std::mem::replace(&mut stolen, stolen_ticks());
                if let Some(ended) = seconds.last_mut() {
                    let ended: &mut Second = ended;
                    ended.stolen = stolen - before;
                }
                seconds.resize_with(second + 1, Second::default);
            }
            let second = &mut seconds[second];
            second.late.push(ns_of(now.saturating_duration_since(due)));
            second.gap = second.gap.max(ns_of(now.saturating_duration_since(last)));
            second.written += usize::from(watch.writing.load(Ordering::Relaxed));
            last = now;
        }
        if !any {
            std::thread::sleep(NAP);
        }
    }
    seconds
}

/// Latencies of some seconds, and of each second the longest gap.
fn figures_of(seconds: &[Second], which: impl Fn(&Second) -> bool) -> Value {
    let chosen: Vec<&Second> = seconds.iter().filter(|second| which(second)).collect();
    let late = chosen
        .iter()
        .flat_map(|second| second.late.iter().copied())
        .collect();
    let gaps = chosen.iter().map(|second| second.gap).collect();
    json!({
        "seconds": chosen.len(),
        "stolen_ticks": chosen.iter().map(|second| second.stolen).sum::<u64>(),
        "scheduled_to_told_us": percentiles(late),
        "longest_gap_of_a_second_us": percentiles(gaps),
    })
}

/// Makes this thread's naps as short as they are meant.
fn nap_exactly() {
    // Refused, naps are longer, and latency is counted as it is.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
}
