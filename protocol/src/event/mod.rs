//! The events: what followed from a command, one a business fact, with every amount posted.

mod assets;
mod control;
mod orders;
mod quotes;
mod reference;

pub use assets::*;
pub use control::*;
pub use orders::*;
pub use quotes::*;
pub use reference::*;

use crate::{
    meta::{bodies, family},
    *,
};

bodies! {
    /// A command was refused and changed nothing.
    Rejected = 299 {
        /// The command's template id.
        template: Count,
        /// Why.
        code: RejectCode,
        /// Zero.
        reserved: Reserved<2>,
        /// The client's id in the command, if it had one.
        cl_ord_id: ClOrdId,
        /// The order in the command, if it named one.
        order: OrderId,
        /// The account in the command, if it named one.
        account: AccountId,
        /// The series in the command, if it named one.
        series: SeriesId,
        /// What was observed, where it is a number.
        observed: Observed,
        /// What is allowed, where it is a number.
        allowed: Observed,
    }
}

family! {
    /// An event, viewed in its frame. Template 203 is only ever told to a session, never journaled.
    Event, EVENTS;

    OrderAccepted, Traded, Executed, OrderCanceled, OrderReplaced, OrderRested, OrderReduced, MassCanceled, JobEnded, TermsAccepted, StopTriggered, OrderRefreshed,
    QuoteAnswered, QuoteRefused, MmpTripped, MmpReset, ExecutionBusted, LimitsTold, TradeBusted,
    ExchangeOpened, TimeAdvanced, DayRolled, SessionEstablished, SessionEnded, SessionsEnded, RequestRepeated, NotApplied, ConfigSet, KeySet, Proposed, ProposalApproved, ProposalExpired, KillSwitchSet, FreezeSet, BalanceFrozen, RulesSet, OutcomeEnded,
    ParticipantRegistered, AccountOpened, RiskLimitsSet, FeeScheduleSet, InstrumentSet, PhaseSet, DynamicCollarSet, MarketHalted, MmpSet, ExposureLimitsSet,
    SeriesDrafted, EscrowPosted, SeriesRegistered, UnitsIssued, CashCredited, UnitsTransferred,
    Rejected,
}

const _: () = {
    let mut i = 0;
    while i < EVENTS.len() {
        assert!(HEADER_LEN + EVENTS[i].4 <= EVENT_MAX);
        i += 1;
    }
};
