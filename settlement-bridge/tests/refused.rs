//! What the bridge refuses, and what it names: wrong addresses, other journals, hands in the tables, poison.

mod support;

use std::fs;
use support::{ID, Journal, catch_up, cluster, database, flow, number, played, settings};
use xq_journal::EventCursor;
use xq_protocol::*;
use xq_settlement_bridge::{Bridge, Trouble, Until};

#[test]
fn another_journal_another_history_and_an_earlier_point_are_refused() {
    let (cluster, flow) = (cluster(), flow(3_000));
    let (mut journal, mut shorter, mut other) = (Journal::new(), Journal::new(), Journal::new());
    for journal in [&mut journal, &mut shorter, &mut other] {
        journal.play(flow.opening.frames());
    }
    journal.play(flow.prefill.frames());
    // The same commands, one left out.
    other.play(flow.prefill.frames().skip(1));
    other.play(flow.timed.frames());
    let url = database(&cluster, "journals");
    catch_up(&journal.settings(&url)).expect("it is written");
    assert!(matches!(
        catch_up(&shorter.settings(&url)),
        Err(Trouble::Ahead { .. })
    ));
    assert!(matches!(
        catch_up(&other.settings(&url)),
        Err(Trouble::OtherHistory(_))
    ));
    let mut admin = cluster.admin("journals").expect("the administrator");
    admin
        .execute(
            "UPDATE xq.bridge_cursor SET journal_id = decode(repeat('09', 16), 'hex')",
            &[],
        )
        .expect("it is changed");
    let refused = catch_up(&journal.settings(&url));
    assert!(
        matches!(refused, Err(Trouble::OtherJournal { folder: ID, .. })),
        "{refused:?}"
    );
}

#[test]
fn segments_that_are_gone_are_named() {
    let (cluster, (journal, _)) = (cluster(), played(3_000));
    fs::remove_file(journal.folder.path().join("event-0000000001.xqj")).expect("it is there");
    let refused = catch_up(&journal.settings(&database(&cluster, "gone")));
    assert!(matches!(refused, Err(Trouble::Archived { .. })), "{refused:?}");
}

