//! A series' book as its feed tells it, order by order.

use std::collections::{BTreeMap, HashMap};
use xq_protocol::{OrderId, Price, Qty, Seq, SessionMessage, Side};

/// One resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// The order.
    pub order: OrderId,
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// What is open of it.
    pub qty: Qty,
}

/// One price with all that rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// What is open at it.
    pub qty: u64,
    /// In how many orders.
    pub orders: usize,
}

/// The better price first, then who came first.
type Rank = (u64, u64);

/// A book.
#[derive(Debug, Default)]
pub struct Book {
    buys: BTreeMap<Rank, Resting>,
    sells: BTreeMap<Rank, Resting>,
    ranks: HashMap<OrderId, (Side, Rank)>,
    arrivals: u64,
    seq: Seq,
}

impl Book {
    /// Follows one message of the feed whose command is `seq`; others than a feed's change nothing.
    pub fn follow(&mut self, seq: Seq, message: &SessionMessage<'_>) {
        self.seq = seq;
        match message {
            SessionMessage::FeedSnapshot(_) => {
                *self = Book {
                    seq,
                    ..Book::default()
                }
            }
            SessionMessage::OrderAdded(added) => self.add(Resting {
                order: added.order,
                side: added.side,
                price: added.price,
                qty: added.qty,
            }),
            SessionMessage::OrderExecuted(executed) => self.lower(executed.order, executed.leaves),
            SessionMessage::OrderLowered(lowered) => self.lower(lowered.order, lowered.leaves),
            SessionMessage::OrderDeleted(deleted) => self.lower(deleted.order, Qty::ZERO),
            SessionMessage::Establish(_)
            | SessionMessage::EstablishAck(_)
            | SessionMessage::Sequence(_)
            | SessionMessage::RetransmitRequest(_)
            | SessionMessage::Retransmission(_)
            | SessionMessage::Terminate(_)
            | SessionMessage::DoorRejected(_)
            | SessionMessage::FeedRequest(_) => {}
        }
    }

    fn add(&mut self, resting: Resting) {
        self.arrivals += 1;
        let better_first = match resting.side {
            Side::Buy => u64::MAX - resting.price.0,
            Side::Sell => resting.price.0,
        };
        let rank = (better_first, self.arrivals);
        self.ranks.insert(resting.order, (resting.side, rank));
        self.side_mut(resting.side).insert(rank, resting);
    }

    fn lower(&mut self, order: OrderId, leaves: Qty) {
        let Some((side, rank)) = self.ranks.get(&order).copied() else {
            return;
        };
        if leaves.is_zero() {
            self.ranks.remove(&order);
            self.side_mut(side).remove(&rank);
        } else if let Some(resting) = self.side_mut(side).get_mut(&rank) {
            resting.qty = leaves;
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<Rank, Resting> {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }
    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Rank, Resting> {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// The command that changed it last.
    pub fn seq(&self) -> Seq {
        self.seq
    }
    /// The best price of a side.
    pub fn best(&self, side: Side) -> Option<Price> {
        self.head(side).map(|resting| resting.price)
    }
    /// The order that trades next of a side: the head of the queue at its best price.
    pub fn head(&self, side: Side) -> Option<Resting> {
        self.side(side).values().next().copied()
    }
    /// An order, if it rests.
    pub fn order(&self, order: OrderId) -> Option<Resting> {
        let (side, rank) = self.ranks.get(&order)?;
        self.side(*side).get(rank).copied()
    }
    /// The orders of a side, best first.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = &Resting> {
        self.side(side).values()
    }
    /// How many orders rest.
    pub fn len(&self) -> usize {
        self.ranks.len()
    }
    /// Says whether nothing rests.
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
    /// The best `count` prices of a side.
    pub fn levels(&self, side: Side, count: usize) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        for resting in self.side(side).values() {
            if levels.last().is_none_or(|level| level.price != resting.price) {
                if levels.len() == count {
                    break;
                }
                levels.push(Level {
                    price: resting.price,
                    qty: 0,
                    orders: 0,
                });
            }
            let level = levels
                .last_mut()
                .expect("pushed when there was none of this price");
            level.qty += u64::from(resting.qty.0);
            level.orders += 1;
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{OrderAdded, OrderDeleted, OrderExecuted, OrderLowered, Reserved, SeriesId};

    const SERIES: SeriesId = SeriesId(1);

    fn add(book: &mut Book, order: u64, side: Side, price: u64, qty: u32) {
        let added = OrderAdded {
            order: OrderId(order),
            price: Price(price),
            series: SERIES,
            qty: Qty(qty),
            side,
            reserved: Reserved::ZERO,
        };
        book.follow(Seq(order), &SessionMessage::OrderAdded(&added));
    }

    #[test]
    fn the_better_price_then_the_earlier_order_comes_first() {
        let mut book = Book::default();
        add(&mut book, 1, Side::Buy, 100, 5);
        add(&mut book, 2, Side::Buy, 101, 5);
        add(&mut book, 3, Side::Buy, 101, 7);
        add(&mut book, 4, Side::Sell, 103, 1);
        add(&mut book, 5, Side::Sell, 102, 2);
        assert_eq!(book.head(Side::Buy).map(|r| r.order), Some(OrderId(2)));
        assert_eq!(book.best(Side::Sell), Some(Price(102)));
        let level = |price, qty, orders| Level {
            price: Price(price),
            qty,
            orders,
        };
        assert_eq!(book.levels(Side::Buy, 9), [level(101, 12, 2), level(100, 5, 1)]);
        assert_eq!(book.levels(Side::Buy, 1), [level(101, 12, 2)]);

        let (series, reserved) = (SERIES, Reserved::ZERO);
        let lowered = OrderLowered {
            order: OrderId(2),
            series,
            leaves: Qty(1),
        };
        book.follow(Seq(9), &SessionMessage::OrderLowered(&lowered));
        assert_eq!(
            book.head(Side::Buy).map(|r| (r.order, r.qty)),
            Some((OrderId(2), Qty(1)))
        );
        let executed = OrderExecuted {
            order: OrderId(2),
            price: Price(101),
            series,
            qty: Qty(1),
            leaves: Qty(0),
            side: Side::Buy,
            reserved: Reserved::ZERO,
        };
        book.follow(Seq(10), &SessionMessage::OrderExecuted(&executed));
        assert_eq!(book.head(Side::Buy).map(|r| r.order), Some(OrderId(3)));
        let deleted = OrderDeleted {
            order: OrderId(5),
            series,
            reserved,
        };
        book.follow(Seq(11), &SessionMessage::OrderDeleted(&deleted));
        assert_eq!(book.best(Side::Sell), Some(Price(103)));
        assert_eq!((book.len(), book.seq()), (3, Seq(11)));
    }
}
