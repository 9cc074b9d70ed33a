//! What became of an order: accepted, traded, changed, gone.

use crate::{meta::bodies, *};

bodies! {
    /// An order was accepted and what it needs is held.
    OrderAccepted = 201 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// Its limit; a market order's is the collar's bound.
        limit: Price,
        /// When it ends, zero for never.
        expire_at: Nanos,
        /// What is held: cash for a buy order, coupons for a sell order.
        held: Amount,
        /// How many.
        qty: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Limit or market.
        order_type: OrderType,
        /// How long it holds.
        tif: TimeInForce,
        /// Whether it may take.
        execution: Execution,
        /// What becomes of it when its session ends.
        on_disconnect: OnDisconnect,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// Two orders traded, and the trade settled. The header's session is the taker's.
    Traded = 202 {
        /// Of which series.
        series: SeriesId,
        /// The series' currency.
        currency: Currency,
        /// The taker's side.
        taker_side: Side,
        /// Zero.
        reserved: Reserved<1>,
        /// The maker's price.
        price: Price,
        /// Price × quantity: from buyer to seller.
        amount: Amount,
        /// How many.
        qty: Qty,
        /// What is left of the maker.
        maker_leaves: Qty,
        /// What is left of the taker.
        taker_leaves: Qty,
        /// The maker's session.
        maker_session: SessionId,
        /// The order that rested.
        maker_order: OrderId,
        /// The order that arrived.
        taker_order: OrderId,
        /// The maker's account.
        maker_account: AccountId,
        /// The taker's account.
        taker_account: AccountId,
        /// The maker's fee.
        maker_fee: Fee,
        /// The taker's fee.
        taker_fee: Fee,
        /// What the buyer's hold does not need any more and gets back: price improvement and unused fee.
        released: Amount,
    }
    /// A trade as one side sees it: told to sessions only.
    Executed = 203 {
        /// The session's order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The trade's price.
        price: Price,
        /// Price × quantity.
        amount: Amount,
        /// The fee of this side.
        fee: Fee,
        /// How many.
        qty: Qty,
        /// What is left of the order.
        leaves: Qty,
        /// The order's side.
        side: Side,
        /// Whether it made or took.
        liquidity: Liquidity,
        /// The series' currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An order, or what was left of it, is gone.
    OrderCanceled = 204 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The session that placed it.
        session: SessionId,
        /// How many were cancelled.
        qty: Qty,
        /// What was held and is available again.
        released: Amount,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Why.
        reason: CancelReason,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An order has a new quantity, price or client's id.
    OrderReplaced = 205 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The client's id from here on.
        cl_ord_id: ClOrdId,
        /// Its limit from here on.
        limit: Price,
        /// Held in addition.
        held: Amount,
        /// Held no more.
        released: Amount,
        /// Total quantity, what has been filled included.
        total_qty: Qty,
        /// What is open.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Where it stands.
        standing: Standing,
    }
    /// An order that traded on arrival came to rest; its hold was computed anew at the maker's rate.
    OrderRested = 206 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Held no more.
        released: Amount,
        /// What is open.
        leaves: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// Some of an order's quantity was taken away; it keeps its place.
    OrderReduced = 207 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Held no more.
        released: Amount,
        /// How many were taken away.
        qty: Qty,
        /// What is open.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// A mass cancel took effect: its orders will not trade again; those not cancelled here go at the next ticks.
    MassCanceled = 208 {
        /// The account, zero for all of the session's.
        account: AccountId,
        /// The series, zero for all.
        series: SeriesId,
        /// Orders cancelled by this command.
        canceled: Count,
        /// Of these sides.
        sides: Sides,
        /// Whether more go at the next ticks.
        progress: Progress,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// A larger job has ended.
    JobEnded = 209 {
        /// The command that began it.
        began: Seq,
        /// Orders it cancelled at ticks.
        canceled: Count,
        /// What it did.
        kind: JobKind,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// The further terms of the order that was accepted just before.
    TermsAccepted = 210 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The last trade's price that sets it off; zero for an order that does not wait.
        stop: Price,
        /// So many were to trade at once; zero for no minimum.
        min_qty: Qty,
        /// So many are shown at a time; zero shows all.
        display_qty: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// What becomes of it when it meets an order of its own participant.
        self_trade: SelfTradePrevention,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// The last trade's price reached an order's stop: it arrives now.
    StopTriggered = 211 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Its stop.
        stop: Price,
        /// Its limit; a stop order's is the bound of the collar when it was accepted.
        limit: Price,
        /// What is open of it.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// All that an order showed has traded: it shows more, last at its price.
    OrderRefreshed = 212 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// So many are shown from here on.
        display_qty: Qty,
        /// What is open, hidden quantity included.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// A trade that was undone, as one side sees it: told to sessions only.
    ExecutionBusted = 217 {
        /// The command that traded.
        trade: Seq,
        /// Which of its events the trade is.
        index: Count,
        /// Of which series.
        series: SeriesId,
        /// The session's order.
        order: OrderId,
        /// The trade's price.
        price: Price,
        /// Price × quantity: gone from the seller, back at the buyer.
        amount: Amount,
        /// The fee of this side, which is back.
        fee: Fee,
        /// Whose order it was.
        account: AccountId,
        /// How many: gone from the buyer, back at the seller.
        qty: Qty,
        /// The order's side.
        side: Side,
        /// Whether it made or took.
        liquidity: Liquidity,
        /// The series' currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A trade was undone: both legs and both fees went back. Its orders stay as they are.
    TradeBusted = 219 {
        /// The command that traded.
        trade: Seq,
        /// Which of its events the trade is.
        index: Count,
        /// Of which series.
        series: SeriesId,
        /// The trade's price.
        price: Price,
        /// Price × quantity: from the seller back to the buyer.
        amount: Amount,
        /// The order that rested.
        maker_order: OrderId,
        /// The order that arrived.
        taker_order: OrderId,
        /// The maker's fee, which is back.
        maker_fee: Fee,
        /// The taker's fee, which is back.
        taker_fee: Fee,
        /// How many: from the buyer back to the seller.
        qty: Qty,
        /// The maker's session.
        maker_session: SessionId,
        /// The taker's session.
        taker_session: SessionId,
        /// The maker's account.
        maker_account: AccountId,
        /// The taker's account.
        taker_account: AccountId,
        /// The series' currency.
        currency: Currency,
        /// The taker's side.
        taker_side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
}
