//! Every event is in PostgreSQL exactly once, whatever ends a bridge or comes between.

mod support;

use std::sync::atomic::Ordering;
use support::{Journal, catch_up, cluster, database, digest, flow, number, played};
use xq_cluster::{Cluster, Durability};
use xq_journal::EventTail;
use xq_protocol::*;
use xq_settlement_bridge::{Bridge, CursorFile, Sealed, Until};

#[test]
fn a_flow_arrives_with_all_its_sums() {
    let (cluster, (journal, flow)) = (cluster(), played(20_000));
    let settings = journal.settings(&database(&cluster, "whole"));
    catch_up(&settings).expect("it is written");
    let mut client = cluster.connect("xq_bridge", "whole").expect("a connection");
    let trades = i64::try_from(flow.outcome.trades).expect("few");
    assert!(trades > 1_000);
    assert!(number(&mut client, "SELECT count(*) FROM xq.trades") >= trades);
    let open = "SELECT count(*) FROM xq.orders WHERE state = 'open'";
    assert_eq!(
        number(&mut client, open),
        i64::from(journal.running.exchange.open_orders())
    );
    let unbalanced =
        "SELECT count(*) FROM (SELECT asset FROM xq.balances GROUP BY asset HAVING sum(amount) <> 0) a";
    assert_eq!(number(&mut client, unbalanced), 0, "every asset sums to zero");
    let of_engine: i128 = journal
        .running
        .exchange
        .balances()
        .iter()
        .map(|balance| balance.amount.abs())
        .sum();
    let of_tables = number(&mut client, "SELECT sum(abs(amount))::bigint FROM xq.balances");
    assert_eq!(i128::from(of_tables), of_engine);
    let filled = "SELECT count(*) FROM xq.orders o WHERE filled <> (SELECT coalesce(sum(qty), 0) FROM xq.trades t \
                  WHERE t.maker_order = o.order_id OR t.taker_order = o.order_id) AND o.filled > 0 AND o.seq % 50 = 0";
    assert_eq!(
        number(&mut client, filled),
        0,
        "an order has filled what its trades say"
    );
    let seq = number(&mut client, "SELECT seq FROM xq.bridge_cursor");
    assert_eq!(u64::try_from(seq), Ok(journal.running.seq.0));
    let file = CursorFile::in_folder(journal.folder.path());
    let needed = EventTail::reads_from(journal.running.seq);
    assert_eq!(file.read().expect("readable"), Some(Seq(needed.0 - 1)));
    assert_eq!(catch_up(&settings).expect("nothing is left"), 0);
}

#[test]
fn however_it_is_cut_the_rows_are_the_same() {
    let (cluster, flow) = (cluster(), flow(6_000));
    let mut journal = Journal::new();
    let pieces = journal.settings(&database(&cluster, "pieces"));
    for tape in [&flow.opening, &flow.prefill, &flow.timed] {
        let frames: Vec<_> = tape.frames().collect();
        for part in frames.chunks(1_700) {
            journal.play(part.iter().copied());
            catch_up(&pieces).expect("it is written");
        }
    }
    let mut one = journal.settings(&database(&cluster, "piece"));
    one.rows_max = 1 << 20;
    catch_up(&one).expect("it is written");
    let [mut pieces, mut one] =
        ["pieces", "piece"].map(|name| cluster.connect("xq_bridge", name).expect("a connection"));
    assert_eq!(digest(&mut pieces), digest(&mut one));
}

#[test]
fn a_bridge_that_stops_in_the_middle_goes_on_where_it_was() {
    let (cluster, (journal, _)) = (cluster(), played(6_000));
    let settings = journal.settings(&database(&cluster, "stopped"));
    let mut runs = 0;
    loop {
        let bridge = Bridge::new(settings.clone());
        let (stop, mut batches) = (bridge.stop(), 0);
        bridge
            .run(Until::CaughtUp, &mut |_: &Sealed| {
                batches += 1;
                stop.store(batches >= 7, Ordering::Relaxed);
            })
            .expect("it is written");
        runs += 1;
        if batches < 7 {
            break;
        }
    }
    assert!(runs > 3, "{runs}");
    catch_up(&journal.settings(&database(&cluster, "unstopped"))).expect("it is written");
    let [mut one, mut other] =
        ["stopped", "unstopped"].map(|name| cluster.connect("xq_bridge", name).expect("a connection"));
    assert_eq!(digest(&mut one), digest(&mut other));
}

#[test]
fn two_bridges_at_once_write_nothing_twice() {
    let (cluster, (journal, _)) = (cluster(), played(6_000));
    let settings = journal.settings(&database(&cluster, "two"));
    let mut first = true;
    // Between two transactions of one, the other writes all there is.
    Bridge::new(settings.clone())
        .run(Until::CaughtUp, &mut |_: &Sealed| {
            if std::mem::take(&mut first) {
                catch_up(&settings).expect("the other writes");
            }
        })
        .expect("it gives way and finds all done");
    assert!(!first);
    catch_up(&journal.settings(&database(&cluster, "alone"))).expect("it is written");
    let [mut one, mut other] =
        ["two", "alone"].map(|name| cluster.connect("xq_bridge", name).expect("a connection"));
    assert_eq!(digest(&mut one), digest(&mut other));
}

