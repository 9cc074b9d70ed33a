//! A venue behind the rings, without a door: opened, staffed and funded; and a flow of orders for it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::time::{Duration, Instant};
use xq_journal::{CommandSettings, EventSettings};
use xq_protocol::*;
use xq_server::{
    ClockLeap, Ingress, Journals, Pipeline, PipelineConfig, Recovered, Source, SteadyClock, Stopped, recover,
};

/// The market's series.
pub const SERIES: SeriesId = SeriesId(1);
/// The currency.
pub const CNY: Currency = Currency(156);
/// Acts for its account and gives the orders.
pub const TRADER: ParticipantId = ParticipantId(10);
/// The other side.
pub const MAKER: ParticipantId = ParticipantId(11);
const OPERATOR: ParticipantId = ParticipantId(1);
const BANK: ParticipantId = ParticipantId(3);
const ISSUER: ParticipantId = ParticipantId(4);
/// The venue's first second: long enough ago that the real clock lies after it.
pub const START: Nanos = Nanos(1_700_000_000_000_000_000);
/// What is waited for comes within this time, or never.
const SOON: Duration = Duration::from_secs(60);

/// Small segments, so that a test goes through several.
pub fn journals(folder: &Path) -> Journals {
    let segment_size = 1 << 20;
    Journals {
        folder: folder.to_owned(),
        commands: CommandSettings {
            segment_size,
            batch_bytes: 64 << 10,
            expected_id: Some(genesis().journal_id),
            ..CommandSettings::default()
        },
        events: EventSettings {
            segment_size,
            ..EventSettings::default()
        },
    }
}

/// Recovers under a clock that says a second after the last command.
pub fn recovered(journals: &Journals) -> Recovered {
    let clock = SteadyClock::start();
    recover(journals, &clock, ClockLeap::Accept, &mut |_, _| {}).expect("the journals are whole")
}

/// The venue, running.
pub struct House {
    pub pipeline: Pipeline,
    pub ingress: Ingress,
    pub source: Source,
    pub now: Nanos,
    /// The last request number of each session.
    pub numbers: std::collections::BTreeMap<SessionId, u64>,
}

fn session(participant: ParticipantId) -> SessionId {
    SessionId::of(participant, 0).expect("small numbers")
}

/// Genesis of a venue whose markets reopen two seconds after a restart.
pub fn genesis() -> Genesis {
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    Genesis {
        journal_id: JournalId([7; 16]),
        rules_version: Count(xq_engine::RULES_VERSION),
        participants_max: Count(64),
        accounts_max: Count(64),
        series_max: Count(8),
        balances_max: Count(256),
        orders_max: Count(65_536),
        sessions_max: Count(64),
        level_pages_max: Count(1_024),
        proposals_max: Count(4),
        bank_refs_max: Count(64),
        proposal_ttl: Nanos(1_000_000_000),
        reopen_after: Nanos(2_000_000_000),
        disconnect_grace: Nanos(1_000_000_000),
        currencies,
    }
}

impl House {
    /// Goes on with what lies in the folder.
    pub fn resume(journals: &Journals) -> House {
        House::start(recovered(journals))
    }

    /// Goes on with what was recovered.
    pub fn start(recovered: Recovered) -> House {
        House::start_on(&PipelineConfig::default(), recovered)
    }

    /// The same, on a pipeline of the caller's choice.
    pub fn start_on(pipeline: &PipelineConfig, recovered: Recovered) -> House {
        let last = recovered.report.commands.clone();
        let pipeline = Pipeline::start(pipeline, recovered).expect("threads start");
        let (ingress, mut source) = (
            pipeline.ingress(),
            pipeline.source().expect("the journal is mapped"),
        );
        source.skip_to(last.last_seq.next()).expect("the next command");
        House {
            pipeline,
            ingress,
            source,
            now: Nanos(last.last_time_ns).max(START),
            numbers: Default::default(),
        }
    }

    /// A new venue in an empty folder: a trader with money, a maker with coupons, a market that is open.
    pub fn open(journals: &Journals) -> House {
        House::open_on(&PipelineConfig::default(), journals)
    }

