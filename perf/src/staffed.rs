//! An exchange in memory with its staff: opened, its sessions up, and one call for each thing that a venue needs.
//!
//! One platform participant acts for all accounts over one session; each account has an owner of its own. Every
//! command is kept as a frame, so that the same can be applied again.

use crate::frames::FrameTape;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use xq_engine::{Events, Exchange};
use xq_protocol::*;

/// The currency of everything here.
pub const CNY: Currency = Currency(156);
/// Acts for all accounts.
pub const PLATFORM: ParticipantId = ParticipantId(5);
/// Participants that a venue needs besides one for each account.
pub const PARTICIPANTS: u32 = 16;

const OPERATOR: ParticipantId = ParticipantId(1);
const OPERATOR_2: ParticipantId = ParticipantId(2);
const BANK: ParticipantId = ParticipantId(3);
const ISSUER: ParticipantId = ParticipantId(4);
/// The first command's time; each later one comes a microsecond after.
const OPENED: Nanos = Nanos(1_700_000_000_000_000_000);
const VALUE_DATE: Date = Date(20_231_114);

/// An exchange with the sequence of its commands.
pub struct Running {
    /// The exchange.
    pub exchange: Exchange,
    /// Events of the last command.
    pub events: Events,
    /// The last command.
    pub seq: Seq,
}

impl Running {
    /// A new exchange.
    pub fn new() -> Running {
        Running {
            exchange: Exchange::new(),
            events: Events::new(),
            seq: Seq::ZERO,
        }
    }

    /// Applies one command; tells its events.
    #[inline]
    pub fn apply(&mut self, frame: &Frame<'_>) -> &[EventFrame] {
        self.seq = self.seq.next();
        self.exchange.apply(self.seq, frame, &mut self.events);
        self.events.frames()
    }
}

impl Default for Running {
    fn default() -> Self {
        Running::new()
    }
}

/// A staffed exchange.
pub struct Staffed {
    /// The exchange.
    pub running: Running,
    /// Every command so far, or since it was last taken.
    pub tape: FrameTape,
    req_seqs: BTreeMap<SessionId, u64>,
    bank_refs: u64,
    events_hash: Option<Sha256>,
}

impl Staffed {
    /// Opens an exchange and connects its staff.
    pub fn open(genesis: &Genesis) -> Staffed {
        Staffed::start(genesis, None)
    }

    /// The same, with a hash kept over the bytes of all events.
    pub fn open_hashed(genesis: &Genesis) -> Staffed {
        Staffed::start(genesis, Some(Sha256::new()))
    }

    fn start(genesis: &Genesis, events_hash: Option<Sha256>) -> Staffed {
        let mut staffed = Staffed {
            running: Running::new(),
            tape: FrameTape::default(),
            req_seqs: BTreeMap::new(),
            bank_refs: 0,
            events_hash,
        };
        staffed.house(SessionId::HOUSE, genesis);
        let staff = [
            (OPERATOR, Role::Operator),
            (OPERATOR_2, Role::Operator),
            (BANK, Role::Bank),
            (ISSUER, Role::Issuer),
            (PLATFORM, Role::MarketMaker),
        ];
        for (participant, role) in staff {
            staffed.register(participant, role);
            staffed.connect(participant);
        }
        staffed
    }

    /// Sends a command of the platform; tells its events.
    pub fn trade<M: Message>(&mut self, body: &M) -> &[EventFrame] {
        self.say(PLATFORM, body)
    }

    /// The hash over all events so far, when it is kept.
    pub fn events_hash(&self) -> Option<&Sha256> {
        self.events_hash.as_ref()
    }

    /// Lets time pass: larger jobs go on.
    pub fn tick(&mut self) {
        self.house(SessionId::HOUSE, &Tick {});
    }

    fn register(&mut self, participant: ParticipantId, role: Role) {
        let (reserved, reference) = (Reserved::ZERO, Hash::ZERO);
        self.house(
            SessionId::HOUSE,
            &RegisterParticipant {
                participant,
                role,
                reserved,
                reference,
            },
        );
    }

    fn connect(&mut self, participant: ParticipantId) {
        let fingerprint = Hash([participant.0.to_le_bytes()[0]; 32]);
        let (purpose, state) = (KeyPurpose::Session, KeyState::Valid);
        self.house(
            SessionId::HOUSE,
            &SetKey {
                participant,
                purpose,
                state,
                reserved: Reserved::ZERO,
                fingerprint,
            },
        );
        let connection = ConnectionId(1);
        self.house(
            session_of(participant),
            &SessionUp {
                connection,
                fingerprint,
            },
        );
    }

