//! The order feed: a subscriber's book is the exchange's, from a snapshot on and through every change.

mod support;

use support::*;
use xq_client::BookChange;
use xq_protocol::*;

fn place(venue: &Venue, id: u64, side: Side, price: u64, qty: u32) {
    let accepted = accepted(
        &PlaceOrder {
            qty: Qty(qty),
            ..order(side, price)
        },
        OrderId(id),
    );
    venue.fake.event(session_of(1), &accepted);
}

fn trade(maker: u64, taker: u64, qty: u32, (maker_leaves, taker_leaves): (u32, u32)) -> Traded {
    Traded {
        series: SERIES,
        currency: Currency(156),
        taker_side: Side::Sell,
        reserved: Reserved::ZERO,
        price: Price(100),
        amount: Amount(0),
        qty: Qty(qty),
        maker_leaves: Qty(maker_leaves),
        taker_leaves: Qty(taker_leaves),
        maker_session: session_of(1),
        maker_order: OrderId(maker),
        taker_order: OrderId(taker),
        maker_account: AccountId(1),
        taker_account: AccountId(2),
        maker_fee: Fee(0),
        taker_fee: Fee(0),
        released: Amount(0),
    }
}

fn replaced(id: u64, limit: u64, leaves: u32) -> OrderReplaced {
    OrderReplaced {
        order: OrderId(id),
        account: AccountId(1),
        series: SERIES,
        cl_ord_id: ClOrdId::ZERO,
        limit: Price(limit),
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

fn queue(book: &xq_client::Book, side: Side) -> Vec<(u64, u64, u32)> {
    book.orders(side)
        .map(|r| (r.order.0, r.price.0, r.qty.0))
        .collect()
}

/// A sell order takes 3 whole and 4 of 1; its rest of 6 comes to rest with its command's last event.
fn sell_15_at_100(venue: &Venue) {
    venue.fake.events(session_of(1), |header, events| {
        let arrived = accepted(
            &PlaceOrder {
                qty: Qty(15),
                ..order(Side::Sell, 100)
            },
            OrderId(5),
        );
        events.push(EventFrame::new(header, &arrived));
        events.push(EventFrame::new(header, &trade(3, 5, 5, (0, 10))));
        events.push(EventFrame::new(header, &trade(1, 5, 4, (6, 6))));
    });
}

#[tokio::test]
async fn a_book_is_followed_from_a_snapshot_on() {
    let venue = Venue::standard();
    place(&venue, 1, Side::Buy, 100, 10);
    place(&venue, 2, Side::Buy, 100, 20);
    place(&venue, 3, Side::Buy, 101, 5);
    place(&venue, 4, Side::Sell, 110, 7);
    let alice = venue.client(0).await;
    let mut feed = alice.feed(SERIES).await.expect("the session is up");
    assert_eq!(
        queue(feed.book(), Side::Buy),
        [(3, 101, 5), (1, 100, 10), (2, 100, 20)]
    );
    assert_eq!(queue(feed.book(), Side::Sell), [(4, 110, 7)]);

    sell_15_at_100(&venue);
    let (header, first) = feed.next().await.expect("a change");
    assert!(matches!(first, BookChange::Executed(e) if e.order == OrderId(3) && e.leaves == Qty(0)));
    assert_eq!(
        (header.session, header.req_seq),
        (SessionId(0), ReqSeq(0)),
        "nobody learns who it was"
    );
    feed.next().await.expect("a change");
    assert!(
        matches!(feed.next().await, Ok((_, BookChange::Added(a))) if a.order == OrderId(5) && a.qty == Qty(6))
    );
    assert_eq!(queue(feed.book(), Side::Buy), [(1, 100, 6), (2, 100, 20)]);
    assert_eq!(queue(feed.book(), Side::Sell), [(5, 100, 6), (4, 110, 7)]);

    // Less keeps its place; another price, or more, loses it.
    venue.fake.event(session_of(1), &replaced(1, 100, 2));
    assert!(matches!(feed.next().await, Ok((_, BookChange::Lowered(l))) if l.leaves == Qty(2)));
    venue.fake.event(session_of(1), &replaced(1, 100, 9));
    assert!(matches!(feed.next().await, Ok((_, BookChange::Deleted(_)))));
    assert!(matches!(feed.next().await, Ok((_, BookChange::Added(_)))));
    assert_eq!(queue(feed.book(), Side::Buy), [(2, 100, 20), (1, 100, 9)]);
    assert_eq!(feed.book().head(Side::Buy).map(|r| r.order), Some(OrderId(2)));

    // What is cancelled on arrival was never in the book.
    venue.fake.events(session_of(1), |header, events| {
        let arrived = accepted(&order(Side::Buy, 105), OrderId(6));
        events.push(EventFrame::new(header, &arrived));
        events.push(EventFrame::new(header, &canceled(OrderId(6), session_of(1))));
    });
    venue
        .fake
        .event(SessionId::HOUSE, &canceled(OrderId(2), session_of(1)));
    assert!(matches!(feed.next().await, Ok((_, BookChange::Deleted(d))) if d.order == OrderId(2)));
    assert_eq!(
        (queue(feed.book(), Side::Buy), feed.book().len()),
        (vec![(1, 100, 9)], 3)
    );

    let other = alice.feed(SERIES).await.expect("a second feed");
    assert_eq!(queue(other.book(), Side::Sell), queue(feed.book(), Side::Sell));
    assert_eq!(queue(other.book(), Side::Buy), queue(feed.book(), Side::Buy));
}
