//! No input panics the engine: random and adversarial frames on a trading venue, laws and determinism checked throughout.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use support::Draws;
use support::doors::Engine;
use xq_protocol::text::{Scenario, run};
use xq_protocol::*;

/// A venue with small tables, so that they fill up, and people of every role at work.
const SCENE: &str = "\
# A venue to be attacked.
genesis orders=60 level-pages=12 balances=48 series=5 participants=20 accounts=14 sessions=24 proposals=6 bank-refs=400
fees 0 taker=1000 maker=-300 as f0
approve f0
fees 1 taker=700 maker=2000 as f1
approve f1
issue COFFEE acme 30.00 10000 tick=0.10 lot=2
issue TEA acme 5000 10000 JPY
issue GOLD acme 21474836.48 100 tick=0.04 redeem=0.01 cap=18446744073709551615
escrow GOLD 50000000.00
deposit alice 100000.00
deposit bob 100000.00
deposit bob 100000 JPY
deposit carol 1000000000.00
account carol2 owner=carol schedule=1
deposit carol2 10000.00
gift acme alice 1000 COFFEE
    given 1000 COFFEE by acme to alice
    acme -> alice: 1000 COFFEE
gift acme bob 1000 TEA
    given 1000 TEA by acme to bob
    acme -> bob: 1000 TEA
gift acme carol 1000 COFFEE
    given 1000 COFFEE by acme to carol
    acme -> carol: 1000 COFFEE
issue-units GOLD carol 4294967295
";

const COMMANDS_A_VENUE: u32 = 8_000;
const VENUES: u64 = 8;
/// Everything that is numbered from 1 on has fewer of a kind than this.
const IDS: u64 = 24;

/// Participants in the order in which the scene registers them, from 1.
const NAMES: [&str; 9] = [
    "operator",
    "operator2",
    "bank",
    "risk",
    "regulator",
    "acme",
    "alice",
    "bob",
    "carol",
];

/// A frame of this header and these body bytes.
fn written(header: Header, body: &[u8]) -> CommandFrame {
    let mut frame = CommandFrame::default();
    *frame.header_mut() = header;
    for (word, bytes) in frame.words_mut()[HEADER_LEN / 8..]
        .iter_mut()
        .zip(body.as_chunks::<8>().0)
    {
        *word = u64::from_le_bytes(*bytes);
    }
    frame
}

struct Attack {
    engine: Engine,
    draws: Draws,
    now: u64,
    requests: BTreeMap<u32, u64>,
    orders: Vec<u64>,
    proposals: Vec<(Seq, Hash, u32)>,
    /// The last session that was found down.
    down: Option<SessionId>,
    connection: u64,
    refused: BTreeMap<u16, u32>,
    obeyed: u32,
    trades: u32,
}

impl Attack {
    fn new(seed: u64) -> Attack {
        let scene = Scenario::parse("scene", SCENE).expect("a scene");
        let mut engine = Engine::default();
        run(&scene, &mut engine).unwrap_or_else(|failure| panic!("{failure}"));
        Attack {
            engine,
            draws: Draws(seed),
            now: 1_767_315_600_000_000_000,
            requests: BTreeMap::new(),
            orders: Vec::new(),
            proposals: Vec::new(),
            down: None,
            connection: 1_000,
            refused: BTreeMap::new(),
            obeyed: 0,
            trades: 0,
        }
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.draws.below(chance) == 0
    }

    /// A number that is near some edge, or small, or anything.
    fn number(&mut self, bits: u32) -> u64 {
        let max = u64::MAX >> (64 - bits);
        let edges = [
            0,
            1,
            2,
            max,
            max - 1,
            max / 2,
            max / 2 + 1,
            1 << (bits / 2),
            100,
            4_294_967_295,
            1 << 31,
        ];
        let drawn = match self.draws.below(8) {
            0 => edges[self.draws.below(11) as usize],
            1 => self.draws.next(),
            _ => self.draws.below(60),
        };
        drawn & max
    }

