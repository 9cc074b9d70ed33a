//! Backup, restore, archive and past states, with the program beside a running exchange and after it.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use support::subscriber;
use support::venue::{CANCEL, Desk, Site, Venue};
use tokio::runtime::{Builder, Runtime};
use xq_cluster::{Cluster, Durability};
use xq_protocol::text::Names;
use xq_protocol::{Amount, CommandFrame, Header, Price, RejectReason, SessionMessage, StatisticsTold, Tick};
use xq_server::config::Config;
use xq_server::{ClockLeap, Exit, Server};

const XQ: &str = env!("CARGO_BIN_EXE_xq");

fn start(site: Site) -> Venue {
    let text = site.toml("127.0.0.1:0".parse().expect("an address"))
        + "[follower]\nsnapshot_every_commands = 1024\n[threads]\ntick_interval_ms = 1\n";
    let text = text.replace("[journal]\n", "[journal]\nevent_sync_interval_ms = 10\n");
    let config = Config::from_text(&text).expect("it is right");
    let server = Server::start(&config, ClockLeap::Refuse, &mut |_, _| {});
    Venue {
        server: server.unwrap_or_else(|failure| panic!("{failure}")),
        site,
    }
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Lets commands pass until so many snapshots more were taken.
fn pass(server: &Server, snapshots: usize) {
    let mut ingress = server.pipeline().ingress();
    let tick = CommandFrame::new(Header::default(), &Tick {});
    let watch = server.followed().expect("there is a follower");
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

fn xq(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(XQ);
    command.args(arguments).arg("--data").arg(data);
    command.output().expect("`xq` starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn assert_ended(output: &Output, exit: Exit) {
    assert_eq!(output.status.code(), Some(exit.code().into()), "{}", said(output));
}

/// What a line of what was printed says.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no `{name}` in:\n{text}")).trim()
}

fn segments(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("lists");
    let names = names.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".xqj")).collect();
    names.sort();
    names
}

#[test]
fn a_backup_of_a_running_exchange_trades_on_elsewhere_with_the_same_event_hash() {
    let runtime = runtime();
    let venue = start(Site::prepare());
    let names = runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&["sell acme 5 COFFEE @ 25.00 as rests"]).await;
        desk.into_names()
    });
    pass(&venue.server, 2);
    let data = venue.site.journals();
    let (backup, elsewhere) = (
        venue.site.folder.path().join("backup"),
        venue.site.folder.path().join("new"),
    );
    let (to, elsewhere_text) = (backup.display().to_string(), elsewhere.display().to_string());
    let made = xq(&["backup", &to], &data);
    assert_ended(&made, Exit::Done);
    assert_ended(&xq(&["backup", &to], &data), Exit::CannotCreate);
    assert!(said(&xq(&["backup", &to], &data)).contains("not empty"));
    let told = said(&made);
    assert_ne!(line(&told, "snapshot"), "none");
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));

    assert_ended(&xq(&["restore", &to], &data), Exit::CannotCreate);
    half_a_restore_is_not_served(&to, &site);
    let restored = xq(&["restore", &to], &elsewhere);
    assert_ended(&restored, Exit::Done);
    assert_eq!(line(&said(&restored), "event hash"), line(&told, "event hash"));
    // Executed again, either gives the events that it has, and the same ones of what came last.
    let (there, here) = (xq(&["verify"], &backup), xq(&["verify"], &elsewhere));
    assert_ended(&there, Exit::Done);
    assert_ended(&here, Exit::Done);
    assert_eq!(
        line(&said(&here), "event hash"),
        line(&said(&there), "event hash")
    );

    // It goes on where the backup was taken.
    std::fs::rename(&data, site.folder.path().join("old")).expect("it is moved away");
    std::fs::rename(&elsewhere_text, &data).expect("it takes its place");
    let venue = start(site);
    assert!(venue.server.report().snapshot.is_some());
    runtime.block_on(async {
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names);
        desk.say_all(&["phase venue continuous"]).await;
        let met = desk.say("buy bob 1 COFFEE @ 25.00 as takes").await;
        assert!(
            met.iter()
                .any(|line| line.starts_with("executed takes 1 @ 25.00")),
            "{met:?}"
        );
    });
    drop(venue.server.stop().expect("it stops"));
}

