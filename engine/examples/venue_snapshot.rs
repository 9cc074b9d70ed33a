//! How long it takes to save and to restore a venue of 100,000 series, 4 M resting orders and 10 M balances, and what
//! memory that needs: `cargo run --release -p xq-engine --example venue_snapshot [PARTS]`, of which 1 is the whole size
//! and a larger number a part of it.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::time::Instant;
use xq_engine::{Events, Exchange, Restoring, SectionKind};
use xq_protocol::*;

const OPERATOR: ParticipantId = ParticipantId(1);
const BANK: ParticipantId = ParticipantId(2);
const ISSUER: ParticipantId = ParticipantId(3);
const TRADER: ParticipantId = ParticipantId(4);
const CNY: Currency = Currency(156);
const START: Nanos = Nanos(1_700_000_000_000_000_000);
/// Holders of each series, and orders of each side.
const HOLDERS: u32 = 90;
const ORDERS: u32 = 20;

/// A venue being filled.
struct Venue {
    exchange: Exchange,
    events: Events,
    seq: Seq,
    requests: [u64; 5],
    refs: u64,
}

impl Venue {
    fn send<M: Message>(&mut self, header: Header, body: &M) {
        self.seq = self.seq.next();
        let frame = CommandFrame::new(
            Header {
                time: START,
                ..header
            },
            body,
        );
        let frame = frame.frame().expect("just written");
        self.exchange.apply(self.seq, &frame, &mut self.events);
        if let Ok(Event::Rejected(rejected)) = self.events.frames()[0].event() {
            panic!("{} was refused: {rejected}", M::NAME);
        }
    }

    fn house<M: Message>(&mut self, body: &M) {
        self.send(Header::default(), body);
    }

    fn say<M: Message>(&mut self, who: ParticipantId, body: &M) {
        let request = &mut self.requests[usize::try_from(who.0).expect("few")];
        *request += 1;
        let (session, req_seq) = (SessionId::of(who, 0).expect("few"), ReqSeq(*request));
        self.send(
            Header {
                session,
                req_seq,
                ..Header::default()
            },
            body,
        );
    }

    fn reference(&mut self) -> BankRef {
        self.refs += 1;
        BankRef::from_text(&format!("R{}", self.refs)).expect("short")
    }

    fn welcome(&mut self, participant: ParticipantId, role: Role) {
        let fingerprint = Hash([u8::try_from(participant.0).expect("few"); 32]);
        self.house(&RegisterParticipant {
            participant,
            role,
            reserved: Reserved::ZERO,
            reference: Hash::ZERO,
        });
        self.house(&SetKey {
            participant,
            purpose: KeyPurpose::Session,
            state: KeyState::Valid,
            reserved: Reserved::ZERO,
            fingerprint,
        });
        let session = SessionId::of(participant, 0).expect("few");
        let up = SessionUp {
            connection: ConnectionId(1),
            fingerprint,
        };
        self.send(
            Header {
                session,
                ..Header::default()
            },
            &up,
        );
    }

    fn account(&mut self, number: u32) {
        let account = AccountId(number);
        self.say(
            OPERATOR,
            &OpenAccount {
                account,
                owner: TRADER,
                operated_by: ParticipantId::ZERO,
                schedule: ScheduleId::ZERO,
                reserved: Reserved::ZERO,
            },
        );
        let bank_ref = self.reference();
        self.say(
            BANK,
            &CreditCash {
                account,
                currency: CNY,
                reserved: Reserved::ZERO,
                amount: Amount(1_000_000_000),
                bank_ref,
                value_date: Date(20_231_114),
                reserved2: Reserved::ZERO,
            },
        );
    }