    /// A value of a field that makes sense more often than not.
    fn value(&mut self, field: &Field) -> u64 {
        if self.one_in(40) {
            return self.number(64);
        }
        match field.type_name {
            "AccountId" | "ParticipantId" => self.draws.below(IDS / 2) + self.draws.below(2) * 6,
            "SeriesId" => [1, 1, 1, 1, 2, 3, 0, 4][self.draws.below(8) as usize],
            "Price" => [2_000, 2_010, 2_020, 2_000, 2_010, 2_020, 3_000, 40, 2_147_483_648]
                [self.draws.below(9) as usize],
            "Qty" => [2, 4, 10, 20, 8, 2, 1, 4_294_967_294][self.draws.below(8) as usize],
            "OrderId" if self.orders.is_empty() || self.one_in(2) => 0,
            "OrderId" => self.orders[self.draws.below(self.orders.len() as u64) as usize],
            "Currency" => [156, 392, 840, 826][self.draws.below(4) as usize],
            "Date" => 20_260_102 + self.draws.below(20),
            "ScheduleId" => self.draws.below(3),
            "Ppm" => self.draws.below(4_000).wrapping_sub(1_000),
            "Nanos" if !self.one_in(8) => 0,
            "Nanos" => self.now + self.draws.below(20_000_000_000),
            "CaseId" => self.draws.below(2),
            "ConnectionId" => self.draws.below(40),
            "Bps" => [0, 500, 10_000][self.draws.below(3) as usize],
            _ => self.number(64),
        }
    }

    fn body(&mut self, fields: &[Field], length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        for field in fields {
            let at = field.offset..field.offset + field.length;
            let bytes: Vec<u8> = match field.shape {
                Shape::Integer(_) => self.value(field).to_le_bytes()[..field.length].to_vec(),
                Shape::Integers(_, count) => self.column(field, count),
                Shape::Choice(pairs) if self.one_in(2) => vec![pairs[0].0],
                Shape::Choice(pairs) => vec![pairs[self.draws.below(pairs.len() as u64) as usize].0],
                Shape::Text(_) => format!("w{:03}------------", self.draws.below(200)).into_bytes(),
                Shape::Bytes(_) => vec![self.draws.below(3) as u8; field.length],
                Shape::Zeros(_) => vec![0; field.length],
            };
            body[at].copy_from_slice(&bytes);
        }
        body
    }

    /// Numbers of legs: most make sense, and most legs are not used.
    fn column(&mut self, field: &Field, count: usize) -> Vec<u8> {
        let width = field.length / count;
        let mut column = vec![0; field.length];
        for bytes in column.chunks_mut(width).take(3) {
            let number = match field.type_name {
                "LegSeries" => [1, 2, 1, 0, 7][self.draws.below(5) as usize],
                "LegQtys" => [0, 2, 4, 10, 3][self.draws.below(5) as usize],
                _ => [2_000, 2_010, 2_020, 1_990, 0][self.draws.below(5) as usize],
            };
            bytes.copy_from_slice(&u64::to_le_bytes(number)[..width]);
        }
        column
    }

