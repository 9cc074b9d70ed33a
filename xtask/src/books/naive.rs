//! The naive book under test: it speaks the trait's language already.

use super::BookUnderTest;
use xq_engine::oracle::{LimitOrder, Oracle, Refusal, Resting, Trade};
use xq_protocol::Side;

impl BookUnderTest for Oracle {
    fn reset(&mut self) {
        *self = Oracle::new();
    }

    fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
        Oracle::limit(self, order)
    }

    fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
        Oracle::cancel(self, id)
    }

    fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
        Oracle::reduce(self, id, by)
    }

    fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        Oracle::replace(self, id, price, qty)
    }

    fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        Oracle::requeue(self, id, price, qty)
    }

    fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
        Oracle::depth(self, side, count)
    }

    fn queue(&self, side: Side, count: usize) -> Vec<Resting> {
        Oracle::queue(self, side).take(count).copied().collect()
    }
}
