//! One series' book alone: the exchange's own levels and orders with nothing around them.
//!
//! No accounts, no money, no sessions: for checks that compare books, and for programs that need only matching. What
//! an order may do is decided by whoever calls; prices are ticks, from 1.

use crate::levels::{Ladder, Levels};
use crate::order::{NIL, Orders, Slot};
use xq_protocol::{Amount, OrderId, Qty, Side};

/// Prices and orders that a book has room for.
#[derive(Clone, Copy, Debug)]
pub struct BookSize {
    /// Highest price in ticks, below 2^30.
    pub ticks_max: u32,
    /// Orders that can rest at once.
    pub orders_max: u32,
}

/// A limit order as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Buy or sell.
    pub side: Side,
    /// Worst price it accepts, in ticks.
    pub ticks: u32,
    /// How many.
    pub qty: Qty,
    /// What becomes of the part that does not trade at once.
    pub rest: Rest,
}

/// Whether what does not trade at once rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It rests.
    Yes,
    /// It goes.
    No,
}

/// One fill, at the maker's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookFill {
    /// The resting order.
    pub maker: OrderId,
    /// Its price in ticks.
    pub ticks: u32,
    /// Coupons traded.
    pub qty: Qty,
    /// What is still open of the resting order.
    pub maker_leaves: Qty,
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookOrder {
    /// The order.
    pub order: OrderId,
    /// Buy or sell.
    pub side: Side,
    /// Its price in ticks.
    pub ticks: u32,
    /// What is open of it.
    pub leaves: Qty,
}

/// No order of this id rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchOrder;

/// The book of one series.
///
/// # Cost
/// All memory is taken at the start; an order is two cache lines, and no operation searches for one.
pub struct Book {
    levels: Levels,
    orders: Orders,
    bids: Ladder,
    asks: Ladder,
    ticks_max: u32,
    /// Orders taken so far: a slot in use carries its number.
    taken: u64,
}

impl Book {
    /// An empty book.
    ///
    /// # Panics
    /// When `ticks_max` is 2^30 or more.
    pub fn new(size: BookSize) -> Book {
        let rungs = u64::from(size.ticks_max);
        Book {
            // Each resting order needs one page at the most.
            levels: Levels::new(size.orders_max),
            orders: Orders::new(size.orders_max),
            bids: Ladder::new(Side::Buy, rungs),
            asks: Ladder::new(Side::Sell, rungs),
            ticks_max: size.ticks_max,
            taken: 0,
        }
    }

    /// Places an order: it trades what it reaches, each fill told at once; the rest comes to rest or goes.
    /// Tells its id when it rests.
    ///
    /// # Panics
    /// When the order is for nothing, its price lies outside of the book's, or no room is left to rest.
    pub fn place(&mut self, order: Incoming, told: impl FnMut(BookFill)) -> Option<OrderId> {
        assert!(!order.qty.is_zero() && (1..=self.ticks_max).contains(&order.ticks));
        let leaves = self.trade(order, told);
        match order.rest {
            Rest::Yes if !leaves.is_zero() => Some(self.come_to_rest(order, leaves)),
            Rest::Yes | Rest::No => None,
        }
    }

    /// Takes a resting order out; tells what it was.
    pub fn cancel(&mut self, order: OrderId) -> Option<BookOrder> {
        let slot = self.orders.find(order)?;
        let found = self.show(slot);
        self.remove(slot);
        Some(found)
    }

    /// Lowers a resting order in its place, or takes it out when nothing would remain; tells by how much it fell.
    pub fn reduce(&mut self, order: OrderId, by: Qty) -> Option<Qty> {
        let slot = self.orders.find(order)?;
        let leaves = self.orders.node(slot).leaves;
        if by >= leaves {
            self.remove(slot);
            return Some(leaves);
        }
        self.orders.node_mut(slot).leaves = Qty(leaves.0 - by.0);
        Some(by)
    }

    /// Gives a resting order another price and quantity: it loses its place and may trade. Tells its id from here on
    /// when something of it rests.
    ///
    /// # Errors
    /// No order of this id rests.
    ///
    /// # Panics
    /// As [`Book::place`].
    pub fn requeue(
        &mut self,
        order: OrderId,
        ticks: u32,
        qty: Qty,
        told: impl FnMut(BookFill),
    ) -> Result<Option<OrderId>, NoSuchOrder> {
        let side = self.cancel(order).ok_or(NoSuchOrder)?.side;
        let rest = Rest::Yes;
        Ok(self.place(
            Incoming {
                side,
                ticks,
                qty,
                rest,
            },
            told,
        ))
    }