    /// The next frame: most are commands with fields of their types, some hold bytes that are none.
    fn frame(&mut self) -> CommandFrame {
        let (template, _, _, fields, length) = COMMANDS[self.draws.below(COMMANDS.len() as u64) as usize];
        let common = [
            PlaceOrder::TEMPLATE,
            PlaceExtendedOrder::TEMPLATE,
            CancelOrder::TEMPLATE,
            ReplaceOrder::TEMPLATE,
            PlaceOrder::TEMPLATE,
        ];
        let (mut template, mut fields, mut length) = (template, fields, length);
        if self.one_in(2) {
            let wanted = common[self.draws.below(4) as usize];
            let row = COMMANDS.iter().find(|row| row.0 == wanted).expect("a command");
            (template, fields, length) = (row.0, row.3, row.4);
        }
        // Bringing everything down or to a halt is as rare as it should be, or nothing would happen in between.
        let rare = [
            AllSessionsDown::TEMPLATE,
            SetPhase::TEMPLATE,
            SessionDown::TEMPLATE,
            KillSwitch::TEMPLATE,
        ];
        let narrowing = [
            SetFreeze::TEMPLATE,
            SetInstrument::TEMPLATE,
            SetRiskLimits::TEMPLATE,
        ];
        if (rare.contains(&template) || narrowing.contains(&template)) && !self.one_in(20) {
            (template, fields, length) = (Tick::TEMPLATE, &[], 0);
        }
        let mut body = self.body(fields, length);
        if self.one_in(20) && !body.is_empty() {
            let at = self.draws.below(body.len() as u64) as usize;
            body[at] = self.draws.next() as u8;
        }
        if self.one_in(60) {
            body.resize(8 * self.draws.below(123) as usize, 7);
        }
        if self.one_in(60) {
            template = self.number(16) as u16;
        }
        let header = self.header(template, body.len());
        // Traders mostly speak for themselves: participant 6 has account 1, and so on.
        let participant = header.session.participant().0;
        if common.contains(&template)
            && body.len() == length
            && (6..10).contains(&participant)
            && !self.one_in(8)
        {
            body[..4].copy_from_slice(&(participant - 5).to_le_bytes());
        }
        written(header, &body)
    }

    fn header(&mut self, template: u16, length: usize) -> Header {
        self.now += self.draws.below(50_000_000);
        let participant =
            match rule(template).map(|rule| rule.roles[self.draws.below(rule.roles.len() as u64) as usize]) {
                _ if self.one_in(12) => self.draws.below(IDS),
                Some(Role::House) => u64::from(template == SessionUp::TEMPLATE) * self.draws.below(12),
                Some(Role::Operator) => 1 + self.draws.below(2),
                Some(Role::Bank) => 3,
                Some(Role::Risk) => 4,
                Some(Role::Regulator) => 5,
                Some(_) | None => 6 + self.draws.below(4),
            };
        let session = match self.draws.below(200) {
            0 => self.number(32) as u32,
            _ => u32::try_from(participant << 4).expect("small"),
        };
        let last = self.requests.entry(session).or_insert(1_000);
        let next = *last + 1;
        let req_seq = match self.draws.below(40) {
            0 => self.draws.below(next + 2),
            1 => next + self.draws.below(3),
            2 if self.draws.below(100) == 0 => next + 9_000,
            _ => next,
        };
        let last = self.requests.entry(session).or_default();
        *last = (*last).max(req_seq);
        let time = match self.draws.below(100) {
            0 => 0,
            1 => self.now - 1_000_000_000,
            _ => self.now,
        };
        Header {
            block_length: u16::try_from(length).expect("short"),
            template_id: template,
            schema_id: SCHEMA_ID,
            version: SCHEMA_VERSION,
            time: Nanos(time),
            session: SessionId(session),
            index: self.draws.below(3) as u16,
            flags: self.draws.below(4) as u16,
            req_seq: ReqSeq(req_seq),
            ..Header::default()
        }
    }

    /// An approval that repeats a proposal's hash, by the other operator.
    fn approval(&mut self) -> Option<CommandFrame> {
        let (proposal, hash, proposer) = self.proposals.pop()?;
        let approver = if proposer == 1 { 2 } else { 1 };
        let mut header = self.header(Approve::TEMPLATE, 40);
        header.session = SessionId(approver << 4);
        let last = self.requests.entry(header.session.0).or_insert(1_000);
        *last += 1;
        header.req_seq = ReqSeq(*last);
        Some(CommandFrame::new(header, &Approve { proposal, hash }))
    }

    /// Brings a session up again that was found down, with its key.
    fn revival(&mut self) -> Option<CommandFrame> {
        let session = self.down.take()?;
        let name = NAMES.get(
            usize::try_from(session.participant().0)
                .expect("small")
                .checked_sub(1)?,
        )?;
        let mut fingerprint = Hash::ZERO;
        fingerprint.0[..name.len()].copy_from_slice(name.as_bytes());
        self.connection += 1;
        let connection = ConnectionId(self.connection);
        let header = Header {
            session,
            time: Nanos(self.now),
            ..Header::default()
        };
        Some(CommandFrame::new(
            header,
            &SessionUp {
                connection,
                fingerprint,
            },
        ))
    }

