//! The recorder between a generator and its flow: applies each command to the generator's book, writes it down,
//! and counts the mix.

use super::book::{Arrival, FlowBook};
use super::draw::SplitMix64;
use super::ops::{FlowOp, Ops};
use sha2::{Digest, Sha256};
use xq_protocol::{Side, TimeInForce};

/// A flow ready to be driven.
pub struct Flow {
    /// Its name in tables.
    pub name: &'static str,
    /// Number of series; each command names one in `0..series`.
    pub series: u32,
    /// Number of accounts.
    pub accounts: u32,
    /// Highest price in ticks that any command carries; the lowest is at least 1.
    pub price_max: u32,
    /// Commands that build the book, not timed.
    pub prefill: Ops,
    /// The timed commands.
    pub timed: Ops,
    /// What the timed commands were and did.
    pub mix: Mix,
}

/// What the timed commands of a flow were and did, counted by the generator's book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mix {
    /// Limit orders that may rest.
    pub gtc: u64,
    /// Immediate-or-cancel orders.
    pub ioc: u64,
    /// Cancels.
    pub cancel: u64,
    /// Moves.
    pub moved: u64,
    /// Reductions.
    pub reduce: u64,
    /// Fills.
    pub trades: u64,
    /// Resting orders at the end, all series.
    pub resting: u64,
    /// Occupied levels at the end, all series.
    pub levels: u64,
}

impl Mix {
    /// Number of timed commands.
    pub fn commands(&self) -> u64 {
        self.gtc + self.ioc + self.cancel + self.moved + self.reduce
    }
}

impl Flow {
    /// SHA-256, in hex, of the prefill followed by the timed commands.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.prefill.hash_into(&mut hash);
        self.timed.hash_into(&mut hash);
        hex::encode(hash.finalize())
    }
}

/// The fixed facts of a flow.
pub(super) struct Shape {
    pub name: &'static str,
    pub series: u32,
    pub accounts: u32,
}

/// A flow being drawn.
pub(super) struct Tape {
    shape: Shape,
    /// The book after all commands so far.
    pub book: FlowBook,
    /// The flow's random numbers.
    pub draw: SplitMix64,
    price_max: u32,
    prefill: Ops,
    ops: Ops,
    mix: Mix,
}

impl Tape {
    pub fn new(shape: Shape, seed: u64) -> Tape {
        let book = FlowBook::new(shape.series);
        let draw = SplitMix64::new(seed);
        Tape {
            shape,
            book,
            draw,
            price_max: 0,
            prefill: Ops::default(),
            ops: Ops::default(),
            mix: Mix::default(),
        }
    }

    /// Number of commands since the prefill ended.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Ends the prefill: what was written so far is not timed.
    pub fn end_prefill(&mut self) {
        assert!(self.prefill.is_empty(), "the prefill ends once");
        self.prefill = std::mem::take(&mut self.ops);
        self.mix = Mix::default();
    }

    /// Places an order for an account drawn now, after all other draws of the command.
    pub fn place(&mut self, arrival: Arrival) -> u32 {
        let account = self.draw.below(self.shape.accounts);
        let id = self.book.place(arrival);
        let Arrival {
            series,
            side,
            price,
            qty,
            tif,
        } = arrival;
        match tif {
            TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => self.mix.gtc += 1,
            TimeInForce::Ioc | TimeInForce::Fok => self.mix.ioc += 1,
        }
        self.write(
            series,
            FlowOp::Place {
                id,
                account,
                side,
                price,
                qty,
                tif,
            },
        );
        id
    }

    pub fn cancel(&mut self, series: u32, id: u32) {
        self.book.cancel(id);
        self.mix.cancel += 1;
        self.write(series, FlowOp::Cancel { id });
    }

    pub fn move_to(&mut self, series: u32, id: u32, price: u32) {
        self.book.move_to(id, price);
        self.mix.moved += 1;
        self.write(series, FlowOp::Move { id, price });
    }

    pub fn reduce(&mut self, series: u32, id: u32, by: u32) {
        self.book.reduce(id, by);
        self.mix.reduce += 1;
        self.write(series, FlowOp::Reduce { id, by });
    }

    /// The finished flow.
    pub fn finish(self) -> Flow {
        let Tape {
            shape,
            book,
            price_max,
            prefill,
            ops: timed,
            mut mix,
            ..
        } = self;
        for series in 0..shape.series {
            mix.resting += u64::from(book.resting(series, Side::Buy) + book.resting(series, Side::Sell));
            mix.levels += u64::try_from(book.levels(series)).expect("a count fits 64 bits");
        }
        assert_eq!(
            mix.commands(),
            u64::try_from(timed.len()).expect("a count fits 64 bits")
        );
        Flow {
            name: shape.name,
            series: shape.series,
            accounts: shape.accounts,
            price_max,
            prefill,
            timed,
            mix,
        }
    }

    fn write(&mut self, series: u32, op: FlowOp) {
        match op {
            FlowOp::Place { price, .. } | FlowOp::Move { price, .. } => {
                assert!(price > 0, "prices start at one tick");
                self.price_max = self.price_max.max(price);
            }
            FlowOp::Cancel { .. } | FlowOp::Reduce { .. } => {}
        }
        self.mix.trades += u64::try_from(self.book.fills().len()).expect("a count fits 64 bits");
        self.ops.push(series, op);
    }
}
