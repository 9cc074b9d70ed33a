//! What became of a mass quote, of a market maker's protection, and what is used of limits.

use crate::{meta::bodies, *};

bodies! {
    /// A mass quote was worked through; what became of each side was told before.
    QuoteAnswered = 213 {
        /// Its number.
        quote: QuoteId,
        /// The account.
        account: AccountId,
        /// Sides that were quoted anew, changed, or left as they were.
        quoted: Count,
        /// Sides that were withdrawn as asked.
        withdrawn: Count,
        /// Sides that were refused; what stood there before is withdrawn.
        refused: Count,
    }
    /// A side of a quote was refused; what stood there before is withdrawn.
    QuoteRefused = 214 {
        /// The quote.
        quote: QuoteId,
        /// The account.
        account: AccountId,
        /// The series.
        series: SeriesId,
        /// What was observed, where it is a number.
        observed: Observed,
        /// What is allowed, where it is a number.
        allowed: Observed,
        /// Why.
        code: RejectCode,
        /// The side.
        side: Side,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// A market maker's quotes traded as much as its protection allows: all of them go, and none is taken until it resets.
    MmpTripped = 215 {
        /// The account.
        account: AccountId,
        /// The series of the last trade.
        series: SeriesId,
        /// Coupons traded within the window.
        qty: Amount,
        /// Price × quantity traded within the window.
        notional: Amount,
        /// Trades within the window.
        trades: Count,
        /// The session that placed the quote that traded last.
        session: SessionId,
    }
    /// A market maker quotes again.
    MmpReset = 216 {
        /// The account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An account's limits and what is used of them; a limit of zero is none.
    LimitsTold = 218 {
        /// The account.
        account: AccountId,
        /// The series whose position is told; zero for none.
        series: SeriesId,
        /// Orders open.
        open_orders: Count,
        /// Orders that may be open.
        open_orders_max: Count,
        /// Price × quantity of its open orders.
        open_notional: Amount,
        /// What that may be.
        open_notional_max: Amount,
        /// Price × quantity traded on the business day; counted only while there is a limit.
        traded: Amount,
        /// What that and its open orders may be together.
        daily_max: Amount,
        /// Coupons of the series, those that its open orders may buy included; counted only while there is a limit.
        position: Amount,
        /// What that may be.
        position_max: Amount,
    }
}
