//! Changing orders that rest: cancel, reduce, replace, mass cancel.

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::{Arrival, Floor, Indexed};
use crate::jobs::{Job, Scope};
use crate::ledger::Spot;
use crate::matching::{Meets, Rests, meets};
use crate::order::{Details, Marks, Order, Slot, order_id};
use crate::party::Rates;
use crate::place::{admit_bounds, admit_limits, admit_terms, buy_hold, shortage};
use crate::refusal::{Refusal, beyond};
use crate::series::Watch;
use xq_protocol::{
    AccountId, Amount, CancelOrder, CancelReason, ClOrdId, Count, Currency, Execution, Fee, JobKind,
    MassCancel, MassCanceled, OrderId, OrderReplaced, Price, Progress, Qty, RejectReason, ReplaceOrder,
    Reserved, SeriesId, SessionId, Side, Standing,
};

/// What admission found out about a replacement.
pub(crate) struct Replacement {
    pub slot: Slot,
    pub limit: Price,
    pub rung: u32,
    pub leaves: Qty,
    /// What it must hold from here on.
    pub hold: Amount,
    /// The account's open notional from here on, should it rest at once.
    pub open_notional: Amount,
    pub rates: Rates,
    pub place: Place,
}

/// Where a replaced order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It keeps its place in time.
    Kept,
    /// To the end of a queue, at a price that reaches nothing.
    Moved,
    /// It meets the book as if it were new; one that waits for its stop waits on.
    Arrives,
}

impl Venue {
    /// The slot of an order that the account names by either id.
    #[inline(always)]
    pub(crate) fn named(
        &self,
        account: AccountId,
        order: OrderId,
        cl_ord_id: ClOrdId,
    ) -> Result<Slot, RejectReason> {
        let orders = &self.floor.orders;
        if order.is_zero() {
            return self
                .floor
                .find_cl_ord_id(account, cl_ord_id)
                .ok_or(RejectReason::UnknownOrder);
        }
        let slot = orders.find(order).ok_or(RejectReason::UnknownOrder)?;
        if orders.node(slot).account != account.0 {
            return Err(RejectReason::NotOwner);
        }
        Ok(slot)
    }

    /// Cancels an order, or takes some of its quantity.
    #[inline(never)]
    pub(crate) fn cancel_order(
        &mut self,
        speaker: Speaker,
        c: &CancelOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        self.acting(speaker, c.account)?;
        let slot = self.named(c.account, c.order, c.cl_ord_id)?;
        let node = self.floor.orders.node(slot);
        let series = self.series.known_mut(node.series);
        if c.reduce_qty.is_zero() || c.reduce_qty >= node.leaves {
            let reason = CancelReason::Requested;
            self.floor.cancel_as_asked(series, slot, reason, events);
            return Ok(());
        }
        if !c.reduce_qty.0.is_multiple_of(series.lot.0) {
            return Err(beyond(
                RejectReason::Lot,
                c.reduce_qty.0.into(),
                series.lot.0.into(),
            ));
        }
        self.floor.reduce(series, slot, c.reduce_qty, events);
        Ok(())
    }

    /// Replaces an order's quantity, price or client's id.
    #[inline(never)]
    pub(crate) fn replace_order(
        &mut self,
        speaker: Speaker,
        c: &ReplaceOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        // By reference: a plan that is moved out of its result is copied twice.
        match &self.admit_replace(speaker, c) {
            Ok(plan) => self.replace(c, plan, events),
            Err(refusal) => return self.replace_repriced(speaker, c, *refusal, events),
        }
        Ok(())
    }

