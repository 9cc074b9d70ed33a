//! The generators' own order book: as many series as wanted over one dense table of orders.
//!
//! Quick enough to draw millions of commands a second, and written apart from both the engine's book and the
//! oracle, so that the three can be compared.

use std::collections::BTreeMap;
use xq_protocol::{Side, TimeInForce};

/// No order.
const NONE: u32 = u32::MAX;

/// An order about to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Index of the series.
    pub series: u32,
    /// Buy or sell.
    pub side: Side,
    /// Limit in ticks.
    pub price: u32,
    /// Coupons, at least 1.
    pub qty: u32,
    /// `Gtc`, `Day` and `Gtd` rest; `Ioc` and `Fok` do not (whoever places a `Fok` has asked `fillable`).
    pub tif: TimeInForce,
}

/// One fill of the last command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The resting order.
    pub maker: u32,
    /// Its price.
    pub price: u32,
    /// Coupons.
    pub qty: u32,
}

/// One order, linked into the queue of its level while it rests.
struct Order {
    series: u32,
    price: u32,
    /// Open coupons; 0 once it has ended.
    open: u32,
    earlier: u32,
    later: u32,
    side: Side,
}

/// First and last order of a level.
#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
}

#[derive(Default)]
struct Series {
    /// By side: levels by price.
    levels: [BTreeMap<u32, Queue>; 2],
    /// By side: resting orders.
    resting: [u32; 2],
}

/// Books of one or many series.
pub struct FlowBook {
    series: Vec<Series>,
    orders: Vec<Order>,
    fills: Vec<Fill>,
}

impl FlowBook {
    /// Empty books of so many series.
    pub fn new(series: u32) -> FlowBook {
        FlowBook {
            series: (0..series).map(|_| Series::default()).collect(),
            orders: Vec::new(),
            fills: Vec::new(),
        }
    }

    /// Trades what crosses, rests or drops the remainder; gives the order's id, the next dense one.
    pub fn place(&mut self, arrival: Arrival) -> u32 {
        assert!(arrival.qty > 0, "an order wants something");
        let id = u32::try_from(self.orders.len()).expect("a flow has fewer than 2^32 orders");
        let Arrival {
            series,
            side,
            price,
            qty,
            tif,
        } = arrival;
        self.orders.push(Order {
            series,
            price,
            open: qty,
            earlier: NONE,
            later: NONE,
            side,
        });
        self.take(id);
        match tif {
            TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => self.rest(id),
            TimeInForce::Ioc | TimeInForce::Fok => self.orders[index(id)].open = 0,
        }
        id
    }

    /// Ends a resting order.
    pub fn cancel(&mut self, id: u32) {
        self.fills.clear();
        self.unlink(id);
        self.orders[index(id)].open = 0;
    }

    /// Gives a resting order another price, behind all that rest there; it may trade.
    pub fn move_to(&mut self, id: u32, price: u32) {
        self.unlink(id);
        self.orders[index(id)].price = price;
        self.take(id);
        self.rest(id);
    }

    /// Lowers a resting order by less than what is open, in its place.
    pub fn reduce(&mut self, id: u32, by: u32) {
        self.fills.clear();
        let order = &mut self.orders[index(id)];
        assert!(by < order.open, "reducing by all is a cancel");
        order.open -= by;
    }

    /// The fills of the last command.
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// Open coupons of an order; 0 when it has ended.
    pub fn open(&self, id: u32) -> u32 {
        self.orders[index(id)].open
    }

    /// Limit of an order.
    pub fn price(&self, id: u32) -> u32 {
        self.orders[index(id)].price
    }

    /// Side of an order.
    pub fn side(&self, id: u32) -> Side {
        self.orders[index(id)].side
    }

    /// Orders placed so far: the next id.
    pub fn placed(&self) -> usize {
        self.orders.len()
    }

    /// Resting orders of a side.
    pub fn resting(&self, series: u32, side: Side) -> u32 {
        self.series[index(series)].resting[place(side)]
    }

    /// Occupied price levels of both sides.
    pub fn levels(&self, series: u32) -> usize {
        self.series[index(series)].levels.iter().map(BTreeMap::len).sum()
    }

    /// The next order of a side to fill.
    pub fn head(&self, series: u32, side: Side) -> Option<u32> {
        self.queue(series, side).next()
    }

