//! Random orders meant to hurt a book: few levels, much crossing, ids that are gone, taken or never were.

use crate::books::Domain;
use xq_engine::oracle::LimitOrder;
use xq_perf::flow::SplitMix64;
use xq_protocol::{Execution, Side, TimeInForce};

/// Where the prices lie: below zero too, and off by an odd tick.
pub const DOMAIN: Domain = Domain {
    price_min: -700,
    price_max: 6_300,
    tick: 7,
};
const CENTRE: i64 = 2_800;

/// One command for a book.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    Limit(LimitOrder),
    Cancel { id: u64 },
    Reduce { id: u64, by: u32 },
    Replace { id: u64, price: i64, qty: u32 },
    Requeue { id: u64, price: i64, qty: u32 },
}

/// An endless sequence of commands.
pub struct RandomOrders {
    draw: SplitMix64,
    /// The last id given to a new order.
    placed: u64,
    /// Ticks from the centre within which prices are drawn now.
    width: u32,
    /// Whether new orders keep to their own side of the centre now, so that a book builds up.
    apart: bool,
    /// Orders that rested a moment ago.
    resting: Vec<u64>,
}

impl RandomOrders {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> RandomOrders {
        RandomOrders {
            draw: SplitMix64::new(seed),
            placed: 0,
            width: 2,
            apart: false,
            resting: Vec::new(),
        }
    }

    /// Learns which orders rest now, so that commands find them.
    pub fn learn(&mut self, resting: Vec<u64>) {
        self.resting = resting;
    }

    /// The next command.
    pub fn next(&mut self) -> Command {
        // Now and then the prices draw together, so that a wide book is swept, or apart, so that a new one forms.
        if self.draw.below(500) == 0 {
            self.width = [1, 2, 6, 40, 400][self.draw.index(5)];
            self.apart = self.draw.below(2) == 0;
        }
        let orders = if self.apart { 85 } else { 60 };
        if self.draw.below(100) < orders {
            return Command::Limit(self.order());
        }
        match self.draw.below(40) {
            0..15 => Command::Cancel { id: self.some_id() },
            15..22 => Command::Reduce {
                id: self.some_id(),
                by: self.qty(),
            },
            22..34 => Command::Replace {
                id: self.some_id(),
                price: self.price(),
                qty: self.qty(),
            },
            _ => Command::Requeue {
                id: self.some_id(),
                price: self.price(),
                qty: self.qty(),
            },
        }
    }

    fn order(&mut self) -> LimitOrder {
        // One of fifty takes an id that may still be in use.
        let id = if self.draw.below(50) == 0 {
            self.some_id()
        } else {
            self.placed += 1;
            self.placed
        };
        let side = Side::ALL[self.draw.index(Side::ALL.len())];
        let (tif, execution) = match self.draw.below(20) {
            0..11 => (TimeInForce::Gtc, Execution::Any),
            11..14 => (TimeInForce::Gtc, Execution::PostOnly),
            14..17 => (TimeInForce::Ioc, Execution::Any),
            _ => (TimeInForce::Fok, Execution::Any),
        };
        LimitOrder {
            id,
            side,
            price: self.price(),
            qty: self.qty(),
            tif,
            execution,
        }
    }

    /// Mostly the id of an order that rested a moment ago; else a recent one, whether it rests or not; sometimes
    /// any; sometimes one never given.
    fn some_id(&mut self) -> u64 {
        if !self.resting.is_empty() && self.draw.below(10) < 4 {
            return self.resting[self.draw.index(self.resting.len())];
        }
        let recent = self.placed.min(300);
        match self.draw.below(20) {
            0 => self.placed + 1_000_000_000 + u64::from(self.draw.below(10)),
            1 => u64::from(self.draw.fraction()) % (self.placed + 1),
            _ => self.placed - u64::from(self.draw.fraction()) % (recent + 1),
        }
    }

    fn price(&mut self) -> i64 {
        let ticks = i64::from(self.draw.below(2 * self.width + 1)) - i64::from(self.width);
        CENTRE + ticks * DOMAIN.tick
    }

    /// Mostly small, sometimes large enough to sweep.
    fn qty(&mut self) -> u32 {
        if self.draw.below(25) == 0 {
            1 + self.draw.below(2_000)
        } else {
            1 + self.draw.below(12)
        }
    }
}