    #[inline(never)]
    fn admit_replace(&self, speaker: Speaker, c: &ReplaceOrder) -> Result<Replacement, Refusal> {
        let account = self.acting(speaker, c.account)?;
        let slot = self.named(c.account, c.order, c.orig_cl_ord_id)?;
        let (node, details) = self.floor.orders.both(slot);
        if node.marks.is_replaced_apart() {
            return self.admit_replace_waiting(speaker, c, slot);
        }
        let series = self.series.known(node.series);
        self.admit_party(speaker, account, series)?;
        self.admit_market(series)?;
        // Limits lowered since must not keep anyone from lowering an order.
        let old_limit = series.price(node.rung);
        let lowers = c.limit == old_limit && c.total_qty <= details.total;
        let account_max = if lowers { Qty::ZERO } else { account.order_qty_max };
        let rung = admit_terms(series, c.limit, c.total_qty, account_max)?;
        let rung = admit_bounds(series, c.limit, rung)?;
        let renamed = !c.cl_ord_id.is_zero() && c.cl_ord_id != details.cl_ord_id;
        if renamed {
            self.admit_cl_ord_id(c.account, c.cl_ord_id)?;
        }
        if self.floor.doom(slot).is_some() {
            return Err(RejectReason::TooLate.into());
        }
        if details.execution != Execution::Any && self.floor.would_take(series, node.side, rung) {
            return Err(RejectReason::WouldTake.into());
        }
        let filled = details.total.0 - node.leaves.0;
        if c.total_qty.0 <= filled {
            let (total, filled) = (c.total_qty.0.into(), filled.into());
            return Err(beyond(RejectReason::ReplaceInvalid, total, filled));
        }
        let leaves = Qty(c.total_qty.0 - filled);
        let rates = self.floor.parties.rates(account.schedule);
        let notional = c.limit.times(leaves).ok_or(RejectReason::Overflow)?;
        let kept = Replacement {
            slot,
            limit: c.limit,
            rung,
            leaves,
            hold: node.held,
            open_notional: account.open_notional,
            rates,
            place: Place::Kept,
        };
        if rung == node.rung && leaves <= node.leaves {
            let changes = leaves < node.leaves || renamed;
            return changes.then_some(kept).ok_or(RejectReason::ReplaceInvalid.into());
        }
        if !self.floor.levels.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        self.admit_rebates(series, leaves)?;
        let meets = meets(series, node.side, rung);
        let hold = match node.side {
            Side::Sell => leaves.into(),
            Side::Buy => buy_hold(notional, rates.worst(meets))?,
        };
        let available = self.floor.ledger.row(node.hold_row).available;
        let usable = available.checked_add(node.held).expect("an account's asset fits");
        if usable < hold {
            return Err(beyond(shortage(node.side), hold.0, usable.0));
        }
        let freed = old_limit.times(node.leaves).expect("an order's amount fits");
        let open_notional = admit_limits(account, notional, freed)?;
        let place = match meets {
            Meets::Orders => Place::Arrives,
            Meets::Nothing => Place::Moved,
        };
        self.admit_limited_replace(account, slot, leaves, open_notional)?;
        Ok(Replacement {
            hold,
            open_notional,
            place,
            ..kept
        })
    }

    #[inline(always)]
    fn replace(&mut self, c: &ReplaceOrder, plan: &Replacement, events: &mut Events) {
        let slot = plan.slot;
        let (node, details) = self.floor.orders.both_mut(slot);
        let old_leaves = node.leaves;
        let renamed = !c.cl_ord_id.is_zero() && c.cl_ord_id != details.cl_ord_id;
        details.total = c.total_qty;
        if renamed {
            self.floor.rename(slot, c.cl_ord_id);
        }
        match plan.place {
            Place::Moved => self.move_order(plan, events),
            Place::Kept if plan.leaves == old_leaves => {
                self.tell_replaced(plan, (Amount::ZERO, Amount::ZERO), events)
            }
            Place::Kept => {
                let series = self.series.known(self.floor.orders.node(slot).series);
                let released = self.floor.lower(series, slot, plan.leaves);
                self.tell_replaced(plan, (Amount::ZERO, released), events);
            }
            Place::Arrives => self.arrive_again(plan, events),
        }
    }

    /// Lets the ledger hold what the order needs from here on; tells what more and what less.
    #[inline(always)]
    pub(crate) fn hold_anew(&mut self, plan: &Replacement) -> (Amount, Amount) {
        let node = self.floor.orders.node_mut(plan.slot);
        let (row, before) = (node.hold_row, node.held);
        node.held = plan.hold;
        let ledger = &mut self.floor.ledger;
        match plan.hold.checked_sub(before) {
            Some(more) => {
                ledger.transfer(Spot::Available(row), Spot::Held(row), more);
                (more, Amount::ZERO)
            }
            None => {
                let less = Amount(before.0 - plan.hold.0);
                ledger.transfer(Spot::Held(row), Spot::Available(row), less);
                (Amount::ZERO, less)
            }
        }
    }

    /// Moves an order to the end of the queue at a price that reaches nothing, at the rates of now.
    #[inline(always)]
    fn move_order(&mut self, plan: &Replacement, events: &mut Events) {
        let moved = self.hold_anew(plan);
        let Floor {
            orders,
            levels,
            parties,
            terms,
            ..
        } = &mut self.floor;
        let (node, details) = orders.both_mut(plan.slot);
        node.leaves = plan.leaves;
        node.rested_notional = Amount::ZERO;
        node.maker_ppm = plan.rates.maker.0;
        if node.marks.has(Marks::ICEBERG) {
            terms.get_mut(details.terms).show(plan.leaves);
        }
        parties.open_account(AccountId(node.account)).open_notional = plan.open_notional;
        let series = self.series.known_mut(node.series);
        events.emit(&replaced(plan, (node, details), series.currency, moved));
        let ladder = series.ladder_mut(node.side);
        levels.relocate(ladder, orders, plan.slot, plan.rung);
    }

