//! A venue in memory for a flow: opened, staffed, funded for the whole run, and the flow's commands as its frames.
//!
//! The flows know no self-trade, the exchange prevents it by owner. So each account of a flow is two accounts here, one
//! that buys and one that sells, each with an owner of its own; one platform participant acts for all of them over one
//! session. Each buying account has the cash, each selling account the coupons for every order that it will place.
//!
//! The exchange gives orders their ids, so a flow's commands are written while an exchange applies them: from then on
//! the frames are fixed, and a fresh exchange gives the same ids.

use crate::flow::{Flow, FlowOp};
use crate::frames::FrameTape;
pub use crate::staffed::Running;
use crate::staffed::{CNY, PARTICIPANTS, Staffed};
use std::collections::{BTreeMap, BTreeSet};
use xq_protocol::*;

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
        let mut writer = Writer::open(flow, naming);
        let opening = writer.take_tape();
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

/// What the accounts need for every order that they will place.
struct Needs {
    /// Of each buying account.
    cash: Vec<Amount>,
    /// Of each selling account in each series.
    units: BTreeMap<(u32, u32), u32>,
    /// Pairs of buying account and series.
    bought: BTreeSet<(u32, u32)>,
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

/// Writes a flow's frames while an exchange applies them.
struct Writer {
    staffed: Staffed,
    naming: Naming,
    /// The flow's orders by its ids.
    orders: Vec<Known>,
    outcome: Outcome,
}

impl Writer {
    /// Opens the venue.
    fn open(flow: &Flow, naming: Naming) -> Writer {
        let needs = Needs::of(flow);
        let mut staffed = Staffed::open(&genesis(flow, &needs));
        staffed.set_fees(TAKER, MAKER);
        for (series, units) in (0..).zip(needs.units_of_each(flow.series)) {
            staffed.open_series(
                series_id(series),
                Price(u64::from(flow.price_max)),
                Amount(units.max(1)),
            );
        }
        for account in 0..flow.accounts {
            staffed.open_account(account_of(account, Side::Buy));
            staffed.open_account(account_of(account, Side::Sell));
        }
        for (account, cash) in (0..).zip(&needs.cash) {
            if !cash.is_zero() {
                staffed.credit(account_of(account, Side::Buy), *cash);
            }
        }
        for ((account, series), qty) in &needs.units {
            staffed.issue(series_id(*series), account_of(*account, Side::Sell), Qty(*qty));
        }
        Writer {
            staffed,
            naming,
            orders: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    fn take_tape(&mut self) -> FrameTape {
        std::mem::take(&mut self.staffed.tape)
    }

    /// Writes and applies a command; tells its first event.
    fn send<M: Message>(&mut self, body: &M) -> EventFrame {
        let events = self.staffed.trade(body);
        for event in events {
            self.outcome.events += 1;
            self.outcome.event_bytes += u64::try_from(event.bytes().len()).expect("small");
            let template = event.header().template_id;
            self.outcome.trades += u64::from(template == Traded::TEMPLATE);
            self.outcome.refused += u64::from(template == Rejected::TEMPLATE);
        }
        events[0]
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
                self.send(&replace);
            }
        }
    }

    fn place(&mut self, id: u32, order: &PlaceOrder) {
        assert_eq!(place(id), self.orders.len(), "a flow's ids are dense");
        let accepted = self.send(order);
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
        self.send(&CancelOrder {
            account,
            reduce_qty,
            order,
            cl_ord_id,
        });
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
        participants_max: count(accounts + place(PARTICIPANTS)),
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
