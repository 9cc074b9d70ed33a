//! The resting orders of every series, order by order, kept by following the events.
//!
//! Whether an order rests is known at its command's last event: it does with what was not traded or cancelled until
//! then. A replaced order keeps its place when its price stays and its quantity does not grow; else it leaves the book
//! and arrives anew. One that waits for its stop arrives when that is reached. Of an iceberg only what it shows is told.
//!
//! # Cost
//! One hash table entry and one tree entry an open order; about 150 ns an order that comes or goes.

use crate::register::Map;
use std::collections::BTreeMap;
use xq_protocol::{
    Count, Event, FeedSnapshot, Header, OrderAdded, OrderDeleted, OrderExecuted, OrderId, OrderLowered,
    OrderRefreshed, OrderReplaced, OrderType, Price, Qty, Reserved, Seq, SeriesId, Side, Standing, Traded,
};

/// One change of a book, as a feed tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An order rests.
    Added(OrderAdded),
    /// A resting order traded.
    Executed(OrderExecuted),
    /// A resting order has less quantity.
    Lowered(OrderLowered),
    /// A resting order is gone.
    Deleted(OrderDeleted),
}

impl Change {
    /// The series whose book changed.
    pub fn series(&self) -> SeriesId {
        match self {
            Change::Added(added) => added.series,
            Change::Executed(executed) => executed.series,
            Change::Lowered(lowered) => lowered.series,
            Change::Deleted(deleted) => deleted.series,
        }
    }
}

/// Where an order stands in its side: the better price first, then who came first.
type Rank = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Resting {
    series: SeriesId,
    side: Side,
    price: Price,
    /// What is open, hidden quantity included.
    leaves: Qty,
    /// So many are shown at a time; zero shows all.
    display: Qty,
    /// So many are shown now; zero while it is about to show more.
    shown: Qty,
    rank: Rank,
}

#[derive(Clone, Copy, Debug)]
struct Arriving {
    order: OrderId,
    series: SeriesId,
    side: Side,
    price: Price,
    leaves: Qty,
    /// So many are shown at a time; zero shows all.
    display: Qty,
}

/// What is shown of an order.
fn shown(leaves: Qty, display: Qty) -> Qty {
    match display {
        Qty::ZERO => leaves,
        display => display.min(leaves),
    }
}

#[derive(Debug, Default)]
struct Book {
    buys: BTreeMap<Rank, OrderId>,
    sells: BTreeMap<Rank, OrderId>,
}

impl Book {
    fn side(&mut self, side: Side) -> &mut BTreeMap<Rank, OrderId> {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }
}

/// All books.
#[derive(Debug, Default)]
pub struct Books {
    books: Map<SeriesId, Book>,
    orders: Map<OrderId, Resting>,
    arriving: Option<Arriving>,
    arrivals: u64,
    seq: Seq,
}

impl Books {
    /// Follows one event; `tell` gets each change it makes.
    #[inline]
    pub fn follow(&mut self, header: &Header, event: &Event<'_>, tell: &mut dyn FnMut(Change)) {
        if let Event::OrderAccepted(accepted) = event {
            self.rest(tell);
            let waits = matches!(accepted.order_type, OrderType::Stop | OrderType::StopLimit);
            self.arriving = (!waits).then_some(Arriving {
                order: accepted.order,
                series: accepted.series,
                side: accepted.side,
                price: accepted.limit,
                leaves: accepted.qty,
                display: Qty::ZERO,
            });
        } else if let Event::TermsAccepted(terms) = event {
            if let Some(arriving) = self.arriving.as_mut().filter(|a| a.order == terms.order) {
                arriving.display = terms.display_qty;
            }
        } else if let Event::StopTriggered(triggered) = event {
            self.rest(tell);
            self.arriving = Some(Arriving {
                order: triggered.order,
                series: triggered.series,
                side: triggered.side,
                price: triggered.limit,
                leaves: triggered.leaves,
                display: Qty::ZERO,
            });
        } else if let Event::OrderRefreshed(refreshed) = event {
            self.refreshed(refreshed, tell);
        } else if let Event::Traded(traded) = event {
            self.traded(traded, tell);
        } else if let Event::OrderCanceled(canceled) = event {
            self.gone(canceled.order, tell);
        } else if let Event::OrderReplaced(replaced) = event {
            self.replaced(replaced, tell);
        } else if let Event::OrderReduced(reduced) = event {
            self.lowered(reduced.order, reduced.leaves, tell);
        }
        if header.is_last() {
            self.rest(tell);
        }
        self.seq = header.seq;
    }

    /// What arrived and is neither traded nor cancelled comes to rest.
    fn rest(&mut self, tell: &mut dyn FnMut(Change)) {
        let Some(arriving) = self.arriving.take().filter(|a| !a.leaves.is_zero()) else {
            return;
        };
        self.arrivals += 1;
        let resting = Resting {
            series: arriving.series,
            side: arriving.side,
            price: arriving.price,
            leaves: arriving.leaves,
            display: arriving.display,
            shown: shown(arriving.leaves, arriving.display),
            rank: (0, 0),
        };
        self.stand_last(arriving.order, resting, tell);
    }