    /// An operator opens what was closed, so that there is something to attack.
    fn opening(&mut self) -> CommandFrame {
        let header = Header {
            session: SessionId(1 << 4),
            ..self.header(SetPhase::TEMPLATE, 8)
        };
        let last = self.requests.entry(1 << 4).or_insert(1_000);
        *last += 1;
        let (series, phase) = (SeriesId(self.draws.below(4) as u32), Phase::Continuous);
        let header = Header {
            req_seq: ReqSeq(*last),
            ..header
        };
        CommandFrame::new(
            header,
            &SetPhase {
                series,
                phase,
                reserved: Reserved::ZERO,
            },
        )
    }

    fn step(&mut self) {
        let opening = if self.one_in(20) {
            Some(self.opening())
        } else {
            None
        };
        let revival = if self.one_in(4) { self.revival() } else { None };
        let approval = if self.one_in(4) { self.approval() } else { None };
        let frame = revival.or(approval).or(opening).unwrap_or_else(|| self.frame());
        let template = frame.header().template_id;
        let mut obeyed = true;
        let events = self.engine.apply(&frame).to_vec();
        for event in &events {
            match event.event().expect("an event") {
                Event::Rejected(e) => {
                    if e.code == RejectReason::SessionNotEstablished.code() {
                        self.down = Some(frame.header().session);
                    }
                    *self.refused.entry(e.code.0).or_default() += 1;
                    obeyed = false;
                }
                Event::OrderAccepted(e) => self.orders.push(e.order.0),
                Event::Traded(_) => self.trades += 1,
                // A configuration may be approved to be as large as the machine: not here.
                Event::Proposed(e) if template != SetConfig::TEMPLATE => {
                    self.proposals.push((event.header().seq, e.hash, e.proposer.0));
                }
                _ => {}
            }
        }
        self.obeyed += u32::from(obeyed);
        if self.orders.len() > 20 {
            self.orders.drain(..10);
        }
    }
}

/// Three seeds, or those from `XQ_SEED` on, `XQ_SEEDS` many.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    match number("XQ_SEED") {
        Some(first) => first..first + number("XQ_SEEDS").unwrap_or(1),
        None => 1..4,
    }
}

#[test]
fn whatever_is_said_something_follows_and_the_laws_hold() {
    for seed in seeds() {
        println!("XQ_SEED={seed}");
        let (mut obeyed, mut trades, mut refused) = (0, 0, BTreeSet::new());
        // A venue wears out: frozen, killed, full. So each seed attacks several.
        for venue in 0..VENUES {
            let attack = attacked(seed * VENUES + venue);
            obeyed += attack.obeyed;
            trades += attack.trades;
            refused.extend(attack.refused.into_keys());
        }
        println!("obeyed {obeyed}, trades {trades}, refused for {refused:?}");
        assert!(
            obeyed > 5_000 && trades > 50 && refused.len() > 30,
            "the attack got nowhere"
        );
    }
}

/// Attacks one venue; then the same bytes tell the same again.
fn attacked(seed: u64) -> Attack {
    let mut attack = Attack::new(seed);
    for step in 0..COMMANDS_A_VENUE {
        attack.step();
        if step.is_multiple_of(16) {
            attack.engine.check();
        }
    }
    attack.engine.check();
    let again = Engine::replayed(&attack.engine.commands);
    assert!(again.told == attack.engine.told, "the same bytes, other events");
    attack
}

#[test]
fn before_genesis_everything_is_refused() {
    let mut draws = Draws(4);
    let mut engine = Engine::default();
    for (template, name, _, fields, length) in COMMANDS {
        let mut attack = Attack::new(draws.next());
        let body = attack.body(fields, *length);
        let frame = written(attack.header(*template, body.len()), &body);
        let events = engine.apply(&frame);
        assert!(matches!(events[0].event(), Ok(Event::Rejected(_))), "{name}");
    }
    engine.check();
}
