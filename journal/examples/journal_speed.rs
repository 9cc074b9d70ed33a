//! Measures both journals on this disk: durable latency, ceiling, cost of an append, bytes written for bytes appended.
//!
//! `cargo run --release -p xq-journal --example journal_speed [FOLDER]` (the folder defaults to one in `target`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xq_journal::frame::sample;
use xq_journal::{
    Append, CommandJournal, CommandReader, CommandSettings, Error, EventCursor, EventSettings, FileStorage,
    JournalId, Seq, Storage, UnrecoveredEvents, UnrecoveredJournal, Verify,
};

const ID: JournalId = JournalId(*b"journal_speed!!!");

fn main() -> Result<(), Error> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/journal_speed"), PathBuf::from);
    println!("folder {}", folder.display());
    hiccups();
    sums();
    for block in [512, 4096] {
        small_commits(&folder, block)?;
    }
    paced(&folder, 100_000)?;
    paced(&folder, 1_000_000)?;
    paced(&folder, 2_000_000)?;
    ceiling(&folder)?;
    events(&folder)
}

/// Runs with a fresh folder.
fn fresh(folder: &Path) -> Arc<dyn Storage> {
    let _ = std::fs::remove_dir_all(folder);
    Arc::new(FileStorage::open(folder).expect("the folder can be made"))
}

/// Gaps that a spinning thread sees: what the machine itself adds to every latency below.
fn hiccups() {
    let (start, mut before) = (Instant::now(), Instant::now());
    let mut gaps = [0_u32; 3];
    while start.elapsed() < Duration::from_secs(1) {
        let now = Instant::now();
        let gap = now - before;
        for (count, limit) in gaps.iter_mut().zip([10, 100, 1000]) {
            *count += u32::from(gap > Duration::from_micros(limit));
        }
        before = now;
    }
    println!(
        "hiccups in 1 s of spinning: {} > 10 us, {} > 100 us, {} > 1 ms",
        gaps[0], gaps[1], gaps[2]
    );
}

/// SHA-256 and CRC32C over 1 MiB. SHA-256 below 1 GB/s means that the processor's instructions are not used.
fn sums() {
    use sha2::{Digest, Sha256};
    let bytes = vec![0x5A_u8; 1 << 20];
    let rate = |work: &dyn Fn()| {
        let start = Instant::now();
        (0..200).for_each(|_| work());
        200.0 * 1.048_576e6 / start.elapsed().as_secs_f64() / 1e9
    };
    let sha = rate(&|| _ = std::hint::black_box(Sha256::digest(std::hint::black_box(&bytes))));
    let crc = rate(&|| _ = std::hint::black_box(crc_fast::crc32_iscsi(std::hint::black_box(&bytes))));
    println!("SHA-256 {sha:.2} GB/s, CRC32C {crc:.1} GB/s");
    assert!(
        sha > 0.2,
        "SHA-256 at {sha:.2} GB/s: the build must not combine fat LTO with target-cpu=native"
    );
}

fn open(folder: &Path, block: usize) -> Result<CommandJournal, Error> {
    let settings = CommandSettings {
        block,
        batch_bytes: 4 << 20,
        prepared_segments: 4,
        ..CommandSettings::default()
    };
    let (journal, _) = UnrecoveredJournal::open(fresh(folder), settings)?.recover(&[], ID)?;
    let pool = journal.pool();
    while pool.prepare()? == xq_journal::Preparation::Prepared {}
    Ok(journal)
}

/// Runs with a helper thread that prepares segments.
fn with_helper(
    journal: &mut CommandJournal,
    work: impl FnOnce(&mut CommandJournal) -> Result<(), Error>,
) -> Result<(), Error> {
    let (pool, done) = (journal.pool(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                pool.prepare().expect("the disk has room");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let result = work(journal);
        done.store(true, Ordering::Release);
        result
    })
}

fn append(journal: &mut CommandJournal, frame: &[u8]) -> Result<(), Error> {
    while journal.append(frame)? == Append::BatchFull {
        journal.commit()?;
    }
    Ok(())
}

fn quantiles(name: &str, mut samples: Vec<Duration>) -> String {
    samples.sort_unstable();
    let at = |share: f64| {
        let place = (samples.len() as f64 * share) as usize;
        samples[place.min(samples.len() - 1)].as_secs_f64() * 1e6
    };
    format!(
        "{name} p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
        at(0.5),
        at(0.99),
        at(0.999)
    )
}

fn amplification(journal: &CommandJournal) -> String {
    let written = journal.written();
    format!(
        "{:.2} bytes written for each appended",
        written.disk_bytes as f64 / written.appended_bytes as f64
    )
}