    /// Puts an order last at its price.
    fn stand_last(&mut self, order: OrderId, resting: Resting, tell: &mut dyn FnMut(Change)) {
        let better_first = match resting.side {
            Side::Buy => u64::MAX - resting.price.0,
            Side::Sell => resting.price.0,
        };
        let rank = (better_first, self.arrivals);
        let Resting {
            series,
            side,
            price,
            shown,
            ..
        } = resting;
        let before = self.orders.insert(order, Resting { rank, ..resting });
        assert!(before.is_none(), "an order comes to rest once");
        self.books
            .entry(series)
            .or_default()
            .side(side)
            .insert(rank, order);
        let reserved = Reserved::ZERO;
        tell(Change::Added(OrderAdded {
            order,
            price,
            series,
            qty: shown,
            side,
            reserved,
        }));
    }

    /// An order shows more, last at its price.
    fn refreshed(&mut self, refreshed: &OrderRefreshed, tell: &mut dyn FnMut(Change)) {
        let Some(resting) = self.remove(refreshed.order) else {
            return;
        };
        self.arrivals += 1;
        let resting = Resting {
            shown: refreshed.display_qty,
            ..resting
        };
        self.stand_last(refreshed.order, resting, tell);
    }

    fn traded(&mut self, traded: &Traded, tell: &mut dyn FnMut(Change)) {
        if let Some(arriving) = self.arriving.as_mut().filter(|a| a.order == traded.taker_order) {
            arriving.leaves = traded.taker_leaves;
        }
        let order = traded.maker_order;
        let mut leaves = traded.maker_leaves;
        let side = traded.taker_side.opposite();
        if leaves.is_zero() {
            self.remove(order);
        } else if let Some(resting) = self.orders.get_mut(&order) {
            assert!(leaves < resting.leaves, "a trade takes from the maker");
            resting.leaves = leaves;
            let left = resting.shown.0.checked_sub(traded.qty.0);
            resting.shown = Qty(left.expect("only what is shown trades"));
            leaves = resting.shown;
        }
        let (price, series, qty, reserved) = (traded.price, traded.series, traded.qty, Reserved::ZERO);
        tell(Change::Executed(OrderExecuted {
            order,
            price,
            series,
            qty,
            leaves,
            side,
            reserved,
        }));
    }

    fn gone(&mut self, order: OrderId, tell: &mut dyn FnMut(Change)) {
        if self.arriving.is_some_and(|arriving| arriving.order == order) {
            self.arriving = None;
        } else if let Some(resting) = self.remove(order) {
            let (series, reserved) = (resting.series, Reserved::ZERO);
            tell(Change::Deleted(OrderDeleted {
                order,
                series,
                reserved,
            }));
        }
    }

    fn remove(&mut self, order: OrderId) -> Option<Resting> {
        let resting = self.orders.remove(&order)?;
        let book = self
            .books
            .get_mut(&resting.series)
            .expect("a resting order has a book");
        let removed = book.side(resting.side).remove(&resting.rank);
        assert_eq!(removed, Some(order), "a resting order stands in its book");
        Some(resting)
    }

    fn replaced(&mut self, replaced: &OrderReplaced, tell: &mut dyn FnMut(Change)) {
        if replaced.standing == Standing::Waiting {
            return;
        }
        let order = replaced.order;
        let keeps_place = |r: &&mut Resting| r.price == replaced.limit && replaced.leaves <= r.leaves;
        if self.orders.get_mut(&order).as_ref().is_some_and(keeps_place) {
            return self.lowered(order, replaced.leaves, tell);
        }
        self.rest(tell);
        let display = self.orders.get(&order).map_or(Qty::ZERO, |r| r.display);
        self.gone(order, tell);
        self.arriving = Some(Arriving {
            display,
            order,
            series: replaced.series,
            side: replaced.side,
            price: replaced.limit,
            leaves: replaced.leaves,
        });
    }

    fn lowered(&mut self, order: OrderId, leaves: Qty, tell: &mut dyn FnMut(Change)) {
        if let Some(arriving) = self.arriving.as_mut().filter(|a| a.order == order) {
            arriving.leaves = leaves;
        } else if let Some(resting) = self.orders.get_mut(&order) {
            resting.leaves = leaves;
            if resting.shown <= leaves {
                return;
            }
            resting.shown = leaves;
            let series = resting.series;
            tell(Change::Lowered(OrderLowered {
                order,
                series,
                leaves,
            }));
        }
    }

    /// A series' book as it is: how many orders, and each, buy side first, best first.
    pub fn snapshot(&self, series: SeriesId) -> (FeedSnapshot, Vec<OrderAdded>) {
        let sides = self
            .books
            .get(&series)
            .map(|book| book.buys.values().chain(book.sells.values()));
        let orders: Vec<OrderAdded> = sides
            .into_iter()
            .flatten()
            .map(|order| {
                let resting = self.orders.get(order).expect("what stands in a book rests");
                OrderAdded {
                    order: *order,
                    price: resting.price,
                    series,
                    qty: resting.shown,
                    side: resting.side,
                    reserved: Reserved::ZERO,
                }
            })
            .collect();
        let count = Count(u32::try_from(orders.len()).expect("an exchange's orders are counted in 32 bits"));
        let snapshot = FeedSnapshot {
            series,
            orders: count,
            seq: self.seq,
        };
        (snapshot, orders)
    }

    /// How many orders rest in a series.
    pub fn resting(&self, series: SeriesId) -> usize {
        self.books
            .get(&series)
            .map_or(0, |book| book.buys.len() + book.sells.len())
    }
}
