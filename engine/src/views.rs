//! What is public of the state, as market data begins with it: the venue's phase, every series, every resting order.

use crate::audit::RestingOrder;
use crate::exchange::Exchange;
use crate::party::Killed;
use xq_protocol::{
    AccountId, Currency, Date, Nanos, ParticipantId, Phase, Price, Qty, Role, SeriesId, Side, SwitchState,
    Symbol,
};

/// What is public of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesView {
    /// Its number.
    pub series: SeriesId,
    /// Its symbol.
    pub symbol: Symbol,
    /// Its currency.
    pub currency: Currency,
    /// Orders are for multiples of so many coupons.
    pub lot: Qty,
    /// Prices are multiples of this.
    pub tick: Price,
    /// Face value of a coupon.
    pub face: Price,
    /// When it expires.
    pub valid_to: Nanos,
    /// Its own phase; the venue's overrides it while that is not Continuous.
    pub phase: Phase,
    /// Its kill switch.
    pub switch: SwitchState,
}

impl Exchange {
    /// The phase of the whole venue.
    pub fn phase(&self) -> Phase {
        self.venue().map_or(Phase::Continuous, |venue| venue.phase)
    }

    /// The business date, zero before the first day began.
    pub fn business_date(&self) -> Date {
        Date(self.venue().map_or(0, |venue| venue.floor.day))
    }

    /// The exchange's time.
    pub fn time(&self) -> Nanos {
        self.venue().map_or(Nanos::ZERO, |venue| venue.floor.now)
    }

    /// Every series, by its number.
    pub fn each_series(&self) -> impl Iterator<Item = SeriesView> + '_ {
        let all = self.venue().into_iter().flat_map(|venue| venue.series.iter());
        all.map(|(id, series)| SeriesView {
            series: id,
            symbol: series.symbol,
            currency: series.currency,
            lot: series.lot,
            tick: series.tick,
            face: series.face,
            valid_to: Nanos(series.valid_to),
            phase: series.phase,
            switch: switch(series.killed),
        })
    }

    /// Every account of a role's participants, by its number: whose it is, and that participant's kill switch.
    pub fn accounts_of(
        &self,
        role: Role,
    ) -> impl Iterator<Item = (AccountId, ParticipantId, SwitchState)> + '_ {
        let parties = self.venue().map(|venue| &venue.floor.parties);
        parties.into_iter().flat_map(move |parties| {
            parties.account_ids().filter_map(move |account| {
                let owner = parties.account(account).ok()?.owner;
                let participant = parties.participant(owner).ok()?;
                let is_wanted = participant.role == Some(role);
                is_wanted.then(|| (account, owner, switch(participant.killed)))
            })
        })
    }

    /// The resting orders of a series in priority, buy side first.
    pub fn each_resting(&self, series: SeriesId) -> impl Iterator<Item = (Side, RestingOrder)> + '_ {
        [Side::Buy, Side::Sell].into_iter().flat_map(move |side| {
            self.queue(series, side, usize::MAX)
                .into_iter()
                .map(move |order| (side, order))
        })
    }
}

fn switch(killed: Killed) -> SwitchState {
    match killed {
        Killed::Yes => SwitchState::Engaged,
        Killed::No => SwitchState::Released,
    }
}
