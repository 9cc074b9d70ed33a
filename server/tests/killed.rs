//! Killed with `kill -9` under load, again and again: whatever was told is there afterwards, once.

mod in_process;

use in_process::{House, flow_order, journals, recovered};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xq_protocol::{Event, Seq};

const FOLDER: &str = "XQ_TEST_KILLED_FOLDER";
const CYCLE: &str = "XQ_TEST_KILLED_CYCLE";
/// Commands that must be told before the kill, in each cycle.
const TOLD_MIN: u64 = 2_000;
const CYCLES: u64 = 5;

/// The victim: goes on with what lies in the folder, and says on standard output what was told. It does nothing
/// unless the test below started it.
#[test]
fn victim() {
    let (Some(folder), Ok(cycle)) = (std::env::var_os(FOLDER), std::env::var(CYCLE)) else {
        return;
    };
    let (journals, cycle): (_, u64) = (journals(&PathBuf::from(folder)), cycle.parse().expect("a number"));
    let mut house = match cycle {
        0 => House::open(&journals),
        _ => House::resume(&journals),
    };
    let (now, mut number) = (house.now, cycle * 10_000_000);
    let mut out = std::io::stdout().lock();
    loop {
        let batch: Vec<u8> = (number..number + 16)
            .flat_map(|n| flow_order(n, now).bytes().to_vec())
            .collect();
        if house.ingress.offer(&batch) == batch.len() {
            number += 16;
        }
        let mut told = None;
        while let Some(frame) = house.source.next_event().expect("the journal is whole") {
            told = frame.header.is_last().then_some(frame.header.seq).or(told);
        }
        if let Some(seq) = told {
            // The parent kills this process in the middle of it; a closed pipe ends it too.
            writeln!(out, "told {seq}")
                .and_then(|()| out.flush())
                .expect("the parent listens");
        }
    }
}

/// Runs the victim until enough was told, kills it, and answers with the last command that it had told.
fn cycle(folder: &Path, cycle: u64) -> Seq {
    let mut victim = Command::new(std::env::current_exe().expect("this very program"))
        .args(["victim", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(CYCLE, cycle.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
    let told = |line: std::io::Result<String>| {
        let line = line.expect("text");
        line.rsplit_once("told ").and_then(|(_, seq)| seq.parse().ok())
    };
    let (mut first, mut last) = (None, 0);
    for seq in lines.filter_map(told) {
        last = seq;
        if seq - *first.get_or_insert(seq) >= TOLD_MIN {
            break;
        }
    }
    victim.kill().expect("it still runs");
    victim.wait().expect("it is gone");
    assert!(
        first.is_some_and(|first| last - first >= TOLD_MIN),
        "progress was made"
    );
    Seq(last)
}

#[test]
fn what_was_told_survives_kill_9_and_was_done_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let mut hashes = Vec::new();
    for round in 0..CYCLES {
        let told = cycle(folder.path(), round);
        let again = recovered(&journals);
        assert!(
            again.last_seq() >= told,
            "told {told}, recovered {}",
            again.last_seq()
        );
        hashes.push(again.report.event_hash);
        drop(again);
        let twice = recovered(&journals);
        assert_eq!(
            twice.report.event_hash,
            hashes[hashes.len() - 1],
            "recovery is repeatable"
        );
        assert_eq!(
            twice.report.events.appended, 0,
            "nothing is left to be made again"
        );
        let house = House::start(twice);
        let mut source = house.pipeline.source().expect("the journal is mapped");
        let mut accepted = std::collections::BTreeSet::new();
        while let Some(frame) = source.next_event().expect("the journal is whole") {
            if let Ok(Event::OrderAccepted(order)) = frame.event() {
                assert!(accepted.insert(order.cl_ord_id), "an order was accepted twice");
            }
        }
        assert!(accepted.len() > 1_000, "orders were accepted");
        drop(source);
        house.stop().exchange.check();
    }
    hashes.dedup();
    assert_eq!(
        hashes.len(),
        usize::try_from(CYCLES).expect("small"),
        "each cycle added something"
    );
}