/// A restore that was cut says so to whoever comes, and is begun again.
fn half_a_restore_is_not_served(backup: &str, site: &Site) {
    let cut = site.folder.path().join("cut");
    assert_ended(&xq(&["restore", backup], &cut), Exit::Done);
    std::fs::write(cut.join("unfinished.txt"), "").expect("it can be written");
    std::fs::remove_file(cut.join(segments(&cut).pop().expect("a segment"))).expect("it is there");
    for task in ["verify", "dump", "state"] {
        let refused = xq(&[task], &cut);
        assert_ended(&refused, Exit::JournalCorrupt);
        assert!(
            said(&refused).contains("was begun here and not finished"),
            "{}",
            said(&refused)
        );
    }
    assert_ended(
        &xq(&["backup", &format!("{}/x", cut.display())], &cut),
        Exit::JournalCorrupt,
    );
    let mut config = site.config();
    config.journal.folder = cut.clone();
    let refused = Server::start(&config, ClockLeap::Refuse, &mut |_, _| {}).err();
    assert_eq!(refused.map(|failure| failure.exit()), Some(Exit::JournalCorrupt));
    assert_ended(&xq(&["restore", backup], &cut), Exit::CannotCreate);
    std::fs::remove_dir_all(cut.join("x")).expect("the backup began with it");
    assert_ended(&xq(&["restore", backup], &cut), Exit::Done);
    assert_ended(&xq(&["verify"], &cut), Exit::Done);
}

/// Asks to archive what lies before a moment.
fn archive(before: &str, data: &Path, to: &Path) -> Output {
    let to = to.display().to_string();
    xq(&["journal", "archive", "--before", before, "--to", &to], data)
}

/// Archiving too much is refused, by whomever needs it; how far it may go.
fn bounds_are_refused(data: &Path, to: &Path) -> u64 {
    let refused = archive("999999999", data, to);
    assert_ended(&refused, Exit::Refused);
    let text = said(&refused);
    assert!(
        text.contains("the older snapshot needs what comes after command"),
        "{text}"
    );
    let most = text
        .split("archive before ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let most: u64 = most
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    let cursor = data.join("postgres.cursor");
    std::fs::write(&cursor, "100\n").expect("it can be written");
    let held = archive(&most.to_string(), data, to);
    assert_ended(&held, Exit::Refused);
    assert!(
        said(&held).contains("postgres.cursor needs what comes after command 100"),
        "{}",
        said(&held)
    );
    std::fs::write(&cursor, "x").expect("it can be written");
    assert_ended(&archive("1", data, to), Exit::Refused);
    std::fs::remove_file(&cursor).expect("it is there");
    most
}

/// What a subscriber is told of the day.
async fn day_told(venue: &Venue) -> StatisticsTold {
    let mut market = subscriber::connect(&venue.site, &venue.server).await;
    let (series, _) = subscriber::coffee(&mut market).await;
    subscriber::day_with(&mut market, series, |day| day.volume == Amount(4)).await
}

#[test]
fn segments_that_both_snapshots_cover_are_archived_and_a_start_needs_them_no_more() {
    let runtime = runtime();
    let venue = start(Site::prepare());
    let data = venue.site.journals();
    let to = venue.site.folder.path().join("archive");
    assert_ended(&archive("1", &data, &to), Exit::Refused);
    let names = runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&[
            "sell acme 5 COFFEE @ 25.00 as rests",
            "buy bob 2 COFFEE @ 25.00 as takes",
        ])
        .await;
        desk.into_names()
    });
    // Segments are of a MiB: a Tick has some hundred bytes in either journal.
    pass(&venue.server, 30);
    let most = bounds_are_refused(&data, &to);
    assert_ended(&xq(&["state", "--at", "2020-01-01T00:00:00Z"], &data), Exit::Done);
    let into_itself = archive(&most.to_string(), &data, &data);
    assert_ended(&into_itself, Exit::CannotCreate);
    assert!(
        said(&into_itself).contains("the folder of the journals itself"),
        "{}",
        said(&into_itself)
    );
    // The doors have read what is archived.
    runtime.block_on(async {
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names.clone());
        desk.assert_goes_on().await;
    });
    let before = segments(&data);
    assert_ended(&archive("2020-01-01T00:00:00Z", &data, &to), Exit::Done);
    let still = segments(&data);
    assert!(
        before.iter().all(|name| still.contains(name)),
        "nothing is so old: {before:?} {still:?}"
    );
    let done = archive(&most.to_string(), &data, &to);
    assert_ended(&done, Exit::Done);
    let (left, gone) = (segments(&data), segments(&to));
    assert!(
        gone.iter().any(|name| name.starts_with("event-")),
        "{left:?} {gone:?}"
    );
    assert!(
        gone.iter()
            .all(|name| before.contains(name) && !left.contains(name)),
        "{left:?} {gone:?}"
    );
    runtime.block_on(async {
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names.clone());
        desk.assert_goes_on().await;
    });
    what_was_archived_is_missed_by_nobody(venue, &runtime, names);
}

