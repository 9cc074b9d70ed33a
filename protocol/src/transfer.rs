//! The ledger's lines that an event posted, spelled out without arithmetic.

use crate::{AccountId, Amount, AssetId, Event, Fee, FreezeAction, ParticipantId, SeriesId, Side};
use std::fmt;

/// Where an account's asset lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Free to use.
    Available,
    /// What open orders need.
    Held,
    /// Frozen by order of someone.
    Frozen,
}

/// A place of the chart of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An account's bucket.
    Account(AccountId, Bucket),
    /// Money at the custodian bank (1100); counted negatively, so that every asset sums to zero.
    Custody,
    /// An issuer's free escrow (2210).
    FreeEscrow(ParticipantId),
    /// A series' escrow (2200).
    Escrow(SeriesId),
    /// Fees of trades (4100).
    Fees,
    /// Rebates paid (5100); counted negatively.
    Rebates,
    /// The registrar of units (U100); counted negatively.
    Registrar,
}

impl Place {
    /// The account of the chart, for cash or for units.
    pub fn chart(self, asset: AssetId) -> &'static str {
        let cash = asset.0 & (1 << 31) != 0;
        match (self, cash) {
            (Place::Account(_, Bucket::Available), true) => "2100",
            (Place::Account(_, Bucket::Held), true) => "2110",
            (Place::Account(_, Bucket::Frozen), true) => "2120",
            (Place::Account(_, Bucket::Available), false) => "U200",
            (Place::Account(_, Bucket::Held), false) => "U210",
            (Place::Account(_, Bucket::Frozen), false) => "U230",
            (Place::Custody, _) => "1100",
            (Place::FreeEscrow(_), _) => "2210",
            (Place::Escrow(_), _) => "2200",
            (Place::Fees, _) => "4100",
            (Place::Rebates, _) => "5100",
            (Place::Registrar, _) => "U100",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Account(account, Bucket::Available) => write!(f, "{account}"),
            Place::Account(account, Bucket::Held) => write!(f, "{account}.held"),
            Place::Account(account, Bucket::Frozen) => write!(f, "{account}.frozen"),
            Place::Custody => f.write_str("custody"),
            Place::FreeEscrow(issuer) => write!(f, "free-escrow.{issuer}"),
            Place::Escrow(series) => write!(f, "escrow.{series}"),
            Place::Fees => f.write_str("fees"),
            Place::Rebates => f.write_str("rebates"),
            Place::Registrar => f.write_str("registrar"),
        }
    }
}

/// One line: so much of an asset leaves the debited place and comes to the credited one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Where it leaves.
    pub debit: Place,
    /// Where it comes to.
    pub credit: Place,
    /// What.
    pub asset: AssetId,
    /// How much; never zero.
    pub amount: Amount,
}

/// Most lines that one event can post.
const LINES_MAX: usize = 6;

/// The lines of one event, in order.
#[derive(Clone, Copy, Debug)]
pub struct Transfers {
    lines: [Option<Transfer>; LINES_MAX],
    len: usize,
    next: usize,
}

impl Transfers {
    fn none() -> Transfers {
        Transfers {
            lines: [None; LINES_MAX],
            len: 0,
            next: 0,
        }
    }
    fn post(mut self, debit: Place, credit: Place, asset: impl Into<AssetId>, amount: Amount) -> Transfers {
        if !amount.is_zero() {
            self.lines[self.len] = Some(Transfer {
                debit,
                credit,
                asset: asset.into(),
                amount,
            });
            self.len += 1;
        }
        self
    }
    /// A fee leaves `from`; a rebate comes to the account's available cash.
    fn fee(self, from: Place, account: AccountId, asset: AssetId, fee: Fee) -> Transfers {
        let amount = Amount(fee.0.unsigned_abs());
        match fee.0 {
            ..0 => self.post(
                Place::Rebates,
                Place::Account(account, Bucket::Available),
                asset,
                amount,
            ),
            0.. => self.post(from, Place::Fees, asset, amount),
        }
    }
    /// A fee comes back; a rebate goes back.
    fn fee_back(self, account: AccountId, asset: AssetId, fee: Fee) -> Transfers {
        let amount = Amount(fee.0.unsigned_abs());
        match fee.0 {
            ..0 => self.post(available(account), Place::Rebates, asset, amount),
            0.. => self.post(Place::Fees, available(account), asset, amount),
        }
    }
}

/// What a trade moved goes back: fees first, so that a seller can pay with what he gets.
fn busted(t: &crate::TradeBusted) -> Transfers {
    let cash = t.currency.into();
    let maker = (t.maker_account, t.maker_fee);
    let taker = (t.taker_account, t.taker_fee);
    let ((buyer, buyer_fee), (seller, seller_fee)) = match t.taker_side {
        Side::Buy => (taker, maker),
        Side::Sell => (maker, taker),
    };
    Transfers::none()
        .fee_back(seller, cash, seller_fee)
        .post(available(seller), available(buyer), cash, t.amount)
        .fee_back(buyer, cash, buyer_fee)
        .post(available(buyer), available(seller), t.series, t.qty.into())
}