    pub(crate) fn tell_replaced(&self, plan: &Replacement, moved: (Amount, Amount), events: &mut Events) {
        let (node, details) = self.floor.orders.both(plan.slot);
        let currency = self.series.known(node.series).currency;
        let standing = match node.marks.has(Marks::WAITS) {
            true => Standing::Waiting,
            false => Standing::Book,
        };
        events.emit(&OrderReplaced {
            standing,
            ..replaced(plan, (node, details), currency, moved)
        });
    }

    /// Takes the order out of its place, holds what it needs now, and lets it meet the book as if it were new.
    #[inline(never)]
    fn arrive_again(&mut self, plan: &Replacement, events: &mut Events) {
        let slot = plan.slot;
        if self.floor.orders.node(slot).marks.has(Marks::WAITS) {
            return self.wait_on(plan, events);
        }
        let moved = self.hold_anew(plan);
        let node = *self.floor.orders.node(slot);
        self.floor.unlink(self.series.known_mut(node.series), slot);
        self.tell_replaced(plan, moved, events);
        let series = self.series.known_mut(node.series);
        let mut arrival = Arrival {
            slot,
            id: self.floor.orders.id(slot),
            account: AccountId(node.account),
            owner: node.owner,
            side: node.side,
            series: SeriesId(node.series),
            leaves: plan.leaves,
            limit: plan.limit,
            rung: plan.rung,
            held: plan.hold,
            notional: Amount::ZERO,
            charged: Fee::ZERO,
            rates: plan.rates,
            hold_row: node.hold_row,
            counter_row: node.counter_row,
            indexed: Indexed::Yes,
            marks: node.marks,
        };
        self.floor.arrive(series, &mut arrival, Rests::Yes, events);
        if series.watch == Watch::On {
            self.after_trades(SeriesId(node.series), events);
        }
    }

    /// Cancels many orders: as many as one command may now, the others at the next ticks.
    pub(crate) fn mass_cancel(
        &mut self,
        speaker: Speaker,
        c: &MassCancel,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        if !c.account.is_zero() {
            self.acting(speaker, c.account)?;
        }
        if !c.series.is_zero() {
            self.series.get(c.series)?;
        }
        let parties = &self.floor.parties;
        if !self.floor.jobs.has_room_for(speaker.participant(), parties) {
            return Err(RejectReason::Capacity.into());
        }
        let scope = match c.account {
            AccountId::ZERO => Scope::Operated(speaker.participant()),
            account => Scope::Account(account),
        };
        let job = Job::cancel(JobKind::MassCancel, scope, self.floor.seq, &self.floor.parties);
        let job = Job {
            series: c.series,
            sides: c.sides,
            ..job
        };
        let (canceled, progress) = self.begin(job, events);
        events.emit(&MassCanceled {
            account: c.account,
            series: c.series,
            canceled: Count(canceled),
            sides: c.sides,
            progress,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    /// Works on a job as far as one command may; what is left goes on at the next ticks.
    pub(crate) fn begin(&mut self, job: Job, events: &mut Events) -> (u32, Progress) {
        let mut job = job;
        let mut pieces = crate::jobs::PIECES_MAX;
        match self.work(&mut job, &mut pieces, events) {
            Progress::Done => (job.canceled, Progress::Done),
            Progress::Continues => {
                self.floor.jobs.add(job);
                (job.canceled, Progress::Continues)
            }
        }
    }
}

/// What is told of a replacement; `moved` is what more and what less the ledger holds.
#[inline(always)]
fn replaced(
    plan: &Replacement,
    (node, details): (&Order, &Details),
    currency: Currency,
    (held, released): (Amount, Amount),
) -> OrderReplaced {
    OrderReplaced {
        order: order_id(plan.slot, details),
        account: AccountId(node.account),
        series: SeriesId(node.series),
        cl_ord_id: details.cl_ord_id,
        limit: plan.limit,
        held,
        released,
        total_qty: details.total,
        leaves: plan.leaves,
        session: SessionId(details.session),
        currency,
        side: node.side,
        standing: Standing::Book,
    }
}
