//! The follower and its snapshots: taken while the exchange runs, a start goes on from them, a difference ends it.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::venue::{CANCEL, Desk, Site, Venue};
use tokio::runtime::{Builder, Runtime};
use xq_journal::{FileStorage, Snapshot, SnapshotRoom, SnapshotWriter, Storage, snapshots};
use xq_protocol::{CommandFrame, Header, Seq, SessionMessage, Tick};
use xq_server::config::Config;
use xq_server::{ClockLeap, Exit, Server};

const XQ: &str = env!("CARGO_BIN_EXE_xq");
/// As many snapshots as there can be, and events synced often.
const OFTEN: &str = "[follower]\nsnapshot_every_commands = 1024\n[threads]\ntick_interval_ms = 1\n";

fn config(site: &Site) -> Config {
    let text = site.toml("127.0.0.1:0".parse().expect("an address")) + OFTEN;
    let text = text.replace("[journal]\n", "[journal]\nevent_sync_interval_ms = 10\n");
    Config::from_text(&text).expect("it is right")
}

fn start(site: Site) -> Venue {
    let server = Server::start(&config(&site), ClockLeap::Refuse, &mut |_, _| {});
    Venue {
        server: server.unwrap_or_else(|failure| panic!("{failure}")),
        site,
    }
}

/// Lets so many commands pass, and more until a snapshot covers them.
fn pass(server: &Server, commands: u64) -> Seq {
    let mut ingress = server.pipeline().ingress();
    let tick = CommandFrame::new(Header::default(), &Tick {});
    let watch = server.followed().expect("there is a follower");
    let wanted = server.pipeline().durable().seq().0 + commands;
    loop {
        let covered = watch.snapshot_seq.load(Ordering::Acquire);
        if covered >= wanted {
            return Seq(covered);
        }
        // Not so many that the follower, whose priority is the lowest, falls far behind.
        let is_near = server.pipeline().durable().seq().0 < covered + 4_096;
        if !is_near || ingress.offer(tick.bytes()) == 0 {
            std::thread::yield_now();
        }
    }
}

fn snapshot_files(site: &Site) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(site.journals()).expect("lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "xqs"))
        .collect();
    paths.sort();
    paths
}

fn damage(path: &PathBuf) {
    let mut bytes = std::fs::read(path).expect("a snapshot");
    bytes.truncate(bytes.len() - 1);
    std::fs::write(path, bytes).expect("it can be written");
}

fn xq(site: &Site, arguments: &[&str]) -> Output {
    let mut command = Command::new(XQ);
    command.args(arguments).arg("--data").arg(site.journals());
    command.output().expect("`xq` starts")
}

fn verify(site: &Site) -> Output {
    xq(site, &["verify"])
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Writes a snapshot anew that is whole, and not what was taken: one section more, of a kind that nobody knows.
fn forge(site: &Site, seq: Seq, as_of: Seq) {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(&site.journals()).expect("nobody has it"));
    let taken = Snapshot::open(&*storage, seq, None).expect("it is whole");
    let mut head = *taken.head();
    head.start.seq = as_of;
    let mut writer =
        SnapshotWriter::begin(Arc::clone(&storage), head, SnapshotRoom::default()).expect("room");
    for (kind, bytes) in taken.sections() {
        writer.put(kind, bytes).expect("room");
    }
    writer.put(3_000, b"?").expect("room");
    let named = writer.finish().expect("room");
    named.make_durable().expect("the disk is sound");
}

/// A stopped venue with two snapshots, by the commands that they cover, the older first.
fn stopped() -> (Site, [Seq; 2]) {
    let venue = start(Site::prepare());
    runtime().block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
    });
    pass(&venue.server, 1);
    pass(&venue.server, 2_000);
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    let storage = FileStorage::open_to_read(&site.journals()).expect("it is there");
    let [newer, older] = snapshots(&storage)
        .expect("it can be listed")
        .try_into()
        .expect("two");
    (site, [older, newer])
}

fn refused(site: &Site) -> (Exit, String) {
    let refused = Server::start(&config(site), ClockLeap::Refuse, &mut |_, _| {});
    let refused = refused.err().expect("it does not start");
    (refused.exit(), refused.to_string())
}

