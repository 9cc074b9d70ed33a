//! A whole exchange under test: every operation is a command frame, every answer is read from its events.
//!
//! The ids of the test are the client's ids. Buyers and sellers are two accounts of two owners, so that nobody meets
//! itself; a fresh series is drafted, covered and issued as on any day.

use super::{BookUnderTest, Domain};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use xq_engine::Exchange;
use xq_engine::oracle::{LimitOrder, Refusal, Resting, Trade};
use xq_perf::frames::FrameTape;
use xq_perf::staffed::{CNY, PARTICIPANTS, Staffed};
use xq_protocol::*;

const BUYER: AccountId = AccountId(1);
const SELLER: AccountId = AccountId(2);
/// More than any check asks for.
const SERIES_MAX: u32 = 60_000;
const ORDERS_MAX: u32 = 1 << 17;
/// The buyer's money and the seller's coupons of each series.
const CASH: Amount = Amount(1 << 62);
const UNITS: Qty = Qty::MAX;
const TAKER: Ppm = Ppm(1_000);
const MAKER: Ppm = Ppm(200);

/// An exchange with the ids of the test.
pub struct ExchangeBook {
    domain: Domain,
    staffed: Staffed,
    series: SeriesId,
    live: BTreeMap<u64, Live>,
    /// The exchange's id to the test's.
    given: BTreeMap<OrderId, u64>,
}

/// An order that rests, as its events told.
#[derive(Clone, Copy)]
struct Live {
    order: OrderId,
    side: Side,
    price: i64,
    filled: u32,
    leaves: u32,
}

/// What the events of one command said.
#[derive(Default)]
struct Told {
    trades: Vec<Trade>,
    canceled: u32,
    reduced: u32,
}

impl ExchangeBook {
    /// A fresh exchange with one empty series.
    pub fn new(domain: Domain) -> ExchangeBook {
        ExchangeBook::over(domain, Staffed::open(&genesis()))
    }

    /// The same, with a hash kept over all events from Genesis.
    pub fn hashed(domain: Domain) -> ExchangeBook {
        ExchangeBook::over(domain, Staffed::open_hashed(&genesis()))
    }

    fn over(domain: Domain, mut staffed: Staffed) -> ExchangeBook {
        staffed.set_fees(TAKER, MAKER);
        staffed.open_account(BUYER);
        staffed.open_account(SELLER);
        staffed.credit(BUYER, CASH);
        let mut book = ExchangeBook {
            domain,
            staffed,
            series: SeriesId::ZERO,
            live: BTreeMap::new(),
            given: BTreeMap::new(),
        };
        book.next_series();
        book
    }

    /// The exchange, to be audited.
    pub fn exchange(&self) -> &Exchange {
        &self.staffed.running.exchange
    }

    /// Every command since Genesis, and the SHA-256 of the bytes of all events that followed.
    pub fn record(&self) -> (&FrameTape, Option<[u8; 32]>) {
        let hash = self
            .staffed
            .events_hash()
            .map(|hash| hash.clone().finalize().into());
        (&self.staffed.tape, hash)
    }

    fn next_series(&mut self) {
        self.series = SeriesId(self.series.0 + 1);
        let face = Price(u64::from(self.domain.ticks_max()));
        self.staffed.open_series(self.series, face, UNITS.into());
        self.staffed.issue(self.series, SELLER, UNITS);
    }

    /// Sends a command about the test's order `id`; reads its events.
    fn send<M: Message>(&mut self, id: u64, price: i64, body: &M) -> Result<Told, RejectReason> {
        let events = self.staffed.trade(body).to_vec();
        let mut told = Told::default();
        for frame in &events {
            match frame.event().expect("the exchange tells events") {
                Event::OrderAccepted(e) => self.accept(id, price, e),
                Event::Traded(e) => told.trades.push(self.fill(e)),
                Event::OrderReplaced(e) => {
                    let live = self.live.get_mut(&id).expect("it rests");
                    (live.leaves, live.price) = (e.leaves.0, price);
                }
                Event::OrderReduced(e) => {
                    self.live.get_mut(&id).expect("it rests").leaves = e.leaves.0;
                    told.reduced = e.qty.0;
                }
                Event::OrderCanceled(e) => {
                    self.forget(e.order);
                    told.canceled = e.qty.0;
                }
                Event::OrderRested(_) => {}
                Event::Rejected(e) => {
                    return Err(RejectReason::from_code(e.code).expect("a code of the list"));
                }
                other => panic!("an order does not cause {other:?}"),
            }
        }
        Ok(told)
    }

