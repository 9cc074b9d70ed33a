//! Where coupons and money come from: series, escrow, units issued and given, cash credited.

use crate::{meta::bodies, *};

bodies! {
    /// A series was described.
    SeriesDrafted = 250 {
        /// Its number.
        series: SeriesId,
        /// Who issues it.
        issuer: ParticipantId,
        /// Its symbol.
        symbol: Symbol,
        /// Its currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// Orders are for multiples of so many coupons.
        lot: Qty,
        /// Prices are multiples of this.
        tick: Price,
        /// Face value of a coupon.
        face: Price,
        /// What a merchant is paid for a coupon.
        redeem_value: Price,
        /// Coupons that can be issued in all.
        issue_cap: Amount,
        /// From when it can be redeemed.
        valid_from: Nanos,
        /// When it expires.
        valid_to: Nanos,
    }
    /// Money came into a series' escrow.
    EscrowPosted = 251 {
        /// The series.
        series: SeriesId,
        /// Who issues it.
        issuer: ParticipantId,
        /// How much.
        amount: Amount,
        /// What the escrow holds now.
        escrow: Amount,
        /// The bank's reference.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// The currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// A series was registered.
    SeriesRegistered = 252 {
        /// The series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
        /// SHA-256 of the terms document.
        terms_hash: Hash,
    }
    /// Units were issued to an account.
    UnitsIssued = 253 {
        /// The series.
        series: SeriesId,
        /// To whom.
        account: AccountId,
        /// How many.
        units: Amount,
        /// How many are outstanding now.
        outstanding: Amount,
    }
    /// Money came for an account.
    CashCredited = 260 {
        /// The account.
        account: AccountId,
        /// The currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// How much.
        amount: Amount,
        /// The bank's reference.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// Units were given to another account.
    UnitsTransferred = 261 {
        /// Who gave.
        from: AccountId,
        /// Who got.
        to: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
        /// How many.
        units: Amount,
    }
}
