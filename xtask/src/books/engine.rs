//! The engine's book alone under test: ids of the test beside its own, prices as ticks.

use super::{BookUnderTest, Domain};
use std::collections::BTreeMap;
use xq_engine::oracle::{LimitOrder, Refusal, Resting, Trade};
use xq_engine::{Book, BookFill, BookOrder, BookSize, Incoming, Rest};
use xq_protocol::{Execution, OrderId, Qty, Side, TimeInForce};

/// More than any check lets rest at once.
const ORDERS_MAX: u32 = 1 << 17;

/// The engine's book with the ids of the test.
pub struct EngineBook {
    domain: Domain,
    book: Book,
    /// The test's id to the book's, of orders that rest.
    orders: BTreeMap<u64, OrderId>,
    /// The book's id to the test's.
    given: BTreeMap<OrderId, u64>,
}

impl EngineBook {
    /// An empty book.
    pub fn new(domain: Domain) -> EngineBook {
        let (ticks_max, orders_max) = (domain.ticks_max(), ORDERS_MAX);
        EngineBook {
            domain,
            book: Book::new(BookSize {
                ticks_max,
                orders_max,
            }),
            orders: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    fn find(&self, id: u64) -> Result<BookOrder, Refusal> {
        let order = self.orders.get(&id).ok_or(Refusal::UnknownOrder)?;
        Ok(self
            .book
            .find(*order)
            .expect("an order that the test knows rests"))
    }

    fn show(&self, order: BookOrder) -> Resting {
        Resting {
            id: self.given[&order.order],
            side: order.side,
            price: self.domain.price(order.ticks),
            qty: order.leaves.0,
        }
    }

    fn forget(&mut self, order: OrderId) {
        let id = self.given.remove(&order).expect("it rested");
        self.orders.remove(&id);
    }

    /// What came of an order under the test's id: who filled it, and whether it rests.
    fn settle(&mut self, id: u64, fills: Vec<BookFill>, rests: Option<OrderId>) -> Vec<Trade> {
        let mut trades = Vec::new();
        for fill in fills {
            let (maker, price) = (self.given[&fill.maker], self.domain.price(fill.ticks));
            trades.push(Trade {
                maker,
                taker: id,
                price,
                qty: fill.qty.0,
            });
            if fill.maker_leaves.is_zero() {
                self.forget(fill.maker);
            }
        }
        if let Some(order) = rests {
            self.orders.insert(id, order);
            self.given.insert(order, id);
        }
        trades
    }
}

impl BookUnderTest for EngineBook {
    /// Cancels what rests: the book is used again as it is, its pages and slots given back.
    fn reset(&mut self) {
        for order in std::mem::take(&mut self.orders).into_values() {
            self.book.cancel(order).expect("it rested");
        }
        self.given.clear();
        assert!(self.book.is_empty());
    }

    fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
        if self.orders.contains_key(&order.id) {
            return Err(Refusal::DuplicateId);
        }
        let (side, ticks) = (order.side, self.domain.ticks(order.price));
        if order.execution == Execution::PostOnly && !self.book.fillable(side, ticks).is_zero() {
            return Err(Refusal::WouldTake);
        }
        if order.tif == TimeInForce::Fok && self.book.fillable(side, ticks).0 < u64::from(order.qty) {
            return Err(Refusal::Unfillable);
        }
        let rest = match order.tif {
            TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => Rest::Yes,
            TimeInForce::Ioc | TimeInForce::Fok => Rest::No,
        };
        let mut fills = Vec::new();
        let incoming = Incoming {
            side,
            ticks,
            qty: Qty(order.qty),
            rest,
        };
        let rests = self.book.place(incoming, |fill| fills.push(fill));
        Ok(self.settle(order.id, fills, rests))
    }

    fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
        let resting = self.show(self.find(id)?);
        self.book.cancel(self.orders[&id]).expect("found");
        self.forget(self.orders[&id]);
        Ok(resting)
    }

    fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
        let order = self.find(id)?.order;
        let fell = self.book.reduce(order, Qty(by)).expect("found");
        if self.book.find(order).is_none() {
            self.forget(order);
        }
        Ok(fell.0)
    }

    fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let found = self.find(id)?;
        if self.domain.price(found.ticks) == price && qty <= found.leaves.0 {
            return self.reduce(id, found.leaves.0 - qty).map(|_| Vec::new());
        }
        self.requeue(id, price, qty)
    }

    fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let order = self.find(id)?.order;
        let mut fills = Vec::new();
        let rests = self
            .book
            .requeue(order, self.domain.ticks(price), Qty(qty), |fill| fills.push(fill))
            .expect("found");
        self.forget(order);
        Ok(self.settle(id, fills, rests))
    }

    fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
        let levels = self.book.depth(side, count).into_iter();
        levels
            .map(|(ticks, open)| (self.domain.price(ticks), open.0))
            .collect()
    }

    fn queue(&self, side: Side, count: usize) -> Vec<Resting> {
        self.book
            .queue(side)
            .take(count)
            .map(|order| self.show(order))
            .collect()
    }
}
