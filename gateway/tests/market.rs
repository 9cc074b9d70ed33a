//! Market data over real connections: right books, on good lines and bad ones.

#[path = "support/lossy.rs"]
mod lossy;
#[path = "support/market.rs"]
mod market;
mod support;

use lossy::LossyLine;
use market::{House, SOON, limits, until, valid};
use std::sync::atomic::Ordering;
use support::*;
use tokio::time::timeout;
use xq_client::market::{BookChange, LevelsTold, MarketConfig as Subscriber, MarketData, Update};
use xq_protocol::*;

fn ids(market: &MarketData, side: Side) -> Vec<u64> {
    let book = market.book(SERIES).expect("it is right");
    book.orders(side).map(|order| order.order.0).collect()
}

async fn change(market: &mut MarketData) -> BookChange {
    match until(market, |update| matches!(update, Update::Changed { .. })).await {
        Update::Changed { change, .. } => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscriber_keeps_the_book_change_by_change() {
    let house = House::open(limits());
    for (id, side, price) in [
        (1, Side::Buy, 100),
        (2, Side::Buy, 100),
        (3, Side::Buy, 101),
        (4, Side::Sell, 110),
    ] {
        house.place(id, side, price);
    }
    let mut market = house.connect(0).await;
    let symbol = Symbol::from_text("COFFEE").expect("a symbol");
    let (series, told) = market.find(symbol).await.expect("it is listed");
    assert_eq!(
        (series, told.face, told.phase),
        (SERIES, Price(10_000), Phase::Continuous)
    );
    market.subscribe(series);
    valid(&mut market).await;
    assert_eq!(
        (ids(&market, Side::Buy), ids(&market, Side::Sell)),
        (vec![3, 1, 2], vec![4])
    );

    let session = session_of(1);
    // One order trades with two and rests.
    house.fake.events(session, |header, events| {
        let taker = PlaceOrder {
            qty: Qty(15),
            ..order(Side::Sell, 100)
        };
        events.push(EventFrame::new(header, &accepted(&taker, OrderId(5))));
        for (maker, price, qty, maker_leaves, taker_leaves) in [(3, 101, 10, 0, 5), (1, 100, 4, 6, 1)] {
            events.push(EventFrame::new(
                header,
                &traded(maker, price, qty, (maker_leaves, taker_leaves)),
            ));
        }
    });
    assert!(
        matches!(change(&mut market).await, BookChange::Executed(e) if e.order == OrderId(3) && e.leaves.is_zero())
    );
    assert!(
        matches!(change(&mut market).await, BookChange::Executed(e) if e.order == OrderId(1) && e.leaves == Qty(6))
    );
    assert!(
        matches!(change(&mut market).await, BookChange::Added(a) if a.order == OrderId(5) && a.qty == Qty(1))
    );
    assert_eq!(
        (ids(&market, Side::Buy), ids(&market, Side::Sell)),
        (vec![1, 2], vec![5, 4])
    );
    replacements_and_cancels(&house, &mut market).await;
    market.check(SERIES);
    until(&mut market, |update| {
        matches!(update, Update::Checked(SERIES, Some(_)))
    })
    .await;
    assert_eq!(market.tally().unequal, 0);
    market.close().await;
}

/// Less keeps its place; more loses it; what is replaced into a trade leaves the book first.
async fn replacements_and_cancels(house: &House, market: &mut MarketData) {
    let session = session_of(1);
    house.fake.event(session, &replaced(1, 100, 2));
    assert!(matches!(change(market).await, BookChange::Reduced(r) if r.leaves == Qty(2)));
    house.fake.event(session, &replaced(1, 100, 9));
    assert!(matches!(change(market).await, BookChange::Moved(m) if m.qty == Qty(9)));
    assert_eq!(ids(market, Side::Buy), [2, 1]);
    house.fake.events(session, |header, events| {
        events.push(EventFrame::new(
            header,
            &OrderReplaced {
                side: Side::Sell,
                ..replaced(4, 100, 3)
            },
        ));
        events.push(EventFrame::new(
            header,
            &Traded {
                taker_order: OrderId(4),
                ..traded(2, 100, 1, (9, 2))
            },
        ));
    });
    assert!(matches!(change(market).await, BookChange::Deleted(d) if d.order == OrderId(4)));
    assert!(matches!(change(market).await, BookChange::Executed(e) if e.order == OrderId(2)));
    assert!(matches!(change(market).await, BookChange::Added(a) if a.order == OrderId(4) && a.qty == Qty(2)));
    // What is cancelled on arrival was never in the book.
    house.fake.events(session, |header, events| {
        events.push(EventFrame::new(
            header,
            &accepted(&order(Side::Buy, 1), OrderId(6)),
        ));
        events.push(EventFrame::new(header, &canceled(OrderId(6), session)));
    });
    house.fake.event(session, &canceled(OrderId(5), session));
    assert!(matches!(change(market).await, BookChange::Deleted(d) if d.order == OrderId(5)));
}

fn traded(maker: u64, price: u64, qty: u32, (maker_leaves, taker_leaves): (u32, u32)) -> Traded {
    Traded {
        series: SERIES,
        currency: Currency(156),
        taker_side: Side::Sell,
        reserved: Reserved::ZERO,
        price: Price(price),
        amount: Amount(price * u64::from(qty)),
        qty: Qty(qty),
        maker_leaves: Qty(maker_leaves),
        taker_leaves: Qty(taker_leaves),
        maker_session: session_of(1),
        maker_order: OrderId(maker),
        taker_order: OrderId(5),
        maker_account: AccountId(1),
        taker_account: AccountId(2),
        maker_fee: Fee(0),
        taker_fee: Fee(0),
        released: Amount(0),
    }
}

fn replaced(order: u64, price: u64, leaves: u32) -> OrderReplaced {
    OrderReplaced {
        order: OrderId(order),
        account: AccountId(1),
        series: SERIES,
        cl_ord_id: ClOrdId::ZERO,
        limit: Price(price),
        held: Amount(0),
        released: Amount(0),
        total_qty: Qty(leaves),
        leaves: Qty(leaves),
        session: session_of(1),
        currency: Currency(156),
        side: Side::Buy,
        standing: Standing::Book,
    }
}

#[tokio::test]
async fn levels_trades_statistics_and_candles_are_told_to_those_who_follow_levels() {
    let house = House::open(limits());
    house.place(1, Side::Buy, 100);
    house.place(2, Side::Buy, 100);
    let mut market = house.connect(0).await;
    market.follow_levels(SERIES);
    let level = until(&mut market, |update| {
        matches!(update, Update::Levels(_, LevelsTold::Level(_)))
    })
    .await;
    assert!(
        matches!(level, Update::Levels(SERIES, LevelsTold::Level(l)) if l.qty == Amount(20) && l.orders == Count(2))
    );
    house.fake.events(session_of(1), |header, events| {
        events.push(EventFrame::new(
            header,
            &accepted(&order(Side::Sell, 100), OrderId(5)),
        ));
        events.push(EventFrame::new(header, &traded(1, 100, 10, (0, 0))));
    });
    let (mut trade, mut fallen, mut day, mut candles) = (false, false, false, 0);
    until(&mut market, |update| {
        if let Update::Levels(SERIES, told) = update {
            match told {
                LevelsTold::Trade(t) => trade = t.qty == Qty(10) && t.taker_side == Side::Sell,
                LevelsTold::Level(l) => fallen = l.qty == Amount(10) && l.orders == Count(1),
                LevelsTold::Statistics(s) => day = (s.volume, s.turnover) == (Amount(10), Amount(1_000)),
                LevelsTold::Candle(c) => candles += u32::from(c.close == Price(100)),
                LevelsTold::Began | LevelsTold::Best(_) | LevelsTold::Broken(_) => {}
            }
        }
        trade && fallen && day && candles == 5
    })
    .await;
}

#[tokio::test]
async fn over_a_line_that_loses_a_tenth_the_book_is_right_each_time() {
    let house = House::open(limits());
    let line = LossyLine::to(house.door.address(), 7).await;
    let config = Subscriber {
        addr: line.address,
        ..house.config(&house.keys[0])
    };
    let mut market = MarketData::connect(&config).await.expect("the key holds");
    market.subscribe(SERIES);
    valid(&mut market).await;
    line.loss.store(100, Ordering::Relaxed);
    let mut id = 0;
    let (mut round, is_enough) = (0, |lost: u64| lost > 30);
    while round < 10 || !is_enough(line.lost.load(Ordering::Relaxed)) {
        round += 1;
        for _ in 0..40 {
            id += 1;
            house.place(id, Side::Buy, 1 + id * 7 % 100);
            if id % 3 == 0 {
                house
                    .fake
                    .event(session_of(1), &canceled(OrderId(id / 3), session_of(1)));
            }
            tokio::task::yield_now().await;
        }
        let orders = usize::try_from(id - id / 3).expect("few");
        let whole = async {
            while market.book(SERIES).is_none_or(|book| book.len() != orders) {
                market.next().await.expect("it stays connected");
            }
        };
        timeout(SOON, whole).await.expect("it heals soon");
        market.check(SERIES);
        let checked = until(&mut market, |update| matches!(update, Update::Checked(..))).await;
        assert!(
            matches!(checked, Update::Checked(SERIES, Some(_))),
            "round {round}: {checked:?}"
        );
    }
    let tally = market.tally();
    assert!(
        line.lost.load(Ordering::Relaxed) > 20 && tally.unequal == 0,
        "{tally:?}"
    );
}
