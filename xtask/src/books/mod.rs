//! The order books that one set of checks is run through.

mod engine;
mod exchange;
mod flow;
mod naive;

pub use engine::EngineBook;
pub use exchange::{ExchangeBook, replayed_hash};
pub use flow::FlowBookUnderTest;
use xq_engine::oracle::{LimitOrder, Oracle, Refusal, Resting, Trade};
use xq_protocol::Side;

/// What a check will ask of a book, told before it is made. Prices lie on `price_min + n · tick`.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Lowest price, any sign.
    pub price_min: i64,
    /// Highest price.
    pub price_max: i64,
    /// Step between prices, at least 1.
    pub tick: i64,
}

impl Domain {
    /// The smallest domain of these prices.
    pub fn spanning(prices: impl Iterator<Item = i64>, tick: i64) -> Domain {
        let (mut price_min, mut price_max) = (i64::MAX, i64::MIN);
        for price in prices {
            (price_min, price_max) = (price_min.min(price), price_max.max(price));
        }
        if price_min > price_max {
            (price_min, price_max) = (0, 0);
        }
        Domain {
            price_min,
            price_max,
            tick,
        }
    }

    /// The place of a price, from 1: what an exchange calls its price in ticks.
    pub fn ticks(self, price: i64) -> u32 {
        assert!(
            (self.price_min..=self.price_max).contains(&price),
            "{price} lies outside of {self:?}"
        );
        let above = price - self.price_min;
        assert!(
            above % self.tick == 0,
            "{price} lies between the ticks of {self:?}"
        );
        u32::try_from(above / self.tick + 1).expect("a domain spans fewer than 2^32 ticks")
    }

    /// The highest place.
    pub fn ticks_max(self) -> u32 {
        u32::try_from((self.price_max - self.price_min) / self.tick + 1)
            .expect("a domain spans fewer than 2^32 ticks")
    }

    /// The price at a place.
    pub fn price(self, ticks: u32) -> i64 {
        self.price_min + (i64::from(ticks) - 1) * self.tick
    }
}

/// A book of one series, driven by the ids of the test. Refusals are those of the naive book.
pub trait BookUnderTest {
    /// Goes over to a fresh, empty series, in which every id is free.
    fn reset(&mut self);
    /// Places a limit order.
    fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal>;
    /// Cancels what rests of an order; tells what it was.
    fn cancel(&mut self, id: u64) -> Result<Resting, Refusal>;
    /// Lowers an order in its place, or cancels it when nothing would remain; tells by how much it fell.
    fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal>;
    /// Replaces price and open quantity; keeps priority when only the quantity falls.
    fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal>;
    /// Cancels an order and places it again under its id, so that it always loses priority.
    fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal>;
    /// The best levels of a side: price and open quantity.
    fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)>;
    /// The first orders of a side in the order in which they would fill.
    fn queue(&self, side: Side, count: usize) -> Vec<Resting>;
}

/// The books there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BookName {
    /// The naive book of the engine.
    Oracle,
    /// The book with which the flows are generated.
    Flow,
    /// The engine's book alone.
    Engine,
    /// The engine's book behind a whole exchange: commands in, events out.
    Exchange,
}

impl BookName {
    /// Every book.
    pub const ALL: [BookName; 4] = [
        BookName::Oracle,
        BookName::Flow,
        BookName::Engine,
        BookName::Exchange,
    ];

    /// Its name in what is printed.
    pub fn text(self) -> &'static str {
        match self {
            BookName::Oracle => "naive book",
            BookName::Flow => "flow book",
            BookName::Engine => "engine book",
            BookName::Exchange => "exchange",
        }
    }

    /// An empty book for a domain.
    pub fn open(self, domain: Domain) -> Box<dyn BookUnderTest> {
        match self {
            BookName::Oracle => Box::new(Oracle::new()),
            BookName::Flow => Box::new(FlowBookUnderTest::new(domain)),
            BookName::Engine => Box::new(EngineBook::new(domain)),
            BookName::Exchange => Box::new(ExchangeBook::new(domain)),
        }
    }
}
