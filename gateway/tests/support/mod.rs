//! A small exchange in memory, for the gateway's borders: it answers every command at once and forgets nothing.

#![allow(dead_code)]

pub mod raw;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::Notify;
use xq_client::{Client, Config, Report, Resume};
use xq_gateway::{
    Again, Begun, Borders, Clock, EventSource, Gateway, GatewayConfig, Ingress, Limits, Market,
    MarketBorders, MarketLimits, Transport, TrialAuthority, TrialKey,
};
use xq_protocol::*;

/// The exchange's state and its events.
#[derive(Default)]
pub struct State {
    pub events: Vec<EventFrame>,
    /// Where each command's first event stands, by `Seq - 1`.
    firsts: Vec<usize>,
    sessions: HashMap<SessionId, FakeSession>,
    /// Every command that came in, by its template.
    pub commands: Vec<u16>,
    pub refuse_up: Option<RejectReason>,
    /// Bytes that are still taken; none for all.
    pub room: Option<usize>,
    orders: u64,
}

#[derive(Default)]
struct FakeSession {
    last: u64,
    outcomes: HashMap<u64, Seq>,
}

/// The exchange; its clones are one.
#[derive(Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    pub bell: Arc<Notify>,
}

struct Source {
    fake: Fake,
    next: usize,
}

struct WallClock {
    start: Instant,
    at: u64,
}

impl Clock for WallClock {
    fn now(&self) -> Nanos {
        Nanos(self.at + u64::try_from(self.start.elapsed().as_nanos()).expect("a test is short"))
    }
}

impl State {
    /// Appends the events of the next command.
    pub fn emit(&mut self, header: Header, build: impl FnOnce(Header, &mut Vec<EventFrame>)) -> Seq {
        let seq = Seq(u64::try_from(self.firsts.len()).expect("small") + 1);
        self.firsts.push(self.events.len());
        let first = self.events.len();
        build(
            Header {
                seq,
                flags: 0,
                ..header
            },
            &mut self.events,
        );
        for (index, event) in self.events[first..].iter_mut().enumerate() {
            event.header_mut().index = u16::try_from(index).expect("few");
        }
        self.events
            .last_mut()
            .expect("every command has an event")
            .header_mut()
            .flags = Header::LAST;
        seq
    }

    fn apply(&mut self, frame: &Frame<'_>) {
        let command = frame.command().expect("the door lets only commands in");
        let header = *frame.header;
        self.commands.push(header.template_id);
        if let Command::SessionUp(up) = command {
            return self.session_up(header, up);
        } else if let Command::SessionDown(down) = command {
            let ended = SessionEnded {
                connection: down.connection,
                cancel_at: Nanos(1),
            };
            self.emit(header, |header, events| {
                events.push(EventFrame::new(header, &ended))
            });
            return;
        }
        let session = self.sessions.entry(header.session).or_default();
        let number = header.req_seq.0;
        if number <= session.last {
            let original = session.outcomes.get(&number).copied();
            self.emit(header, |header, events| events.push(repeated(header, original)));
            return;
        }
        let skipped = (number > session.last + 1).then(|| (session.last + 1, number - 1));
        session.last = number;
        self.orders += 1;
        let order = OrderId(self.orders);
        let seq = self.emit(header, |header, events| {
            if let Some((from, to)) = skipped {
                let (from, to) = (ReqSeq(from), ReqSeq(to));
                events.push(EventFrame::new(header, &NotApplied { from, to }));
            }
            events.push(outcome(header, &command, order));
        });
        self.sessions
            .entry(header.session)
            .or_default()
            .outcomes
            .insert(number, seq);
    }