#[test]
fn poison_stops_it_by_name_and_all_before_is_written() {
    let (cluster, (mut journal, _)) = (cluster(), played(500));
    let seq = journal.running.seq.next();
    let header = Header {
        seq,
        time: Nanos(1_700_000_100_000_000_000),
        flags: Header::LAST,
        ..Header::default()
    };
    let units = UnitsTransferred {
        from: AccountId(1),
        to: AccountId(2),
        series: SeriesId(1),
        reserved: Reserved::ZERO,
        units: Amount(u64::MAX),
    };
    journal.forge(EventFrame::new(header, &units).bytes());
    let refused = catch_up(&journal.settings(&database(&cluster, "poison")));
    let Err(Trouble::Poison(poison)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(poison.cursor, EventCursor { seq, index: 0 });
    assert!(poison.reason.contains("amount"), "{poison}");
    let mut client = cluster.connect("xq_bridge", "poison").expect("a connection");
    let written = number(&mut client, "SELECT seq FROM xq.bridge_cursor");
    assert_eq!(u64::try_from(written), Ok(seq.0 - 1));
}

#[test]
fn a_row_that_stands_in_the_way_is_named() {
    let (cluster, flow) = (cluster(), flow(500));
    let mut journal = Journal::new();
    journal.play(flow.opening.frames());
    let settings = journal.settings(&database(&cluster, "hands"));
    catch_up(&settings).expect("it is written");
    let mut admin = cluster.admin("hands").expect("the administrator");
    let seq = journal.running.seq.0 + 40;
    let order = "INSERT INTO xq.orders SELECT 4294967296 * 1 + 40, $1, 0, now(), 0, NULL, 0, 1, 1, 156, 'buy', 'limit', 'gtc', \
                 'any', 'cancel', '', 1, NULL, NULL, NULL, NULL, NULL, 1, 1, 0, 0, 0, 'open', NULL, 1";
    admin
        .execute(order, &[&i64::try_from(seq).expect("small")])
        .expect("a hand writes an order");
    journal.play(flow.prefill.frames());
    let refused = catch_up(&settings);
    let Err(Trouble::Poison(poison)) = refused else {
        panic!("{refused:?}")
    };
    assert!(poison.reason.contains("23505"), "{poison}");
    assert!(poison.cursor.seq > Seq(seq - 40), "{poison}");
}

#[test]
fn a_row_that_is_missing_stops_it() {
    let (cluster, flow) = (cluster(), flow(2_000));
    let mut journal = Journal::new();
    journal.play(flow.opening.frames());
    journal.play(flow.prefill.frames());
    let settings = journal.settings(&database(&cluster, "missing"));
    catch_up(&settings).expect("it is written");
    let mut admin = cluster.admin("missing").expect("the administrator");
    admin
        .batch_execute("DELETE FROM xq.orders")
        .expect("a hand deletes");
    journal.play(flow.timed.frames());
    let refused = catch_up(&settings).expect_err("orders that change are not there");
    assert!(refused.to_string().contains("changed by hand"), "{refused}");
}

#[test]
fn wrong_addresses_passwords_and_schemas_are_refused() {
    let (cluster, (journal, _)) = (cluster(), played(100));
    let refused = |url: &str| {
        catch_up(&journal.settings(url))
            .expect_err("it is refused")
            .to_string()
    };
    assert!(refused(&cluster.url("xq_bridge", "nowhere")).contains("3D000"));
    assert!(refused(&cluster.url("nobody_known", "postgres")).contains("28000"));
    let mut admin = cluster.admin("postgres").expect("the administrator");
    admin
        .batch_execute("CREATE ROLE with_password LOGIN PASSWORD 'right'")
        .expect("a role");
    // Without a passfile none is sent.
    assert!(refused(&cluster.url("with_password", "postgres")).contains("password"));
    let url = database(&cluster, "newer");
    catch_up(&journal.settings(&url)).expect("it is written");
    let mut admin = cluster.admin("newer").expect("the administrator");
    let newer = "INSERT INTO xq.refinery_schema_history SELECT 999, 'later', applied_on, checksum \
                 FROM xq.refinery_schema_history LIMIT 1";
    admin.batch_execute(newer).expect("a newer bridge was here");
    let said = refused(&url);
    assert!(said.contains("999") && said.contains("newer bridge"), "{said}");
}

#[test]
fn a_folder_without_a_journal_is_waited_for() {
    let (cluster, folder) = (cluster(), tempfile::tempdir().expect("a folder"));
    let bridge = Bridge::new(settings(folder.path(), &cluster.url("xq_bridge", "xq")));
    let (progress, stop) = (bridge.progress(), bridge.stop());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bridge.run(Until::CaughtUp, &mut |_| ()));
        while progress.read().retries == 0 {
            std::thread::yield_now();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        waiting.join().expect("no panic").expect("it was asked to stop");
    });
}

#[test]
fn readers_see_what_the_refused_see_and_compliance_sees_all() {
    let (cluster, (journal, _)) = (cluster(), played(300));
    catch_up(&journal.settings(&database(&cluster, "roles"))).expect("it is written");
    let mut admin = cluster.admin("roles").expect("the administrator");
    admin
        .batch_execute(
            "CREATE ROLE a_reader LOGIN IN ROLE xq_reader; CREATE ROLE an_officer LOGIN IN ROLE xq_compliance; \
             INSERT INTO xq.rejects SELECT 9, 0, now(), 9, NULL, 16, 101, 904, 1, 1, 0, NULL, '', 5, 6",
        )
        .expect("two people, and a refusal");
    let shown = "SELECT code::bigint FROM xq.refusals WHERE seq = 9";
    let mut reader = cluster.connect("a_reader", "roles").expect("a connection");
    assert_eq!(number(&mut reader, shown), 201);
    for secret in ["rejects", "freezes", "log"] {
        let refused = reader
            .query(&format!("SELECT * FROM xq.{secret}"), &[])
            .expect_err("it is not for readers");
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{secret}");
    }
    for open in [
        "postings",
        "positions",
        "trade_blotter",
        "trial_balance",
        "escrow_coverage",
        "fees_by_day",
        "days",
    ] {
        reader
            .query(&format!("SELECT * FROM xq.{open} LIMIT 5"), &[])
            .expect("it is for readers");
    }
    assert!(reader.batch_execute("UPDATE xq.balances SET amount = 0").is_err());
    let mut officer = cluster.connect("an_officer", "roles").expect("a connection");
    assert_eq!(
        number(&mut officer, "SELECT code::bigint FROM xq.rejects WHERE seq = 9"),
        904
    );
    let mut bridge = cluster.connect("xq_bridge", "roles").expect("a connection");
    assert!(
        bridge.batch_execute("DELETE FROM xq.trades").is_err(),
        "it appends and upserts"
    );
}