fn what_was_archived_is_missed_by_nobody(venue: Venue, runtime: &Runtime, names: Names) {
    let data = venue.site.journals();
    let traded = runtime.block_on(day_told(&venue));
    assert_eq!(
        (traded.volume, traded.open, traded.high),
        (Amount(4), Price(2_500), Price(2_500))
    );
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    let verified = xq(&["verify"], &data);
    assert_ended(&verified, Exit::Done);
    assert_ne!(line(&said(&verified), "snapshots"), "0 hold the state");
    let early = xq(&["state", "--at", "2020-01-01T00:00:00Z"], &data);
    assert_ended(&early, Exit::Refused);
    assert!(
        said(&early).contains("the beginning is archived"),
        "{}",
        said(&early)
    );
    assert_ended(&xq(&["state", "--at", "2100-01-01T00:00:00Z"], &data), Exit::Done);
    let venue = start(site);
    assert!(venue.server.report().snapshot.is_some());
    let again = runtime.block_on(day_told(&venue));
    assert_eq!(
        again, traded,
        "what was traded before counts, though it is archived"
    );
    runtime.block_on(async {
        let desk = Desk::knowing(&venue.site, venue.server.address(), names.clone());
        let (mut raw, _) = desk.session("acme", 0).await;
        raw.request(1, &CANCEL).await;
        let answer = raw.answer(1).await.pop().expect("an answer");
        let refused = answer.frame().expect("a frame");
        let Ok(SessionMessage::DoorRejected(refused)) = refused.session_message() else {
            panic!("an outcome that is archived: {refused:?}");
        };
        assert_eq!(refused.code, RejectReason::StaleRequest.code());
        drop(raw);
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names);
        desk.say_all(&["phase venue continuous"]).await;
        desk.assert_goes_on().await;
    });
    drop(venue.server.stop().expect("it stops"));
}

#[test]
fn nothing_is_archived_that_the_bridge_has_to_take_and_it_goes_on_without_the_rest() {
    let cluster = Cluster::temporary(Durability::None).expect("a private PostgreSQL");
    let url = cluster.url("xq_bridge", "xq");
    let venue = start(Site::prepare());
    let data = venue.site.journals();
    let to = venue.site.folder.path().join("archive");
    runtime().block_on(async { venue.desk().open_market().await });
    let bridge = || xq(&["bridge", "--once", "--postgres", &url], &data);
    let reconcile = || xq(&["reconcile", "--postgres", &url], &data);
    assert_ended(&bridge(), Exit::Done);
    pass(&venue.server, 30);
    // Far enough, were it not for the bridge.
    let held = archive("25000", &data, &to);
    assert_ended(&held, Exit::Refused);
    assert!(said(&held).contains("settlement.cursor needs"), "{}", said(&held));
    assert_ended(&bridge(), Exit::Done);
    assert_ended(&reconcile(), Exit::Done);
    assert_ended(&archive("25000", &data, &to), Exit::Done);
    let gone = segments(&to);
    assert!(gone.iter().any(|name| name.starts_with("event-")), "{gone:?}");
    pass(&venue.server, 1);
    assert_ended(&bridge(), Exit::Done);
    let refused = reconcile();
    assert_ended(&refused, Exit::Refused);
    assert!(said(&refused).contains("are archived"), "{}", said(&refused));
    drop(venue.server.stop().expect("it stops"));
}

#[test]
fn a_past_state_is_told_as_it_was() {
    let runtime = runtime();
    let venue = start(Site::prepare());
    let server = &venue.server;
    let mut before = 0;
    runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&["sell acme 5 COFFEE @ 25.00 as rests"]).await;
        before = server.pipeline().durable().seq().0;
        desk.say_all(&["buy bob 2 COFFEE @ 25.00 as takes"]).await;
    });
    pass(server, 2);
    let data = venue.site.journals();
    let then = xq(&["state", "--at", &before.to_string()], &data);
    assert_ended(&then, Exit::Done);
    let (then, now) = (said(&then), said(&xq(&["state"], &data)));
    let order = |text: &str| {
        let order = text.lines().find(|line| line.starts_with("order,1,sell"));
        order.unwrap_or_else(|| panic!("no order in:\n{text}")).to_owned()
    };
    assert!(
        order(&then).ends_with(",rests,2500,5") && order(&now).ends_with(",rests,2500,3"),
        "{then}\n{now}"
    );
    assert!(
        then.lines()
            .any(|line| line.starts_with("coverage,1,1000,3000,3000000,3000000")),
        "{then}"
    );
    let sum = |text: &str, asset: &str| -> i128 {
        let of_asset = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("balance,")?.split(',').collect();
            (cells[1] == asset).then(|| cells[2].parse::<i128>().expect("a number"))
        });
        of_asset.sum()
    };
    for text in [&then, &now] {
        assert_eq!(sum(text, "1"), 0, "every asset sums to zero:\n{text}");
    }
    let one = said(&xq(&["state", "--account", "11"], &data));
    assert!(
        one.contains("balance,") && !one.contains("coverage") && !one.contains("rests"),
        "{one}"
    );
    assert_ended(&xq(&["state", "--at", "999999999"], &data), Exit::Refused);
    assert_ended(&xq(&["state", "--at", "noon"], &data), Exit::Usage);
    drop(venue.server.stop().expect("it stops"));
}