    fn accept(&mut self, id: u64, price: i64, accepted: &OrderAccepted) {
        let live = Live {
            order: accepted.order,
            side: accepted.side,
            price,
            filled: 0,
            leaves: accepted.qty.0,
        };
        assert!(self.live.insert(id, live).is_none(), "{id} rests already");
        self.given.insert(accepted.order, id);
    }

    fn fill(&mut self, traded: &Traded) -> Trade {
        let (maker, taker) = (self.given[&traded.maker_order], self.given[&traded.taker_order]);
        for (id, leaves) in [(maker, traded.maker_leaves), (taker, traded.taker_leaves)] {
            let live = self.live.get_mut(&id).expect("it is open");
            live.filled += traded.qty.0;
            live.leaves = leaves.0;
            let order = live.order;
            if leaves.is_zero() {
                self.forget(order);
            }
        }
        let ticks = u32::try_from(traded.price.0).expect("at most the face value");
        Trade {
            maker,
            taker,
            price: self.domain.price(ticks),
            qty: traded.qty.0,
        }
    }

    fn forget(&mut self, order: OrderId) {
        let id = self.given.remove(&order).expect("it was open");
        self.live.remove(&id);
    }

    /// Whose order it is, and its name: an even id by the exchange's, an odd or unknown one by the client's.
    fn name(&self, id: u64) -> (AccountId, OrderId, ClOrdId) {
        match self.live.get(&id) {
            Some(live) if id.is_multiple_of(2) => (account(live.side), live.order, ClOrdId::ZERO),
            Some(live) => (account(live.side), OrderId::ZERO, cl_ord_id(id)),
            None => (BUYER, OrderId::ZERO, cl_ord_id(id)),
        }
    }

    fn cancel_some(&mut self, id: u64, reduce_qty: u32) -> Result<Told, Refusal> {
        let (account, order, cl_ord_id) = self.name(id);
        let reduce_qty = Qty(reduce_qty);
        let cancel = CancelOrder {
            account,
            reduce_qty,
            order,
            cl_ord_id,
        };
        self.send(id, 0, &cancel).map_err(refusal)
    }

    /// Replaces; a post-only order is placed anew where it would trade, since the naive book forgets that it was one.
    fn change(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let (account, order, orig_cl_ord_id) = self.name(id);
        let filled = self.live.get(&id).map_or(0, |live| live.filled);
        let replace = ReplaceOrder {
            account,
            total_qty: Qty(filled + qty),
            order,
            limit: Price(u64::from(self.domain.ticks(price))),
            orig_cl_ord_id,
            cl_ord_id: ClOrdId::ZERO,
        };
        match self.send(id, price, &replace) {
            Ok(told) => Ok(told.trades),
            Err(RejectReason::WouldTake) => self.place_anew(id, price, qty),
            // The exchange refuses a replacement that changes nothing; the naive book has nothing to do.
            Err(RejectReason::ReplaceInvalid) => Ok(Vec::new()),
            Err(reason) => Err(refusal(reason)),
        }
    }

    fn place_anew(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let side = self.cancel(id)?.side;
        let (tif, execution) = (TimeInForce::Gtc, Execution::Any);
        self.limit(LimitOrder {
            id,
            side,
            price,
            qty,
            tif,
            execution,
        })
    }
}

impl BookUnderTest for ExchangeBook {
    /// Cancels what rests, over as many ticks as it takes, and goes over to a series just issued.
    fn reset(&mut self) {
        self.staffed.trade(&MassCancel {
            account: AccountId::ZERO,
            series: self.series,
            sides: Sides::Both,
            reserved: Reserved::ZERO,
        });
        while self.exchange().open_orders() > 0 {
            self.staffed.tick();
        }
        self.live.clear();
        self.given.clear();
        self.next_series();
    }

    fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
        // The test's ids are one space, the exchange's clients' one for each account.
        if self
            .live
            .get(&order.id)
            .is_some_and(|live| live.side != order.side)
        {
            return Err(Refusal::DuplicateId);
        }
        let place = PlaceOrder {
            account: account(order.side),
            series: self.series,
            qty: Qty(order.qty),
            side: order.side,
            order_type: OrderType::Limit,
            tif: order.tif,
            execution: order.execution,
            limit: Price(u64::from(self.domain.ticks(order.price))),
            expire_at: Nanos::ZERO,
            cl_ord_id: cl_ord_id(order.id),
            on_disconnect: OnDisconnect::Cancel,
            reserved: Reserved::ZERO,
        };
        let told = self.send(order.id, order.price, &place).map_err(refusal)?;
        Ok(told.trades)
    }

    fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
        let live = self.live.get(&id).copied();
        let canceled = self.cancel_some(id, 0)?;
        let Live { side, price, .. } = live.expect("the exchange found it");
        let qty = canceled.canceled;
        Ok(Resting { id, side, price, qty })
    }

    fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
        assert!(by > 0, "to the exchange, nothing means all");
        let told = self.cancel_some(id, by)?;
        Ok(told.canceled + told.reduced)
    }

    fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        self.change(id, price, qty)
    }

    fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        match self.live.get(&id) {
            // It would keep its place, or nothing would change: only a new order goes to the end.
            Some(live) if live.price == price && qty <= live.leaves => self.place_anew(id, price, qty),
            Some(_) | None => self.change(id, price, qty),
        }
    }

    fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
        let levels = self.exchange().depth(self.series, side, count).into_iter();
        levels.map(|(price, open)| (self.shown(price), open.0)).collect()
    }

    fn queue(&self, side: Side, count: usize) -> Vec<Resting> {
        let orders = self.exchange().queue(self.series, side, count).into_iter();
        orders
            .map(|order| Resting {
                id: self.given[&order.order],
                side,
                price: self.shown(order.price),
                qty: order.leaves.0,
            })
            .collect()
    }
}

impl ExchangeBook {
    fn shown(&self, price: Price) -> i64 {
        self.domain
            .price(u32::try_from(price.0).expect("at most the face value"))
    }
}

/// Applies the same commands to a fresh exchange; tells the SHA-256 of the bytes of all events.
pub fn replayed_hash(tape: &FrameTape) -> [u8; 32] {
    let mut running = xq_perf::staffed::Running::new();
    let mut hash = Sha256::new();
    for frame in tape.frames() {
        running
            .apply(&frame)
            .iter()
            .for_each(|event| hash.update(event.bytes()));
    }
    hash.finalize().into()
}

/// What the naive book calls a reason.
fn refusal(reason: RejectReason) -> Refusal {
    match reason {
        RejectReason::DupClOrdId => Refusal::DuplicateId,
        RejectReason::UnknownOrder => Refusal::UnknownOrder,
        RejectReason::WouldTake => Refusal::WouldTake,
        RejectReason::FokUnfillable => Refusal::Unfillable,
        other => panic!("no order of a check is refused as {}", other.name()),
    }
}

fn account(side: Side) -> AccountId {
    match side {
        Side::Buy => BUYER,
        Side::Sell => SELLER,
    }
}

/// The test's id and one, since all zero is none.
fn cl_ord_id(id: u64) -> ClOrdId {
    ClOrdId((u128::from(id) + 1).to_le_bytes())
}

fn genesis() -> Genesis {
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    Genesis {
        journal_id: JournalId([7; 16]),
        rules_version: Count(xq_engine::RULES_VERSION),
        participants_max: Count(PARTICIPANTS + 2),
        accounts_max: Count(2),
        series_max: Count(SERIES_MAX),
        balances_max: Count(2 * SERIES_MAX + 2),
        orders_max: Count(ORDERS_MAX),
        sessions_max: Count(PARTICIPANTS),
        level_pages_max: Count(ORDERS_MAX),
        proposals_max: Count(4),
        bank_refs_max: Count(SERIES_MAX + 1),
        proposal_ttl: Nanos(3_600_000_000_000),
        reopen_after: Nanos(10_000_000_000),
        disconnect_grace: Nanos(5_000_000_000),
        currencies,
    }
}
