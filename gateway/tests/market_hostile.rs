//! Everything that a subscriber of market data can do wrong: each is answered by a code, and nobody else notices.

#[path = "support/market.rs"]
mod market;
mod support;

use market::{House, SOON, limits, until, valid};
use support::raw::{raw_endpoint, raw_tls};
use support::*;
use tokio::time::timeout;
use xq_client::ClientError;
use xq_client::market::{MarketData, Update};
use xq_gateway::{MARKET_ALPN, MarketLimits};
use xq_protocol::*;

fn refusal(outcome: Result<MarketData, ClientError>) -> RejectCode {
    match outcome.err() {
        Some(ClientError::Terminated {
            reason: TerminateReason::Refused,
            code,
        }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn too_many_subscribers_and_strangers_are_refused_with_a_code() {
    let house = House::open(MarketLimits {
        subscribers_max: 3,
        subscribers_each: 2,
        ..limits()
    });
    let first = house.connect(0).await;
    let _second = house.connect(0).await;
    let third = MarketData::connect(&house.config(&house.keys[0])).await;
    assert_eq!(
        refusal(third),
        RejectReason::Capacity.code(),
        "two of one participant"
    );
    let _bob = house.connect(1).await;
    let fourth = MarketData::connect(&house.config(&house.keys[1])).await;
    assert_eq!(refusal(fourth), RejectReason::Capacity.code(), "three in all");
    let stranger = house.authority.client("mallory").expect("keys can be made");
    let unknown = MarketData::connect(&house.config(&stranger)).await;
    assert_eq!(refusal(unknown), RejectReason::NotAuthenticated.code());
    assert_eq!(house.door.stats().refusals(RejectReason::Capacity.code()), 2);
    // Whoever leaves makes room.
    first.close().await;
    let again = async { while MarketData::connect(&house.config(&house.keys[0])).await.is_err() {} };
    timeout(SOON, again).await.expect("there is room again");
}

#[tokio::test]
async fn a_revoked_key_ends_its_subscription() {
    let house = House::open(limits());
    let mut market = house.connect(0).await;
    house
        .fake
        .key(ParticipantId(1), house.keys[0].fingerprint, KeyState::Revoked);
    let ended = async {
        loop {
            if let Err(error) = market.next().await {
                return error;
            }
        }
    };
    let error = timeout(SOON, ended).await.expect("it is told");
    assert!(
        matches!(
            error,
            ClientError::Terminated {
                reason: TerminateReason::NotAuthorised,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_symbol_or_series_is_refused_with_a_code() {
    let house = House::open(limits());
    let mut market = house.connect(0).await;
    let error = market
        .find(Symbol::from_text("TEA").expect("a symbol"))
        .await
        .expect_err("there is none");
    assert!(
        matches!(
            error,
            ClientError::MarketRefused(Some(RejectReason::UnknownSeries))
        ),
        "{error}"
    );
    market.subscribe(SeriesId(99));
    let refused = until(&mut market, |update| matches!(update, Update::Refused { .. })).await;
    let (template, reason) = (SnapshotWanted::TEMPLATE, Some(RejectReason::UnknownSeries));
    assert_eq!(refused, Update::Refused { template, reason });
    market.follow_levels(SeriesId(99));
    let refused = until(&mut market, |update| matches!(update, Update::Refused { .. })).await;
    let template = LevelsWanted::TEMPLATE;
    assert_eq!(refused, Update::Refused { template, reason });
}

/// A subscriber that says exactly what it is told to say, and reads nothing by itself.
async fn raw(house: &House) -> (quinn::Endpoint, quinn::Connection, quinn::SendStream) {
    let mut tls = raw_tls(&house.authority, &house.keys[1]);
    tls.alpn_protocols = vec![MARKET_ALPN.to_vec()];
    let endpoint = raw_endpoint(tls);
    let connecting = endpoint
        .connect(house.door.address(), "localhost")
        .expect("a good address");
    let connection = connecting.await.expect("the handshake succeeds");
    let requests = connection.open_uni().await.expect("a stream");
    (endpoint, connection, requests)
}

async fn closing_code(connection: &quinn::Connection) -> u64 {
    match timeout(SOON, connection.closed())
        .await
        .expect("it is closed soon")
    {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

fn request<M: Message>(series: SeriesId, message: &M) -> Vec<u8> {
    let stamp = Stamp {
        series,
        ..Stamp::default()
    };
    PacketBuf::of(stamp, message).finish().to_vec()
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection_and_nobody_elses() {
    let house = House::open(limits());
    let mut other = house.connect(0).await;
    other.subscribe(SERIES);
    valid(&mut other).await;
    let whole = request(SERIES, &HashWanted { request: ReqSeq(1) });
    let (mut version, mut length, mut template) = (whole.clone(), whole.clone(), whole.clone());
    version[2] = 9;
    length[0] = 33;
    template[PACKET_HEADER_LEN] = 0xFF;
    let told = request(
        SERIES,
        &BookHashed {
            request: ReqSeq(1),
            next: ChannelSeq(1),
            hash: BookHash(1),
            orders: Count(1),
            reserved: Reserved::ZERO,
        },
    );
    let mut open = Vec::new();
    for (bytes, ends) in [
        (vec![0xFF; 64], true),
        (version, true),
        (length, true),
        (template, true),
        (told, false),
    ] {
        let (endpoint, connection, mut requests) = raw(&house).await;
        requests.write_all(&bytes).await.expect("the stream is open");
        if ends {
            let malformed = u64::from(TerminateReason::Malformed as u8);
            assert_eq!(closing_code(&connection).await, malformed, "{bytes:?}");
        }
        open.push((endpoint, connection, requests));
    }
    assert!(house.door.stats().refusals(RejectReason::Malformed.code()) >= 4);
    house.place(1, Side::Buy, 100);
    until(&mut other, |update| matches!(update, Update::Changed { .. })).await;
    let unsupported = RejectReason::UnsupportedMessage.code();
    let counted = async {
        while house.door.stats().refusals(unsupported) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, counted)
        .await
        .expect("what only the exchange says is refused");
}

#[tokio::test]
async fn one_who_never_reads_is_dropped_and_never_waited_for() {
    let house = House::open(MarketLimits {
        stall: Nanos(100_000_000),
        ..limits()
    });
    for id in 1..=4_000 {
        house.place(id, Side::Buy, 1 + id % 1_000);
    }
    let (_endpoint, connection, mut requests) = raw(&house).await;
    let mut answers = connection.accept_uni().await.expect("the exchange welcomes it");
    let mut welcome = [0; PACKET_HEADER_LEN];
    answers.read_exact(&mut welcome).await.expect("it welcomes");
    // From here on nothing is read any more, and more is asked for than waits anywhere on the way.
    for number in 1..=60 {
        let wanted = SnapshotWanted {
            request: ReqSeq(number),
        };
        requests
            .write_all(&request(SERIES, &wanted))
            .await
            .expect("the stream is open");
    }
    assert_eq!(
        closing_code(&connection).await,
        u64::from(TerminateReason::TooSlow as u8)
    );
    assert_eq!(house.door.stats().dropped.get(), 1);
    let mut other = house.connect(0).await;
    other.subscribe(SERIES);
    valid(&mut other).await;
    assert_eq!(other.book(SERIES).expect("it is right").len(), 4_000);
}

#[tokio::test]
async fn one_who_asks_for_snapshots_all_day_is_refused_and_others_are_served() {
    let house = House::open(MarketLimits {
        snapshot_orders_max: 1_000,
        snapshot_orders_rate: Count(100),
        ..limits()
    });
    house.place(1, Side::Buy, 100);
    let (_endpoint, connection, mut requests) = raw(&house).await;
    for number in 1..=500 {
        let wanted = SnapshotWanted {
            request: ReqSeq(number),
        };
        requests
            .write_all(&request(SERIES, &wanted))
            .await
            .expect("the stream is open");
    }
    let throttled = RejectReason::Throttled.code();
    let refused = async {
        while house.door.stats().refusals(throttled) < 400 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("it is refused");
    assert!(
        connection.close_reason().is_none(),
        "that is no reason to cut it off"
    );
    assert!(house.door.stats().snapshots.get() < 100);
    let mut other = house.connect(0).await;
    other.subscribe(SERIES);
    valid(&mut other).await;
}

#[tokio::test]
async fn a_book_beyond_the_largest_snapshot_and_channels_that_are_not_there_are_refused() {
    let house = House::open(MarketLimits {
        snapshot_orders_max: 2,
        ..limits()
    });
    for id in 1..=3 {
        house.place(id, Side::Buy, 100);
    }
    let (_endpoint, _connection, mut requests) = raw(&house).await;
    let channels = ChannelMask(1 << 4);
    let wanted = [
        request(SERIES, &SnapshotWanted { request: ReqSeq(1) }),
        request(
            SERIES,
            &ChannelsWanted {
                request: ReqSeq(2),
                channels,
            },
        ),
        request(
            SERIES,
            &RepairWanted {
                request: ReqSeq(3),
                from: ChannelSeq(1),
                count: Count(0),
                channel: Count(0),
            },
        ),
        request(
            SERIES,
            &RepairWanted {
                request: ReqSeq(4),
                from: ChannelSeq(1),
                count: Count(1),
                channel: Count(4),
            },
        ),
        request(
            SERIES,
            &RepairWanted {
                request: ReqSeq(5),
                from: ChannelSeq(1 << 60),
                count: Count(1),
                channel: Count(0),
            },
        ),
    ];
    requests
        .write_all(&wanted.concat())
        .await
        .expect("the stream is open");
    let stats = house.door.stats();
    let counted = |reason: RejectReason| stats.refusals(reason.code());
    let refused = async {
        while [
            RejectReason::Capacity,
            RejectReason::Malformed,
            RejectReason::StaleRequest,
        ]
        .map(counted)
            != [1, 3, 1]
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("each is refused by its code");
}
