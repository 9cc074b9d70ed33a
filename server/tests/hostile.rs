//! Bad input at the real door: each gets its code and disturbs nobody else. What needs no exchange behind the door
//! (early data, foreign certificates, half-open and slow clients) is in the gateway's own tests; request numbers,
//! unknown series and numbers at their bounds are scenarios.

mod support;

use std::net::UdpSocket;
use support::raw::Raw;
use support::venue::{Desk, Venue, number_of};
use xq_protocol::*;

/// Runs an async test against a venue whose market is open.
fn with_market(test: impl AsyncFnOnce(&Venue, &mut Desk<'_>)) {
    let venue = Venue::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        test(&venue, &mut desk).await;
        desk.assert_goes_on().await;
    });
    venue
        .server
        .stop()
        .expect("it stops cleanly whatever was sent to it");
}

fn order(account: u32) -> PlaceOrder {
    PlaceOrder {
        account: AccountId(account),
        series: SeriesId(1),
        qty: Qty(1),
        side: Side::Buy,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(1_000),
        expire_at: Nanos::ZERO,
        cl_ord_id: ClOrdId::from_text("h").expect("short"),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    }
}

/// The account that the notation calls alice's.
const ALICE: u32 = 2;
/// And bob's.
const BOB: u32 = 3;

fn refusal(frames: &[CommandFrame]) -> RejectReason {
    let frame = frames.last().expect("an answer").frame().expect("a frame");
    let code = match (frame.session_message(), frame.event()) {
        (Ok(SessionMessage::DoorRejected(refused)), _) => refused.code,
        (_, Ok(Event::Rejected(rejected))) => rejected.code,
        (other, event) => panic!("no refusal: {other:?} {event:?}"),
    };
    RejectReason::from_code(code).expect("a code of the list")
}

#[test]
fn garbage_and_tls_1_2_reach_nobody() {
    with_market(async |venue, desk| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        // The head of a TLS 1.2 ClientHello record, as a client over TCP would say it.
        let hello = [
            &[0x16, 0x03, 0x01, 0x00, 0xC8, 0x01, 0x00, 0x00, 0xC4, 0x03, 0x03][..],
            &[7; 200],
        ]
        .concat();
        // A long header of QUIC version 1 with nothing right behind it, padded as an Initial must be.
        let initial = [&[0xC3, 0, 0, 0, 1, 8][..], &[9; 1_250]].concat();
        for length in [0_usize, 1, 7, 20, 1_200, 9_000] {
            let noise: Vec<u8> = (0..length)
                .map(|i| u8::try_from(i * 167 % 251).expect("below 251"))
                .collect();
            for bytes in [noise.as_slice(), &hello, &initial] {
                socket
                    .send_to(bytes, venue.server.address())
                    .expect("loopback takes it");
            }
            desk.assert_goes_on().await;
        }
    });
}

#[test]
fn a_revoked_certificate_ends_its_session_and_opens_no_other() {
    with_market(async |venue, desk| {
        let (mut alice, number) = desk.session("alice", 5).await;
        alice.request(number, &order(ALICE)).await;
        assert_eq!(
            alice.answer(number).await.len(),
            1,
            "accepted while the key is valid"
        );
        let fingerprint = venue.site.keys["alice"].fingerprint;
        desk.say_all(&[&format!("revoke-key alice {fingerprint}")]).await;
        let bye = alice.until_terminate().await;
        let not_authenticated = RejectReason::NotAuthenticated.code();
        assert_eq!(
            (bye.reason, bye.code),
            (TerminateReason::NotAuthorised, not_authenticated)
        );
        let mut again = desk
            .connect("alice")
            .await
            .expect("the authority still vouches for it");
        let session = SessionId::of(number_of("alice"), 5).expect("a slot");
        let refused = again
            .establish(session)
            .await
            .expect_err("the journal revoked it");
        assert_eq!(
            (refused.reason, refused.code),
            (TerminateReason::NotAuthorised, not_authenticated)
        );
    });
}

