//! A venue in memory for a flow: opened, staffed, funded for the whole run, and the flow's commands as its frames.
//!
//! The flows know no self-trade, the exchange prevents it by owner. So each account of a flow is two accounts here, one
//! that buys and one that sells, each with an owner of its own; one platform participant acts for all of them over one
//! session. Each buying account has the cash, each selling account the coupons for every order that it will place.
//!
//! The exchange gives orders their ids, so a flow's commands are written while an exchange applies them: from then on
//! the frames are fixed, and a fresh exchange gives the same ids.

use crate::flow::{Flow, FlowOp};
use crate::frames::{self, FrameTape};
use std::collections::BTreeMap;
use xq_engine::{Events, Exchange};
use xq_protocol::*;

const CNY: Currency = Currency(156);
const OPERATOR: ParticipantId = ParticipantId(1);
const OPERATOR_2: ParticipantId = ParticipantId(2);
const BANK: ParticipantId = ParticipantId(3);
const ISSUER: ParticipantId = ParticipantId(4);
const PLATFORM: ParticipantId = ParticipantId(5);
/// Owners of accounts have the account's number and this.
const OWNER: u32 = 16;
/// The first command's time; each later one comes a microsecond after.
const OPENED: Nanos = Nanos(1_700_000_000_000_000_000);
const VALUE_DATE: Date = Date(20_231_114);
/// What takers and makers pay, in parts per million.
pub const TAKER: Ppm = Ppm(1_000);
/// See [`TAKER`].
pub const MAKER: Ppm = Ppm(200);

/// How commands name the orders that rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By the id that the exchange gave: nothing is searched for.
    Exchange,
    /// By the client's id: one search in a table.
    Client,
}

/// What came of a flow's timed commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events told.
    pub events: u64,
    /// Their bytes, headers included.
    pub event_bytes: u64,
    /// Trades among them.
    pub trades: u64,
    /// Commands refused: the exchange refuses to replace an order by itself, which some flows ask for.
    pub refused: u64,
}

/// A flow as frames for an exchange.
pub struct VenueFlow {
    /// Genesis, staff, series, money and coupons.
    pub opening: FrameTape,
    /// Commands that build the book, not timed.
    pub prefill: FrameTape,
    /// The timed commands.
    pub timed: FrameTape,
    /// What came of the timed commands.
    pub outcome: Outcome,
}

impl VenueFlow {
    /// Writes a flow's commands.
    pub fn build(flow: &Flow, naming: Naming) -> VenueFlow {
        let mut writer = Writer::new(naming);
        let needs = Needs::of(flow);
        writer.open(flow, &needs);
        let opening = writer.take_tape();
        assert_eq!(writer.outcome.refused, 0, "the opening is right");
        flow.prefill
            .iter()
            .for_each(|(series, op)| writer.play(series, op));
        let prefill = writer.take_tape();
        writer.outcome = Outcome::default();
        flow.timed.iter().for_each(|(series, op)| writer.play(series, op));
        VenueFlow {
            opening,
            prefill,
            timed: writer.take_tape(),
            outcome: writer.outcome,
        }
    }

    /// A fresh exchange that is open and has its book built.
    pub fn start(&self) -> Running {
        let mut running = Running::new();
        for frame in self.opening.frames().chain(self.prefill.frames()) {
            running.apply(&frame);
        }
        running
    }
}

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

/// What the accounts need for every order that they will place.
struct Needs {
    /// Of each buying account.
    cash: Vec<Amount>,
    /// Of each selling account in each series.
    units: BTreeMap<(u32, u32), u32>,
    /// Pairs of buying account and series.
    bought: std::collections::BTreeSet<(u32, u32)>,
}

