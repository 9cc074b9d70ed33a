//! Who takes part and under which rules: participants, accounts, limits, fees, a series' market.

use crate::{meta::bodies, *};

bodies! {
    /// A participant was registered.
    ParticipantRegistered = 240 {
        /// Its number.
        participant: ParticipantId,
        /// What it is.
        role: Role,
        /// Zero.
        reserved: Reserved<3>,
        /// Salted reference to its file.
        reference: Hash,
    }
    /// An account was opened.
    AccountOpened = 241 {
        /// Its number.
        account: AccountId,
        /// Whose it is.
        owner: ParticipantId,
        /// The platform whose sessions act for it, zero when its owner's do.
        operated_by: ParticipantId,
        /// Its fees.
        schedule: ScheduleId,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// An account's limits were set.
    RiskLimitsSet = 242 {
        /// The account.
        account: AccountId,
        /// Orders open at once.
        open_orders_max: Count,
        /// Quantity of one order.
        order_qty_max: Qty,
        /// Zero.
        reserved: Reserved<4>,
        /// Price × quantity of one order.
        order_notional_max: Amount,
        /// Price × quantity of all open orders together.
        open_notional_max: Amount,
    }
    /// A fee schedule was set.
    FeeScheduleSet = 243 {
        /// Which.
        schedule: ScheduleId,
        /// Zero.
        reserved: Reserved<6>,
        /// What a taker pays.
        taker: Ppm,
        /// What a maker pays, or is paid when negative.
        maker: Ppm,
    }
    /// A series' market was set.
    InstrumentSet = 244 {
        /// The series.
        series: SeriesId,
        /// Smallest quantity of an order.
        qty_min: Qty,
        /// Largest quantity of an order.
        qty_max: Qty,
        /// Half width of the static collar.
        collar: Bps,
        /// The reference price.
        reference: Price,
        /// Lowest price the collar allows.
        collar_low: Price,
        /// Highest price the collar allows.
        collar_high: Price,
    }
    /// The phase of a series, or of the whole venue, was set.
    PhaseSet = 245 {
        /// The series, zero for the venue.
        series: SeriesId,
        /// The phase.
        phase: Phase,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// A series' dynamic collar was set.
    DynamicCollarSet = 246 {
        /// The series.
        series: SeriesId,
        /// Half width around the last trade's price.
        width: Bps,
        /// How long a halt lasts; zero is until someone reopens the series.
        halt_for: Nanos,
    }
    /// A series was halted: the next trade would have left its dynamic collar.
    MarketHalted = 247 {
        /// The series.
        series: SeriesId,
        /// The series' currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// The price that would have traded.
        price: Price,
        /// The lowest price allowed.
        low: Price,
        /// The highest price allowed.
        high: Price,
        /// When it reopens by itself; zero for never.
        reopen_at: Nanos,
    }
    /// A market maker's protection was set.
    MmpSet = 248 {
        /// The account.
        account: AccountId,
        /// Trades; zero is no limit.
        trades_max: Count,
        /// Coupons; zero is no limit.
        qty_max: Amount,
        /// Price × quantity; zero is no limit.
        notional_max: Amount,
        /// Within this time.
        window: Nanos,
    }
    /// An account's limits of position and of the day were set.
    ExposureLimitsSet = 249 {
        /// The account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
        /// Coupons of any one series.
        position_max: Amount,
        /// Price × quantity of a business day.
        daily_max: Amount,
    }
}
