//! How long the engine takes to save and to restore a venue of 100,000 series, 4 M resting orders and 10 M balances, and
//! what memory that needs: `cargo run --release -p xq-perf --example venue_snapshot [PARTS]`, of which 1 is the whole size
//! and a larger number a part of it.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use xq_engine::{Exchange, Restoring, SectionKind};
use xq_perf::large::LargeVenue;
use xq_perf::staffed::Running;

fn main() {
    let parts = std::env::args()
        .nth(1)
        .and_then(|parts| parts.parse().ok())
        .unwrap_or(1);
    let begun = Instant::now();
    let mut running = Running::new();
    LargeVenue::new(parts).open(&mut |frame| {
        running.apply(&frame.frame().expect("just written"));
    });
    let (took, seq) = (begun.elapsed().as_secs_f64(), running.seq);
    println!("{seq} commands in {took:.1} s; {} MiB", resident());
    let path = saved(&running.exchange);
    let orders = running.exchange.open_orders();
    drop(running);
    assert_eq!(restored(&path).open_orders(), orders);
    std::fs::remove_file(path).expect("it is there");
}

/// Saves the sections to a file, each behind its kind and length.
fn saved(exchange: &Exchange) -> PathBuf {
    let path = std::env::temp_dir().join(format!("venue-{}.sections", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let begun = Instant::now();
    let mut bytes = 0;
    let put = &mut |kind: SectionKind, section: &[u8]| {
        let length = u64::try_from(section.len()).expect("small");
        bytes += length;
        file.write_all(&kind.number().to_le_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(section)
    };
    exchange.save(put).expect("there is room");
    let took = begun.elapsed().as_secs_f64();
    println!("saved {} MiB in {took:.2} s; {} MiB", bytes >> 20, resident());
    path
}

fn restored(path: &Path) -> Exchange {
    let begun = Instant::now();
    let mut file = File::open(path).expect("it was written");
    let (mut restoring, mut head, mut section) = (Restoring::new(), [0; 12], Vec::new());
    while file.read_exact(&mut head).is_ok() {
        let kind = u32::from_le_bytes(head[..4].try_into().expect("four"));
        let length = u64::from_le_bytes(head[4..].try_into().expect("eight"));
        section.resize(usize::try_from(length).expect("small"), 0);
        file.read_exact(&mut section).expect("it was written whole");
        let kind = SectionKind::from_number(kind).expect("a kind");
        restoring.section(kind, &section).expect("it was saved");
    }
    let entered = begun.elapsed().as_secs_f64();
    let exchange = restoring.finish().expect("it was saved");
    println!(
        "restored {} orders in {:.2} s, of which {entered:.2} s for rows; {} MiB",
        exchange.open_orders(),
        begun.elapsed().as_secs_f64(),
        resident()
    );
    exchange
}

/// Resident memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}
