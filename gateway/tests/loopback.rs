//! Sessions over QUIC on loopback: they come up, trade, are heard, are taken over, and go on where they were.

mod support;

use std::time::Duration;
use support::raw::Raw;
use support::*;
use tokio::time::timeout;
use xq_client::{Client, ClientError, Report, Resume};
use xq_gateway::{Limits, Transport};
use xq_protocol::*;

const SOON: Duration = Duration::from_secs(20);

async fn down(client: &mut Client) -> ClientError {
    match timeout(SOON, news(client)).await.expect("it ends soon") {
        Report::Down(error) => error,
        other => panic!("an end was expected, not {other:?}"),
    }
}

fn reason(error: &ClientError) -> Option<(TerminateReason, RejectCode)> {
    match error {
        ClientError::Terminated { reason, code } => Some((*reason, *code)),
        _ => None,
    }
}

#[tokio::test]
async fn a_session_comes_up_and_trades() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    let Report::Up(ack) = alice.next_event().await.expect("open") else {
        panic!("the first report is that it is up");
    };
    assert_eq!(
        (ack.next_req_seq, ack.next_out_seq, ack.journal_id),
        (ReqSeq(1), ReqSeq(1), JOURNAL)
    );
    let number = alice.place(&order(Side::Buy, 100)).await.expect("sent");
    let (out_seq, told) = event(&mut alice).await;
    assert_eq!(
        (out_seq, told.header().req_seq, told.header().session),
        (ReqSeq(1), number, session_of(0))
    );
    let Ok(Event::OrderAccepted(accepted)) = told.event() else {
        panic!("it is accepted");
    };
    assert_eq!(
        (accepted.limit, accepted.cl_ord_id),
        (Price(100), order(Side::Buy, 100).cl_ord_id)
    );
    alice.cancel(&cancel(accepted.order.0)).await.expect("sent");
    let (out_seq, told) = event(&mut alice).await;
    assert!(matches!(told.event(), Ok(Event::OrderCanceled(_))) && out_seq == ReqSeq(2));
}

#[tokio::test]
async fn a_trade_is_told_to_both_sides_and_neither_learns_of_the_other() {
    let venue = Venue::standard();
    let (mut alice, mut bob) = (venue.client(0).await, venue.client(1).await);
    let traded = traded(session_of(0));
    let header = Header {
        session: session_of(1),
        req_seq: ReqSeq(77),
        ..Header::default()
    };
    venue.fake.state().emit(header, |header, events| {
        events.push(EventFrame::new(header, &traded))
    });
    venue.fake.bell.notify_one();
    for (client, liquidity, number) in [
        (&mut alice, Liquidity::Maker, 0),
        (&mut bob, Liquidity::Taker, 77),
    ] {
        let (_, told) = event(client).await;
        assert!(matches!(told.event(), Ok(Event::Executed(e)) if e.liquidity == liquidity));
        let own = if number == 0 { session_of(0) } else { session_of(1) };
        assert_eq!(
            (told.header().session, told.header().req_seq),
            (own, ReqSeq(number))
        );
    }
}

fn traded(maker_session: SessionId) -> Traded {
    Traded {
        series: SERIES,
        currency: Currency(156),
        taker_side: Side::Sell,
        reserved: Reserved::ZERO,
        price: Price(100),
        amount: Amount(300),
        qty: Qty(3),
        maker_leaves: Qty(7),
        taker_leaves: Qty(0),
        maker_session,
        maker_order: OrderId(1),
        taker_order: OrderId(2),
        maker_account: AccountId(1),
        taker_account: AccountId(2),
        maker_fee: Fee(0),
        taker_fee: Fee(0),
        released: Amount(0),
    }
}

#[tokio::test]
async fn an_idle_session_stays_up_and_a_silent_one_ends() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    // Longer than the lapse: only heartbeats both ways keep it up.
    let idle = Duration::from_nanos(2 * limits().lapse.0);
    assert!(timeout(idle, news(&mut alice)).await.is_err(), "nothing happens");
    let raw = Raw::connect(&venue, 1).await;
    let mut raw = raw.establish(0, JournalId::ZERO).await;
    let bye = raw.until_terminate().await;
    assert_eq!(bye.reason, TerminateReason::HeartbeatLost);
    wait_for_command(&venue, SessionDown::TEMPLATE).await;
}

