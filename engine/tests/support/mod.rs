//! A small venue in memory: opened, staffed and funded, with one call a command.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod doors;

use xq_engine::{Events, Exchange};
use xq_protocol::*;

pub const CNY: Currency = Currency(156);
pub const USD: Currency = Currency(840);
pub const SERIES: SeriesId = SeriesId(1);
pub const OPERATOR: ParticipantId = ParticipantId(1);
pub const OPERATOR_2: ParticipantId = ParticipantId(2);
pub const BANK: ParticipantId = ParticipantId(3);
pub const ISSUER: ParticipantId = ParticipantId(4);
/// Traders' participants and accounts have numbers from here on.
pub const TRADER: u32 = 10;

pub fn genesis() -> Genesis {
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    currencies.0[1] = USD;
    Genesis {
        journal_id: JournalId([7; 16]),
        rules_version: Count(xq_engine::RULES_VERSION),
        participants_max: Count(100),
        accounts_max: Count(100),
        series_max: Count(10),
        balances_max: Count(1_000),
        orders_max: Count(20_000),
        sessions_max: Count(100),
        level_pages_max: Count(2_000),
        proposals_max: Count(4),
        bank_refs_max: Count(1_000),
        proposal_ttl: Nanos(1_000_000_000),
        reopen_after: Nanos(10_000_000_000),
        disconnect_grace: Nanos(5_000_000_000),
        currencies,
    }
}

pub struct Venue {
    pub exchange: Exchange,
    pub events: Events,
    pub seq: Seq,
    pub now: Nanos,
    pub req_seqs: std::collections::BTreeMap<SessionId, u64>,
    pub refs: u64,
}

impl Venue {
    pub fn new() -> Venue {
        let mut venue = Venue {
            exchange: Exchange::new(),
            events: Events::new(),
            seq: Seq::ZERO,
            now: Nanos(1_700_000_000_000_000_000),
            req_seqs: Default::default(),
            refs: 0,
        };
        venue.house(&genesis());
        for (id, role) in [
            (OPERATOR, Role::Operator),
            (OPERATOR_2, Role::Operator),
            (BANK, Role::Bank),
        ] {
            venue.participant(id, role);
        }
        venue.participant(ISSUER, Role::Issuer);
        venue
    }

    /// Sends a command of the house; returns its events.
    pub fn house<M: Message>(&mut self, body: &M) -> &[EventFrame] {
        self.send(Header::default(), body)
    }

    /// Sends a command of a participant's first session under the next number.
    pub fn say<M: Message>(&mut self, who: ParticipantId, body: &M) -> &[EventFrame] {
        let session = SessionId::of(who, 0).expect("small numbers");
        let req_seq = self.req_seqs.entry(session).or_default();
        *req_seq += 1;
        let header = Header {
            session,
            req_seq: ReqSeq(*req_seq),
            ..Header::default()
        };
        self.send(header, body)
    }

    pub fn send<M: Message>(&mut self, header: Header, body: &M) -> &[EventFrame] {
        let header = Header {
            time: self.now,
            ..header
        };
        let frame = CommandFrame::new(header, body);
        self.apply(&frame)
    }

    pub fn apply(&mut self, frame: &CommandFrame) -> &[EventFrame] {
        self.seq = self.seq.next();
        self.exchange
            .apply(self.seq, &frame.frame().expect("just written"), &mut self.events);
        self.events.frames()
    }

    pub fn participant(&mut self, participant: ParticipantId, role: Role) {
        let session = SessionId::of(participant, 0).expect("small numbers");
        let fingerprint = Hash([participant.0 as u8; 32]);
        self.house(&RegisterParticipant {
            participant,
            role,
            reserved: Reserved::ZERO,
            reference: Hash::ZERO,
        });
        let (purpose, state) = (KeyPurpose::Session, KeyState::Valid);
        self.house(&SetKey {
            participant,
            purpose,
            state,
            reserved: Reserved::ZERO,
            fingerprint,
        });
        let up = SessionUp {
            connection: ConnectionId(1),
            fingerprint,
        };
        let events = self.send(
            Header {
                session,
                ..Header::default()
            },
            &up,
        );
        assert!(
            matches!(events[0].event(), Ok(Event::SessionEstablished(_))),
            "{:?}",
            events[0].event()
        );
    }