/// A snapshot that is whole is a witness, whoever may use it: of commands that were durable, and of the state.
#[test]
fn a_whole_snapshot_that_nobody_uses_is_heard() {
    let (site, [_, newer]) = stopped();
    let beyond = Seq(1 << 30);
    forge(&site, newer, beyond);
    let (exit, text) = refused(&site);
    assert_eq!(exit, Exit::JournalCorrupt, "{text}");
    assert!(text.contains(&format!("a snapshot names seq {beyond}")), "{text}");
    let verified = verify(&site);
    assert_eq!(verified.status.code(), Some(exit.code().into()));
    let name = xq_journal::snapshot_name(beyond);
    std::fs::remove_file(site.journals().join(name)).expect("it is there");

    // What it holds is compared when its command is executed again.
    forge(&site, newer, newer);
    let verified = verify(&site);
    assert_eq!(verified.status.code(), Some(Exit::Divergence.code().into()));
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(said.contains("holds another state"), "{said}");
    let file = site.folder.path().join("xq.toml");
    let text = site.toml("127.0.0.1:0".parse().expect("an address"));
    std::fs::write(&file, text).expect("it can be written");
    let mut serve = Command::new(XQ);
    let served = serve
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .output()
        .expect("`xq` starts");
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    assert_eq!(
        served.status.code(),
        Some(Exit::Divergence.code().into()),
        "{said}"
    );
    assert!(said.contains("holds another state"), "{said}");
}

#[test]
fn no_other_journal_is_begun_beside_snapshots() {
    let (site, _) = stopped();
    for entry in std::fs::read_dir(site.journals()).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "xqj") {
            std::fs::remove_file(path).expect("it is there");
        }
    }
    let (exit, text) = refused(&site);
    assert_eq!(exit, Exit::JournalCorrupt);
    assert!(text.contains("a snapshot is here, and no command"), "{text}");
}

/// Files that claim to cover more are none of those that are kept.
#[test]
fn snapshots_that_cannot_be_used_cost_none_that_can() {
    let (site, [_, newer]) = stopped();
    let damaged = [1_u64 << 40, 1 << 41].map(|seq| site.journals().join(xq_journal::snapshot_name(Seq(seq))));
    for path in &damaged {
        std::fs::write(path, b"damaged").expect("it can be written");
    }
    let venue = start(site);
    assert_eq!(venue.server.report().snapshot, Some(newer));
    let taken = pass(&venue.server, 1);
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    let there = snapshot_files(&site);
    let names = there
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy());
    let names: Vec<_> = names.collect();
    assert!(
        names.contains(&xq_journal::snapshot_name(taken).as_str().into()),
        "{names:?}"
    );
    assert_eq!(there.len(), 4, "{names:?}");
    for path in damaged {
        std::fs::remove_file(path).expect("it stays until its command has come");
    }
    assert!(verify(&site).status.success());
}

/// Old events are read again when a client asks for them: what is wrong with them ends its answer and nothing else.
#[test]
fn damaged_old_events_end_no_exchange() {
    let venue = start(Site::prepare());
    let runtime = runtime();
    let names = runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&["sell acme 5 COFFEE @ 25.00 as rests"]).await;
        desk.into_names()
    });
    pass(&venue.server, 12_000);
    let first = venue.site.journals().join("event-0000000001.xqj");
    let file = std::fs::File::options()
        .write(true)
        .open(&first)
        .expect("it is there");
    let records = 256;
    file.write_all_at(&[0; 200_000], records)
        .expect("it can be written");
    runtime.block_on(async {
        let desk = Desk::knowing(&venue.site, venue.server.address(), names.clone());
        let (mut raw, _) = desk.session("acme", 0).await;
        raw.request(1, &CANCEL).await;
        let answer = raw.answer(1).await.pop().expect("an answer");
        let frame = answer.frame().expect("a frame");
        assert!(
            matches!(frame.session_message(), Ok(SessionMessage::DoorRejected(_))),
            "{frame:?}"
        );
        drop(raw);
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names);
        desk.assert_goes_on().await;
    });
    drop(venue.server.stop().expect("it stops"));
}