    /// The orders of a side in the order in which they would fill.
    pub fn queue(&self, series: u32, side: Side) -> impl Iterator<Item = u32> + '_ {
        let levels = &self.series[index(series)].levels[place(side)];
        let by_price: Box<dyn Iterator<Item = &Queue>> = match side {
            Side::Buy => Box::new(levels.values().rev()),
            Side::Sell => Box::new(levels.values()),
        };
        by_price.flat_map(|queue| {
            let later = |id: &u32| Some(self.orders[index(*id)].later).filter(|later| *later != NONE);
            std::iter::successors(Some(queue.first), later)
        })
    }

    /// How much an order of this side and limit could take at once.
    pub fn fillable(&self, series: u32, side: Side, limit: u32) -> u64 {
        let crossing = self
            .queue(series, side.opposite())
            .take_while(|id| crosses(side, limit, self.price(*id)));
        crossing.map(|id| u64::from(self.open(id))).sum()
    }

    /// Trades an unlinked order against the other side, recording the fills.
    fn take(&mut self, id: u32) {
        self.fills.clear();
        let Order {
            series,
            side,
            price: limit,
            mut open,
            ..
        } = self.orders[index(id)];
        let maker_side = place(side.opposite());
        let Series { levels, resting } = &mut self.series[index(series)];
        while open > 0 {
            let best = match side {
                Side::Buy => levels[maker_side].first_entry(),
                Side::Sell => levels[maker_side].last_entry(),
            };
            let Some(mut level) = best.filter(|level| crosses(side, limit, *level.key())) else {
                break;
            };
            let maker = level.get().first;
            let order = &mut self.orders[index(maker)];
            let qty = open.min(order.open);
            open -= qty;
            order.open -= qty;
            self.fills.push(Fill {
                maker,
                price: order.price,
                qty,
            });
            if order.open > 0 {
                break;
            }
            resting[maker_side] -= 1;
            if order.later == NONE {
                level.remove();
            } else {
                level.get_mut().first = order.later;
                let later = index(order.later);
                self.orders[later].earlier = NONE;
            }
        }
        self.orders[index(id)].open = open;
    }

    /// Queues an order behind its level, when anything of it is open.
    fn rest(&mut self, id: u32) {
        let Order {
            series,
            side,
            price,
            open,
            ..
        } = self.orders[index(id)];
        if open == 0 {
            return;
        }
        let series = &mut self.series[index(series)];
        series.resting[place(side)] += 1;
        let queue = series.levels[place(side)].entry(price).or_insert(Queue {
            first: id,
            last: NONE,
        });
        let earlier = std::mem::replace(&mut queue.last, id);
        if earlier != NONE {
            self.orders[index(earlier)].later = id;
        }
        let order = &mut self.orders[index(id)];
        (order.earlier, order.later) = (earlier, NONE);
    }

    /// Takes a resting order out of its level.
    fn unlink(&mut self, id: u32) {
        let Order {
            series,
            side,
            price,
            open,
            earlier,
            later,
        } = self.orders[index(id)];
        assert!(open > 0, "only a resting order is in a queue");
        let series = &mut self.series[index(series)];
        series.resting[place(side)] -= 1;
        let levels = &mut series.levels[place(side)];
        if earlier == NONE && later == NONE {
            levels.remove(&price).expect("a resting order has a level");
            return;
        }
        if earlier != NONE && later != NONE {
            self.orders[index(earlier)].later = later;
            self.orders[index(later)].earlier = earlier;
            return;
        }
        let queue = levels.get_mut(&price).expect("a resting order has a level");
        if earlier == NONE {
            queue.first = later;
            self.orders[index(later)].earlier = NONE;
        } else {
            queue.last = earlier;
            self.orders[index(earlier)].later = NONE;
        }
    }
}

/// Whether an order of this side and limit accepts a maker's price.
fn crosses(side: Side, limit: u32, maker: u32) -> bool {
    match side {
        Side::Buy => limit >= maker,
        Side::Sell => limit <= maker,
    }
}

/// The place of a side in a pair.
pub(super) fn place(side: Side) -> usize {
    usize::from(side.byte())
}

/// An id or series as an index. A machine of 64 bits is assumed by every measure anyway.
#[inline]
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).expect("32 bits fit an index")
}
