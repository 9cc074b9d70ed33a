//! Drop copies: what a participant's sessions were and are told, to who may watch over it.

mod support;

use std::time::Duration;
use support::*;
use tokio::time::timeout;
use xq_client::{Client, ClientError, Copied, DropCopy, EventPlace};
use xq_gateway::Limits;
use xq_protocol::*;

const SOON: Duration = Duration::from_secs(20);
const ALICE: ParticipantId = ParticipantId(1);
const FROM_THE_FIRST: EventPlace = EventPlace {
    seq: Seq(0),
    index: 0,
};

/// An operator beside the two traders.
async fn operator(venue: &Venue) -> Client {
    let key = venue.authority.client("operator").expect("keys can be made");
    venue.fake.participant(3, Role::Operator, &key);
    let config = venue.config_with(&key, 2, None);
    Client::connect(config).await.expect("the session comes up")
}

/// The orders of which a copy tells, until it says that nothing is missing up to a command.
async fn orders(copy: &mut DropCopy, up_to: Seq) -> Vec<u64> {
    let mut orders = Vec::new();
    loop {
        match timeout(SOON, copy.next()).await.expect("soon").expect("open") {
            Copied::UpTo(seq) if seq >= up_to => return orders,
            Copied::UpTo(_) => {}
            Copied::Message(frame) => {
                assert_eq!(frame.header().session.participant(), ALICE);
                match frame.event().expect("an event") {
                    Event::OrderAccepted(accepted) => orders.push(accepted.order.0),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn place(venue: &Venue, who: usize, id: u64) -> Seq {
    let accepted = accepted(&order(Side::Buy, 100), OrderId(id));
    venue.fake.event(session_of(who), &accepted)
}

#[tokio::test]
async fn all_that_was_told_is_told_again_and_then_what_is_told() {
    let venue = Venue::standard();
    for id in 1..=10 {
        place(&venue, 0, id);
        place(&venue, 1, 100 + id);
    }
    let operator = operator(&venue).await;
    let last = place(&venue, 0, 11);
    let mut copy = operator.drop_copy(ALICE, FROM_THE_FIRST).await.expect("it may");
    assert_eq!(orders(&mut copy, last).await, (1..=11).collect::<Vec<_>>());
    place(&venue, 1, 111);
    let last = place(&venue, 0, 12);
    assert_eq!(orders(&mut copy, last).await, [12]);
    // Another one goes on where this one stands.
    let place_now = copy.next_place();
    assert_eq!(
        place_now,
        EventPlace {
            seq: Seq(last.0 + 1),
            index: 0
        }
    );
    drop(copy);
    let last = place(&venue, 0, 13);
    let mut copy = operator.drop_copy(ALICE, place_now).await.expect("it may");
    assert_eq!(orders(&mut copy, last).await, [13]);
    // From now on.
    let far = EventPlace {
        seq: Seq(u64::MAX),
        index: 0,
    };
    let mut copy = operator.drop_copy(ALICE, far).await.expect("it may");
    let last = place(&venue, 0, 14);
    assert_eq!(orders(&mut copy, last).await, [14]);
}

#[tokio::test]
async fn both_sides_of_a_trade_with_oneself_and_of_a_busted_one_are_told() {
    let venue = Venue::standard();
    let sessions = [0, 1].map(|slot| SessionId::of(ALICE, slot).expect("in range"));
    let bust = TradeBusted {
        trade: Seq(1),
        index: Count(1),
        series: SERIES,
        price: Price(5),
        amount: Amount(50),
        maker_order: OrderId(1),
        taker_order: OrderId(2),
        maker_fee: Fee(3),
        taker_fee: Fee(4),
        qty: Qty(10),
        maker_session: sessions[0],
        taker_session: sessions[1],
        maker_account: AccountId(1),
        taker_account: AccountId(2),
        currency: Currency(156),
        taker_side: Side::Buy,
        reserved: Reserved::ZERO,
    };
    let last = venue.fake.event(session_of(2), &bust);
    let alice = venue.client(0).await;
    let own = ParticipantId::ZERO;
    let mut copy = alice.drop_copy(own, FROM_THE_FIRST).await.expect("its own");
    let mut told = Vec::new();
    loop {
        match timeout(SOON, copy.next()).await.expect("soon").expect("open") {
            Copied::UpTo(seq) if seq >= last => break,
            Copied::UpTo(_) => {}
            Copied::Message(frame) => match frame.event().expect("an event") {
                Event::ExecutionBusted(e) => told.push((frame.header().session, e.order.0, e.fee.0, e.side)),
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(
        told,
        [(sessions[1], 2, 4, Side::Buy), (sessions[0], 1, 3, Side::Sell)]
    );
}

#[tokio::test]
async fn a_trader_watches_nobody_else_and_there_are_no_more_than_may_be() {
    let limits = Limits {
        drop_copies_max: 4,
        ..limits()
    };
    let venue = Venue::open(limits, xq_gateway::Transport::default());
    let bob = venue.client(1).await;
    let refused = |reason: RejectReason| {
        let code = reason.code();
        move |error: &ClientError| matches!(error, ClientError::Terminated { code: c, .. } if *c == code)
    };
    let not_his = bob.drop_copy(ALICE, FROM_THE_FIRST).await.err().expect("refused");
    assert!(refused(RejectReason::NotAuthorised)(&not_his), "{not_his}");
    // Of four, one is kept for the house, and nobody has two.
    let own = bob
        .drop_copy(ParticipantId(2), FROM_THE_FIRST)
        .await
        .expect("his own");
    let one_more = bob.drop_copy(ParticipantId(2), FROM_THE_FIRST).await;
    let full = one_more.err().expect("refused");
    assert!(refused(RejectReason::Capacity)(&full), "{full}");
    drop(own);
}
