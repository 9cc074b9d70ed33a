//! Who learns of an event: the sessions it concerns, and a trade as either side sees it.

use crate::{Event, Executed, ExecutionBusted, Header, Liquidity, Reserved, SessionId, TradeBusted, Traded};

/// The sessions that learn of an event: the one that spoke, and others that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The session whose command caused the event; the house when nobody's did.
    pub speaker: SessionId,
    /// Another session whose order the event changed; the house when there is none.
    pub other: SessionId,
    /// And one more.
    pub third: SessionId,
}

impl Event<'_> {
    /// Who learns of this event privately.
    pub fn audience(&self, header: &Header) -> Audience {
        let other = match self {
            Event::Traded(traded) => traded.maker_session,
            Event::TradeBusted(busted) => busted.taker_session,
            Event::OrderCanceled(canceled) => canceled.session,
            Event::OrderReplaced(replaced) => replaced.session,
            Event::OrderReduced(reduced) => reduced.session,
            Event::StopTriggered(triggered) => triggered.session,
            Event::OrderRefreshed(refreshed) => refreshed.session,
            Event::MmpTripped(tripped) => tripped.session,
            Event::OrderAccepted(_)
            | Event::TermsAccepted(_)
            | Event::QuoteAnswered(_)
            | Event::QuoteRefused(_)
            | Event::MmpReset(_)
            | Event::LimitsTold(_)
            | Event::DynamicCollarSet(_)
            | Event::MarketHalted(_)
            | Event::MmpSet(_)
            | Event::ExposureLimitsSet(_)
            | Event::Executed(_)
            | Event::ExecutionBusted(_)
            | Event::OrderRested(_)
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
            | Event::BalanceFrozen(_)
            | Event::ParticipantRegistered(_)
            | Event::AccountOpened(_)
            | Event::RiskLimitsSet(_)
            | Event::FeeScheduleSet(_)
            | Event::InstrumentSet(_)
            | Event::PhaseSet(_)
            | Event::SeriesDrafted(_)
            | Event::EscrowPosted(_)
            | Event::SeriesRegistered(_)
            | Event::UnitsIssued(_)
            | Event::CashCredited(_)
            | Event::UnitsTransferred(_)
            | Event::Rejected(_) => SessionId::HOUSE,
        };
        let third = if let Event::TradeBusted(busted) = self {
            busted.maker_session
        } else {
            SessionId::HOUSE
        };
        Audience {
            speaker: header.session,
            other,
            third,
        }
    }
}

impl Traded {
    /// The trade as the taker or the maker sees it; the other side stays anonymous.
    pub fn executed(&self, liquidity: Liquidity) -> Executed {
        let (order, account, fee, leaves, side) = match liquidity {
            Liquidity::Maker => (
                self.maker_order,
                self.maker_account,
                self.maker_fee,
                self.maker_leaves,
                self.taker_side.opposite(),
            ),
            Liquidity::Taker => (
                self.taker_order,
                self.taker_account,
                self.taker_fee,
                self.taker_leaves,
                self.taker_side,
            ),
        };
        Executed {
            order,
            account,
            series: self.series,
            price: self.price,
            amount: self.amount,
            fee,
            qty: self.qty,
            leaves,
            side,
            liquidity,
            currency: self.currency,
            reserved: Reserved::ZERO,
        }
    }
}

impl TradeBusted {
    /// What the taker or the maker is told; the other side stays anonymous.
    pub fn execution(&self, liquidity: Liquidity) -> ExecutionBusted {
        let (order, account, fee, side) = match liquidity {
            Liquidity::Maker => (
                self.maker_order,
                self.maker_account,
                self.maker_fee,
                self.taker_side.opposite(),
            ),
            Liquidity::Taker => (
                self.taker_order,
                self.taker_account,
                self.taker_fee,
                self.taker_side,
            ),
        };
        ExecutionBusted {
            trade: self.trade,
            index: self.index,
            series: self.series,
            order,
            price: self.price,
            amount: self.amount,
            fee,
            account,
            qty: self.qty,
            side,
            liquidity,
            currency: self.currency,
            reserved: Reserved::ZERO,
        }
    }
}