    fn session_up(&mut self, header: Header, up: &SessionUp) {
        if let Some(reason) = self.refuse_up {
            let refused = rejected(header.template_id, reason);
            self.emit(header, |header, events| {
                events.push(EventFrame::new(header, &refused))
            });
            return;
        }
        let last = self.sessions.entry(header.session).or_default().last;
        let established = SessionEstablished {
            connection: up.connection,
            last_req_seq: ReqSeq(last),
            window: Count(8_192),
            reserved: Reserved::ZERO,
        };
        self.emit(header, |header, events| {
            events.push(EventFrame::new(header, &established))
        });
    }
}

fn repeated(header: Header, original: Option<Seq>) -> EventFrame {
    let req_seq = header.req_seq;
    match original {
        Some(original) => EventFrame::new(header, &RequestRepeated { req_seq, original }),
        None => EventFrame::new(
            header,
            &NotApplied {
                from: req_seq,
                to: req_seq,
            },
        ),
    }
}

pub fn rejected(template: u16, reason: RejectReason) -> Rejected {
    Rejected {
        template: Count(u32::from(template)),
        code: reason.code(),
        reserved: Reserved::ZERO,
        cl_ord_id: ClOrdId::ZERO,
        order: OrderId(0),
        account: AccountId(0),
        series: SeriesId(0),
        observed: Observed(0),
        allowed: Observed(0),
    }
}

fn outcome(header: Header, command: &Command<'_>, order: OrderId) -> EventFrame {
    match command {
        Command::PlaceOrder(place) => EventFrame::new(header, &accepted(place, order)),
        Command::CancelOrder(cancel) => EventFrame::new(header, &canceled(cancel.order, header.session)),
        other => EventFrame::new(header, &rejected(other.template(), RejectReason::SeriesState)),
    }
}

pub fn accepted(place: &PlaceOrder, order: OrderId) -> OrderAccepted {
    OrderAccepted {
        order,
        account: place.account,
        series: place.series,
        cl_ord_id: place.cl_ord_id,
        limit: place.limit,
        expire_at: place.expire_at,
        held: Amount(0),
        qty: place.qty,
        currency: Currency(156),
        side: place.side,
        order_type: place.order_type,
        tif: place.tif,
        execution: place.execution,
        on_disconnect: place.on_disconnect,
        reserved: Reserved::ZERO,
    }
}

pub fn canceled(order: OrderId, session: SessionId) -> OrderCanceled {
    OrderCanceled {
        order,
        account: AccountId(1),
        series: SERIES,
        session,
        qty: Qty(1),
        released: Amount(0),
        currency: Currency(156),
        side: Side::Buy,
        reason: CancelReason::Requested,
        reserved: Reserved::ZERO,
    }
}

impl Ingress for Fake {
    fn offer(&mut self, frames: &[u8]) -> usize {
        let mut state = self.state();
        let (mut rest, mut taken) = (frames, 0);
        while let Ok((frame, after)) = Frame::split(rest) {
            let length = frame.bytes().len();
            let urgent = is_urgent(frame.header.template_id);
            match state.room.as_mut().filter(|_| !urgent) {
                Some(room) if *room < length => break,
                Some(room) => *room -= length,
                None => {}
            }
            state.apply(&frame);
            taken += length;
            rest = after;
        }
        drop(state);
        self.bell.notify_one();
        taken
    }
}

impl EventSource for Source {
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        let state = self.fake.state();
        let end = state.events.len().min(self.next + 4_096);
        for event in &state.events[self.next..end] {
            visit(&event.frame().expect("events are frames"));
        }
        let visited = end - self.next;
        self.next = end;
        visited
    }
    fn read_from(&mut self, from: Seq, visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again {
        let state = self.fake.state();
        let first = state.firsts[usize::try_from(from.0 - 1).expect("small")];
        for event in &state.events[first..self.next] {
            if visit(&event.frame().expect("events are frames")).is_break() {
                break;
            }
        }
        Again::Visited
    }
    fn oldest(&mut self) -> Seq {
        Seq(1)
    }

    fn durable(&self) -> Seq {
        Seq(u64::try_from(self.fake.state().firsts.len()).expect("small"))
    }
}

