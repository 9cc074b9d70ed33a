//! The naive market: orders with further terms and quotes, every rule written down without any index, hold or bound.
//!
//! One unordered list of resting orders, one of those that wait for their stop; whoever is next is found by looking at
//! all of them. Money is no matter here: whoever places an order can pay for it.

use super::crosses;
use xq_protocol::{Execution, SelfTradePrevention, Side, TimeInForce};

/// An order as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// Number of the order; no order that is open has it.
    pub id: u64,
    /// Whose it is: nobody trades with himself.
    pub owner: u32,
    /// Buy or sell.
    pub side: Side,
    /// Worst price it accepts.
    pub price: i64,
    /// Coupons wanted.
    pub qty: u32,
    /// What becomes of the part that does not trade at once.
    pub tif: TimeInForce,
    /// Whether it may take.
    pub execution: Execution,
    /// What becomes of it when it meets an order of its owner.
    pub self_trade: SelfTradePrevention,
    /// So many trade at once, or it is refused.
    pub min_qty: u32,
    /// So many are shown at a time; zero shows all.
    pub display: u32,
    /// It waits until a trade at this price.
    pub stop: Option<i64>,
}

/// What follows from a command, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Two orders traded.
    Traded {
        /// The resting order.
        maker: u64,
        /// The arriving order.
        taker: u64,
        /// The maker's price.
        price: i64,
        /// Coupons.
        qty: u32,
    },
    /// An order, or what was left of it, is gone.
    Canceled {
        /// The order.
        id: u64,
        /// What was open of it.
        qty: u32,
    },
    /// An order lost so many to self-trade prevention, or because its client asked.
    Reduced {
        /// The order.
        id: u64,
        /// Coupons.
        by: u32,
    },
    /// An order shows more, last at its price.
    Refreshed {
        /// The order.
        id: u64,
        /// So many from here on.
        shown: u32,
    },
    /// A stop was reached.
    Triggered {
        /// The order.
        id: u64,
    },
}

/// Why an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It would have traded.
    WouldTake,
    /// It could not be filled whole.
    Unfillable,
    /// Less than its minimum could be filled.
    BelowMinimum,
    /// Its stop is reached already.
    StopReached,
}

/// An order that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its number.
    pub id: u64,
    /// Whose.
    pub owner: u32,
    /// Buy or sell.
    pub side: Side,
    /// Its price.
    pub price: i64,
    /// What is open, hidden quantity included.
    pub qty: u32,
    /// What is shown.
    pub shown: u32,
    display: u32,
    self_trade: SelfTradePrevention,
    rests: bool,
    stop: i64,
    /// When it came to its place.
    came: u64,
}

/// The naive market.
#[derive(Clone, Debug, Default)]
pub struct Market {
    resting: Vec<Open>,
    waiting: Vec<Open>,
    last: Option<i64>,
    /// Lowest and highest price traded by the command in hand.
    reached: Option<(i64, i64)>,
    clock: u64,
}

impl Market {
    /// Places an order.
    pub fn place(&mut self, order: Arriving) -> Result<Vec<Fact>, Refusal> {
        let price = self.limit_of(&order)?;
        let order = Arriving { price, ..order };
        let mut open = Open {
            id: order.id,
            owner: order.owner,
            side: order.side,
            price,
            qty: order.qty,
            shown: 0,
            display: order.display,
            self_trade: order.self_trade,
            rests: matches!(order.tif, TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd),
            stop: order.stop.unwrap_or(0),
            came: 0,
        };
        if let Some(stop) = order.stop {
            let is_reached = self.last.is_some_and(|last| match order.side {
                Side::Buy => stop <= last,
                Side::Sell => stop >= last,
            });
            if is_reached {
                return Err(Refusal::StopReached);
            }
            open.came = self.tick();
            self.waiting.push(open);
            return Ok(Vec::new());
        }
        let fillable = self.fillable(&order);
        if order.tif == TimeInForce::Fok && fillable < u64::from(order.qty) {
            return Err(Refusal::Unfillable);
        }
        if fillable < u64::from(order.min_qty) {
            return Err(Refusal::BelowMinimum);
        }
        let mut facts = Vec::new();
        self.arrive(open, &mut facts);
        self.trigger(&mut facts);
        Ok(facts)
    }

