//! Orders that wait for their stop: where they stand, and how they arrive when the last trade's price reaches it.
//!
//! A trade's price is noted as it happens. After the command's own order, those whose stop was reached arrive one by
//! one: buy orders first, the lowest stop first, then sell orders, the highest stop first; at one stop the earlier
//! first. What they trade may reach further stops. One command lets so many arrive; the others wait for the next ticks,
//! and a stop once reached stays reached.

use crate::amend::{Place, Replacement};
use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::{Arrival, Floor, Indexed};
use crate::ledger::Spot;
use crate::levels::{Ladder, Levels};
use crate::matching::{FILLS_MAX, Meets, Rests};
use crate::order::{Marks, Slot, order_id};
use crate::party::Rates;
use crate::place::{admit_bounds, admit_limits, admit_terms, buy_hold, shortage};
use crate::refusal::{Refusal, beyond};
use crate::series::{Series, Watch};
use xq_protocol::{
    AccountId, Amount, CancelReason, Fee, OrderCanceled, Phase, Ppm, Price, RejectReason, ReplaceOrder,
    Reserved, SeriesId, SessionId, Side, StopTriggered,
};

/// While a command has caused fewer events than this, one more order may arrive whose stop was reached.
const ARRIVE_BELOW: usize = FILLS_MAX / 2;
/// Series looked at in one tick for stops that were reached.
const SERIES_A_TICK: usize = 256;

/// The orders of one series that wait for their stop, and the prices traded since all that were reached arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stops {
    /// Buy orders, the lowest stop first.
    buys: Ladder,
    /// Sell orders, the highest stop first.
    sells: Ladder,
    /// How many wait.
    pub waiting: u32,
    /// The highest price traded, in ticks; 0 for none.
    highest: u32,
    /// The lowest price traded; `u32::MAX` for none.
    lowest: u32,
    /// Whether the series stands in the list of those with stops that were reached.
    pub listed: Listed,
}

/// Whether a series stands in the list of those with stops that were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    No,
    Yes,
}

impl Stops {
    /// None waits; prices of up to `rungs` ticks.
    pub fn new(rungs: u64) -> Stops {
        Stops {
            buys: Ladder::new(Side::Sell, rungs),
            sells: Ladder::new(Side::Buy, rungs),
            waiting: 0,
            highest: 0,
            lowest: u32::MAX,
            listed: Listed::No,
        }
    }

    /// The same, with the highest and the lowest price that were traded and not settled yet.
    pub fn restored(rungs: u64, (highest, lowest): (u32, u32)) -> Stops {
        Stops {
            highest,
            lowest,
            ..Stops::new(rungs)
        }
    }

    /// The highest and the lowest price traded since all that were reached arrived; what stands in the list of series and
    /// how many wait follow from elsewhere.
    pub fn range(&self) -> (u32, u32) {
        let Stops {
            buys: _,
            sells: _,
            waiting: _,
            highest,
            lowest,
            listed: _,
        } = *self;
        (highest, lowest)
    }

    /// Says whether an order may wait for this stop: buy orders above what was traded last, sell orders below it.
    pub fn admit(&self, side: Side, stop: u32, last: u32) -> Result<(), u32> {
        // A price that was reached while others still have to arrive was not traded since this one came.
        let (high, low) = (last.max(self.highest), last.min(self.lowest));
        if last == 0 {
            return Ok(());
        }
        match side {
            Side::Buy if stop <= high => Err(high),
            Side::Sell if stop >= low => Err(low),
            Side::Buy | Side::Sell => Ok(()),
        }
    }

    /// A trade at this price.
    pub fn reach(&mut self, rung: u32) {
        self.highest = self.highest.max(rung);
        self.lowest = self.lowest.min(rung);
    }

    pub fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// The waiting orders of a side, the one whose stop is nearest first.
    pub fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }

    /// The next order whose stop was reached.
    fn reached(&self, levels: &Levels) -> Option<Slot> {
        let buy = self.buys.best().is_some_and(|stop| stop <= self.highest);
        let sell = self.sells.best().is_some_and(|stop| stop >= self.lowest);
        match (buy, sell) {
            (true, _) => levels.front(&self.buys),
            (false, true) => levels.front(&self.sells),
            (false, false) => None,
        }
    }

    /// All that were reached have arrived.
    fn settle(&mut self) {
        (self.highest, self.lowest) = (0, u32::MAX);
    }
}

impl Floor {
    /// Lets an order wait at the stop that its node names; with it, the account has so much open.
    pub fn wait(&mut self, series: &mut Series, slot: Slot, open_notional: Amount) {
        self.list(slot, open_notional);
        let ladder = series.stops.ladder_mut(self.orders.node(slot).side);
        self.levels.push(ladder, &mut self.orders, slot);
        series.stops.waiting += 1;
        series.watch = Watch::On;
    }

