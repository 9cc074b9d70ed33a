//! Reconciliation finds nothing in a database that is right, and names what a hand has changed; a rebuild mends it.

mod support;

use support::{Journal, catch_up, cluster, database, digest, flow};
use xq_cluster::Cluster;
use xq_perf::venue::{Running, VenueFlow};
use xq_settlement_bridge::{Bridge, Report, Target, Trouble, reconcile};

/// Replays the flow beside the database.
fn reconciled(cluster: &Cluster, name: &str, flow: &VenueFlow) -> Report {
    let target = Target::parse(&cluster.url("xq_bridge", name), None).expect("a good address");
    let mut last = Running::new();
    let mut report = reconcile::<Trouble>(&target, |cursor, tell| {
        last = Running::new();
        for tape in [&flow.opening, &flow.prefill, &flow.timed] {
            for frame in tape.frames() {
                if last.seq == cursor.position.cursor.seq {
                    return Ok(());
                }
                for event in last.apply(&frame) {
                    tell(&event.frame().expect("an event"))?;
                }
            }
        }
        Ok(())
    })
    .expect("it can be compared");
    let ledger = last.exchange.balances();
    report.compare_balances(
        ledger
            .iter()
            .map(|balance| (balance.place, balance.asset, balance.amount)),
    );
    report
}

/// Five changes by hand, each of another kind.
const HANDS: &str = "
    SET search_path TO xq;
    UPDATE trades SET amount = amount + 1 WHERE (seq, idx) = (SELECT seq, idx FROM trades ORDER BY seq, idx LIMIT 1);
    UPDATE orders SET reason = 'expired' WHERE order_id = (SELECT order_id FROM orders WHERE state = 'canceled' LIMIT 1);
    INSERT INTO transfers SELECT * FROM transfers ORDER BY seq, idx, line LIMIT 1;
    DELETE FROM accounts WHERE account = 7;
    UPDATE balances SET amount = amount - 5 WHERE place = 7;";

#[test]
fn what_a_hand_changed_is_named_and_a_rebuild_mends_it() {
    let (cluster, flow) = (cluster(), flow(8_000));
    let mut journal = Journal::new();
    for tape in [&flow.opening, &flow.prefill, &flow.timed] {
        journal.play(tape.frames());
    }
    let settings = journal.settings(&database(&cluster, "reconciled"));
    catch_up(&settings).expect("it is written");
    let report = reconciled(&cluster, "reconciled", &flow);
    assert_eq!(report.differences, []);
    let rows = |wanted| {
        report
            .rows
            .iter()
            .find(|(table, _)| *table == wanted)
            .map_or(0, |(_, rows)| *rows)
    };
    assert!(rows("trades") > 500 && rows("transfers") > 10_000 && rows("orders") > 10_000);

    let mut admin = cluster.admin("reconciled").expect("the administrator");
    let right = digest(&mut admin);
    admin.batch_execute(HANDS).expect("five hands");
    let differences = reconciled(&cluster, "reconciled", &flow).differences;
    let named: Vec<(&str, &str)> = differences
        .iter()
        .map(|d| (d.table.as_str(), d.column.as_str()))
        .collect();
    let expected = [
        ("accounts", "row"),
        ("orders", "reason"),
        ("trades", "amount"),
        ("transfers", "row"),
        ("balances", "amount"),
    ];
    assert_eq!(named, expected, "{differences:#?}");
    let trade = &differences[2];
    let [journal_says, database_says] =
        [&trade.journal, &trade.database].map(|text| text.parse::<i64>().expect("a number"));
    assert_eq!(database_says, journal_says + 1);
    assert!(
        differences[0].key == "account=7" && differences[0].database == "0 of it",
        "{:?}",
        differences[0]
    );
    assert_eq!(
        (differences[3].journal.as_str(), differences[3].database.as_str()),
        ("1 of it", "2 of it")
    );

    let slot = "SELECT pg_create_logical_replication_slot('somebody', 'pgoutput')";
    admin.batch_execute(slot).expect("a consumer subscribes");
    let bridge = Bridge::new(settings.clone());
    let refused = bridge.rebuild(&mut |_| ()).expect_err("it would miss the swap");
    assert!(refused.to_string().contains("somebody"), "{refused}");
    admin
        .batch_execute("SELECT pg_drop_replication_slot('somebody')")
        .expect("it goes");
    bridge.rebuild(&mut |_| ()).expect("it is built anew");
    assert_eq!(digest(&mut admin), right);
    assert_eq!(reconciled(&cluster, "reconciled", &flow).differences, []);
    assert_eq!(catch_up(&settings).expect("the bridge goes on with it"), 0);
}
