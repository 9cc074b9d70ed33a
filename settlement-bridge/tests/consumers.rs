//! What consumers build on: every trade once through a crash, notices at commits, and a publication.

mod support;

#[path = "../examples/consumer.rs"]
#[allow(dead_code, reason = "its loop is for people")]
mod consumer;

use postgres::fallible_iterator::FallibleIterator;
use std::time::Duration;
use support::{Journal, catch_up, cluster, database, flow, number};
use xq_settlement_bridge::{CHANNEL, PUBLICATION};

#[test]
fn a_consumer_that_crashes_takes_every_trade_once() {
    let (cluster, flow) = (cluster(), flow(6_000));
    let mut journal = Journal::new();
    journal.play(flow.opening.frames());
    let settings = journal.settings(&database(&cluster, "consumed"));
    catch_up(&settings).expect("it is written");
    let mut admin = cluster.admin("consumed").expect("the administrator");
    let name = PUBLICATION;
    admin
        .batch_execute(&format!(
            "SELECT pg_create_logical_replication_slot('consumer_of_{name}', 'pgoutput')"
        ))
        .expect("a slot");
    consumer::prepare(&mut admin).expect("its tables");
    admin
        .batch_execute(&format!("LISTEN {CHANNEL}"))
        .expect("it listens");
    let frames: Vec<_> = flow.prefill.frames().chain(flow.timed.frames()).collect();
    for part in frames.chunks(2_500) {
        journal.play(part.iter().copied());
        catch_up(&settings).expect("it is written");
        // One that dies before its commit leaves nothing.
        let mut dying = cluster.admin("consumed").expect("a connection");
        let mut transaction = dying.transaction().expect("it begins");
        transaction
            .batch_execute("UPDATE settler.taken SET seq = seq + 1000; DELETE FROM settler.obligations")
            .expect("it works");
        drop(transaction);
        consumer::take(&mut admin).expect("it takes");
    }
    let told = three_notices(&mut admin);
    assert!(
        told.iter().all(|seq| seq.parse::<u64>().is_ok_and(|seq| seq > 0)),
        "{told:?}"
    );
    let trades = number(&mut admin, "SELECT count(*) FROM xq.trades");
    assert!(trades > 300, "{trades}");
    assert_eq!(
        number(&mut admin, "SELECT count(*) FROM settler.obligations"),
        trades
    );
    assert_eq!(consumer::take(&mut admin).expect("nothing is left"), (0, false));
    let changes = format!(
        "SELECT count(*) FROM pg_logical_slot_get_binary_changes('consumer_of_{name}', NULL, NULL, \
         'proto_version', '1', 'publication_names', '{name}')"
    );
    assert!(
        number(&mut admin, &changes) > trades,
        "the publication tells of rows"
    );
    admin
        .batch_execute(&format!("SELECT pg_drop_replication_slot('consumer_of_{name}')"))
        .expect("it goes");
}

fn three_notices(client: &mut postgres::Client) -> Vec<String> {
    let mut notices = client.notifications();
    notices
        .timeout_iter(Duration::from_secs(20))
        .map(|notice| Ok(notice.payload().to_owned()))
        .take(3)
        .collect()
        .expect("notices")
}