    /// Takes a waiting order out of its place; it stays listed.
    fn wait_no_more(&mut self, series: &mut Series, slot: Slot) {
        let ladder = series.stops.ladder_mut(self.orders.node(slot).side);
        self.levels.remove(ladder, &mut self.orders, slot);
        series.stops.waiting -= 1;
        series.settle_watch();
    }

    /// Limit × what is open of a waiting order.
    fn waiting_notional(&self, series: &Series, slot: Slot) -> Amount {
        let limit = series.price(self.limit_rung(slot));
        let leaves = self.orders.node(slot).leaves;
        limit.times(leaves).expect("an order's amount fits")
    }

    /// Cancels an order that waits for its stop.
    #[cold]
    pub fn cancel_waiting(
        &mut self,
        series: &mut Series,
        slot: Slot,
        reason: CancelReason,
        events: &mut Events,
    ) {
        let notional = self.waiting_notional(series, slot);
        let (node, details) = self.orders.both(slot);
        let row = node.hold_row;
        self.ledger
            .transfer(Spot::Held(row), Spot::Available(row), node.held);
        events.emit(&OrderCanceled {
            order: order_id(slot, details),
            account: AccountId(node.account),
            series: SeriesId(node.series),
            session: SessionId(details.session),
            qty: node.leaves,
            released: node.held,
            currency: series.currency,
            side: node.side,
            reason,
            reserved: Reserved::ZERO,
        });
        self.wait_no_more(series, slot);
        self.forget(slot, notional);
    }

    /// Lets an order arrive whose stop was reached.
    fn trigger(&mut self, series: &mut Series, slot: Slot, events: &mut Events) {
        let notional = self.waiting_notional(series, slot);
        self.wait_no_more(series, slot);
        let (node, details) = self.orders.both_mut(slot);
        let mut terms = *self.terms.get(details.terms);
        if terms.rests == Rests::No {
            // The collar may be narrower than when it was placed; what it holds is for the wider one.
            terms.limit = series.within_collar(node.side, terms.limit);
        }
        let (stop, limit) = (series.price(node.rung), series.price(terms.limit));
        node.marks = node.marks.without(Marks::WAITS);
        node.rung = terms.limit;
        let id = order_id(slot, details);
        let mut arrival = Arrival {
            slot,
            id,
            account: AccountId(node.account),
            owner: node.owner,
            side: node.side,
            series: SeriesId(node.series),
            leaves: node.leaves,
            limit,
            rung: terms.limit,
            held: node.held,
            notional: Amount::ZERO,
            charged: Fee::ZERO,
            rates: Rates {
                taker: terms.taker,
                maker: Ppm(node.maker_ppm),
            },
            hold_row: node.hold_row,
            counter_row: node.counter_row,
            indexed: Indexed::Yes,
            marks: node.marks,
        };
        events.emit(&StopTriggered {
            order: id,
            account: arrival.account,
            series: arrival.series,
            stop,
            limit,
            leaves: arrival.leaves,
            session: SessionId(details.session),
            currency: series.currency,
            side: arrival.side,
            reserved: Reserved::ZERO,
        });
        let account = self.parties.open_account(arrival.account);
        account.open_notional = account
            .open_notional
            .checked_sub(notional)
            .expect("it was counted when it began to wait");
        // Others may have taken the page of levels that was free when it was placed.
        let rests = match self.levels.has_room() {
            true => terms.rests,
            false => Rests::No,
        };
        self.arrive(series, &mut arrival, rests, events);
    }
}

/// Whether all whose stop was reached have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrived {
    All,
    Some,
}

impl Floor {
    /// Lets those arrive whose stop was reached, as many as one command may, while the market is open.
    fn let_arrive(&mut self, series: &mut Series, venue: Phase, events: &mut Events) -> Arrived {
        while let Some(slot) = series.stops.reached(&self.levels) {
            if events.len() >= ARRIVE_BELOW || series.admit_trading(venue, self.now).is_err() {
                return Arrived::Some;
            }
            // What becomes of it is its own session's, whoever's command traded at its price.
            let spoke = self.speak_for(self.orders.details(slot).session, events);
            match self.doom(slot) {
                Some(reason) => self.cancel_waiting(series, slot, reason, events),
                None => self.trigger(series, slot, events),
            }
            events.speak_again(spoke);
        }
        Arrived::All
    }
}