impl Needs {
    fn of(flow: &Flow) -> Needs {
        let mut needs = Needs {
            cash: vec![Amount::ZERO; place(flow.accounts)],
            units: BTreeMap::new(),
            bought: Default::default(),
        };
        for (series, op) in flow.prefill.iter().chain(flow.timed.iter()) {
            let FlowOp::Place {
                account, side, qty, ..
            } = op
            else {
                continue;
            };
            match side {
                Side::Buy => {
                    // An order may move to any price of the flow; its fee is less than a hundredth.
                    let most = u64::from(flow.price_max) * u64::from(qty) / 99 * 100 + 1_000;
                    needs.cash[place(account)].0 += most;
                    needs.bought.insert((account, series));
                }
                Side::Sell => *needs.units.entry((account, series)).or_default() += qty,
            }
        }
        needs
    }

    /// Coupons of each series in all.
    fn units_of_each(&self, series: u32) -> Vec<u64> {
        let mut all = vec![0; place(series)];
        for ((_, of), qty) in &self.units {
            all[place(*of)] += u64::from(*qty);
        }
        all
    }
}

/// An order of the flow as the exchange knows it.
#[derive(Clone, Copy)]
struct Known {
    order: OrderId,
    account: AccountId,
    total: Qty,
}

/// Writes frames while an exchange applies them.
struct Writer {
    running: Running,
    naming: Naming,
    tape: FrameTape,
    req_seqs: BTreeMap<SessionId, u64>,
    bank_refs: u64,
    /// The flow's orders by its ids.
    orders: Vec<Known>,
    outcome: Outcome,
}

