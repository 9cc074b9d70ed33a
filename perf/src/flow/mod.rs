//! The flows that every figure of speed is measured on: drawn from fixed seeds with integers only, and built whole
//! before a clock starts.
//!
//! A flow is a prefill, which is not timed, and the timed commands. Both are a pure function of the flow's name: the
//! first *n* commands are the same however many are asked for. Accounts are drawn uniformly; the driver funds all of
//! them for the whole run, and no flow cares for self-trades.

mod book;
pub(crate) mod draw;
mod ec;
mod ec1;
mod ec1000;
mod lobster;
mod mix1;
mod ops;
pub mod pins;
mod sweep;
mod tape;

pub use book::{Arrival, Fill, FlowBook};
pub use draw::SplitMix64;
pub use lobster::lobster;
pub use ops::{FlowOp, Ops};
pub use tape::{Flow, Mix};

/// The flows that need no data but their seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowName {
    /// One series, about 1,000 resting, mostly moves.
    Ec1At1k,
    /// One series, about 10,000 resting, mostly moves.
    Ec1At10k,
    /// One series, 10,000 resting, orders and cancels.
    Mix1At10k,
    /// One order eats 500, and they come back.
    Sweep,
    /// As ec1, over 1,000 series and 1,000,000 resting orders.
    Ec1000,
}

impl FlowName {
    /// Every flow that needs no data.
    pub const ALL: [FlowName; 5] = [
        FlowName::Ec1At1k,
        FlowName::Ec1At10k,
        FlowName::Mix1At10k,
        FlowName::Sweep,
        FlowName::Ec1000,
    ];

    /// The name in tables and on the command line.
    pub fn text(self) -> &'static str {
        match self {
            FlowName::Ec1At1k => "ec1_1k",
            FlowName::Ec1At10k => "ec1_10k",
            FlowName::Mix1At10k => "mix1_10k",
            FlowName::Sweep => "sweep",
            FlowName::Ec1000 => "ec1000",
        }
    }

    /// The flow of this name.
    pub fn from_text(text: &str) -> Option<FlowName> {
        FlowName::ALL.into_iter().find(|name| name.text() == text)
    }

    /// Builds the flow with so many timed commands.
    pub fn build(self, commands: usize) -> Flow {
        match self {
            FlowName::Ec1At1k => ec1::ec1(self.text(), 1_000, commands),
            FlowName::Ec1At10k => ec1::ec1(self.text(), 10_000, commands),
            FlowName::Mix1At10k => mix1::mix1(self.text(), commands),
            FlowName::Sweep => sweep::sweep(self.text(), commands),
            FlowName::Ec1000 => ec1000::ec1000(self.text(), commands),
        }
    }
}
