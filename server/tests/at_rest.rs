//! Journals read from outside, beside an exchange that runs and after one that stopped.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use support::venue::{Site, Venue};
use xq_journal::{Append, FileStorage, Storage, UnrecoveredEvents, UnrecoveredJournal};
use xq_protocol::{CommandFrame, Header, Nanos, Seq, Tick};
use xq_server::{ClockLeap, Exit, Journals, Server, journal_id_of, wall_now};

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

fn event_files(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.journals()).expect("lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_event = |path: &PathBuf| path.to_string_lossy().contains("/event-");
    paths.filter(is_event).collect()
}

/// Writes the event journal anew, all its checks right, with another time in its last event.
fn alter_last_event(site: &Site) {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(&site.journals()).expect("nobody writes"));
    let id = journal_id_of(&storage).expect("it was begun");
    let settings = Journals::of(&site.config()).events;
    let found = UnrecoveredEvents::open_to_read(Arc::clone(&storage), settings.clone(), id);
    let mut reader = found
        .and_then(|found| found.reader())
        .expect("the journal is whole");
    let mut events = Vec::new();
    while let Some(event) = reader.next_event().expect("the journal is whole") {
        events.push(event.to_vec());
    }
    drop(reader);
    event_files(site)
        .iter()
        .for_each(|path| std::fs::remove_file(path).expect("it is there"));
    events.last_mut().expect("some events")[16] ^= 1;
    let recovery = UnrecoveredEvents::open(storage, settings, id).and_then(UnrecoveredEvents::recover);
    let (mut journal, _) = recovery
        .expect("nothing is there")
        .finish()
        .expect("nothing is there");
    for event in &events {
        journal.append(event).expect("there is room");
    }
    journal.sync().expect("there is room");
}

#[test]
fn after_a_divergence_it_serves_again_only_once_verify_succeeded() {
    let site = stopped();
    let right: Vec<_> = event_files(&site)
        .into_iter()
        .map(|path| (std::fs::read(&path).expect("a segment"), path))
        .collect();
    alter_last_event(&site);
    let start = || match Server::start(&site.config(), ClockLeap::Refuse, &mut |_, _| {}) {
        Ok(server) => server.stop().map(|_| None).expect("it stops"),
        Err(failure) => Some((failure.exit(), failure.to_string())),
    };
    let mark = site.journals().join("diverged.txt");
    let (exit, first) = start().expect("two executions differ");
    assert_eq!(exit, Exit::Divergence, "{first}");
    let told = std::fs::read_to_string(&mark).expect("it is locked out");
    assert_eq!(told.trim_end(), first);
    assert_ended(&xq(&site, "verify"), Exit::Divergence);

    // The journals are right again, and nobody has verified it.
    for path in event_files(&site) {
        std::fs::remove_file(path).expect("it is there");
    }
    for (bytes, path) in right {
        std::fs::write(path, bytes).expect("it can be written");
    }
    let (exit, refused) = start().expect("locked out");
    assert_eq!(exit, Exit::Divergence);
    assert!(
        refused.contains("diverged.txt") && refused.contains("xq verify"),
        "{refused}"
    );
    let verified = xq(&site, "verify");
    assert_ended(&verified, Exit::Done);
    assert!(said(&verified).contains("lifted") && !mark.exists());
    assert_eq!(start(), None);
}

/// Starts `xq serve`, which is ended once it listens; what it logged until then.
fn log_of_a_start(site: &Site) -> String {
    let config = site.folder.path().join("xq.toml");
    std::fs::write(&config, site.toml("127.0.0.1:0".parse().expect("an address")))
        .expect("it can be written");
    let mut serve = Command::new(XQ);
    serve.arg("serve").arg("--config").arg(config);
    let started = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.expect("`xq` starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("text");
    child.kill().expect("it runs");
    let output = child.wait_with_output().expect("it ended");
    assert!(line.starts_with("listening"), "{}", said(&output));
    said(&output)
}

#[test]
fn a_start_tells_which_events_it_made_again() {
    let site = stopped();
    assert!(
        !log_of_a_start(&site).contains("made again"),
        "nothing was damaged"
    );
    let file = site.journals().join("event-0000000001.xqj");
    let mut bytes = std::fs::read(&file).expect("the first segment");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("some events");
    bytes[used / 2] ^= 1;
    std::fs::write(&file, bytes).expect("it can be written");
    let log = log_of_a_start(&site);
    let told = log.lines().find(|line| line.contains("made again"));
    let told = told.unwrap_or_else(|| panic!("it is silent: {log}"));
    for part in ["event-0000000001.xqj", "offset", "bytes", "first"] {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
}

#[test]
fn a_trade_undone_that_was_not_so_is_found() {
    let venue = Venue::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&[
            "sell acme 5 COFFEE @ 20.00 as s1",
            "buy alice 5 COFFEE @ 20.00 ioc as b1",
        ])
        .await;
        // Two people of the house vouch for a trade of the first command, which was Genesis.
        let proposed = desk
            .say("bust #1/1 COFFEE buy 5 20.00 maker=acme taker=alice")
            .await;
        let (_, proposal) = proposed[0].split_once('#').expect("a proposal has a number");
        let mut words = proposal.split([' ', ',']).filter(|word| !word.is_empty());
        let (number, hash) = (words.next().expect("a number"), words.next().expect("a hash"));
        desk.say_all(&[&format!("approve operator2 #{number} {hash}")])
            .await;
    });
    let Venue { server, site } = venue;
    drop(server.stop().expect("it stops"));
    let verified = xq(&site, "verify");
    assert_ended(&verified, Exit::Refused);
    let text = said(&verified);
    assert!(
        text.contains("undid") && text.contains("which is no trade"),
        "{text}"
    );
}