    /// One operator proposes the fees, another approves them.
    pub fn set_fees(&mut self, taker: Ppm, maker: Ppm) {
        let (schedule, reserved) = (ScheduleId::ZERO, Reserved::ZERO);
        let fees = SetFeeSchedule {
            schedule,
            reserved,
            taker,
            maker,
        };
        let proposed = self.ok(OPERATOR, &fees);
        let Ok(Event::Proposed(waiting)) = proposed.event() else {
            panic!("fees need a second operator")
        };
        let (proposal, hash) = (proposed.header().seq, waiting.hash);
        self.ok(OPERATOR_2, &Approve { proposal, hash });
    }

    /// Drafts, covers and registers a series of tick 1, and opens its market.
    pub fn open_series(&mut self, id: SeriesId, face: Price, units: Amount) {
        let draft = DraftSeries {
            series: id,
            issuer: ISSUER,
            symbol: Symbol::from_text(&format!("S{id}")).expect("short"),
            currency: CNY,
            reserved: Reserved::ZERO,
            lot: Qty(1),
            tick: Price(1),
            face,
            redeem_value: Price(1),
            issue_cap: units,
            valid_from: OPENED,
            valid_to: Nanos::MAX,
            terms_hash: Hash([1; 32]),
        };
        self.ok(OPERATOR, &draft);
        let escrow = PostEscrow {
            series: id,
            reserved: Reserved::ZERO,
            amount: units,
            bank_ref: self.bank_ref(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.ok(BANK, &escrow);
        let (reserved, phase) = (Reserved::ZERO, Phase::Continuous);
        self.ok(OPERATOR, &RegisterSeries { series: id, reserved });
        let reserved = Reserved::ZERO;
        self.ok(
            OPERATOR,
            &SetPhase {
                series: id,
                phase,
                reserved,
            },
        );
    }

    /// Opens an account with an owner of its own, for whom the platform acts.
    pub fn open_account(&mut self, account: AccountId) {
        let owner = ParticipantId(PARTICIPANTS + account.0);
        self.register(owner, Role::Trader);
        let (operated_by, schedule, reserved) = (PLATFORM, ScheduleId::ZERO, Reserved::ZERO);
        self.ok(
            OPERATOR,
            &OpenAccount {
                account,
                owner,
                operated_by,
                schedule,
                reserved,
            },
        );
    }

    /// Credits money.
    pub fn credit(&mut self, account: AccountId, amount: Amount) {
        let credit = CreditCash {
            account,
            currency: CNY,
            reserved: Reserved::ZERO,
            amount,
            bank_ref: self.bank_ref(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.ok(BANK, &credit);
    }

    fn bank_ref(&mut self) -> BankRef {
        self.bank_refs += 1;
        BankRef::from_text(&format!("R{}", self.bank_refs)).expect("short")
    }

    /// Issues units.
    pub fn issue(&mut self, series: SeriesId, account: AccountId, qty: Qty) {
        let reserved = Reserved::ZERO;
        self.ok(
            OPERATOR,
            &IssueUnits {
                series,
                account,
                qty,
                reserved,
            },
        );
    }

    /// Sends a command of the house about a session, if any, that must not be refused.
    fn house<M: Message>(&mut self, session: SessionId, body: &M) {
        let first = self.write(session, ReqSeq::ZERO, body)[0];
        assert!(
            first.header().template_id != Rejected::TEMPLATE,
            "{}: {:?}",
            M::NAME,
            first.event()
        );
    }

    /// Sends a command of a participant's first session that must not be refused; tells its first event.
    fn ok<M: Message>(&mut self, who: ParticipantId, body: &M) -> EventFrame {
        let first = self.say(who, body)[0];
        assert!(
            first.header().template_id != Rejected::TEMPLATE,
            "{}: {:?}",
            M::NAME,
            first.event()
        );
        first
    }

    fn say<M: Message>(&mut self, who: ParticipantId, body: &M) -> &[EventFrame] {
        let session = session_of(who);
        let last = self.req_seqs.entry(session).or_default();
        *last += 1;
        let req_seq = ReqSeq(*last);
        self.write(session, req_seq, body)
    }

    fn write<M: Message>(&mut self, session: SessionId, req_seq: ReqSeq, body: &M) -> &[EventFrame] {
        let header = Header {
            time: Nanos(OPENED.0 + 1_000 * self.running.seq.0),
            session,
            req_seq,
            ..Header::default()
        };
        let command = CommandFrame::new(header, body);
        let command = command.frame().expect("just written");
        self.tape.push(&command);
        let events = self.running.apply(&command);
        if let Some(hash) = &mut self.events_hash {
            events.iter().for_each(|event| hash.update(event.bytes()));
        }
        events
    }
}

fn session_of(participant: ParticipantId) -> SessionId {
    SessionId::of(participant, 0).expect("staff have small numbers")
}