impl Iterator for Transfers {
    type Item = Transfer;
    fn next(&mut self) -> Option<Transfer> {
        let line = self.lines.get(self.next).copied().flatten();
        self.next += 1;
        line
    }
}

/// The asset that an order of this side holds.
fn held_asset(side: Side, currency: crate::Currency, series: SeriesId) -> AssetId {
    match side {
        Side::Buy => currency.into(),
        Side::Sell => series.into(),
    }
}

fn available(account: AccountId) -> Place {
    Place::Account(account, Bucket::Available)
}

fn held(account: AccountId) -> Place {
    Place::Account(account, Bucket::Held)
}

fn traded(t: &crate::Traded) -> Transfers {
    let cash = t.currency.into();
    let maker = (t.maker_account, t.maker_fee);
    let taker = (t.taker_account, t.taker_fee);
    let ((buyer, buyer_fee), (seller, seller_fee)) = match t.taker_side {
        Side::Buy => (taker, maker),
        Side::Sell => (maker, taker),
    };
    Transfers::none()
        .post(held(buyer), available(seller), cash, t.amount)
        .fee(held(buyer), buyer, cash, buyer_fee)
        .fee(available(seller), seller, cash, seller_fee)
        .post(held(buyer), available(buyer), cash, t.released)
        .post(held(seller), available(buyer), t.series, t.qty.into())
}

impl Event<'_> {
    /// The ledger's lines that this event posted, in order; nothing is computed, every amount stands in the event.
    pub fn transfers(&self) -> Transfers {
        let none = Transfers::none();
        match self {
            Event::OrderAccepted(e) => none.post(
                available(e.account),
                held(e.account),
                held_asset(e.side, e.currency, e.series),
                e.held,
            ),
            Event::Traded(e) => traded(e),
            Event::TradeBusted(e) => busted(e),
            Event::OrderCanceled(e) => none.post(
                held(e.account),
                available(e.account),
                held_asset(e.side, e.currency, e.series),
                e.released,
            ),
            Event::OrderReplaced(e) => {
                let asset = held_asset(e.side, e.currency, e.series);
                none.post(available(e.account), held(e.account), asset, e.held)
                    .post(held(e.account), available(e.account), asset, e.released)
            }
            Event::OrderRested(e) => none.post(
                held(e.account),
                available(e.account),
                held_asset(e.side, e.currency, e.series),
                e.released,
            ),
            Event::OrderReduced(e) => none.post(
                held(e.account),
                available(e.account),
                held_asset(e.side, e.currency, e.series),
                e.released,
            ),
            Event::BalanceFrozen(e) => {
                let frozen = Place::Account(e.account, Bucket::Frozen);
                match e.action {
                    FreezeAction::Place => none.post(available(e.account), frozen, e.asset, e.amount),
                    FreezeAction::Lift => none.post(frozen, available(e.account), e.asset, e.amount),
                }
            }
            Event::EscrowPosted(e) => {
                let free = Place::FreeEscrow(e.issuer);
                none.post(Place::Custody, free, e.currency, e.amount).post(
                    free,
                    Place::Escrow(e.series),
                    e.currency,
                    e.amount,
                )
            }
            Event::UnitsIssued(e) => none.post(Place::Registrar, available(e.account), e.series, e.units),
            Event::CashCredited(e) => none.post(Place::Custody, available(e.account), e.currency, e.amount),
            Event::UnitsTransferred(e) => none.post(available(e.from), available(e.to), e.series, e.units),
            Event::Executed(_)
            | Event::ExecutionBusted(_)
            | Event::TermsAccepted(_)
            | Event::MmpTripped(_)
            | Event::QuoteAnswered(_)
            | Event::QuoteRefused(_)
            | Event::MmpReset(_)
            | Event::LimitsTold(_)
            | Event::DynamicCollarSet(_)
            | Event::MarketHalted(_)
            | Event::MmpSet(_)
            | Event::ExposureLimitsSet(_)
            | Event::StopTriggered(_)
            | Event::OrderRefreshed(_)
            | Event::MassCanceled(_)
            | Event::JobEnded(_)
            | Event::ExchangeOpened(_)
            | Event::TimeAdvanced(_)
            | Event::DayRolled(_)
            | Event::SessionEstablished(_)
            | Event::SessionEnded(_)
            | Event::SessionsEnded(_)
            | Event::RequestRepeated(_)
            | Event::NotApplied(_)
            | Event::ConfigSet(_)
            | Event::KeySet(_)
            | Event::Proposed(_)
            | Event::ProposalApproved(_)
            | Event::ProposalExpired(_)
            | Event::KillSwitchSet(_)
            | Event::RulesSet(_)
            | Event::OutcomeEnded(_)
            | Event::FreezeSet(_)
            | Event::ParticipantRegistered(_)
            | Event::AccountOpened(_)
            | Event::RiskLimitsSet(_)
            | Event::FeeScheduleSet(_)
            | Event::InstrumentSet(_)
            | Event::PhaseSet(_)
            | Event::SeriesDrafted(_)
            | Event::SeriesRegistered(_)
            | Event::Rejected(_) => none,
        }
    }
}