    /// The resting order of this id.
    pub fn find(&self, order: OrderId) -> Option<BookOrder> {
        self.orders.find(order).map(|slot| self.show(slot))
    }

    /// Best price of a side in ticks.
    pub fn best(&self, side: Side) -> Option<u32> {
        self.ladder(side).best()
    }

    /// The resting orders of a side in priority.
    pub fn queue(&self, side: Side) -> impl Iterator<Item = BookOrder> + '_ {
        let ladder = self.ladder(side);
        let after = move |slot: &Slot| self.levels.after(ladder, &self.orders, *slot);
        std::iter::successors(self.levels.front(ladder), after).map(|slot| self.show(slot))
    }

    /// Prices of a side with the quantity open at each, best first, at most `max`.
    pub fn depth(&self, side: Side, max: usize) -> Vec<(u32, Amount)> {
        let mut levels: Vec<(u32, Amount)> = Vec::new();
        for order in self.queue(side) {
            let full = levels.len() == max;
            match levels.last_mut() {
                Some((ticks, open)) if *ticks == order.ticks => open.0 += u64::from(order.leaves.0),
                Some(_) | None if full => break,
                Some(_) | None => levels.push((order.ticks, order.leaves.into())),
            }
        }
        levels
    }

    /// What an order of this side and limit could trade at once.
    pub fn fillable(&self, side: Side, ticks: u32) -> Amount {
        let reached = self
            .queue(side.opposite())
            .take_while(|order| crosses(side, ticks, order.ticks));
        Amount(reached.map(|order| u64::from(order.leaves.0)).sum())
    }

    /// Orders that rest.
    pub fn len(&self) -> u32 {
        self.orders.live()
    }

    /// Whether none rests.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets an order trade as far as it reaches; tells what is left of it.
    fn trade(&mut self, order: Incoming, mut told: impl FnMut(BookFill)) -> Qty {
        let mut leaves = order.qty;
        while !leaves.is_zero() {
            let ladder = self.ladder(order.side.opposite());
            if !ladder
                .best()
                .is_some_and(|best| crosses(order.side, order.ticks, best))
            {
                break;
            }
            let slot = self.levels.front(ladder).expect("a best price has an order");
            let maker = self.orders.node_mut(slot);
            let qty = Qty(maker.leaves.0.min(leaves.0));
            maker.leaves = Qty(maker.leaves.0 - qty.0);
            leaves = Qty(leaves.0 - qty.0);
            let (maker_leaves, ticks) = (maker.leaves, maker.rung);
            let maker = self.orders.id(slot);
            if maker_leaves.is_zero() {
                self.remove(slot);
            }
            told(BookFill {
                maker,
                ticks,
                qty,
                maker_leaves,
            });
        }
        leaves
    }

    fn come_to_rest(&mut self, order: Incoming, leaves: Qty) -> OrderId {
        assert!(self.orders.has_room(), "the book has room for the order");
        let slot = self.orders.take();
        self.taken += 1;
        self.orders.details_mut(slot).seq = self.taken;
        let node = self.orders.node_mut(slot);
        node.rung = order.ticks;
        node.leaves = leaves;
        node.side = order.side;
        let Book {
            levels,
            orders,
            bids,
            asks,
            ..
        } = self;
        let ladder = match order.side {
            Side::Buy => bids,
            Side::Sell => asks,
        };
        levels.push(ladder, orders, slot);
        self.orders.id(slot)
    }

    fn remove(&mut self, slot: Slot) {
        assert!(slot != NIL);
        let Book {
            levels,
            orders,
            bids,
            asks,
            ..
        } = self;
        let ladder = match orders.node(slot).side {
            Side::Buy => bids,
            Side::Sell => asks,
        };
        levels.remove(ladder, orders, slot);
        orders.release(slot);
    }

    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn show(&self, slot: Slot) -> BookOrder {
        let node = self.orders.node(slot);
        BookOrder {
            order: self.orders.id(slot),
            side: node.side,
            ticks: node.rung,
            leaves: node.leaves,
        }
    }
}

/// Says whether a limit reaches a resting price.
fn crosses(side: Side, ticks: u32, resting: u32) -> bool {
    match side {
        Side::Buy => ticks >= resting,
        Side::Sell => ticks <= resting,
    }
}