    /// The same, on a pipeline of the caller's choice.
    pub fn open_on(pipeline: &PipelineConfig, journals: &Journals) -> House {
        let mut house = House::start_on(pipeline, recovered(journals));
        house.house(&genesis());
        for (participant, role) in [
            (OPERATOR, Role::Operator),
            (BANK, Role::Bank),
            (ISSUER, Role::Issuer),
            (TRADER, Role::Trader),
            (MAKER, Role::Trader),
        ] {
            let reserved = Reserved::ZERO;
            let reference = Hash::ZERO;
            house.house(&RegisterParticipant {
                participant,
                role,
                reserved,
                reference,
            });
            let (purpose, state, reserved) = (KeyPurpose::Session, KeyState::Valid, Reserved::ZERO);
            let fingerprint = key_of(participant);
            house.house(&SetKey {
                participant,
                purpose,
                state,
                reserved,
                fingerprint,
            });
            house.connect(participant, 1);
        }
        house.furnish();
        house
    }

    /// Stops cleanly; with what is returned dropped, the folder is free again.
    pub fn stop(self) -> Stopped {
        drop((self.ingress, self.source));
        self.pipeline.stop().expect("it stops cleanly")
    }

    fn furnish(&mut self) {
        for owner in [TRADER, MAKER] {
            let (operated_by, schedule, reserved) = (ParticipantId::ZERO, ScheduleId::ZERO, Reserved::ZERO);
            let account = AccountId(owner.0);
            self.say(
                OPERATOR,
                &OpenAccount {
                    account,
                    owner,
                    operated_by,
                    schedule,
                    reserved,
                },
            );
            let bank_ref = BankRef::from_text(&format!("C{owner}")).expect("short");
            let (amount, value_date) = (Amount(1 << 50), Date(20_231_114));
            let (reserved, reserved2) = (Reserved::ZERO, Reserved::ZERO);
            self.say(
                BANK,
                &CreditCash {
                    account,
                    currency: CNY,
                    reserved,
                    amount,
                    bank_ref,
                    value_date,
                    reserved2,
                },
            );
        }
        let units = 1 << 30;
        let draft = DraftSeries {
            series: SERIES,
            issuer: ISSUER,
            symbol: Symbol::from_text("COFFEE").expect("short"),
            currency: CNY,
            reserved: Reserved::ZERO,
            lot: Qty(1),
            tick: Price(1),
            face: Price(100_000),
            redeem_value: Price(100),
            issue_cap: Amount(u64::from(units)),
            valid_from: START,
            valid_to: Nanos::MAX,
            terms_hash: Hash([1; 32]),
        };
        self.say(OPERATOR, &draft);
        let escrow = PostEscrow {
            series: SERIES,
            reserved: Reserved::ZERO,
            amount: Amount(u64::from(units) * 100),
            bank_ref: BankRef::from_text("E1").expect("short"),
            value_date: Date(20_231_114),
            reserved2: Reserved::ZERO,
        };
        self.say(BANK, &escrow);
        let reserved = Reserved::ZERO;
        self.say(
            OPERATOR,
            &RegisterSeries {
                series: SERIES,
                reserved,
            },
        );
        let account = AccountId(MAKER.0);
        self.say(
            OPERATOR,
            &IssueUnits {
                series: SERIES,
                account,
                qty: Qty(units),
                reserved,
            },
        );
        let (phase, reserved) = (Phase::Continuous, Reserved::ZERO);
        self.say(
            OPERATOR,
            &SetPhase {
                series: SERIES,
                phase,
                reserved,
            },
        );
    }

    /// Connects a participant's first session.
    pub fn connect(&mut self, participant: ParticipantId, connection: u64) -> Vec<EventFrame> {
        let up = SessionUp {
            connection: ConnectionId(connection),
            fingerprint: key_of(participant),
        };
        self.put(session(participant), ReqSeq::ZERO, &up)
    }

    /// Says a command of the house; tells its events.
    pub fn house<M: Message>(&mut self, body: &M) -> Vec<EventFrame> {
        self.put(SessionId::HOUSE, ReqSeq::ZERO, body)
    }

