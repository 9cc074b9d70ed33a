//! The naive order book: slow, obviously right, and the oracle of the fast one.
//!
//! Sorted maps, queues and plain integers; every operation is the rule written down. The fast book must do the
//! same trades in the same order and hold the same queues after every command (`cargo xtask oracle`).

pub mod market;

use std::collections::{BTreeMap, VecDeque};
use xq_protocol::{Execution, Side, TimeInForce};

/// A limit order as it arrives. Day and Gtd rest as Gtc does: the oracle has no calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitOrder {
    /// Number of the order, free when no resting order has it.
    pub id: u64,
    /// Buy or sell.
    pub side: Side,
    /// Worst price it accepts.
    pub price: i64,
    /// Coupons wanted, at least 1.
    pub qty: u32,
    /// What becomes of the part that does not trade at once.
    pub tif: TimeInForce,
    /// Whether it may take.
    pub execution: Execution,
}

/// One fill, at the maker's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// The resting order.
    pub maker: u64,
    /// The arriving order.
    pub taker: u64,
    /// The maker's price.
    pub price: i64,
    /// Coupons traded.
    pub qty: u32,
}

/// Why an operation changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A resting order already has this id.
    DuplicateId,
    /// No resting order has this id.
    UnknownOrder,
    /// A post-only order would have traded.
    WouldTake,
    /// A fill-or-kill order could not be filled whole.
    Unfillable,
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// Number of the order.
    pub id: u64,
    /// Buy or sell.
    pub side: Side,
    /// Its price.
    pub price: i64,
    /// Coupons still open.
    pub qty: u32,
}

/// Orders of one side by price; at one price, the earliest first.
type Levels = BTreeMap<i64, VecDeque<Resting>>;

/// The naive order book.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    bids: Levels,
    asks: Levels,
    places: BTreeMap<u64, (Side, i64)>,
}

impl Oracle {
    /// An empty book.
    pub fn new() -> Oracle {
        Oracle::default()
    }