#[test]
fn a_session_trades_for_its_own_accounts_only() {
    with_market(async |_, desk| {
        let (mut alice, number) = desk.session("alice", 5).await;
        alice.request(number, &order(BOB)).await;
        assert_eq!(refusal(&alice.answer(number).await), RejectReason::NotAuthorised);
        alice.request(number + 1, &order(ALICE)).await;
        alice.answer(number + 1).await;
        // Another participant's session is not opened with this certificate.
        let mut raw = desk.connect("alice").await.expect("the handshake succeeds");
        let session = SessionId::of(number_of("bob"), 5).expect("a slot");
        let bye = raw.establish(session).await.expect_err("it is bob's");
        assert_eq!(
            (bye.reason, bye.code),
            (TerminateReason::NotAuthorised, RejectReason::NotAuthorised.code())
        );
    });
}

/// A frame that a change makes wrong.
fn broken(number: u64, change: impl FnOnce(&mut [u64; 128], &mut Header)) -> Vec<u8> {
    let mut frame = CommandFrame::new(Header::request(ReqSeq(number)), &order(ALICE));
    let length = frame.bytes().len();
    let mut header = *frame.header();
    change(frame.words_mut(), &mut header);
    *frame.header_mut() = header;
    let mut bytes = Vec::new();
    frame
        .words()
        .iter()
        .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.truncate(length);
    bytes
}

#[test]
fn fields_that_are_not_the_clients_are_refused_one_by_one() {
    with_market(async |_, desk| {
        let (mut alice, mut number) = desk.session("alice", 5).await;
        let changes: [fn(&mut Header); 5] = [
            |header| header.seq = Seq(1),
            |header| header.time = Nanos(1),
            |header| header.session = SessionId(161),
            |header| header.index = 1,
            |header| header.flags = 1,
        ];
        for change in changes {
            alice.say(&broken(number, |_, header| change(header))).await;
            assert_eq!(refusal(&alice.answer(number).await), RejectReason::Malformed);
            number += 1;
        }
        alice
            .say(&broken(number, |_, header| header.template_id = 999))
            .await;
        assert_eq!(
            refusal(&alice.answer(number).await),
            RejectReason::UnsupportedMessage
        );
        // A house command is no client's, a value that is none is refused, and the session is still up.
        alice.request(number + 1, &AllSessionsDown {}).await;
        assert_eq!(
            refusal(&alice.answer(number + 1).await),
            RejectReason::NotAuthorised
        );
        alice
            .say(&broken(number + 2, |words, _| words[6] = u64::MAX))
            .await;
        assert_eq!(refusal(&alice.answer(number + 2).await), RejectReason::Malformed);
        alice.request(number + 3, &order(ALICE)).await;
        assert!(
            alice
                .answer(number + 3)
                .await
                .iter()
                .any(|f| f.header().template_id == OrderAccepted::TEMPLATE)
        );
    });
}

/// Says bytes that end the connection; the code they were answered with.
async fn last_words(mut raw: Raw, bytes: &[u8]) -> RejectCode {
    raw.say(bytes).await;
    let bye = raw.until_terminate().await;
    assert_eq!(bye.reason, TerminateReason::Malformed);
    bye.code
}

/// What is done to a header, and the code it is refused with.
type Case = (fn(&mut Header), RejectReason);

#[test]
fn what_is_no_frame_ends_its_connection_and_no_other() {
    with_market(async |_, desk| {
        let cases: [Case; 5] = [
            (|header| header.block_length = 4_096, RejectReason::Malformed),
            (|header| header.block_length = 3, RejectReason::Malformed),
            (|header| header.block_length += 8, RejectReason::Malformed),
            (|header| header.version = 9, RejectReason::SchemaVersion),
            (|header| header.schema_id = 9, RejectReason::SchemaVersion),
        ];
        for (place, (change, reason)) in cases.into_iter().enumerate() {
            let (raw, number) = desk.session("alice", 5).await;
            // A whole further frame behind it, so that a longer one is all there.
            let mut bytes = broken(number, |_, header| change(header));
            bytes.extend_from_slice(&[0; 64]);
            assert_eq!(last_words(raw, &bytes).await, reason.code(), "case {place}");
            desk.assert_goes_on().await;
        }
        // One that is cut off is waited for; its end is the session's.
        let (mut raw, number) = desk.session("alice", 5).await;
        raw.say(&broken(number, |_, _| ())[..50]).await;
        raw.send.finish().expect("the stream is open");
        assert_eq!(raw.until_terminate().await.reason, TerminateReason::Requested);
    });
}