#[test]
fn a_start_goes_on_from_the_newest_snapshot_that_is_whole() {
    let runtime = runtime();
    let venue = start(Site::prepare());
    assert_eq!(venue.server.report().snapshot, None);
    let names = runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&[
            "sell acme 5 COFFEE @ 25.00 as rests",
            "buy bob 3 COFFEE @ 10.00 as waits",
        ])
        .await;
        pass(&venue.server, 1);
        let second = pass(&venue.server, 2_000);
        assert!(second.0 >= 2_048 && second.0.is_multiple_of(1_024));
        desk.into_names()
    });
    let Venue { site, server } = venue;
    let stopped = server.stop().expect("it stops");
    let hash = stopped.events.event_hash();
    drop(stopped);
    let verified = verify(&site);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        verified.status.success() && said.contains(&hash.to_string()),
        "{said}"
    );
    let [older, newer] = snapshot_files(&site).try_into().expect("two are kept");

    let venue = start(site);
    let (report, whole) = (venue.server.report().clone(), snapshot_files(&venue.site));
    let covered = report.snapshot.expect("it begins with the newest");
    assert!(newer.to_string_lossy().contains(&covered.0.to_string()));
    assert_eq!(report.event_hash, hash, "the same events as those that were told");
    assert!(
        report.events.compared < 2_000 && report.events.appended == 0,
        "{:?}",
        report.events
    );
    assert_eq!(whole, [older.clone(), newer.clone()]);
    runtime.block_on(async {
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names);
        desk.say_all(&["phase venue continuous"]).await;
        let met = desk.say("buy bob 1 COFFEE @ 25.00 as takes").await;
        assert!(
            met.iter()
                .any(|line| line.starts_with("executed takes 1 @ 25.00")),
            "{met:?}"
        );
        desk.assert_goes_on().await;
    });
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));

    damaged_snapshots_are_passed_over(site);
}

/// What is damaged is told of and left: the one before, then the beginning.
fn damaged_snapshots_are_passed_over(site: Site) {
    let [older, newer] = snapshot_files(&site).try_into().expect("two are kept");
    damage(&newer);
    let venue = start(site);
    let before = venue.server.report().snapshot.expect("the one before");
    assert!(older.to_string_lossy().contains(&before.0.to_string()));
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    snapshot_files(&site).iter().for_each(damage);
    let archived = xq(&site, &["journal", "archive", "--before", "1", "--to", "nowhere"]);
    assert_eq!(archived.status.code(), Some(Exit::Refused.code().into()));
    let venue = start(site);
    assert_eq!(venue.server.report().snapshot, None);
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    assert!(verify(&site).status.success());
}

/// With the mutant `mutant-follower-differs`, what it executes again has another bit: the process ends with code 70.
#[test]
fn a_follower_compares_takes_snapshots_and_the_exchange_goes_on() {
    let site = Site::prepare();
    let config = site.folder.path().join("xq.toml");
    let text = site.toml("127.0.0.1:0".parse().expect("an address")) + OFTEN;
    std::fs::write(&config, text).expect("it can be written");
    let mut serve = Command::new(XQ);
    serve
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = serve.spawn().expect("`xq` starts");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut told = String::new();
    while !told.contains("snapshot taken") {
        if log.read_line(&mut told).expect("text") == 0 {
            let status = child.wait().expect("it ended");
            let mark = std::fs::read_to_string(site.journals().join("diverged.txt")).unwrap_or_default();
            let again = serve.output().expect("`xq` starts").status;
            panic!("ended with {status}, then {again}; locked out: {mark:?}: {told}");
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    assert!(!site.journals().join("diverged.txt").exists());
    assert_eq!(snapshot_files(&site).len(), 1);
}

#[test]
fn a_cadence_out_of_bounds_is_named() {
    for (text, part) in [
        (
            "[follower]\nsnapshot_every_commands = 1000\n",
            "`follower.snapshot_every_commands` = 1000",
        ),
        (
            "[follower]\nsnapshot_every_s = 0\n",
            "`follower.snapshot_every_s` = 0",
        ),
        ("[follower]\nenabled = 1\n", "`follower.enabled` = 1"),
    ] {
        let refused = Config::from_text(text).expect_err("it is wrong");
        assert!(refused.to_string().contains(part), "{refused}");
        assert_eq!(refused.exit(), Exit::Configuration);
    }
}
