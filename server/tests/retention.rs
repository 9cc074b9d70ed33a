//! What is kept: segments go to the archive by age and by size, and stay for whoever needs them; snapshots by number and
//! age.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use support::venue::{Site, Venue};
use tokio::runtime::Builder;
use xq_journal::FileStorage;
use xq_protocol::{CommandFrame, Header, Tick};
use xq_server::config::Config;
use xq_server::{ClockLeap, RetentionWatch, Server, wall_now};

const XQ: &str = env!("CARGO_BIN_EXE_xq");
/// Segments are of a MiB, and a Tick has some hundred bytes in either journal.
const SNAPSHOTS: usize = 30;

fn archive_of(site: &Site) -> PathBuf {
    site.folder.path().join("archive")
}

/// A venue that takes snapshots as often as can be, with these lines under `[retention]`.
fn start(site: Site, retention: &str) -> Venue {
    let text = site.toml("127.0.0.1:0".parse().expect("an address"))
        + "[follower]\nsnapshot_every_commands = 1024\n[threads]\ntick_interval_ms = 1\n[retention]\n"
        + retention;
    let text = text.replace("[journal]\n", "[journal]\nevent_sync_interval_ms = 10\n");
    let config = Config::from_text(&text).expect("it is right");
    let server = Server::start(&config, ClockLeap::Refuse, &mut |_, _| {});
    let server = server.unwrap_or_else(|failure| panic!("{failure}"));
    Venue { server, site }
}

/// Archives whatever is needed no more.
fn eager(site: &Site) -> String {
    format!("archive = {:?}\nkeep_hours = 0\n", archive_of(site))
}

/// Lets commands pass until so many snapshots more were taken, and the last was followed by what retention does.
fn pass(server: &Server, snapshots: usize) {
    let watch = server.followed().expect("there is a follower");
    let mut ingress = server.pipeline().ingress();
    // As the doors do, with the time: by it commands are old or young.
    let time = wall_now();
    let tick = CommandFrame::new(
        Header {
            time,
            ..Header::default()
        },
        &Tick {},
    );
    let covered = || watch.snapshot_seq.load(Ordering::Acquire);
    for _ in 0..snapshots {
        let before = covered();
        while covered() == before {
            // Not so many that the follower, whose priority is the lowest, falls far behind.
            let is_near = server.pipeline().durable().seq().0 < covered() + 4_096;
            if !is_near || ingress.offer(tick.bytes()) == 0 {
                std::thread::yield_now();
            }
        }
    }
}

fn watch(server: &Server) -> &RetentionWatch {
    &server.followed().expect("there is a follower").retention
}

/// Lets commands pass until this was counted.
fn pass_until(server: &Server, count: &AtomicU64) {
    while count.load(Ordering::Relaxed) == 0 {
        pass(server, 1);
    }
}

fn names(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(extension));
    names.sort();
    names
}

fn stop(venue: Venue) -> Site {
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    site
}

fn open(site: Site, retention: &str) -> Venue {
    let venue = start(site, retention);
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
    });
    venue
}

/// The journals, and what was archived of them, in one folder hold every command from the first on.
fn assert_whole_together(site: &Site) {
    let together = site.folder.path().join("together");
    std::fs::create_dir_all(&together).expect("it can be made");
    for folder in [archive_of(site), site.journals()] {
        for name in names(&folder, ".xqj") {
            std::fs::copy(folder.join(&name), together.join(&name)).expect("it can be copied");
        }
    }
    let verified = Command::new(XQ)
        .arg("verify")
        .arg("--data")
        .arg(&together)
        .output();
    let verified = verified.expect("`xq` starts");
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!said.contains("are archived"), "{said}");
}

