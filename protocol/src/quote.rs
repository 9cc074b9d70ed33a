//! A mass quote's legs, as its columns hold them.

use crate::{
    AccountId, LEGS, LegPrices, LegQtys, LegSeries, MassQuote, Price, Qty, QuoteId, Reserved, SeriesId, Side,
};

/// One leg: a bid and an offer in one series; a side of no quantity is withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuoteLeg {
    /// Of which series; zero for a leg that is not used.
    pub series: SeriesId,
    /// How many are bid for.
    pub bid_qty: Qty,
    /// How many are offered.
    pub ask_qty: Qty,
    /// At which price is bid.
    pub bid: Price,
    /// At which price is offered.
    pub ask: Price,
}

impl QuoteLeg {
    /// Quantity and price of a side.
    pub fn side(&self, side: Side) -> (Qty, Price) {
        match side {
            Side::Buy => (self.bid_qty, self.bid),
            Side::Sell => (self.ask_qty, self.ask),
        }
    }
}

impl MassQuote {
    /// A quote of these legs.
    pub fn of(account: AccountId, quote: QuoteId, legs: &[QuoteLeg; LEGS]) -> MassQuote {
        MassQuote {
            account,
            reserved: Reserved::ZERO,
            quote,
            series: LegSeries(legs.map(|leg| leg.series)),
            bid_qty: LegQtys(legs.map(|leg| leg.bid_qty)),
            ask_qty: LegQtys(legs.map(|leg| leg.ask_qty)),
            bid: LegPrices(legs.map(|leg| leg.bid)),
            ask: LegPrices(legs.map(|leg| leg.ask)),
        }
    }

    /// Its legs, used or not, in order.
    pub fn legs(&self) -> [QuoteLeg; LEGS] {
        std::array::from_fn(|i| QuoteLeg {
            series: self.series.0[i],
            bid_qty: self.bid_qty.0[i],
            ask_qty: self.ask_qty.0[i],
            bid: self.bid.0[i],
            ask: self.ask.0[i],
        })
    }
}