impl Venue {
    /// Admits a replacement of an order that waits for its stop, which stays as it is; a quote's side is not replaced so.
    #[cold]
    pub(crate) fn admit_replace_waiting(
        &self,
        speaker: Speaker,
        c: &ReplaceOrder,
        slot: Slot,
    ) -> Result<Replacement, Refusal> {
        let account = self.acting(speaker, c.account)?;
        let (node, details) = self.floor.orders.both(slot);
        if node.marks.has(Marks::QUOTE) {
            // Its series and side give it its id: only a quote changes it.
            return Err(RejectReason::ReplaceInvalid.into());
        }
        let series = self.series.known(node.series);
        self.admit_party(speaker, account, series)?;
        self.admit_market(series)?;
        let old_limit = series.price(self.floor.limit_rung(slot));
        let rung = admit_terms(series, c.limit, c.total_qty, account.order_qty_max)?;
        let rung = admit_bounds(series, c.limit, rung)?;
        if !c.cl_ord_id.is_zero() && c.cl_ord_id != details.cl_ord_id {
            self.admit_cl_ord_id(c.account, c.cl_ord_id)?;
        }
        if self.floor.doom(slot).is_some() {
            return Err(RejectReason::TooLate.into());
        }
        admit_short_of(node.side, series.price(node.rung), c.limit)?;
        self.admit_rebates(series, c.total_qty)?;
        let rates = self.floor.parties.rates(account.schedule);
        // Nothing of it has traded: what is open is all of it.
        let notional = c.limit.times(c.total_qty).ok_or(RejectReason::Overflow)?;
        let hold = match node.side {
            Side::Sell => c.total_qty.into(),
            Side::Buy => buy_hold(notional, rates.worst(Meets::Orders))?,
        };
        let available = self.floor.ledger.row(node.hold_row).available;
        let usable = available.checked_add(node.held).expect("an account's asset fits");
        if usable < hold {
            return Err(beyond(shortage(node.side), hold.0, usable.0));
        }
        let freed = old_limit.times(node.leaves).expect("an order's amount fits");
        let open_notional = admit_limits(account, notional, freed)?;
        self.admit_limited_replace(account, slot, c.total_qty, open_notional)?;
        Ok(Replacement {
            slot,
            limit: c.limit,
            rung,
            leaves: c.total_qty,
            hold,
            open_notional,
            rates,
            place: Place::Arrives,
        })
    }

    /// Gives an order that waits for its stop what it will bring when it arrives.
    pub(crate) fn wait_on(&mut self, plan: &Replacement, events: &mut Events) {
        let moved = self.hold_anew(plan);
        let (node, details) = self.floor.orders.both_mut(plan.slot);
        let before = std::mem::replace(&mut node.leaves, plan.leaves);
        node.maker_ppm = plan.rates.maker.0;
        let terms = self.floor.terms.get_mut(details.terms);
        if plan.rung != terms.limit || plan.leaves > before {
            let series = self.series.known_mut(node.series);
            let (ladder, stop) = (series.stops.ladder_mut(node.side), node.rung);
            self.floor
                .levels
                .relocate(ladder, &mut self.floor.orders, plan.slot, stop);
        }
        let account_id = AccountId(self.floor.orders.node(plan.slot).account);
        (terms.limit, terms.taker) = (plan.rung, plan.rates.taker);
        let account = self.floor.parties.open_account(account_id);
        account.open_notional = plan.open_notional;
        self.tell_replaced(plan, moved, events);
    }

    /// What follows from the prices that a command traded at.
    #[cold]
    pub(crate) fn after_trades(&mut self, id: SeriesId, events: &mut Events) {
        let series = self.series.known_mut(id.0);
        let arrived = self.floor.let_arrive(series, self.phase, events);
        if series.phase == Phase::Continuous {
            series.band.follow(series.last);
        }
        if arrived == Arrived::All {
            return series.stops.settle();
        }
        if series.stops.listed == Listed::No {
            series.stops.listed = Listed::Yes;
            self.stirred.push_back(id);
        }
    }

    /// Goes on, at a tick, where a command had to leave stops that were reached.
    pub(crate) fn go_on_with_stops(&mut self, events: &mut Events) {
        for _ in 0..self.stirred.len().min(SERIES_A_TICK) {
            let id = self.stirred.pop_front().expect("counted just now");
            self.series.known_mut(id.0).stops.listed = Listed::No;
            self.after_trades(id, events);
        }
    }
}

/// Says whether a stop lies on its limit's near side: beyond it, the order could not trade when it is set off.
pub(crate) fn admit_short_of(side: Side, stop: Price, limit: Price) -> Result<(), Refusal> {
    let beyond_limit = match side {
        Side::Buy => stop > limit,
        Side::Sell => stop < limit,
    };
    match beyond_limit {
        true => Err(beyond(RejectReason::StopPrice, stop.0, limit.0)),
        false => Ok(()),
    }
}