/// Waits until the exchange got a command.
async fn wait_for_command(venue: &Venue, template: u16) {
    let seen = || venue.fake.state().commands.contains(&template);
    timeout(SOON, async {
        while !seen() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the command comes");
}

#[tokio::test]
async fn a_newer_connection_takes_over() {
    let venue = Venue::standard();
    let mut first = venue.client(0).await;
    let mut second = venue.client(0).await;
    let ended = down(&mut first).await;
    assert_eq!(reason(&ended).map(|r| r.0), Some(TerminateReason::TakenOver));
    second.place(&order(Side::Buy, 1)).await.expect("sent");
    event(&mut second).await;
    assert!(
        !venue.fake.state().commands.contains(&SessionDown::TEMPLATE),
        "the session did not end"
    );
}

#[tokio::test]
async fn too_many_requests_are_refused_and_cancels_never() {
    let few = Limits {
        throttle_rate: Count(1),
        throttle_burst: Count(5),
        ..limits()
    };
    let venue = Venue::open(few, Transport::default());
    let mut alice = venue.client(0).await;
    let orders = vec![order(Side::Buy, 1); 8];
    alice.sender().send_all(&orders).await.expect("sent");
    alice.cancel(&cancel(1)).await.expect("sent");
    let (mut refused, mut events) = (Vec::new(), Vec::new());
    while refused.len() + events.len() < 10 {
        match news(&mut alice).await {
            Report::Refused(rejected) => refused.push((rejected.code, rejected.req_seq)),
            Report::Event { frame, .. } => events.push(frame.header().template_id),
            other => panic!("{other:?}"),
        }
    }
    let throttled = RejectReason::Throttled.code();
    assert_eq!(refused, [6, 7, 8].map(|number| (throttled, ReqSeq(number))));
    // The refused numbers are consumed, and that is told with the cancel that came after them.
    let places = [OrderAccepted::TEMPLATE; 5];
    assert_eq!(
        events,
        [&places[..], &[NotApplied::TEMPLATE, OrderCanceled::TEMPLATE]].concat()
    );
    assert_eq!(venue.gateway.stats().rejects(throttled), 3);
}

#[tokio::test]
async fn a_full_ring_refuses_orders_and_takes_cancels() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    venue.fake.state().room = Some(0);
    let sender = alice.sender().clone();
    sender.queue(&order(Side::Buy, 1)).expect("open");
    sender.queue(&cancel(9)).expect("open");
    sender.queue(&order(Side::Buy, 2)).expect("open");
    sender.flush();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        match news(&mut alice).await {
            Report::Refused(rejected) => seen.push((rejected.req_seq.0, rejected.code.0)),
            Report::Event { frame, .. } => seen.push((frame.header().req_seq.0, frame.header().template_id)),
            other => panic!("{other:?}"),
        }
    }
    seen.sort_unstable();
    // The cancel's outcome begins with the order's number, which was consumed.
    assert_eq!(
        seen,
        [
            (1, 111),
            (2, OrderCanceled::TEMPLATE),
            (2, NotApplied::TEMPLATE),
            (3, 111)
        ]
    );
}

async fn numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.push(event(client).await.0.0);
    }
    numbers
}

#[tokio::test]
async fn what_was_missed_is_told_again_from_any_number_also_after_a_restart() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    let many = 10_000_u64;
    let orders: Vec<_> = (1..=many).map(|n| order(Side::Buy, n)).collect();
    let sender = alice.sender().clone();
    let sent = tokio::spawn(async move { sender.send_all(&orders).await });
    let all = usize::try_from(many).expect("small");
    assert_eq!(numbers(&mut alice, all).await, (1..=many).collect::<Vec<_>>());
    sent.await.expect("no panic").expect("sent");
    let resume = alice.resume();
    assert_eq!(
        (resume.next_out_seq, resume.next_req_seq),
        (ReqSeq(many + 1), ReqSeq(many + 1))
    );
    alice.close().await;
    let venue = venue.restart();
    for from in [1, 2, 256, 257, 258, 4_096, 4_097, 9_999, 10_000, 10_001] {
        let resume = Resume {
            next_out_seq: ReqSeq(from),
            ..resume
        };
        let mut again = Client::connect(venue.client_config(0, Some(resume)))
            .await
            .expect("up");
        for number in from..=many {
            let (out_seq, told) = event(&mut again).await;
            assert_eq!((out_seq.0, told.header().flags & Header::REPEATED), (number, 0));
            assert!(matches!(told.event(), Ok(Event::OrderAccepted(a)) if a.limit == Price(number)));
        }
        again.place(&order(Side::Sell, 1)).await.expect("sent");
        let (out_seq, told) = event(&mut again).await;
        assert!(
            out_seq.0 > many && told.header().req_seq.0 > many,
            "it goes on where it was"
        );
        again.close().await;
    }
}