pub const SERIES: SeriesId = SeriesId(7);
pub const JOURNAL: JournalId = JournalId([0xAB; 16]);

impl Fake {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    pub fn opened() -> Fake {
        let fake = Fake::default();
        let opened = ExchangeOpened {
            journal_id: JOURNAL,
            rules_version: Count(1),
            reserved: Reserved::ZERO,
            currencies: Currencies::default(),
        };
        fake.event(SessionId::HOUSE, &opened);
        fake
    }

    /// One event of a command of its own.
    pub fn event<M: Message>(&self, session: SessionId, body: &M) -> Seq {
        self.events(session, |header, events| {
            events.push(EventFrame::new(header, body))
        })
    }

    /// The events of one command.
    pub fn events(&self, session: SessionId, build: impl FnOnce(Header, &mut Vec<EventFrame>)) -> Seq {
        let header = Header {
            session,
            ..Header::default()
        };
        let seq = self.state().emit(header, build);
        self.bell.notify_one();
        seq
    }

    pub fn participant(&self, participant: u32, role: Role, key: &TrialKey) {
        let participant = ParticipantId(participant);
        let (reserved, reference) = (Reserved::ZERO, Hash([0; 32]));
        self.event(
            SessionId::HOUSE,
            &ParticipantRegistered {
                participant,
                role,
                reserved,
                reference,
            },
        );
        self.key(participant, key.fingerprint, KeyState::Valid);
    }

    pub fn key(&self, participant: ParticipantId, fingerprint: Hash, state: KeyState) {
        let (purpose, reserved) = (KeyPurpose::Session, Reserved::ZERO);
        self.event(
            SessionId::HOUSE,
            &KeySet {
                participant,
                purpose,
                state,
                reserved,
                fingerprint,
            },
        );
    }

    pub fn borders(&self) -> Borders {
        let start = Instant::now();
        let at = 1_700_000_000_000_000_000 + u64::try_from(self.state().events.len()).expect("small");
        Borders {
            ingress: Box::new(self.clone()),
            source: Box::new(Source {
                fake: self.clone(),
                next: 0,
            }),
            clock: Arc::new(WallClock { start, at }),
            bell: Arc::clone(&self.bell),
            delays: Arc::default(),
            begun: Begun::default(),
        }
    }
}

impl Fake {
    /// What market data needs, from the first event on.
    pub fn market_borders(&self, limits: MarketLimits) -> MarketBorders {
        let Borders {
            source,
            clock,
            bell,
            delays,
            ..
        } = self.borders();
        MarketBorders {
            source,
            clock,
            bell,
            market: Market::new(limits),
            keys: Vec::new(),
            journal_id: JOURNAL,
            delays,
        }
    }

    /// A series that trades.
    pub fn series(&self, series: SeriesId, symbol: &str) {
        let drafted = SeriesDrafted {
            series,
            issuer: ParticipantId(9),
            symbol: Symbol::from_text(symbol).expect("a symbol"),
            currency: Currency(156),
            reserved: Reserved::ZERO,
            lot: Qty(1),
            tick: Price(1),
            face: Price(10_000),
            redeem_value: Price(10_000),
            issue_cap: Amount(1_000_000),
            valid_from: Nanos(0),
            valid_to: Nanos(u64::MAX),
        };
        self.event(SessionId::HOUSE, &drafted);
        let (phase, reserved) = (Phase::Continuous, Reserved::ZERO);
        self.event(
            SessionId::HOUSE,
            &PhaseSet {
                series,
                phase,
                reserved,
            },
        );
    }
}

/// A gateway before a fake exchange, with keys for participant 1 (trader) and 2 (trader).
pub struct Venue {
    pub fake: Fake,
    pub gateway: Gateway,
    pub config: GatewayConfig,
    pub authority: TrialAuthority,
    pub keys: [TrialKey; 2],
    _folder: tempfile::TempDir,
}

