//! The flows' book under test: ids of the test become its dense ones, prices become ticks.

use super::{BookUnderTest, Domain};
use std::collections::BTreeMap;
use xq_engine::oracle::{LimitOrder, Refusal, Resting, Trade};
use xq_perf::flow::{Arrival, FlowBook};
use xq_protocol::{Execution, Side, TimeInForce};

/// The flows' book with the ids of the test.
pub struct FlowBookUnderTest {
    domain: Domain,
    book: FlowBook,
    /// The test's id to the book's, of orders that may still rest.
    dense: BTreeMap<u64, u32>,
    /// The book's id to the test's.
    given: Vec<u64>,
}

impl FlowBookUnderTest {
    /// An empty book.
    pub fn new(domain: Domain) -> FlowBookUnderTest {
        FlowBookUnderTest {
            domain,
            book: FlowBook::new(1),
            dense: BTreeMap::new(),
            given: Vec::new(),
        }
    }

    fn find(&self, id: u64) -> Result<u32, Refusal> {
        let dense = self.dense.get(&id).copied().ok_or(Refusal::UnknownOrder)?;
        if self.book.open(dense) > 0 {
            Ok(dense)
        } else {
            Err(Refusal::UnknownOrder)
        }
    }

    fn given(&self, dense: u32) -> u64 {
        self.given[usize::try_from(dense).expect("32 bits fit an index")]
    }

    fn resting(&self, dense: u32) -> Resting {
        let (side, price) = (self.book.side(dense), self.domain.price(self.book.price(dense)));
        Resting {
            id: self.given(dense),
            side,
            price,
            qty: self.book.open(dense),
        }
    }

    fn trades(&self, taker: u64) -> Vec<Trade> {
        let trade = |fill: &xq_perf::flow::Fill| {
            let (maker, price) = (self.given(fill.maker), self.domain.price(fill.price));
            Trade {
                maker,
                taker,
                price,
                qty: fill.qty,
            }
        };
        self.book.fills().iter().map(trade).collect()
    }
}

impl BookUnderTest for FlowBookUnderTest {
    fn reset(&mut self) {
        *self = FlowBookUnderTest::new(self.domain);
    }

    fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
        if self.find(order.id).is_ok() {
            return Err(Refusal::DuplicateId);
        }
        let (side, price) = (order.side, self.domain.ticks(order.price));
        let fillable = || self.book.fillable(0, side, price);
        if order.execution == Execution::PostOnly && fillable() > 0 {
            return Err(Refusal::WouldTake);
        }
        if order.tif == TimeInForce::Fok && fillable() < u64::from(order.qty) {
            return Err(Refusal::Unfillable);
        }
        let dense = self.book.place(Arrival {
            series: 0,
            side,
            price,
            qty: order.qty,
            tif: order.tif,
        });
        self.given.push(order.id);
        self.dense.insert(order.id, dense);
        Ok(self.trades(order.id))
    }

    fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
        let dense = self.find(id)?;
        let resting = self.resting(dense);
        self.book.cancel(dense);
        Ok(resting)
    }

    fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
        let dense = self.find(id)?;
        if by >= self.book.open(dense) {
            return self.cancel(id).map(|canceled| canceled.qty);
        }
        self.book.reduce(dense, by);
        Ok(by)
    }

    fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let resting = self.resting(self.find(id)?);
        if price == resting.price && qty <= resting.qty {
            return self.reduce(id, resting.qty - qty).map(|_| Vec::new());
        }
        self.requeue(id, price, qty)
    }

    fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let dense = self.find(id)?;
        if qty == self.book.open(dense) {
            self.book.move_to(dense, self.domain.ticks(price));
            return Ok(self.trades(id));
        }
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

    fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
        let mut levels: Vec<(i64, u64)> = Vec::new();
        for dense in self.book.queue(0, side) {
            let Resting { price, qty, .. } = self.resting(dense);
            if levels.last().is_none_or(|level| level.0 != price) {
                if levels.len() == count {
                    break;
                }
                levels.push((price, 0));
            }
            levels.last_mut().expect("one was just pushed").1 += u64::from(qty);
        }
        levels
    }

    fn queue(&self, side: Side, count: usize) -> Vec<Resting> {
        self.book
            .queue(0, side)
            .take(count)
            .map(|dense| self.resting(dense))
            .collect()
    }
}
