//! What must not get in, or not stay: early data, foreign certificates, broken frames, half-open and slow clients.

mod support;

use std::time::Duration;
use support::raw::{Raw, raw_endpoint, raw_tls, read_frame};
use support::*;
use tokio::time::timeout;
use xq_client::{Client, ClientError};
use xq_gateway::{Limits, Transport, TrialAuthority};
use xq_protocol::*;

const SOON: Duration = Duration::from_secs(20);

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"));
}

#[tokio::test]
async fn a_resuming_client_cannot_send_early_data() {
    let venue = Venue::standard();
    let mut tls = raw_tls(&venue.authority, &venue.keys[0]);
    tls.enable_early_data = true;
    let endpoint = raw_endpoint(tls);
    let connect = || {
        endpoint
            .connect(venue.gateway.address(), "localhost")
            .expect("a good address")
    };
    for attempt in 0..3 {
        // With a ticket that allowed early data, this would succeed from the second time on.
        let Err(connecting) = connect().into_0rtt() else {
            panic!("early data was possible at attempt {attempt}");
        };
        let connection = connecting.await.expect("the handshake succeeds");
        // The ticket comes after the handshake: an exchange of messages makes sure that it is here.
        let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
        let nonsense = CommandFrame::new(Header::default(), &Sequence { next: ReqSeq(1) });
        send.write_all(nonsense.bytes()).await.expect("open");
        read_frame(&mut recv).await.expect("a good-bye");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_issued_is_refused() {
    let venue = Venue::standard();
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = TrialAuthority::create(folder.path())
        .expect("keys")
        .client("stranger")
        .expect("keys");
    let refused = Client::connect(venue.config_with(&stranger, 0, None))
        .await
        .err()
        .expect("refused");
    assert!(matches!(refused, ClientError::Connection(_)), "{refused}");
    assert_eq!(venue.fake.state().commands, [0_u16; 0]);
}

fn terminated(error: &ClientError) -> (TerminateReason, RejectCode) {
    match error {
        ClientError::Terminated { reason, code } => (*reason, *code),
        other => panic!("a good-bye was expected, not {other}"),
    }
}

#[tokio::test]
async fn unknown_revoked_and_foreign_keys_are_refused() {
    let venue = Venue::standard();
    let unknown = venue.authority.client("carol").expect("keys");
    let nobody = (
        TerminateReason::NotAuthorised,
        RejectReason::NotAuthenticated.code(),
    );
    let refused = Client::connect(venue.config_with(&unknown, 0, None))
        .await
        .err()
        .expect("refused");
    assert_eq!(terminated(&refused), nobody);
    let foreign = Client::connect(venue.config_with(&venue.keys[1], 0, None))
        .await
        .err()
        .expect("refused");
    assert_eq!(
        terminated(&foreign),
        (TerminateReason::NotAuthorised, RejectReason::NotAuthorised.code())
    );

    let mut raw = Raw::connect(&venue, 0).await.establish(0, JournalId::ZERO).await;
    venue
        .fake
        .key(ParticipantId(1), venue.keys[0].fingerprint, KeyState::Revoked);
    let bye = raw.until_terminate().await;
    assert_eq!((bye.reason, bye.code), nobody, "also while it is up");
    let refused = Client::connect(venue.client_config(0, None))
        .await
        .err()
        .expect("refused");
    assert_eq!(terminated(&refused), nobody);
}

fn place(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut frame = CommandFrame::new(Header::request(ReqSeq(1)), &order(Side::Buy, 1));
    let length = frame.bytes().len();
    change(frame.header_mut());
    use zerocopy::IntoBytes;
    frame.words().as_bytes()[..length].to_vec()
}

#[tokio::test]
async fn broken_frames_are_answered_and_the_connection_closed() {
    let venue = Venue::standard();
    let (malformed, version) = (RejectReason::Malformed, RejectReason::SchemaVersion);
    let cases: [(&str, Vec<u8>, RejectReason); 6] = [
        ("oversized", place(|h| h.block_length = 60_000), malformed),
        ("no multiple of eight", place(|h| h.block_length = 57), malformed),
        ("short block", place(|h| h.block_length = 48), malformed),
        (
            "long block",
            [place(|h| h.block_length = 64), vec![0; 8]].concat(),
            malformed,
        ),
        ("version", place(|h| h.version = 99), version),
        ("schema", place(|h| h.schema_id = 99), version),
    ];
    for (name, bytes, reason) in cases {
        let mut raw = Raw::connect(&venue, 0).await.establish(0, JournalId::ZERO).await;
        raw.say(&bytes).await;
        let answer = read_frame(&mut raw.recv).await.expect("an answer");
        let answer = answer.frame().expect("a frame");
        let Ok(SessionMessage::DoorRejected(rejected)) = answer.session_message() else {
            panic!("{name}: it is answered");
        };
        assert_eq!(rejected.code, reason.code(), "{name}");
        let bye = raw.until_terminate().await;
        assert_eq!(
            (bye.reason, bye.code),
            (TerminateReason::Malformed, reason.code()),
            "{name}"
        );
        timeout(SOON, raw.connection.closed())
            .await
            .expect("it is closed");
    }
    assert!(
        !venue.fake.state().commands.contains(&PlaceOrder::TEMPLATE),
        "nothing entered"
    );
    venue.client(0).await;
}

#[tokio::test]
async fn a_truncated_frame_is_waited_for_and_its_end_is_the_sessions() {
    let venue = Venue::standard();
    let mut raw = Raw::connect(&venue, 0).await.establish(0, JournalId::ZERO).await;
    let whole = place(|_| {});
    raw.say(&whole[..50]).await;
    raw.send.finish().expect("open");
    assert_eq!(raw.until_terminate().await.reason, TerminateReason::Requested);
    assert!(
        !venue.fake.state().commands.contains(&PlaceOrder::TEMPLATE),
        "half a frame is none"
    );
    until("SessionDown", || {
        venue.fake.state().commands.contains(&SessionDown::TEMPLATE)
    })
    .await;
}

#[tokio::test]
async fn further_streams_that_ask_for_nothing_are_refused() {
    let venue = Venue::standard();
    let raw = Raw::connect(&venue, 0).await.establish(0, JournalId::ZERO).await;
    let zero = RetransmitRequest {
        from: ReqSeq(0),
        count: Count(1),
        reserved: Reserved::ZERO,
    };
    let cases = [
        (place(|_| {}), RejectReason::UnsupportedMessage),
        (place(|h| h.block_length = 60_000), RejectReason::Malformed),
        (
            CommandFrame::new(Header::default(), &zero).bytes().to_vec(),
            RejectReason::Malformed,
        ),
    ];
    for (bytes, reason) in cases {
        let (mut send, mut recv) = raw.connection.open_bi().await.expect("a stream");
        send.write_all(&bytes).await.expect("open");
        let frame = read_frame(&mut recv).await.expect("an answer");
        let frame = frame.frame().expect("a frame");
        assert!(
            matches!(frame.session_message(), Ok(SessionMessage::Terminate(t)) if t.code == reason.code())
        );
    }
    // A client's unidirectional streams and datagrams are not let in at all.
    assert!(
        timeout(Duration::from_millis(50), raw.connection.open_uni())
            .await
            .is_err()
    );
    assert!(raw.connection.max_datagram_size().is_none());
}

#[tokio::test]
async fn half_open_connections_are_bounded_and_go() {
    let few = Transport {
        connections_max: 16,
        retry_from: 8,
        ..Transport::default()
    };
    // Time enough for 16 handshakes on the slowest machine.
    let patient = Limits {
        establish_within: Nanos(5_000_000_000),
        ..limits()
    };
    let venue = Venue::open(patient, few);
    let endpoint = raw_endpoint(raw_tls(&venue.authority, &venue.keys[0]));
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        let connecting = endpoint
            .connect(venue.gateway.address(), "localhost")
            .expect("a good address");
        match connecting.await {
            Ok(connection) => open.push(connection),
            Err(_) => refused += 1,
        }
        assert!(venue.gateway.stats().connections.get() <= 16);
    }
    assert!(
        !open.is_empty() && refused > 0,
        "{} open, {refused} refused",
        open.len()
    );
    assert!(venue.gateway.stats().connections_refused.get() > 0);
    // Who says nothing in time has to go, so that others find room.
    until("half-open connections gone", || {
        venue.gateway.stats().connections.get() == 0
    })
    .await;
    for connection in &open {
        let closed = timeout(SOON, connection.closed()).await.expect("closed");
        assert!(
            matches!(closed, quinn::ConnectionError::ApplicationClosed(_)),
            "{closed}"
        );
    }
    venue.client(0).await;
}

#[tokio::test]
async fn handshakes_that_never_end_are_bounded_and_go() {
    let within = Duration::from_millis(500);
    let few = Transport {
        connections_max: 64,
        retry_from: 32,
        handshake_within: within,
        ..Transport::default()
    };
    let venue = Venue::open(limits(), few);
    let mut initial = None;
    // A real client's first packet, taken off the wire, sent from 200 addresses that never answer.
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let endpoint = raw_endpoint(raw_tls(&venue.authority, &venue.keys[0]));
    let connecting = endpoint
        .connect(listener.local_addr().expect("bound"), "localhost")
        .expect("a good address");
    listener.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 2_000];
    until("a first packet", || {
        initial = listener.recv(&mut buffer).ok();
        initial.is_some()
    })
    .await;
    drop(connecting);
    let packet = &buffer[..initial.expect("received")];
    let sockets: Vec<_> = (0..200)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"))
        .collect();
    for socket in &sockets {
        socket.send_to(packet, venue.gateway.address()).expect("sent");
    }
    until("some are being served", || {
        venue.gateway.stats().connections.get() > 0
    })
    .await;
    assert!(venue.gateway.stats().connections.get() <= 64);
    until("all gone", || venue.gateway.stats().connections.get() == 0).await;
    venue.client(0).await;
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_finds_all_when_it_comes_back() {
    let small = Limits {
        outbox_max: 64 << 10,
        lapse: Nanos(20_000_000_000),
        ..limits()
    };
    let transport = Transport {
        send_window: 64 << 10,
        ..Transport::default()
    };
    let venue = Venue::open(small, transport);
    // It reads nothing at all after it was established.
    let raw = Raw::connect(&venue, 0).await.establish(0, JournalId::ZERO).await;
    let canceled = canceled(OrderId(1), session_of(0));
    let mut told = 0_u64;
    until("it is dropped", || {
        for _ in 0..100 {
            venue.fake.event(SessionId::HOUSE, &canceled);
            told += 1;
        }
        venue.gateway.stats().too_slow.get() == 1
    })
    .await;
    let closed = timeout(SOON, raw.connection.closed())
        .await
        .expect("it is closed");
    let code = u64::from(TerminateReason::TooSlow as u8);
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(c) if c.error_code.into_inner() == code),
        "{closed}"
    );
    let resume = xq_client::Resume::FROM_THE_START;
    let mut client = Client::connect(venue.client_config(0, Some(resume)))
        .await
        .expect("up");
    for number in 1..=told {
        assert_eq!(event(&mut client).await.0, ReqSeq(number));
    }
}
