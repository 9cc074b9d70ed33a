//! Reference data: participants, accounts, keys, limits, fees, markets, phases.

use crate::events::Events;
use crate::exchange::Venue;
use crate::exposure::admit_open_orders;
use crate::fees::PPM_MAX;
use crate::party::{Duties, Rates, SCHEDULES};
use crate::refusal::{Refusal, beyond};
use xq_protocol::{
    AccountOpened, Bps, FeeScheduleSet, InstrumentSet, KeySet, Nanos, OpenAccount, ParticipantRegistered,
    PhaseSet, RegisterParticipant, RejectReason, Reserved, RiskLimitsSet, Role, SetFeeSchedule,
    SetInstrument, SetKey, SetPhase, SetRiskLimits,
};

impl Venue {
    pub(crate) fn register_participant(
        &mut self,
        c: &RegisterParticipant,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        self.floor.parties.admit_participant(c.participant)?;
        if c.role == Role::House {
            return Err(RejectReason::NotAuthorised.into());
        }
        self.floor.parties.register(c.participant, c.role);
        let (participant, role, reference) = (c.participant, c.role, c.reference);
        events.emit(&ParticipantRegistered {
            participant,
            role,
            reserved: Reserved::ZERO,
            reference,
        });
        Ok(())
    }

    pub(crate) fn set_key(&mut self, c: &SetKey, events: &mut Events) -> Result<(), Refusal> {
        self.floor.parties.admit_key(c)?;
        self.floor.parties.set_key(c);
        events.emit(&KeySet {
            participant: c.participant,
            purpose: c.purpose,
            state: c.state,
            reserved: Reserved::ZERO,
            fingerprint: c.fingerprint,
        });
        Ok(())
    }

    pub(crate) fn open_account(&mut self, c: &OpenAccount, events: &mut Events) -> Result<(), Refusal> {
        self.floor.parties.participant(c.owner)?;
        if !c.operated_by.is_zero() {
            self.floor.parties.participant(c.operated_by)?;
        }
        self.floor.parties.admit_account(c.account)?;
        admit_schedule(c.schedule)?;
        let actor = if c.operated_by.is_zero() {
            c.owner
        } else {
            c.operated_by
        };
        self.floor.parties.open(c.account, c.owner, actor, c.schedule);
        events.emit(&AccountOpened {
            account: c.account,
            owner: c.owner,
            operated_by: c.operated_by,
            schedule: c.schedule,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    pub(crate) fn set_risk_limits(&mut self, c: &SetRiskLimits, events: &mut Events) -> Result<(), Refusal> {
        let limited = self.floor.parties.account(c.account)?.duties.has(Duties::LIMITED);
        if limited {
            admit_open_orders(c.open_orders_max)?;
        }
        let account = self.floor.parties.open_account(c.account);
        account.open_orders_max = c.open_orders_max;
        account.order_qty_max = c.order_qty_max;
        account.order_notional_max = c.order_notional_max;
        account.open_notional_max = c.open_notional_max;
        events.emit(&RiskLimitsSet {
            account: c.account,
            open_orders_max: c.open_orders_max,
            order_qty_max: c.order_qty_max,
            reserved: Reserved::ZERO,
            order_notional_max: c.order_notional_max,
            open_notional_max: c.open_notional_max,
        });
        Ok(())
    }

    /// Sets a fee schedule; a rebate may not be larger than the taker's fee that pays for it.
    pub(crate) fn set_fee_schedule(
        &mut self,
        c: &SetFeeSchedule,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        admit_schedule(c.schedule)?;
        let whole = 0..=PPM_MAX;
        if !whole.contains(&c.taker.0) || c.maker.0 > PPM_MAX || c.maker.0 < -c.taker.0 {
            return Err(RejectReason::Terms.into());
        }
        self.floor.parties.set_rates(
            c.schedule,
            Rates {
                taker: c.taker,
                maker: c.maker,
            },
        );
        let (schedule, taker, maker) = (c.schedule, c.taker, c.maker);
        events.emit(&FeeScheduleSet {
            schedule,
            reserved: Reserved::ZERO,
            taker,
            maker,
        });
        Ok(())
    }

    pub(crate) fn set_instrument(&mut self, c: &SetInstrument, events: &mut Events) -> Result<(), Refusal> {
        let market = self.series.get(c.series)?.admit_instrument(c)?;
        let series = self.series.known_mut(c.series.0);
        (series.qty_min, series.qty_max) = (market.qty_min, market.qty_max);
        (series.collar_low, series.collar_high) = (market.collar_low, market.collar_high);
        series.collar = c.collar;
        events.emit(&InstrumentSet {
            series: c.series,
            qty_min: c.qty_min,
            qty_max: c.qty_max,
            collar: Bps(c.collar.0),
            reference: c.reference,
            collar_low: market.collar_low,
            collar_high: market.collar_high,
        });
        Ok(())
    }

    /// Sets the phase of a series, or of the venue: then it does not reopen by itself any more.
    pub(crate) fn set_phase(&mut self, c: &SetPhase, events: &mut Events) -> Result<(), Refusal> {
        if c.series.is_zero() {
            self.phase = c.phase;
            self.reopen_at = Nanos::ZERO;
        } else {
            self.series.get(c.series)?;
            self.series.known_mut(c.series.0).set_phase(c.phase);
        }
        events.emit(&PhaseSet {
            series: c.series,
            phase: c.phase,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }
}

fn admit_schedule(schedule: xq_protocol::ScheduleId) -> Result<(), Refusal> {
    let last = SCHEDULES - 1;
    if usize::from(schedule.0) > last {
        return Err(beyond(
            RejectReason::Capacity,
            schedule.0.into(),
            u64::try_from(last).expect("small"),
        ));
    }
    Ok(())
}