    /// A series with its holders and its book.
    fn series(&mut self, number: u32, accounts: u32) {
        let series = SeriesId(number);
        self.say(
            OPERATOR,
            &DraftSeries {
                series,
                issuer: ISSUER,
                symbol: Symbol::from_text(&format!("S{number}")).expect("short"),
                currency: CNY,
                reserved: Reserved::ZERO,
                lot: Qty(1),
                tick: Price(1),
                face: Price(3_000),
                redeem_value: Price(1),
                issue_cap: Amount(1_000_000),
                valid_from: START,
                valid_to: Nanos::MAX,
                terms_hash: Hash([1; 32]),
            },
        );
        let bank_ref = self.reference();
        self.say(
            BANK,
            &PostEscrow {
                series,
                reserved: Reserved::ZERO,
                amount: Amount(1_000_000),
                bank_ref,
                value_date: Date(20_231_114),
                reserved2: Reserved::ZERO,
            },
        );
        let reserved = Reserved::ZERO;
        self.say(OPERATOR, &RegisterSeries { series, reserved });
        let phase = Phase::Continuous;
        self.say(
            OPERATOR,
            &SetPhase {
                series,
                phase,
                reserved: Reserved::ZERO,
            },
        );
        let holder = |nth: u32| AccountId(1 + (number * HOLDERS + nth) % accounts);
        for nth in 0..HOLDERS {
            let (account, qty) = (holder(nth), Qty(1_000));
            self.say(
                OPERATOR,
                &IssueUnits {
                    series,
                    account,
                    qty,
                    reserved: Reserved::ZERO,
                },
            );
        }
        for nth in 0..2 * ORDERS {
            let buys = nth < ORDERS;
            let price = if buys { 1_000 + nth } else { 2_000 + nth };
            self.say(
                TRADER,
                &PlaceOrder {
                    account: holder(nth),
                    series,
                    qty: Qty(1 + nth),
                    side: if buys { Side::Buy } else { Side::Sell },
                    order_type: OrderType::Limit,
                    tif: TimeInForce::Gtc,
                    execution: Execution::Any,
                    limit: Price(price.into()),
                    expire_at: Nanos::ZERO,
                    cl_ord_id: ClOrdId::from_text(&format!("{number}-{nth}")).expect("short"),
                    on_disconnect: OnDisconnect::Cancel,
                    reserved: Reserved::ZERO,
                },
            );
        }
    }
}

fn filled(parts: u32) -> Venue {
    let (series, accounts) = (100_000 / parts, 1_000_000 / parts);
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    let mut venue = Venue {
        exchange: Exchange::new(),
        events: Events::new(),
        seq: Seq::ZERO,
        requests: [0; 5],
        refs: 0,
    };
    venue.house(&Genesis {
        journal_id: JournalId([7; 16]),
        rules_version: Count(1),
        participants_max: Count(100),
        accounts_max: Count(accounts),
        series_max: Count(series),
        balances_max: Count(series * HOLDERS + accounts),
        orders_max: Count(series * ORDERS * 2),
        sessions_max: Count(1_024),
        level_pages_max: Count(series * 2 + 1),
        proposals_max: Count(4),
        bank_refs_max: Count(series + accounts),
        proposal_ttl: Nanos(1_000_000_000),
        reopen_after: Nanos(0),
        disconnect_grace: Nanos(0),
        currencies,
    });
    let roles = [Role::Operator, Role::Bank, Role::Issuer, Role::Trader];
    for (participant, role) in [OPERATOR, BANK, ISSUER, TRADER].into_iter().zip(roles) {
        venue.welcome(participant, role);
    }
    (1..=accounts).for_each(|account| venue.account(account));
    (1..=series).for_each(|number| venue.series(number, accounts));
    venue
}

/// Resident memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}

fn main() {
    let parts = std::env::args()
        .nth(1)
        .and_then(|parts| parts.parse().ok())
        .unwrap_or(1);
    let begun = Instant::now();
    let venue = filled(parts);
    println!(
        "{} commands in {:.1} s; {} MiB",
        venue.seq,
        begun.elapsed().as_secs_f64(),
        resident()
    );
    let folder = std::env::temp_dir().join(format!("venue-snapshot-{}", std::process::id()));
    let path = folder.with_extension("sections");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let begun = Instant::now();
    let mut bytes = 0_u64;
    let put = &mut |kind: SectionKind, section: &[u8]| {
        bytes += u64::try_from(section.len()).expect("small");
        file.write_all(&kind.number().to_le_bytes())?;
        file.write_all(&u64::try_from(section.len()).expect("small").to_le_bytes())?;
        file.write_all(section)
    };
    venue.exchange.save(put).expect("there is room");
    println!(
        "saved {} MiB in {:.2} s; {} MiB",
        bytes >> 20,
        begun.elapsed().as_secs_f64(),
        resident()
    );
    drop(file);
    let orders = venue.exchange.open_orders();
    drop(venue);
    let begun = Instant::now();
    let mut file = File::open(&path).expect("it was written");
    let (mut restoring, mut head, mut section) = (Restoring::new(), [0; 12], Vec::new());
    while file.read_exact(&mut head).is_ok() {
        let kind = u32::from_le_bytes(head[..4].try_into().expect("four"));
        let length = u64::from_le_bytes(head[4..].try_into().expect("eight"));
        section.resize(usize::try_from(length).expect("small"), 0);
        file.read_exact(&mut section).expect("it was written whole");
        let kind = SectionKind::from_number(kind).expect("a kind");
        restoring.section(kind, &section).expect("it was saved");
    }
    let entered = begun.elapsed().as_secs_f64();
    let exchange = restoring.finish().expect("it was saved");
    println!(
        "restored {} orders in {:.2} s, of which {entered:.2} s for rows; {} MiB",
        exchange.open_orders(),
        begun.elapsed().as_secs_f64(),
        resident()
    );
    assert_eq!(exchange.open_orders(), orders);
    std::fs::remove_file(path).expect("it is there");
}