impl Writer {
    fn new(naming: Naming) -> Writer {
        Writer {
            running: Running::new(),
            naming,
            tape: FrameTape::default(),
            req_seqs: BTreeMap::new(),
            bank_refs: 0,
            orders: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    fn take_tape(&mut self) -> FrameTape {
        std::mem::take(&mut self.tape)
    }

    /// Writes and applies a command of the house about a session, if any.
    fn house<M: Message>(&mut self, session: SessionId, body: &M) -> &[EventFrame] {
        self.write(session, ReqSeq::ZERO, body)
    }

    /// Writes and applies a command of a participant's first session.
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
        let command = frames::frame(header, body);
        let command = command.frame().expect("just written");
        self.tape.push(&command);
        let events = self.running.apply(&command);
        for event in events {
            self.outcome.events += 1;
            self.outcome.event_bytes += u64::try_from(event.bytes().len()).expect("small");
            match event.header().template_id {
                Traded::TEMPLATE => self.outcome.trades += 1,
                Rejected::TEMPLATE => self.outcome.refused += 1,
                _ => {}
            }
        }
        events
    }

    fn open(&mut self, flow: &Flow, needs: &Needs) {
        self.house(SessionId::HOUSE, &genesis(flow, needs));
        let staff = [
            (OPERATOR, Role::Operator),
            (OPERATOR_2, Role::Operator),
            (BANK, Role::Bank),
            (ISSUER, Role::Issuer),
            (PLATFORM, Role::MarketMaker),
        ];
        for (participant, role) in staff {
            self.register(participant, role);
            self.connect(participant);
        }
        self.set_fees();
        for (series, units) in (0..).zip(needs.units_of_each(flow.series)) {
            self.open_series(series, flow.price_max, units);
        }
        for account in 0..flow.accounts {
            self.open_account(account_of(account, Side::Buy));
            self.open_account(account_of(account, Side::Sell));
        }
        for (account, cash) in (0..).zip(&needs.cash) {
            if !cash.is_zero() {
                self.credit(account_of(account, Side::Buy), *cash);
            }
        }
        for ((account, series), qty) in &needs.units {
            let (series, account) = (series_id(*series), account_of(*account, Side::Sell));
            let (qty, reserved) = (Qty(*qty), Reserved::ZERO);
            self.say(
                OPERATOR,
                &IssueUnits {
                    series,
                    account,
                    qty,
                    reserved,
                },
            );
        }
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
    fn set_fees(&mut self) {
        let (schedule, reserved) = (ScheduleId::ZERO, Reserved::ZERO);
        let fees = SetFeeSchedule {
            schedule,
            reserved,
            taker: TAKER,
            maker: MAKER,
        };
        let proposed = self.say(OPERATOR, &fees)[0];
        let Ok(Event::Proposed(waiting)) = proposed.event() else {
            panic!("fees need a second operator")
        };
        let (proposal, hash) = (proposed.header().seq, waiting.hash);
        self.say(OPERATOR_2, &Approve { proposal, hash });
    }

    fn open_series(&mut self, series: u32, price_max: u32, units: u64) {
        let (id, units) = (series_id(series), units.max(1));
        let draft = DraftSeries {
            series: id,
            issuer: ISSUER,
            symbol: Symbol::from_text(&format!("S{id}")).expect("short"),
            currency: CNY,
            reserved: Reserved::ZERO,
            lot: Qty(1),
            tick: Price(1),
            face: Price(u64::from(price_max)),
            redeem_value: Price(1),
            issue_cap: Amount(units),
            valid_from: OPENED,
            valid_to: Nanos::MAX,
            terms_hash: Hash([1; 32]),
        };
        self.say(OPERATOR, &draft);
        let escrow = PostEscrow {
            series: id,
            reserved: Reserved::ZERO,
            amount: Amount(units),
            bank_ref: self.bank_ref(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.say(BANK, &escrow);
        let (reserved, phase) = (Reserved::ZERO, Phase::Continuous);
        self.say(OPERATOR, &RegisterSeries { series: id, reserved });
        let reserved = Reserved::ZERO;
        self.say(
            OPERATOR,
            &SetPhase {
                series: id,
                phase,
                reserved,
            },
        );
    }

    fn open_account(&mut self, account: AccountId) {
        let owner = ParticipantId(OWNER + account.0);
        self.register(owner, Role::Trader);
        let (operated_by, schedule, reserved) = (PLATFORM, ScheduleId::ZERO, Reserved::ZERO);
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
    }

    fn credit(&mut self, account: AccountId, amount: Amount) {
        let credit = CreditCash {
            account,
            currency: CNY,
            reserved: Reserved::ZERO,
            amount,
            bank_ref: self.bank_ref(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.say(BANK, &credit);
    }

    fn bank_ref(&mut self) -> BankRef {
        self.bank_refs += 1;
        BankRef::from_text(&format!("R{}", self.bank_refs)).expect("short")
    }

    /// Writes and applies one command of the flow.
    fn play(&mut self, series: u32, op: FlowOp) {
        match op {
            FlowOp::Place {
                id,
                account,
                side,
                price,
                qty,
                tif,
            } => {
                let order = PlaceOrder {
                    account: account_of(account, side),
                    series: series_id(series),
                    qty: Qty(qty),
                    side,
                    order_type: OrderType::Limit,
                    tif,
                    execution: Execution::Any,
                    limit: Price(u64::from(price)),
                    expire_at: Nanos::ZERO,
                    cl_ord_id: cl_ord_id(id),
                    on_disconnect: OnDisconnect::Cancel,
                    reserved: Reserved::ZERO,
                };
                self.place(id, &order);
            }
            FlowOp::Cancel { id } => self.cancel(id, Qty::ZERO),
            FlowOp::Reduce { id, by } => {
                self.orders[place(id)].total.0 -= by;
                self.cancel(id, Qty(by));
            }
            FlowOp::Move { id, price } => {
                let known = self.orders[place(id)];
                let (order, orig_cl_ord_id) = self.name(id);
                let replace = ReplaceOrder {
                    account: known.account,
                    total_qty: known.total,
                    order,
                    limit: Price(u64::from(price)),
                    orig_cl_ord_id,
                    cl_ord_id: ClOrdId::ZERO,
                };
                self.say(PLATFORM, &replace);
            }
        }
    }

    fn place(&mut self, id: u32, order: &PlaceOrder) {
        assert_eq!(place(id), self.orders.len(), "a flow's ids are dense");
        let accepted = self.say(PLATFORM, order)[0];
        let Ok(Event::OrderAccepted(accepted)) = accepted.event() else {
            panic!("order {id} of the flow was refused: {:?}", accepted.event())
        };
        let (order, account, total) = (accepted.order, accepted.account, accepted.qty);
        self.orders.push(Known {
            order,
            account,
            total,
        });
    }

    fn cancel(&mut self, id: u32, reduce_qty: Qty) {
        let account = self.orders[place(id)].account;
        let (order, cl_ord_id) = self.name(id);
        self.say(
            PLATFORM,
            &CancelOrder {
                account,
                reduce_qty,
                order,
                cl_ord_id,
            },
        );
    }

    fn name(&self, id: u32) -> (OrderId, ClOrdId) {
        match self.naming {
            Naming::Exchange => (self.orders[place(id)].order, ClOrdId::ZERO),
            Naming::Client => (OrderId::ZERO, cl_ord_id(id)),
        }
    }
}

fn genesis(flow: &Flow, needs: &Needs) -> Genesis {
    let count = |count: usize| Count(u32::try_from(count).expect("a venue of 32-bit numbers"));
    let accounts = place(flow.accounts) * 2;
    let rows = accounts * 2 + needs.units.len() + needs.bought.len();
    let resting = usize::try_from(flow.mix.resting).expect("a count fits");
    let orders = (2 * resting).max(4_096);
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    Genesis {
        journal_id: JournalId([7; 16]),
        rules_version: Count(xq_engine::RULES_VERSION),
        participants_max: count(accounts + place(OWNER)),
        accounts_max: count(accounts),
        series_max: Count(flow.series),
        balances_max: count(rows),
        orders_max: count(orders),
        sessions_max: Count(16),
        // Each resting order needs one page at the most.
        level_pages_max: count(orders),
        proposals_max: Count(4),
        bank_refs_max: count(accounts + place(flow.series)),
        proposal_ttl: Nanos(3_600_000_000_000),
        reopen_after: Nanos(10_000_000_000),
        disconnect_grace: Nanos(5_000_000_000),
        currencies,
    }
}

fn session_of(participant: ParticipantId) -> SessionId {
    SessionId::of(participant, 0).expect("staff have small numbers")
}

fn series_id(series: u32) -> SeriesId {
    SeriesId(series + 1)
}

/// The account that buys, or the one that sells, for an account of the flow.
fn account_of(account: u32, side: Side) -> AccountId {
    AccountId(2 * account + 1 + u32::from(side.byte()))
}

fn cl_ord_id(id: u32) -> ClOrdId {
    ClOrdId::from_text(&format!("o{id}")).expect("short")
}

fn place(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit an index")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowName;

    #[test]
    fn every_flow_trades_through_the_exchange_as_through_its_book() {
        for name in [FlowName::Ec1At1k, FlowName::Ec1At10k, FlowName::Sweep] {
            let flow = name.build(20_000);
            let frames = VenueFlow::build(&flow, Naming::Exchange);
            assert_eq!(frames.outcome.refused, 0, "{}", flow.name);
            assert_eq!(frames.outcome.trades, flow.mix.trades, "{}", flow.name);
            let mut running = frames.start();
            let mut events = 0;
            for frame in frames.timed.frames() {
                events += running.apply(&frame).len();
            }
            assert_eq!(u64::try_from(events), Ok(frames.outcome.events));
            assert_eq!(u64::from(running.exchange.open_orders()), flow.mix.resting);
            running.exchange.check();
        }
    }

    #[test]
    fn the_client_s_ids_name_the_same_orders() {
        let flow = FlowName::Mix1At10k.build(20_000);
        let [one, other] = [Naming::Exchange, Naming::Client].map(|naming| VenueFlow::build(&flow, naming));
        assert_eq!(one.outcome, other.outcome);
    }
}