    pub fn account(&mut self, account: AccountId, owner: ParticipantId) {
        let (operated_by, schedule) = (ParticipantId::ZERO, ScheduleId::ZERO);
        self.ok(
            OPERATOR,
            &OpenAccount {
                account,
                owner,
                operated_by,
                schedule,
                reserved: Reserved::ZERO,
            },
        );
    }

    pub fn deposit(&mut self, account: AccountId, amount: Amount) {
        self.refs += 1;
        let bank_ref = BankRef::from_text(&format!("R{}", self.refs)).expect("short");
        let (currency, value_date) = (CNY, Date(20_231_114));
        let (reserved, reserved2) = (Reserved::ZERO, Reserved::ZERO);
        self.ok(
            BANK,
            &CreditCash {
                account,
                currency,
                reserved,
                amount,
                bank_ref,
                value_date,
                reserved2,
            },
        );
    }

    /// Drafts, covers and registers a series of face value 1,000.00 and tick 0.01, and opens its market.
    pub fn series(&mut self, series: SeriesId, units: u32) {
        let draft = DraftSeries {
            series,
            issuer: ISSUER,
            symbol: Symbol::from_text(&format!("S{series}")).expect("short"),
            currency: CNY,
            reserved: Reserved::ZERO,
            lot: Qty(1),
            tick: Price(1),
            face: Price(100_000),
            redeem_value: Price(100),
            issue_cap: Amount(u64::from(units)),
            valid_from: self.now,
            valid_to: Nanos::MAX,
            terms_hash: Hash([1; 32]),
        };
        self.ok(OPERATOR, &draft);
        self.refs += 1;
        let escrow = PostEscrow {
            series,
            reserved: Reserved::ZERO,
            amount: Amount(u64::from(units) * 100),
            bank_ref: BankRef::from_text(&format!("E{}", self.refs)).expect("short"),
            value_date: Date(20_231_114),
            reserved2: Reserved::ZERO,
        };
        self.ok(BANK, &escrow);
        self.ok(
            OPERATOR,
            &RegisterSeries {
                series,
                reserved: Reserved::ZERO,
            },
        );
        self.ok(
            OPERATOR,
            &SetPhase {
                series,
                phase: Phase::Continuous,
                reserved: Reserved::ZERO,
            },
        );
    }

    pub fn issue(&mut self, series: SeriesId, account: AccountId, qty: Qty) {
        self.ok(
            OPERATOR,
            &IssueUnits {
                series,
                account,
                qty,
                reserved: Reserved::ZERO,
            },
        );
    }

    /// Sends a command that must not be refused.
    pub fn ok<M: Message>(&mut self, who: ParticipantId, body: &M) {
        let events = self.say(who, body);
        if let Ok(Event::Rejected(rejected)) = events[0].event() {
            panic!("{} was refused: {rejected} {rejected:?}", M::NAME);
        }
    }

    /// A venue with `traders` traders, each with an account of its number, cash and units of one series.
    pub fn trading(traders: u32) -> Venue {
        let mut venue = Venue::new();
        venue.series(SERIES, traders * 1_000_000);
        for trader in TRADER..TRADER + traders {
            venue.participant(ParticipantId(trader), Role::Trader);
            venue.account(AccountId(trader), ParticipantId(trader));
            venue.deposit(AccountId(trader), Amount(1_000_000_000_000));
            venue.issue(SERIES, AccountId(trader), Qty(1_000_000));
        }
        venue
    }
}

/// A limit order, good till cancelled.
pub fn limit(account: u32, side: Side, qty: u32, price: u64, id: &str) -> PlaceOrder {
    PlaceOrder {
        account: AccountId(account),
        series: SERIES,
        qty: Qty(qty),
        side,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(price),
        expire_at: Nanos::ZERO,
        cl_ord_id: ClOrdId::from_text(id).expect("short"),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    }
}

/// Draws: splitmix64 (Steele, Lea, Flood 2014).
pub struct Draws(pub u64);

impl Draws {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