#[test]
fn postgresql_that_is_killed_or_away_is_waited_for() {
    let (cluster, (journal, _)) = (
        Cluster::temporary(Durability::None).expect("a private PostgreSQL"),
        played(6_000),
    );
    let bridge = Bridge::new(journal.settings(&cluster.url("xq_bridge", "xq")));
    let progress = bridge.progress();
    cluster.stop().expect("it stops");
    let (mut batches, mut kills) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while progress.read().retries == 0 {
                std::thread::yield_now();
            }
            cluster.start().expect("it starts");
        });
        bridge
            .run(Until::CaughtUp, &mut |_: &Sealed| {
                batches += 1;
                if batches % 10 == 0 && kills < 3 {
                    cluster.kill().expect("it runs");
                    cluster.start().expect("it starts again");
                    kills += 1;
                }
            })
            .expect("it is written in the end");
    });
    assert_eq!(kills, 3, "each was hit");
    assert!(progress.read().retries >= 4);
    let url = database(&cluster, "calm");
    catch_up(&journal.settings(&url)).expect("it is written");
    let [mut one, mut other] =
        ["xq", "calm"].map(|name| cluster.connect("xq_bridge", name).expect("a connection"));
    assert_eq!(digest(&mut one), digest(&mut other));
}

#[test]
fn a_database_that_is_read_only_for_a_while_is_waited_for() {
    let (cluster, (journal, _)) = (cluster(), played(200));
    let url = database(&cluster, "still");
    let mut admin = cluster.admin("postgres").expect("the administrator");
    admin
        .batch_execute("ALTER DATABASE still SET default_transaction_read_only = on")
        .expect("it is set");
    let bridge = Bridge::new(journal.settings(&url));
    let progress = bridge.progress();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| bridge.run(Until::CaughtUp, &mut |_: &Sealed| ()));
        while progress.read().retries == 0 {
            std::thread::yield_now();
        }
        admin
            .batch_execute("ALTER DATABASE still RESET default_transaction_read_only")
            .expect("it is reset");
        writing.join().expect("no panic").expect("it is written");
    });
    assert_eq!(progress.read().committed, journal.running.seq);
}

#[test]
fn a_trade_that_is_undone_is_told_and_its_fees_go() {
    let (cluster, (mut journal, _)) = (cluster(), played(300));
    let settings = journal.settings(&database(&cluster, "busted"));
    catch_up(&settings).expect("it is written");
    let mut client = cluster.connect("xq_bridge", "busted").expect("a connection");
    let trade = client
        .query_one(
            "SELECT seq, idx, series, price, amount, qty, maker_fee, taker_fee, maker_account, taker_account FROM xq.trades \
             ORDER BY seq, idx LIMIT 1",
            &[],
        )
        .expect("a trade");
    let number_of = |at: usize| u64::try_from(trade.get::<_, i64>(at)).expect("positive");
    let short = |at: usize| u32::try_from(number_of(at)).expect("small");
    let header = Header {
        seq: journal.running.seq.next(),
        time: Nanos(1_700_000_100_000_000_000),
        flags: Header::LAST,
        ..Header::default()
    };
    let busted = TradeBusted {
        trade: Seq(number_of(0)),
        index: Count(u32::try_from(trade.get::<_, i32>(1)).expect("small")),
        series: SeriesId(short(2)),
        price: Price(number_of(3)),
        amount: Amount(number_of(4)),
        maker_order: OrderId(1),
        taker_order: OrderId(2),
        maker_fee: Fee(trade.get(6)),
        taker_fee: Fee(trade.get(7)),
        qty: Qty(short(5)),
        maker_session: SessionId(80),
        taker_session: SessionId(80),
        maker_account: AccountId(short(8)),
        taker_account: AccountId(short(9)),
        currency: Currency(156),
        taker_side: Side::Buy,
        reserved: Reserved::ZERO,
    };
    let fees = "SELECT sum(maker_fee + taker_fee)::bigint FROM xq.trades";
    let charged = number(&mut client, fees);
    journal.forge(EventFrame::new(header, &busted).bytes());
    catch_up(&settings).expect("it is written");
    let undone = "SELECT seq FROM xq.trade_blotter WHERE busted_by IS NOT NULL";
    assert_eq!(u64::try_from(number(&mut client, undone)), Ok(number_of(0)));
    let left = "SELECT ((sum(fees) - sum(rebates)) * 100)::bigint FROM xq.fees_by_day";
    assert_eq!(
        number(&mut client, left),
        charged - trade.get::<_, i64>(6) - trade.get::<_, i64>(7)
    );
    assert_eq!(
        number(&mut client, "SELECT sum(busts)::bigint FROM xq.fees_by_day"),
        1
    );
}