#[test]
fn what_is_needed_no_more_is_archived_and_a_start_misses_nothing() {
    let site = Site::prepare();
    let retention = eager(&site);
    let venue = open(site, &retention);
    pass(&venue.server, SNAPSHOTS);
    pass_until(&venue.server, &watch(&venue.server).moved);
    let site = stop(venue);
    let gone = names(&archive_of(&site), ".xqj");
    assert!(gone.iter().any(|name| name.starts_with("command-")), "{gone:?}");
    assert!(
        gone.iter().all(|name| !site.journals().join(name).exists()),
        "{gone:?}"
    );
    assert_whole_together(&site);
    let venue = start(site, &retention);
    assert!(venue.server.report().snapshot.is_some());
    pass(&venue.server, 2);
    stop(venue);
}

#[test]
fn what_is_young_stays_until_there_is_too_much_of_it() {
    let site = Site::prepare();
    let young = format!("archive = {:?}\nkeep_hours = 1\n", archive_of(&site));
    let venue = open(site, &young);
    pass(&venue.server, SNAPSHOTS);
    assert_eq!(watch(&venue.server).moved.load(Ordering::Relaxed), 0);
    assert_eq!(watch(&venue.server).held_by_snapshot.load(Ordering::Relaxed), 0);
    let site = stop(venue);
    assert_eq!(names(&archive_of(&site), ".xqj"), [""; 0]);
}

#[test]
fn a_cursor_holds_back_what_its_owner_has_still_to_take() {
    let site = Site::prepare();
    let retention = eager(&site);
    let cursor = site.journals().join("postgres.cursor");
    std::fs::create_dir_all(site.journals()).expect("it can be made");
    std::fs::write(&cursor, "1\n").expect("it can be written");
    let venue = open(site, &retention);
    pass_until(&venue.server, &watch(&venue.server).held_by_cursor);
    assert_eq!(watch(&venue.server).moved.load(Ordering::Relaxed), 0);
    std::fs::write(&cursor, "no number").expect("it can be written");
    pass_until(&venue.server, &watch(&venue.server).failed);
    assert_eq!(watch(&venue.server).moved.load(Ordering::Relaxed), 0);
    std::fs::remove_file(&cursor).expect("it is there");
    pass_until(&venue.server, &watch(&venue.server).moved);
    assert_whole_together(&stop(venue));
}

#[test]
fn an_archive_that_is_the_journals_folder_or_has_another_file_of_the_name_changes_nothing() {
    let site = Site::prepare();
    std::fs::create_dir_all(site.journals()).expect("it can be made");
    std::os::unix::fs::symlink(site.journals(), archive_of(&site)).expect("it can be made");
    let retention = eager(&site);
    let venue = open(site, &retention);
    pass_until(&venue.server, &watch(&venue.server).failed);
    let site = stop(venue);
    std::fs::remove_file(archive_of(&site)).expect("it is there");
    std::fs::create_dir_all(archive_of(&site)).expect("it can be made");
    let first = names(&site.journals(), ".xqj").remove(0);
    std::fs::write(archive_of(&site).join(&first), "another").expect("it can be written");
    let venue = start(site, &retention);
    pass_until(&venue.server, &watch(&venue.server).failed);
    let site = stop(venue);
    assert!(site.journals().join(&first).exists());
    std::fs::remove_file(archive_of(&site).join(&first)).expect("it is there");
    assert_whole_together(&site);
}

#[test]
fn as_many_snapshots_stay_as_are_wanted_over_starts_too() {
    let venue = open(Site::prepare(), "snapshots = 4\n");
    pass(&venue.server, 6);
    let site = stop(venue);
    assert_eq!(names(&site.journals(), ".xqs").len(), 4);
    let venue = start(site, "snapshots = 4\n");
    pass(&venue.server, 3);
    let site = stop(venue);
    let storage = FileStorage::open_to_read(&site.journals()).expect("it is there");
    assert_eq!(
        xq_journal::snapshots(&storage).expect("it can be listed").len(),
        4
    );
    // Young ones stay however many there are; the first that is shown is the one with which the start went on.
    let venue = start(site, "snapshots = 2\nkeep_snapshots_hours = 1\n");
    pass(&venue.server, 4);
    let there = names(&stop(venue).journals(), ".xqs");
    assert!(there.len() >= 7, "{there:?}");
}
