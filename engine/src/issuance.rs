//! Issuance: a series is drafted, covered, registered, issued; money comes in, units are given away.

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::ledger::Spot;
use crate::party::{Freeze, Killed};
use crate::refusal::{Refusal, beyond};
use crate::series::SeriesBalances;
use xq_protocol::{
    Amount, AssetId, CashCredited, CreditCash, Currency, DraftSeries, EscrowPosted, IssueUnits, Place,
    PostEscrow, RegisterSeries, RejectReason, Reserved, Role, SeriesDrafted, SeriesRegistered, SeriesState,
    TransferUnits, UnitsIssued, UnitsTransferred,
};

/// Most of an asset that can exist, rebates aside: sums of any of its balances fit 63 bits, and 64 with them.
pub(crate) const ASSET_MAX: u64 = i64::MAX.unsigned_abs();

impl Venue {
    pub(crate) fn draft_series(
        &mut self,
        speaker: Speaker,
        c: &DraftSeries,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        if speaker.role == Role::Issuer && speaker.participant() != c.issuer {
            return Err(RejectReason::NotAuthorised.into());
        }
        if self.floor.parties.role(c.issuer)? != Role::Issuer || c.issuer.is_zero() {
            return Err(RejectReason::NotAuthorised.into());
        }
        let house = *self.house.get(&c.currency).ok_or(RejectReason::Terms)?;
        self.series.admit_draft(c, self.floor.now.0)?;
        let ledger = &mut self.floor.ledger;
        let cash = AssetId::from(c.currency);
        let free = Place::FreeEscrow(c.issuer);
        let free_escrow = ledger
            .find_system(free, cash)
            .unwrap_or_else(|| ledger.open_system(free, cash));
        let escrow = ledger.open_system(Place::Escrow(c.series), cash);
        let registrar = ledger.open_system(Place::Registrar, c.series.into());
        self.series.draft(
            c,
            SeriesBalances {
                house,
                escrow,
                free_escrow,
                registrar,
            },
        );
        events.emit(&SeriesDrafted {
            series: c.series,
            issuer: c.issuer,
            symbol: c.symbol,
            currency: c.currency,
            reserved: Reserved::ZERO,
            lot: c.lot,
            tick: c.tick,
            face: c.face,
            redeem_value: c.redeem_value,
            issue_cap: c.issue_cap,
            valid_from: c.valid_from,
            valid_to: c.valid_to,
        });
        Ok(())
    }