pub fn limits() -> Limits {
    Limits {
        establish_within: Nanos(300_000_000),
        heartbeat: Nanos(100_000_000),
        lapse: Nanos(600_000_000),
        throttle_rate: Count(10_000_000),
        throttle_burst: Count(1_000_000),
        ..Limits::default()
    }
}

impl Venue {
    pub fn open(limits: Limits, transport: Transport) -> Venue {
        let folder = tempfile::tempdir().expect("a folder for the keys");
        let authority = TrialAuthority::create(folder.path()).expect("keys can be made");
        let server = authority
            .server("server", &["localhost"])
            .expect("keys can be made");
        let keys = ["alice", "bob"].map(|name| authority.client(name).expect("keys can be made"));
        let fake = Fake::opened();
        fake.participant(1, Role::Trader, &keys[0]);
        fake.participant(2, Role::Trader, &keys[1]);
        let config = GatewayConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            cert: server.cert,
            key: server.key,
            client_ca: authority.cert(),
            limits,
            transport,
        };
        let gateway = Gateway::start(config.clone(), fake.borders()).expect("the gateway starts");
        Venue {
            fake,
            gateway,
            config,
            authority,
            keys,
            _folder: folder,
        }
    }

    pub fn standard() -> Venue {
        Venue::open(limits(), Transport::default())
    }

    /// Stops the gateway and starts another one on the same events.
    pub fn restart(self) -> Venue {
        let Venue {
            fake,
            gateway,
            mut config,
            authority,
            keys,
            _folder,
        } = self;
        config.listen = gateway.address();
        gateway.stop();
        let gateway = Gateway::start(config.clone(), fake.borders()).expect("the gateway starts again");
        Venue {
            fake,
            gateway,
            config,
            authority,
            keys,
            _folder,
        }
    }

    pub fn client_config(&self, who: usize, resume: Option<Resume>) -> Config {
        self.config_with(&self.keys[who], who, resume)
    }

    pub fn config_with(&self, key: &TrialKey, who: usize, resume: Option<Resume>) -> Config {
        Config {
            addr: self.gateway.address(),
            server_name: "localhost".to_owned(),
            ca: self.authority.cert(),
            cert: key.cert.clone(),
            key: key.key.clone(),
            session: session_of(who),
            resume,
            mtu: None,
        }
    }

    pub async fn client(&self, who: usize) -> Client {
        Client::connect(self.client_config(who, None))
            .await
            .expect("the session comes up")
    }
}

/// The first session of the `who`-th key's participant.
pub fn session_of(who: usize) -> SessionId {
    let participant = u32::try_from(who).expect("small") + 1;
    SessionId::of(ParticipantId(participant), 0).expect("in range")
}

pub fn order(side: Side, price: u64) -> PlaceOrder {
    PlaceOrder {
        account: AccountId(1),
        series: SERIES,
        qty: Qty(10),
        side,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(price),
        expire_at: Nanos(0),
        cl_ord_id: ClOrdId::from_text("mine").expect("a text"),
        on_disconnect: OnDisconnect::Persist,
        reserved: Reserved::ZERO,
    }
}

pub fn cancel(order: u64) -> CancelOrder {
    CancelOrder {
        account: AccountId(1),
        reduce_qty: Qty(0),
        order: OrderId(order),
        cl_ord_id: ClOrdId::ZERO,
    }
}

/// The next report that is an event: its number and frame.
pub async fn event(client: &mut Client) -> (ReqSeq, EventFrame) {
    loop {
        match client.next_event().await.expect("the client is open") {
            Report::Event { out_seq, frame } => return (out_seq, frame),
            Report::Up(_) => {}
            other => panic!("an event was expected, not {other:?}"),
        }
    }
}

/// The next report that is no sign of life.
pub async fn news(client: &mut Client) -> Report {
    loop {
        match client.next_event().await.expect("the client is open") {
            Report::Up(_) => {}
            other => return other,
        }
    }
}