    /// Trades what crosses, then rests or drops the remainder by the order's time in force.
    pub fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
        assert!(
            order.qty > 0,
            "an order of nothing is refused before it reaches a book"
        );
        if self.places.contains_key(&order.id) {
            return Err(Refusal::DuplicateId);
        }
        let fillable = self.fillable(order.side, order.price);
        if order.execution == Execution::PostOnly && fillable > 0 {
            return Err(Refusal::WouldTake);
        }
        if order.tif == TimeInForce::Fok && fillable < u64::from(order.qty) {
            return Err(Refusal::Unfillable);
        }
        let trades = self.take(order);
        let filled: u32 = trades.iter().map(|trade| trade.qty).sum();
        let open = Resting {
            id: order.id,
            side: order.side,
            price: order.price,
            qty: order.qty - filled,
        };
        if open.qty > 0 && rests(order.tif) {
            self.rest(open);
        }
        self.assert_uncrossed();
        Ok(trades)
    }

    /// Takes a resting order out; tells what was still open.
    pub fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
        let (side, price) = self.places.remove(&id).ok_or(Refusal::UnknownOrder)?;
        let levels = self.levels_mut(side);
        let queue = levels.get_mut(&price).expect("a placed order has a level");
        let position = queue
            .iter()
            .position(|order| order.id == id)
            .expect("a placed order is in its queue");
        let order = queue.remove(position).expect("the position was just found");
        if queue.is_empty() {
            levels.remove(&price);
        }
        Ok(order)
    }

    /// Lowers a resting order by `by` coupons, keeping its priority; by all it has or more is a cancel.
    /// Tells by how much it fell.
    pub fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
        let order = self.find(id).ok_or(Refusal::UnknownOrder)?;
        if by >= order.qty {
            return self.cancel(id).map(|canceled| canceled.qty);
        }
        let queue = self
            .levels_mut(order.side)
            .get_mut(&order.price)
            .expect("a placed order has a level");
        let resting = queue
            .iter_mut()
            .find(|resting| resting.id == id)
            .expect("it was just found");
        resting.qty -= by;
        Ok(by)
    }

    /// Gives a resting order a new price and a new open quantity (at least 1). It keeps its priority when only
    /// the quantity falls or nothing changes; else it queues anew, and may trade.
    pub fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let order = self.find(id).ok_or(Refusal::UnknownOrder)?;
        if price == order.price && qty <= order.qty {
            self.reduce(id, order.qty - qty)?;
            return Ok(Vec::new());
        }
        self.requeue(id, price, qty)
    }

    /// Cancels a resting order and places it again under the same id: it always loses its priority.
    pub fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
        let side = self.cancel(id)?.side;
        self.limit(LimitOrder {
            id,
            side,
            price,
            qty,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
        })
    }

    /// The resting order of this id.
    pub fn find(&self, id: u64) -> Option<Resting> {
        let (side, price) = self.places.get(&id)?;
        self.levels(*side)
            .get(price)?
            .iter()
            .find(|order| order.id == id)
            .copied()
    }

    /// Prices and open quantities of a side, best first, at most `count` of them.
    pub fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
        let sum = |queue: &VecDeque<Resting>| queue.iter().map(|order| u64::from(order.qty)).sum();
        self.best_first(side)
            .take(count)
            .map(|(price, queue)| (*price, sum(queue)))
            .collect()
    }

    /// Every order of a side in the order in which they would fill.
    pub fn queue(&self, side: Side) -> impl Iterator<Item = &Resting> {
        self.best_first(side).flat_map(|(_, queue)| queue)
    }

    /// The next order of a side to fill.
    pub fn head(&self, side: Side) -> Option<Resting> {
        self.queue(side).next().copied()
    }

    /// Number of resting orders.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing rests.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How much an order of this side and limit could take at once.
    fn fillable(&self, side: Side, limit: i64) -> u64 {
        let crossing = self
            .queue(side.opposite())
            .take_while(|maker| crosses(side, limit, maker.price));
        crossing.map(|maker| u64::from(maker.qty)).sum()
    }

    fn take(&mut self, order: LimitOrder) -> Vec<Trade> {
        let mut trades = Vec::new();
        let mut open = order.qty;
        while open > 0 {
            let Some(maker) = self.head(order.side.opposite()) else {
                break;
            };
            if !crosses(order.side, order.price, maker.price) {
                break;
            }
            let qty = open.min(maker.qty);
            trades.push(Trade {
                maker: maker.id,
                taker: order.id,
                price: maker.price,
                qty,
            });
            self.reduce(maker.id, qty).expect("the head of a queue rests");
            open -= qty;
        }
        trades
    }

    fn rest(&mut self, order: Resting) {
        let taken = self.places.insert(order.id, (order.side, order.price));
        assert!(taken.is_none(), "limit found the id free");
        self.levels_mut(order.side)
            .entry(order.price)
            .or_default()
            .push_back(order);
    }

    fn best_first(&self, side: Side) -> Box<dyn Iterator<Item = (&i64, &VecDeque<Resting>)> + '_> {
        match side {
            Side::Buy => Box::new(self.bids.iter().rev()),
            Side::Sell => Box::new(self.asks.iter()),
        }
    }

    fn levels(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn assert_uncrossed(&self) {
        if let (Some(bid), Some(ask)) = (self.head(Side::Buy), self.head(Side::Sell)) {
            assert!(
                bid.price < ask.price,
                "crossed book: bid {} at or above ask {}",
                bid.price,
                ask.price
            );
        }
    }
}

/// Whether an order of this side and limit accepts a maker's price.
fn crosses(side: Side, limit: i64, maker: i64) -> bool {
    match side {
        Side::Buy => limit >= maker,
        Side::Sell => limit <= maker,
    }
}