#[tokio::test]
async fn a_repeated_request_gets_its_first_outcome() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    for price in 1..=3 {
        alice.place(&order(Side::Buy, price)).await.expect("sent");
        event(&mut alice).await;
    }
    alice
        .sender()
        .send_as(ReqSeq(2), &order(Side::Buy, 99))
        .expect("sent");
    let (out_seq, told) = event(&mut alice).await;
    assert_eq!((out_seq, told.header().req_seq), (ReqSeq(0), ReqSeq(2)));
    assert_eq!(told.header().flags, Header::LAST | Header::REPEATED);
    assert!(matches!(told.event(), Ok(Event::OrderAccepted(a)) if a.limit == Price(2)));
    alice.place(&order(Side::Buy, 4)).await.expect("sent");
    assert_eq!(
        event(&mut alice).await.0,
        ReqSeq(4),
        "what is repeated has no number"
    );
}

#[tokio::test]
async fn a_client_goes_on_by_itself_when_the_exchange_restarts() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    alice.place(&order(Side::Buy, 1)).await.expect("sent");
    event(&mut alice).await;
    let venue = venue.restart();
    let sent = alice.place(&order(Side::Buy, 2)).await.expect("queued or sent");
    let told = loop {
        match news(&mut alice).await {
            Report::Down(error) => assert!(error.is_passing(), "{error}"),
            Report::Event { out_seq, frame } => break (out_seq, frame.header().req_seq),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told, (ReqSeq(2), sent));
    assert_eq!(venue.gateway.stats().sessions.get(), 1);
}

#[tokio::test]
async fn a_client_that_reads_late_misses_nothing_when_the_exchange_restarts() {
    let venue = Venue::standard();
    let mut alice = venue.client(0).await;
    // One report a batch, the first of them Up, until no further batch finds room: the last event waits outside.
    let many = 64;
    for price in 1..=many {
        alice.place(&order(Side::Buy, price)).await.expect("sent");
        let answered = async {
            while alice.sender().unanswered() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, answered).await.expect("it is answered");
    }
    let venue = venue.restart();
    let lost = async {
        while !matches!(
            alice
                .drop_copy(ParticipantId::ZERO, xq_client::EventPlace::default())
                .await,
            Err(ClientError::NotUp)
        ) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, lost).await.expect("the connection is lost");
    let (mut heard, mut is_back) = (Vec::new(), false);
    while !is_back || heard.len() < usize::try_from(many).expect("small") {
        match timeout(SOON, alice.next_event())
            .await
            .expect("soon")
            .expect("open")
        {
            Report::Down(error) => assert!(error.is_passing(), "{error}"),
            Report::Up(_) => is_back = !heard.is_empty(),
            Report::Event { out_seq, .. } => heard.push(out_seq.0),
            other @ (Report::Missed { .. } | Report::Refused(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!(heard, (1..=many).collect::<Vec<_>>());
    drop(venue);
}

#[tokio::test]
async fn a_client_of_another_history_is_refused() {
    let venue = Venue::standard();
    let ahead = RejectReason::SessionAhead.code();
    let other = Resume {
        next_out_seq: ReqSeq(1),
        next_req_seq: ReqSeq(1),
        journal_id: JournalId([1; 16]),
    };
    let beyond = Resume {
        next_out_seq: ReqSeq(2),
        next_req_seq: ReqSeq(1),
        journal_id: JOURNAL,
    };
    for resume in [other, beyond] {
        let refused = Client::connect(venue.client_config(0, Some(resume)))
            .await
            .err()
            .expect("refused");
        assert_eq!(reason(&refused), Some((TerminateReason::SessionAhead, ahead)));
    }
    assert!(
        !venue.fake.state().commands.contains(&SessionUp::TEMPLATE),
        "it never came up"
    );
}

#[tokio::test]
async fn a_session_that_the_exchange_refuses_ends_with_its_code() {
    let venue = Venue::standard();
    venue.fake.state().refuse_up = Some(RejectReason::Capacity);
    let refused = Client::connect(venue.client_config(0, None))
        .await
        .err()
        .expect("refused");
    assert_eq!(
        reason(&refused),
        Some((TerminateReason::Refused, RejectReason::Capacity.code()))
    );
    venue.fake.state().refuse_up = None;
    venue.client(0).await;
}

#[tokio::test]
async fn any_size_of_payloads_suits_any_other() {
    const SIZES: [Option<u16>; 5] = [None, Some(1), Some(6_000), Some(65_000), Some(u16::MAX)];
    for of_gateway in [None, Some(u16::MAX)] {
        let transport = Transport {
            mtu: of_gateway,
            ..Transport::default()
        };
        let venue = Venue::open(limits(), transport);
        for mtu in SIZES {
            let config = xq_client::Config {
                mtu,
                ..venue.client_config(0, None)
            };
            let mut client = Client::connect(config).await.expect("the session comes up");
            let orders = vec![order(Side::Buy, 1); 1_000];
            client.sender().send_all(&orders).await.expect("sent");
            for _ in 0..orders.len() {
                event(&mut client).await;
            }
            client.close().await;
        }
    }
}