    /// Takes an open order out.
    pub fn cancel(&mut self, id: u64) -> Option<Fact> {
        let open = self.take(id)?;
        Some(Fact::Canceled { id, qty: open.qty })
    }

    /// Takes some of an open order's quantity; all of it, or more, is a cancel.
    pub fn reduce(&mut self, id: u64, by: u32) -> Option<Fact> {
        let open = self.find_mut(id)?;
        if by >= open.qty {
            return self.cancel(id);
        }
        open.qty -= by;
        open.shown = open.shown.min(open.qty);
        Some(Fact::Reduced { id, by })
    }

    /// Gives a resting order a new price and open quantity; one that changes nothing is not asked for.
    pub fn replace(&mut self, id: u64, price: i64, qty: u32) -> Vec<Fact> {
        let open = self.find_mut(id).expect("only open orders are replaced");
        if price == open.price && qty <= open.qty {
            open.qty = qty;
            open.shown = open.shown.min(qty);
            return Vec::new();
        }
        let open = self.take(id).expect("it was found just now");
        let mut facts = Vec::new();
        self.arrive(Open { price, qty, ..open }, &mut facts);
        self.trigger(&mut facts);
        facts
    }

    /// The orders of a side in the order in which they would fill.
    pub fn queue(&self, side: Side) -> Vec<Open> {
        let mut queue: Vec<Open> = self.resting.iter().filter(|o| o.side == side).copied().collect();
        queue.sort_by_key(|open| (better_first(side, open.price), open.came));
        queue
    }

    /// Orders that wait for their stop.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The open order, wherever it stands; whether it rests.
    pub fn find(&self, id: u64) -> Option<(Open, bool)> {
        let resting = self.resting.iter().find(|open| open.id == id);
        let waiting = || self.waiting.iter().find(|open| open.id == id);
        resting
            .map(|open| (*open, true))
            .or_else(|| waiting().map(|open| (*open, false)))
    }

    fn find_mut(&mut self, id: u64) -> Option<&mut Open> {
        let all = self.resting.iter_mut().chain(&mut self.waiting);
        all.into_iter().find(|open| open.id == id)
    }

