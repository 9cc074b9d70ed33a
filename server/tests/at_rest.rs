//! Journals read from outside, beside an exchange that runs and after one that stopped.

mod support;

use std::process::{Command, Output};
use std::sync::Arc;
use support::venue::{Site, Venue};
use xq_journal::{Append, FileStorage, Storage, UnrecoveredJournal};
use xq_protocol::{CommandFrame, Header, Nanos, Seq, Tick};
use xq_server::{Exit, Journals, journal_id_of, wall_now};

const XQ: &str = env!("CARGO_BIN_EXE_xq");

fn xq(site: &Site, task: &str) -> Output {
    let output = Command::new(XQ)
        .arg(task)
        .arg("--data")
        .arg(site.journals())
        .output();
    output.expect("`xq` starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn assert_ended(output: &Output, exit: Exit) {
    assert_eq!(
        output.status.code(),
        Some(i32::from(exit.code())),
        "{}",
        said(output)
    );
}

/// A site whose exchange was started and stopped once.
fn stopped() -> Site {
    let venue = Venue::start();
    venue.server.stop().expect("it stops");
    venue.site
}

/// Commits batches of a Tick each to the command journal, of which the event journal knows nothing, as a running
/// journaler is ahead of the publisher; the first of them, and where it lies in which file.
fn commit_ahead(site: &Site, batches: u64) -> (Seq, String, u64) {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(&site.journals()).expect("nobody writes"));
    let id = journal_id_of(&storage).expect("it was begun");
    let settings = Journals::of(&site.config()).commands;
    let found = UnrecoveredJournal::open(storage, settings).expect("the journal is whole");
    let (mut journal, report) = found.recover(&[], id).expect("the journal is whole");
    let (segment, offset) = journal.position();
    for _ in 0..batches {
        let header = Header {
            time: Nanos(wall_now().0),
            ..Header::default()
        };
        let tick = CommandFrame::new(header, &Tick {});
        assert!(matches!(journal.append(tick.bytes()), Ok(Append::Taken(_))));
        journal.commit().expect("there is room");
    }
    (
        report.last_seq.next(),
        format!("command-{:010}.xqj", segment.0),
        offset,
    )
}

#[test]
fn beside_a_running_exchange_the_tail_is_not_judged_and_only_what_is_durable_is_shown() {
    let site = stopped();
    let (ahead, file, offset) = commit_ahead(&site, 2);
    let shows = |output: &Output, seq: Seq| {
        said(output)
            .lines()
            .any(|line| line.starts_with(&format!("{seq} ")))
    };
    let dumped = xq(&site, "dump");
    assert_ended(&dumped, Exit::Done);
    assert!(
        shows(&dumped, Seq(ahead.0 - 1)) && !shows(&dumped, ahead),
        "{}",
        said(&dumped)
    );

    // Parts of a batch that is being written may be seen before others; and those of the next one, too.
    let path = site.journals().join(file);
    let mut bytes = std::fs::read(&path).expect("the segment");
    bytes[usize::try_from(offset).expect("small") + 100] ^= 1;
    std::fs::write(&path, bytes).expect("it can be written");
    let dumped = xq(&site, "dump");
    assert_ended(&dumped, Exit::Done);
    assert!(
        shows(&dumped, Seq(ahead.0 - 1)) && !shows(&dumped, ahead),
        "{}",
        said(&dumped)
    );
    assert_ended(&xq(&site, "verify"), Exit::JournalCorrupt);
}