    /// Says a command of a participant's, which must not be refused.
    pub fn say<M: Message>(&mut self, who: ParticipantId, body: &M) -> Vec<EventFrame> {
        let events = self.ask(who, body);
        let refused = events
            .iter()
            .any(|event| matches!(event.event(), Ok(Event::Rejected(_))));
        assert!(
            !refused,
            "{}: {:?}",
            M::NAME,
            events.first().map(|e| format!("{:?}", e.event()))
        );
        events
    }

    /// Says a command of a participant's; tells its events.
    pub fn ask<M: Message>(&mut self, who: ParticipantId, body: &M) -> Vec<EventFrame> {
        let number = self.numbers.entry(session(who)).or_default();
        *number += 1;
        let number = ReqSeq(*number);
        self.put(session(who), number, body)
    }

    fn put<M: Message>(&mut self, session: SessionId, req_seq: ReqSeq, body: &M) -> Vec<EventFrame> {
        self.now = Nanos(self.now.0 + 1_000);
        let header = Header {
            session,
            req_seq,
            time: self.now,
            ..Header::default()
        };
        let frame = CommandFrame::new(header, body);
        assert_eq!(
            self.ingress.offer(frame.bytes()),
            frame.bytes().len(),
            "an idle ring takes it"
        );
        self.hear()
    }

    /// The events of the next command.
    pub fn hear(&mut self) -> Vec<EventFrame> {
        let (mut events, by) = (Vec::new(), Instant::now() + SOON);
        loop {
            while let Some(frame) = self.source.next_event().expect("the journal is whole") {
                events.push(EventFrame::copy_of(&frame).expect("an event fits"));
                if frame.header.is_last() {
                    return events;
                }
            }
            assert!(Instant::now() < by, "a command is answered in time");
            std::thread::yield_now();
        }
    }

    /// Gives the flow's orders of these numbers in batches of 16, and waits until the last was answered.
    pub fn flow(&mut self, numbers: std::ops::Range<u64>) {
        let (now, by) = (self.now, Instant::now() + SOON);
        let orders: Vec<EventFrame> = numbers.clone().map(|number| flow_order(number, now)).collect();
        for batch in orders.chunks(16) {
            let frames: Vec<u8> = batch.iter().flat_map(|order| order.bytes().to_vec()).collect();
            let mut taken = 0;
            while taken < frames.len() {
                taken += self.ingress.offer(&frames[taken..]);
                assert!(Instant::now() < by, "the ring is emptied in time");
            }
        }
        let last = orders.last().expect("some orders").header().req_seq;
        loop {
            while let Some(frame) = self.source.next_event().expect("the journal is whole") {
                if frame.header.req_seq == last && frame.header.is_last() {
                    return;
                }
            }
            assert!(Instant::now() < by, "all commands are answered in time");
            std::thread::yield_now();
        }
    }
}

fn key_of(participant: ParticipantId) -> Hash {
    Hash([u8::try_from(participant.0).expect("small numbers"); 32])
}

/// A frame of a flow: sells of the maker and buys of the trader around one price, most of them meeting; each rests or
/// trades once, so that books stay small.
pub fn flow_order(number: u64, now: Nanos) -> EventFrame {
    let buys = number.is_multiple_of(2);
    let owner = if buys { TRADER } else { MAKER };
    let header = Header {
        session: session(owner),
        req_seq: ReqSeq(1_000 + number / 2),
        time: now,
        ..Header::default()
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number + 1).to_le_bytes());
    let order = PlaceOrder {
        account: AccountId(owner.0),
        series: SERIES,
        qty: Qty(1),
        side: if buys { Side::Buy } else { Side::Sell },
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(1_000 + number / 2 % 64),
        expire_at: Nanos::ZERO,
        cl_ord_id: ClOrdId(id),
        on_disconnect: OnDisconnect::Persist,
        reserved: Reserved::ZERO,
    };
    EventFrame::new(header, &order)
}

/// Waits until the helper has made so many segments of each journal ready, besides the one in use.
pub fn wait_until_ready(folder: &Path, segments: usize) {
    let ready = |kind: &str| {
        let names = std::fs::read_dir(folder).expect("lists");
        let names = names.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(kind))
            .count()
            > segments
    };
    while !(ready("command-") && ready("event-")) {
        std::thread::yield_now();
    }
}