    fn take(&mut self, id: u64) -> Option<Open> {
        for list in [&mut self.resting, &mut self.waiting] {
            if let Some(place) = list.iter().position(|open| open.id == id) {
                return Some(list.swap_remove(place));
            }
        }
        None
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The limit at which an order comes: one that is to give way goes one tick short of the best price it would take.
    fn limit_of(&self, order: &Arriving) -> Result<i64, Refusal> {
        let best = self.queue(order.side.opposite()).first().map(|open| open.price);
        let takes = best.filter(|best| crosses(order.side, order.price, *best));
        match (order.execution, takes) {
            (Execution::Any, _) | (_, None) => Ok(order.price),
            (Execution::PostOnly, Some(_)) => Err(Refusal::WouldTake),
            (Execution::PostOnlyReprice, Some(best)) => Ok(match order.side {
                Side::Buy => best - 1,
                Side::Sell => best + 1,
            }),
        }
    }

    /// What an order could take at once: its owner's orders are in the way unless they would be cancelled.
    fn fillable(&self, order: &Arriving) -> u64 {
        let mut found = 0;
        for maker in self.queue(order.side.opposite()) {
            let own = maker.owner == order.owner;
            if !crosses(order.side, order.price, maker.price)
                || own && order.self_trade != SelfTradePrevention::CancelOldest
            {
                break;
            }
            found += if own { 0 } else { u64::from(maker.qty) };
        }
        found
    }

    fn arrive(&mut self, order: Open, facts: &mut Vec<Fact>) {
        let mut taker = order;
        let is_stopped = self.trade(&mut taker, facts);
        if taker.qty == 0 {
            return;
        }
        if is_stopped || !taker.rests {
            let (id, qty) = (taker.id, taker.qty);
            return facts.push(Fact::Canceled { id, qty });
        }
        taker.shown = shown(taker.qty, taker.display);
        taker.came = self.tick();
        self.resting.push(taker);
    }

    /// Trades as far as it goes; says whether what is left is to be cancelled.
    fn trade(&mut self, taker: &mut Open, facts: &mut Vec<Fact>) -> bool {
        while taker.qty > 0 {
            let Some(maker) = self.queue(taker.side.opposite()).first().copied() else {
                return false;
            };
            if !crosses(taker.side, taker.price, maker.price) {
                return false;
            }
            if maker.owner == taker.owner {
                match self.prevent(taker, maker, facts) {
                    true => return true,
                    false => continue,
                }
            }
            let qty = taker.qty.min(maker.shown);
            let (maker_id, taker_id, price) = (maker.id, taker.id, maker.price);
            facts.push(Fact::Traded {
                maker: maker_id,
                taker: taker_id,
                price,
                qty,
            });
            self.last = Some(price);
            let (low, high) = self.reached.unwrap_or((price, price));
            self.reached = Some((low.min(price), high.max(price)));
            taker.qty -= qty;
            self.fill(maker.id, qty, facts);
        }
        false
    }

    fn fill(&mut self, id: u64, qty: u32, facts: &mut Vec<Fact>) {
        let came = self.tick();
        let maker = self.find_mut(id).expect("it was met just now");
        maker.qty -= qty;
        maker.shown -= qty;
        if maker.qty == 0 {
            self.take(id);
        } else if maker.shown == 0 {
            maker.shown = shown(maker.qty, maker.display);
            maker.came = came;
            let shown = maker.shown;
            facts.push(Fact::Refreshed { id, shown });
        }
    }

    /// Two orders of one owner meet; says whether what is left of the arriving one is to be cancelled.
    fn prevent(&mut self, taker: &mut Open, maker: Open, facts: &mut Vec<Fact>) -> bool {
        match taker.self_trade {
            SelfTradePrevention::CancelNewest => return true,
            SelfTradePrevention::CancelOldest => {}
            SelfTradePrevention::CancelBoth => {
                facts.extend(self.cancel(maker.id));
                return true;
            }
            SelfTradePrevention::Decrement if maker.qty > taker.qty => {
                facts.extend(self.reduce(maker.id, taker.qty));
                return true;
            }
            SelfTradePrevention::Decrement => {
                facts.extend(self.cancel(maker.id));
                if maker.qty == taker.qty {
                    return true;
                }
                taker.qty -= maker.qty;
                let (id, by) = (taker.id, maker.qty);
                facts.push(Fact::Reduced { id, by });
                return false;
            }
        }
        facts.extend(self.cancel(maker.id));
        false
    }

    /// Lets those arrive whose stop was reached, and those whose stop that reaches.
    fn trigger(&mut self, facts: &mut Vec<Fact>) {
        while let Some((low, high)) = self.reached {
            let is_due = |open: &&Open| match open.side {
                Side::Buy => open.stop <= high,
                Side::Sell => open.stop >= low,
            };
            // Buy orders first, the lowest stop first; then sell orders, the highest stop first.
            let next = self.waiting.iter().filter(is_due).min_by_key(|open| {
                let nearest = match open.side {
                    Side::Buy => open.stop,
                    Side::Sell => -open.stop,
                };
                (open.side, nearest, open.came)
            });
            let Some(id) = next.map(|open| open.id) else {
                break;
            };
            let open = self.take(id).expect("it waits");
            facts.push(Fact::Triggered { id });
            self.arrive(open, facts);
        }
        self.reached = None;
    }
}

/// What is shown of so much.
fn shown(qty: u32, display: u32) -> u32 {
    match display {
        0 => qty,
        display => display.min(qty),
    }
}

fn better_first(side: Side, price: i64) -> i64 {
    match side {
        Side::Buy => -price,
        Side::Sell => price,
    }
}