/// Whether what does not trade at once stays in the book.
fn rests(tif: TimeInForce) -> bool {
    match tif {
        TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => true,
        TimeInForce::Ioc | TimeInForce::Fok => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Execution::{Any, PostOnly};
    use Side::{Buy, Sell};
    use TimeInForce::{Fok, Gtc, Ioc};

    fn order(id: u64, side: Side, price: i64, qty: u32) -> LimitOrder {
        LimitOrder {
            id,
            side,
            price,
            qty,
            tif: Gtc,
            execution: Any,
        }
    }

    fn trade(maker: u64, taker: u64, price: i64, qty: u32) -> Trade {
        Trade {
            maker,
            taker,
            price,
            qty,
        }
    }

    /// Asks 1 and 2 at 101, 3 at 102; bid 4 at 99; 10 coupons each.
    fn book() -> Oracle {
        let mut book = Oracle::new();
        for (id, side, price) in [(1, Sell, 101), (2, Sell, 101), (3, Sell, 102), (4, Buy, 99)] {
            assert_eq!(book.limit(order(id, side, price, 10)), Ok(vec![]));
        }
        book
    }

    fn ids(book: &Oracle, side: Side) -> Vec<u64> {
        book.queue(side).map(|order| order.id).collect()
    }

    #[test]
    fn better_price_first_then_earlier_and_the_rest_rests() {
        let mut book = book();
        let trades = book.limit(order(5, Buy, 102, 35)).expect("accepted");
        assert_eq!(
            trades,
            [trade(1, 5, 101, 10), trade(2, 5, 101, 10), trade(3, 5, 102, 10)]
        );
        assert_eq!(book.depth(Buy, 9), [(102, 5), (99, 10)]);
        assert_eq!(book.depth(Sell, 9), []);
        assert_eq!((book.len(), book.head(Buy).map(|head| head.id)), (2, Some(5)));
    }

    #[test]
    fn a_limit_stops_at_its_price_and_ioc_drops_the_rest() {
        let mut book = book();
        let trades = book
            .limit(LimitOrder {
                tif: Ioc,
                ..order(5, Buy, 101, 25)
            })
            .expect("accepted");
        assert_eq!(trades, [trade(1, 5, 101, 10), trade(2, 5, 101, 10)]);
        assert_eq!((ids(&book, Sell), ids(&book, Buy)), (vec![3], vec![4]));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut book = book();
        let post_only = LimitOrder {
            execution: PostOnly,
            ..order(5, Buy, 101, 1)
        };
        assert_eq!(book.limit(post_only), Err(Refusal::WouldTake));
        let kill = LimitOrder {
            tif: Fok,
            ..order(5, Buy, 101, 21)
        };
        assert_eq!(book.limit(kill), Err(Refusal::Unfillable));
        assert_eq!(book.limit(order(4, Sell, 105, 1)), Err(Refusal::DuplicateId));
        assert_eq!(book.cancel(9), Err(Refusal::UnknownOrder));
        assert_eq!(book.reduce(9, 1), Err(Refusal::UnknownOrder));
        assert_eq!(book.replace(9, 100, 1), Err(Refusal::UnknownOrder));
        assert_eq!((ids(&book, Sell), ids(&book, Buy)), (vec![1, 2, 3], vec![4]));
        assert_eq!(
            book.limit(LimitOrder {
                tif: Fok,
                ..order(5, Buy, 101, 20)
            })
            .map(|fills| fills.len()),
            Ok(2)
        );
        assert_eq!(
            book.limit(LimitOrder {
                execution: PostOnly,
                ..order(6, Buy, 101, 1)
            }),
            Ok(vec![])
        );
    }

    #[test]
    fn priority_survives_a_fall_and_nothing_else() {
        let mut book = book();
        assert_eq!(book.replace(1, 101, 4), Ok(vec![]));
        assert_eq!(book.reduce(1, 1), Ok(1));
        assert_eq!(
            (ids(&book, Sell), book.depth(Sell, 1)),
            (vec![1, 2, 3], vec![(101, 13)])
        );
        assert_eq!(book.replace(1, 101, 5), Ok(vec![]));
        assert_eq!(ids(&book, Sell), [2, 1, 3]);
        assert_eq!(book.requeue(2, 101, 10), Ok(vec![]));
        assert_eq!(ids(&book, Sell), [1, 2, 3]);
        assert_eq!(book.reduce(1, 99), Ok(5));
        assert_eq!(ids(&book, Sell), [2, 3]);
    }

    #[test]
    fn a_replace_may_trade() {
        let mut book = book();
        assert_eq!(
            book.replace(4, 101, 12),
            Ok(vec![trade(1, 4, 101, 10), trade(2, 4, 101, 2)])
        );
        assert_eq!((ids(&book, Sell), ids(&book, Buy)), (vec![2, 3], vec![]));
        assert_eq!(book.find(2).map(|order| order.qty), Some(8));
    }

    #[test]
    fn an_id_is_free_again_once_its_order_has_ended() {
        let mut book = book();
        assert_eq!(book.cancel(4).map(|order| order.qty), Ok(10));
        assert_eq!(book.limit(order(4, Sell, 103, 1)), Ok(vec![]));
        assert_eq!(ids(&book, Sell), [1, 2, 3, 4]);
    }
}