/// One frame of 128 bytes a commit, and twenty.
fn small_commits(folder: &Path, block: usize) -> Result<(), Error> {
    let frame = sample::command(1, 88);
    for each in [1, 20] {
        let mut journal = open(folder, block)?;
        let mut samples = Vec::with_capacity(3000);
        for _ in 0..3000 {
            let start = Instant::now();
            (0..each).try_for_each(|_| append(&mut journal, &frame))?;
            journal.commit()?;
            samples.push(start.elapsed());
        }
        let name = format!("commit of {each} x 128 B, block {block}:");
        println!("{}, {}", quantiles(&name, samples), amplification(&journal));
    }
    Ok(())
}

/// Commands at a fixed rate, group commit: latency from the scheduled arrival until durable.
fn paced(folder: &Path, rate: u64) -> Result<(), Error> {
    let frame = sample::command(1, 88);
    let mut journal = open(folder, 4096)?;
    let mut samples = Vec::with_capacity(1 << 20);
    with_helper(&mut journal, |journal| {
        let (start, mut sent, total) = (Instant::now(), 0_u64, rate * 2);
        while sent < total {
            let now = start.elapsed();
            let due = (u64::try_from(now.as_nanos()).expect("two seconds") * rate / 1_000_000_000).min(total);
            if due == sent {
                std::hint::spin_loop();
                continue;
            }
            (sent..due).try_for_each(|_| append(journal, &frame))?;
            journal.commit()?;
            let end = start.elapsed();
            for number in (sent..due).step_by(16) {
                samples.push(end.saturating_sub(Duration::from_nanos(number * 1_000_000_000 / rate)));
            }
            sent = due;
        }
        Ok(())
    })?;
    let name = format!("durable at {rate}/s:");
    println!("{}, {}", quantiles(&name, samples), amplification(&journal));
    Ok(())
}

/// As many records of 128 bytes as go through, then what recovery and reading cost.
fn ceiling(folder: &Path) -> Result<(), Error> {
    let frame = sample::command(1, 88);
    let mut journal = open(folder, 4096)?;
    let (records, start) = (1_900_000_u64, Instant::now());
    (0..records).try_for_each(|_| append(&mut journal, &frame))?;
    let last = journal.commit()?;
    let took = start.elapsed().as_secs_f64();
    println!(
        "ceiling {:.2} M records of 128 B/s, {}",
        records as f64 / took / 1e6,
        amplification(&journal)
    );
    drop(journal);
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder).expect("the folder is there"));
    let start = Instant::now();
    let found = UnrecoveredJournal::open(Arc::clone(&storage), CommandSettings::default())?;
    assert_eq!(found.inspect(&[])?.last_seq, last);
    let verify = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut reader = CommandReader::open(storage, Verify::Order, Seq(1))?;
    let mut read = 0;
    while reader.next_command(last)?.is_some() {
        read += 1;
    }
    assert_eq!(read, last.0);
    let read = start.elapsed().as_secs_f64();
    let each = |seconds: f64| seconds * 1e9 / records as f64;
    println!(
        "recovery verifies in {:.0} ns a record, a reader walks in {:.1} ns",
        each(verify),
        each(read)
    );
    Ok(())
}

/// Events of 96 bytes, two a command, with the keeper beside.
fn events(folder: &Path) -> Result<(), Error> {
    let found = UnrecoveredEvents::open(fresh(folder), EventSettings::default(), ID)?;
    let (mut journal, _) = found.recover()?.finish()?;
    let (mut keeper, done) = (journal.keeper(), AtomicBool::new(false));
    let mut blocks = Vec::with_capacity(4096);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                keeper.keep().expect("the disk works");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let first = sample::event(EventCursor::default(), 56);
        let mut pair = [first.clone(), sample::last(first)];
        pair[1][28] = 1;
        for block in 0..2000_u64 {
            let start = Instant::now();
            for seq in block * 250 + 1..=block * 250 + 250 {
                for frame in &mut pair {
                    frame[8..16].copy_from_slice(&seq.to_le_bytes());
                    journal.append(frame)?;
                }
            }
            blocks.push(start.elapsed());
            // A million events a second, which leaves the keeper its time.
            while start.elapsed() < Duration::from_micros(500) {
                std::hint::spin_loop();
            }
        }
        done.store(true, Ordering::Release);
        Ok::<(), Error>(())
    })?;
    blocks.sort_unstable();
    let each = |place: usize| blocks[place].as_secs_f64() * 1e9 / 500.0;
    println!(
        "event append (96 B, hashed): {:.0} ns at the median of blocks of 500, {:.0} ns at p99",
        each(blocks.len() / 2),
        each(blocks.len() * 99 / 100)
    );
    Ok(())
}