    /// Money came into escrow: first to the issuer, then to the series.
    pub(crate) fn post_escrow(
        &mut self,
        speaker: Speaker,
        c: &PostEscrow,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let series = self.series.get(c.series)?;
        let (currency, issuer) = (series.currency, series.issuer);
        let (custody, free, escrow) = (series.custody, series.free_escrow, series.escrow);
        self.admit_cash(currency, c.amount)?;
        self.bank_refs
            .admit(speaker.participant(), c.bank_ref, c.value_date, self.floor.now)?;
        self.bank_refs
            .remember(speaker.participant(), c.bank_ref, self.floor.now);
        self.floor
            .ledger
            .transfer(Spot::System(custody), Spot::System(free), c.amount);
        self.floor
            .ledger
            .transfer(Spot::System(free), Spot::System(escrow), c.amount);
        let series = self.series.known_mut(c.series.0);
        if series.state == SeriesState::Draft {
            series.state = SeriesState::Escrowed;
        }
        let held =
            u64::try_from(self.floor.ledger.system(escrow)).expect("what exists of an asset fits 63 bits");
        events.emit(&EscrowPosted {
            series: c.series,
            issuer,
            amount: c.amount,
            escrow: Amount(held),
            bank_ref: c.bank_ref,
            value_date: c.value_date,
            currency,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    /// Says whether so much more of a currency can exist.
    fn admit_cash(&self, currency: Currency, amount: Amount) -> Result<(), Refusal> {
        let house = self.house.get(&currency).ok_or(RejectReason::Terms)?;
        if amount.is_zero() {
            return Err(RejectReason::Amount.into());
        }
        let exists =
            u64::try_from(-self.floor.ledger.system(house.custody)).expect("custody is never positive");
        if amount.0 > ASSET_MAX - exists {
            return Err(beyond(RejectReason::Overflow, amount.0, ASSET_MAX - exists));
        }
        Ok(())
    }

    pub(crate) fn register_series(&mut self, c: &RegisterSeries, events: &mut Events) -> Result<(), Refusal> {
        if self.series.get(c.series)?.state != SeriesState::Escrowed {
            return Err(RejectReason::SeriesState.into());
        }
        let series = self.series.known_mut(c.series.0);
        series.state = SeriesState::Registered;
        let terms_hash = series.terms_hash;
        events.emit(&SeriesRegistered {
            series: c.series,
            reserved: Reserved::ZERO,
            terms_hash,
        });
        Ok(())
    }

    /// Issues units: escrow must cover redemption of everything outstanding, in full.
    pub(crate) fn issue_units(
        &mut self,
        speaker: Speaker,
        c: &IssueUnits,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let account = self.floor.parties.account(c.account)?;
        let series = self.series.get(c.series)?;
        if speaker.role == Role::Issuer && speaker.participant() != series.issuer {
            return Err(RejectReason::NotAuthorised.into());
        }
        if account.freeze != Freeze::None {
            return Err(RejectReason::AccountFrozen.into());
        }
        if series.state != SeriesState::Registered {
            return Err(RejectReason::SeriesState.into());
        }
        if self.floor.now.0 >= series.valid_to {
            return Err(RejectReason::SeriesExpired.into());
        }
        if series.killed == Killed::Yes && self.rules().kill_switch_stops_issues() {
            return Err(RejectReason::KillSwitch.into());
        }
        if c.qty.is_zero() || !c.qty.0.is_multiple_of(series.lot.0) {
            return Err(beyond(RejectReason::Lot, c.qty.0.into(), series.lot.0.into()));
        }
        self.admit_receipt(c.account, c.series, c.qty)?;
        if self.floor.ledger.find(c.account, c.series.into()).is_none() && !self.floor.ledger.has_room(1) {
            return Err(RejectReason::Capacity.into());
        }
        let outstanding = series
            .outstanding
            .checked_add(c.qty.into())
            .filter(|all| all.0 <= ASSET_MAX);
        let outstanding = outstanding.ok_or(RejectReason::Overflow)?;
        let needed = u128::from(outstanding.0) * u128::from(series.redeem_value.0);
        let escrow = self.floor.ledger.system(series.escrow).unsigned_abs();
        if needed > escrow {
            let narrow = |amount: u128| u64::try_from(amount).unwrap_or(u64::MAX);
            return Err(beyond(
                RejectReason::EscrowShortfall,
                narrow(needed),
                narrow(escrow),
            ));
        }
        if outstanding > series.issue_cap {
            return Err(beyond(RejectReason::Quota, outstanding.0, series.issue_cap.0));
        }
        let series = self.series.known_mut(c.series.0);
        series.outstanding = outstanding;
        let registrar = series.registrar;
        let row = self.floor.row(c.account, c.series.into());
        self.floor
            .ledger
            .transfer(Spot::System(registrar), Spot::Available(row), c.qty.into());
        let (series, account, units) = (c.series, c.account, c.qty.into());
        events.emit(&UnitsIssued {
            series,
            account,
            units,
            outstanding,
        });
        Ok(())
    }

    /// Money came for an account. A frozen account gets it too: it is not lost, and cannot be used.
    pub(crate) fn credit_cash(
        &mut self,
        speaker: Speaker,
        c: &CreditCash,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        self.floor.parties.account(c.account)?;
        self.admit_cash(c.currency, c.amount)?;
        if self.floor.ledger.find(c.account, c.currency.into()).is_none() && !self.floor.ledger.has_room(1) {
            return Err(RejectReason::Capacity.into());
        }
        self.bank_refs
            .admit(speaker.participant(), c.bank_ref, c.value_date, self.floor.now)?;
        self.bank_refs
            .remember(speaker.participant(), c.bank_ref, self.floor.now);
        let custody = self
            .house
            .get(&c.currency)
            .expect("admission found the currency")
            .custody;
        let row = self.floor.row(c.account, c.currency.into());
        self.floor
            .ledger
            .transfer(Spot::System(custody), Spot::Available(row), c.amount);
        events.emit(&CashCredited {
            account: c.account,
            currency: c.currency,
            reserved: Reserved::ZERO,
            amount: c.amount,
            bank_ref: c.bank_ref,
            value_date: c.value_date,
            reserved2: Reserved::ZERO,
        });
        Ok(())
    }

    /// Gives units to another account.
    pub(crate) fn transfer_units(
        &mut self,
        speaker: Speaker,
        c: &TransferUnits,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let from = self.acting(speaker, c.from)?;
        let to = self.floor.parties.account(c.to)?;
        let series = self.series.get(c.series)?;
        self.admit_party(speaker, from, series)?;
        if to.freeze != Freeze::None {
            return Err(RejectReason::AccountFrozen.into());
        }
        if series.state != SeriesState::Registered {
            return Err(RejectReason::SeriesState.into());
        }
        if self.floor.now.0 >= series.valid_to {
            return Err(RejectReason::SeriesExpired.into());
        }
        if c.qty.is_zero() || c.from == c.to {
            return Err(RejectReason::QtyMin.into());
        }
        self.admit_receipt(c.to, c.series, c.qty)?;
        let ledger = &self.floor.ledger;
        if ledger.find(c.to, c.series.into()).is_none() && !ledger.has_room(1) {
            return Err(RejectReason::Capacity.into());
        }
        let giver = ledger.find(c.from, c.series.into());
        let available = giver.map_or(Amount::ZERO, |row| ledger.row(row).available);
        let Some(giver) = giver.filter(|_| available >= c.qty.into()) else {
            return Err(beyond(
                RejectReason::InsufficientUnits,
                c.qty.0.into(),
                available.0,
            ));
        };
        let taker = self.floor.row(c.to, c.series.into());
        self.floor
            .ledger
            .transfer(Spot::Available(giver), Spot::Available(taker), c.qty.into());
        events.emit(&UnitsTransferred {
            from: c.from,
            to: c.to,
            series: c.series,
            reserved: Reserved::ZERO,
            units: c.qty.into(),
        });
        Ok(())
    }
}
