//! Placing an order: admission in the order of the reject reasons, then the order meets the book.

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::extended::{Further, Goes};
use crate::fees;
use crate::floor::{Arrival, Floor, Indexed};
use crate::issuance::ASSET_MAX;
use crate::ledger::{RowId, Spot};
use crate::matching::{Meets, Rests, Taker, collar_bound, meets};
use crate::order::{Marks, Slot};
use crate::party::{Account, Freeze, Killed, Rates, Rebates};
use crate::refusal::{Refusal, beyond};
use crate::series::{Series, Watch};
use xq_protocol::{
    AccountId, Amount, ClOrdId, Execution, Fee, Nanos, OrderAccepted, OrderType, PlaceOrder, Ppm, Price, Qty,
    RejectReason, Reserved, SelfTradePrevention, Side, TimeInForce,
};

/// What admission found out about a new order.
pub(crate) struct Plan {
    pub limit: Price,
    pub rung: u32,
    pub hold: Amount,
    pub hold_row: RowId,
    /// The row of what it gets; 0 when there is none yet.
    pub counter_row: RowId,
    pub cl_hash: u32,
    pub rates: Rates,
    pub owner: u32,
    pub meets: Meets,
    /// The account's open notional with all of it.
    pub open_notional: Amount,
    /// What sets it apart because of whose it is.
    pub marks: Marks,
}

impl Venue {
    /// Places an order.
    #[inline(never)]
    pub(crate) fn place_order(
        &mut self,
        speaker: Speaker,
        c: &PlaceOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        // By reference: a plan that is moved out of its result is copied twice.
        match &self.admit_place(speaker, c, SelfTradePrevention::CancelNewest) {
            Ok(plan) => {
                // Here, where little else is at hand, and not amid admission: it costs most orders less.
                if plan.marks != Marks::NONE {
                    self.admit_limited(c, plan.open_notional)?;
                }
                self.place(speaker, (c, None), plan, events);
            }
            Err(refusal) => return self.place_repriced(speaker, c, *refusal, events),
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn admit_place(
        &self,
        speaker: Speaker,
        c: &PlaceOrder,
        self_trade: SelfTradePrevention,
    ) -> Result<Plan, Refusal> {
        let account = self.acting(speaker, c.account)?;
        let series = self.series.get(c.series)?;
        self.admit_party(speaker, account, series)?;
        self.admit_market(series)?;
        let limit = match c.order_type {
            OrderType::Market => collar_bound(series, c.side),
            OrderType::Limit | OrderType::Stop | OrderType::StopLimit => c.limit,
        };
        let rung = admit_terms(series, limit, c.qty, account.order_qty_max)?;
        admit_conditions(c, self.floor.now)?;
        let rung = admit_bounds(series, limit, rung)?;
        let cl_hash = self.admit_cl_ord_id(c.account, c.cl_ord_id)?;
        let taker = Taker {
            owner: account.owner.0,
            self_trade,
        };
        self.admit_book(c, series, rung, taker)?;
        self.admit_room(c, account)?;
        let meets = meets(series, c.side, rung);
        self.admit_funds(c, (series, account), (limit, rung, meets), cl_hash)
    }

    /// What the account has to say: enough money or coupons, within its limits.
    #[inline(always)]
    pub(crate) fn admit_funds(
        &self,
        c: &PlaceOrder,
        (series, account): (&Series, &Account),
        (limit, rung, meets): (Price, u32, Meets),
        cl_hash: u32,
    ) -> Result<Plan, Refusal> {
        let notional = limit.times(c.qty).ok_or(RejectReason::Overflow)?;
        self.admit_rebates(series, c.qty)?;
        let rates = self.floor.parties.rates(account.schedule);
        let coupon = c.series.into();
        let coupon_row = self.floor.coupon_row(c.account, account, coupon);
        let cash_row = self.floor.cash_row(c.account, account, series.currency.into());
        let (hold, hold_row, counter_row) = match c.side {
            Side::Sell => (c.qty.into(), coupon_row, cash_row),
            Side::Buy => (buy_hold(notional, rates.worst(meets))?, cash_row, coupon_row),
        };
        // Row 0, of those who have none, has nothing.
        let available = self.floor.ledger.row(hold_row).available;
        if available < hold {
            return Err(beyond(shortage(c.side), hold.0, available.0));
        }
        let open_notional = admit_limits(account, notional, Amount::ZERO)?;
        if counter_row == 0 && !self.floor.ledger.has_room(1) {
            return Err(RejectReason::Capacity.into());
        }
        let marks = account.duties.marks();
        Ok(Plan {
            limit,
            rung,
            hold,
            hold_row,
            counter_row,
            cl_hash,
            rates,
            owner: account.owner.0,
            meets,
            open_notional,
            marks,
        })
    }

    /// Takes an order in and lets it trade, rest, or wait for its stop. Tells its slot, which may be free again.
    #[inline(always)]
    pub(crate) fn place(
        &mut self,
        speaker: Speaker,
        (c, further): (&PlaceOrder, Option<&Further<'_>>),
        plan: &Plan,
        events: &mut Events,
    ) -> Slot {
        let series = self.series.known_mut(c.series.0);
        let floor = &mut self.floor;
        let counter_row = counter_row(floor, series, c, plan);
        let account = floor.parties.open_account(c.account);
        account.recent_coupon = c.series.into();
        (account.recent_cash_row, account.recent_coupon_row) = match c.side {
            Side::Buy => (plan.hold_row, counter_row),
            Side::Sell => (counter_row, plan.hold_row),
        };
        let slot = floor.orders.take();
        let (node, details) = floor.orders.both_mut(slot);
        details.cl_ord_id = c.cl_ord_id;
        details.cl_hash = plan.cl_hash;
        (details.ends, node.marks) = (0, plan.marks);
        // Two questions rather than a match of all five: most orders end with neither, and no table is jumped through.
        if c.tif == TimeInForce::Day {
            (details.ends, node.marks) = (floor.day.into(), plan.marks.with(Marks::ENDS));
        } else if c.tif == TimeInForce::Gtd {
            (details.ends, node.marks) = (c.expire_at.0, plan.marks.with(Marks::ENDS));
        }
        details.seq = floor.seq.0;
        details.session = speaker.session.0;
        details.total = c.qty;
        details.tif = c.tif;
        details.execution = c.execution;
        details.on_disconnect = c.on_disconnect;
        node.rung = plan.rung;
        node.leaves = c.qty;
        (node.account, node.series) = (c.account.0, c.series.0);
        node.owner = plan.owner;
        node.held = plan.hold;
        node.rested_notional = Amount::ZERO;
        node.hold_row = plan.hold_row;
        node.counter_row = counter_row;
        node.maker_ppm = plan.rates.maker.0;
        node.side = c.side;
        let order = floor.orders.id(slot);
        floor.ledger.transfer(
            Spot::Available(plan.hold_row),
            Spot::Held(plan.hold_row),
            plan.hold,
        );
        events.emit(&OrderAccepted {
            order,
            account: c.account,
            series: c.series,
            cl_ord_id: c.cl_ord_id,
            limit: plan.limit,
            expire_at: c.expire_at,
            held: plan.hold,
            qty: c.qty,
            currency: series.currency,
            side: c.side,
            order_type: c.order_type,
            tif: c.tif,
            execution: c.execution,
            on_disconnect: c.on_disconnect,
            reserved: Reserved::ZERO,
        });
        if let Some(further) = further
            && floor.keep_terms(series, slot, (further, plan), events) == Goes::Waits
        {
            return slot;
        }
        if plan.meets == Meets::Nothing && rests(c) == Rests::Yes {
            // It holds what it needs at rest already.
            floor.enter(series, slot, plan.open_notional);
            return slot;
        }
        let mut arrival = Arrival {
            slot,
            id: order,
            account: c.account,
            owner: plan.owner,
            side: c.side,
            series: c.series,
            leaves: c.qty,
            limit: plan.limit,
            rung: plan.rung,
            held: plan.hold,
            notional: Amount::ZERO,
            charged: Fee::ZERO,
            rates: plan.rates,
            hold_row: plan.hold_row,
            counter_row,
            indexed: Indexed::No,
            marks: plan.marks,
        };
        floor.arrive(series, &mut arrival, rests(c), events);
        if series.watch == Watch::On {
            self.after_trades(c.series, events);
        }
        slot
    }

    /// The account, when the speaker acts for it.
    #[inline]
    pub(crate) fn acting(&self, speaker: Speaker, account: AccountId) -> Result<&Account, RejectReason> {
        let account = self.floor.parties.account(account)?;
        if account.actor != speaker.participant() {
            return Err(RejectReason::NotAuthorised);
        }
        Ok(account)
    }

    /// Says whether the account's owner and actor may trade at all now.
    #[inline]
    pub(crate) fn admit_party(
        &self,
        speaker: Speaker,
        account: &Account,
        series: &Series,
    ) -> Result<(), RejectReason> {
        if account.freeze != Freeze::None {
            return Err(RejectReason::AccountFrozen);
        }
        let parties = &self.floor.parties;
        let killed = parties.is_killed(account.owner) || parties.is_killed(speaker.participant());
        if series.killed == Killed::Yes || killed {
            return Err(RejectReason::KillSwitch);
        }
        Ok(())
    }

    /// Says whether the series trades now.
    #[inline]
    pub(crate) fn admit_market(&self, series: &Series) -> Result<(), RejectReason> {
        series.admit_trading(self.phase, self.floor.now)
    }

    /// The hash by which the table of client's ids will keep an id that no open order of the account has.
    #[inline]
    pub(crate) fn admit_cl_ord_id(&self, account: AccountId, id: ClOrdId) -> Result<u32, RejectReason> {
        let ids = &self.floor.client_ids;
        let hash = ids.hash(account, id);
        if id.is_zero() || ids.find(&self.floor.orders, hash, account, id).is_some() {
            return Err(RejectReason::DupClOrdId);
        }
        Ok(hash)
    }

    /// What the book has to say: post-only, and fill or kill.
    #[inline(always)]
    fn admit_book(&self, c: &PlaceOrder, series: &Series, rung: u32, taker: Taker) -> Result<(), Refusal> {
        if c.execution != Execution::Any && self.floor.would_take(series, c.side, rung) {
            return Err(RejectReason::WouldTake.into());
        }
        if c.tif == TimeInForce::Fok {
            let all = (taker, RejectReason::FokUnfillable);
            self.floor.admit_fillable(series, (c.side, rung), c.qty, all)?;
        }
        Ok(())
    }

    /// Room to rest: among the account's open orders, and in the tables.
    #[inline(always)]
    pub(crate) fn admit_room(&self, c: &PlaceOrder, account: &Account) -> Result<(), Refusal> {
        let max = account.open_orders_max;
        if !max.is_zero() && account.open_orders >= max.0 && rests(c) == Rests::Yes {
            return Err(beyond(
                RejectReason::MaxOpenOrders,
                account.open_orders.into(),
                max.0.into(),
            ));
        }
        if !self.floor.orders.has_room() || !self.floor.levels.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        Ok(())
    }

    /// Rebates are money that nobody paid in. What this order may cause of them is at most what it trades, at most at
    /// the face value: with all that were paid it must fit, or an account could come to have more than can be counted.
    #[inline]
    pub(crate) fn admit_rebates(&self, series: &Series, qty: Qty) -> Result<(), RejectReason> {
        match self.floor.parties.rebates() {
            Rebates::Never => Ok(()),
            Rebates::Promised => self.admit_more_rebates(series, qty),
        }
    }

    fn admit_more_rebates(&self, series: &Series, qty: Qty) -> Result<(), RejectReason> {
        // What was paid is owed to the exchange: a negative balance.
        let room = i128::from(ASSET_MAX) + self.floor.ledger.system(series.rebates);
        let most = series.face.times(qty).ok_or(RejectReason::Overflow)?;
        if i128::from(most.0) > room {
            return Err(RejectReason::Overflow);
        }
        Ok(())
    }
}

/// The row of what the order gets, made when there is none yet.
#[inline(always)]
fn counter_row(floor: &mut Floor, series: &Series, c: &PlaceOrder, plan: &Plan) -> RowId {
    match (plan.counter_row, c.side) {
        (0, Side::Buy) => floor.new_row(c.account, c.series.into()),
        (0, Side::Sell) => floor.new_row(c.account, series.currency.into()),
        (row, _) => row,
    }
}

/// What a side lacks when it cannot hold enough.
pub(crate) fn shortage(side: Side) -> RejectReason {
    match side {
        Side::Buy => RejectReason::InsufficientCash,
        Side::Sell => RejectReason::InsufficientUnits,
    }
}

/// An amount and the fee on it.
#[inline]
pub(crate) fn buy_hold(notional: Amount, rate: Ppm) -> Result<Amount, RejectReason> {
    notional
        .checked_add(fees::to_hold(Amount::ZERO, notional, rate))
        .ok_or(RejectReason::Overflow)
}

/// Tick, lot, sizes, collar; `account_max` is the account's own largest quantity, zero for none. Tells the limit in
/// ticks.
#[inline]
pub(crate) fn admit_terms(series: &Series, limit: Price, qty: Qty, account_max: Qty) -> Result<u64, Refusal> {
    // One division: the remainder says whether the limit is on a tick.
    let (rung, off) = (limit.0 / series.tick.0, limit.0 % series.tick.0);
    if off != 0 {
        return Err(beyond(RejectReason::Tick, limit.0, series.tick.0));
    }
    if !qty.0.is_multiple_of(series.lot.0) {
        return Err(beyond(RejectReason::Lot, qty.0.into(), series.lot.0.into()));
    }
    if qty < series.qty_min {
        return Err(beyond(
            RejectReason::QtyMin,
            qty.0.into(),
            series.qty_min.0.into(),
        ));
    }
    let qty_max = match account_max {
        Qty::ZERO => series.qty_max,
        max => series.qty_max.min(max),
    };
    if qty > qty_max {
        return Err(beyond(RejectReason::QtyMax, qty.0.into(), qty_max.0.into()));
    }
    if !series.collar.is_zero() && limit < series.collar_low {
        return Err(beyond(RejectReason::CollarStatic, limit.0, series.collar_low.0));
    }
    if !series.collar.is_zero() && limit > series.collar_high {
        return Err(beyond(RejectReason::CollarStatic, limit.0, series.collar_high.0));
    }
    Ok(rung)
}

/// Between the tick and the face value. Tells the rung: face ÷ tick fits.
#[inline]
pub(crate) fn admit_bounds(series: &Series, limit: Price, rung: u64) -> Result<u32, Refusal> {
    if limit < series.tick {
        return Err(beyond(RejectReason::PriceBounds, limit.0, series.tick.0));
    }
    match u32::try_from(rung) {
        Ok(rung) if limit <= series.face => Ok(rung),
        Ok(_) | Err(_) => Err(beyond(RejectReason::PriceBounds, limit.0, series.face.0)),
    }
}

/// Time in force, order type and expire time go together.
#[inline]
fn admit_conditions(c: &PlaceOrder, now: Nanos) -> Result<(), Refusal> {
    let plain = c.tif == TimeInForce::Gtc && c.order_type == OrderType::Limit;
    if plain && c.expire_at.is_zero() {
        return Ok(());
    }
    admit_unusual_conditions(c, now)
}

fn admit_unusual_conditions(c: &PlaceOrder, now: Nanos) -> Result<(), Refusal> {
    let immediate = matches!(c.tif, TimeInForce::Ioc | TimeInForce::Fok);
    let post_only = c.execution != Execution::Any;
    let market = c.order_type == OrderType::Market;
    if matches!(c.order_type, OrderType::Stop | OrderType::StopLimit) {
        // Without a stop there is nothing that it could wait for.
        return Err(RejectReason::OrdType.into());
    }
    if (market && !immediate) || (post_only && immediate) {
        return Err(RejectReason::Tif.into());
    }
    if market && !c.limit.is_zero() {
        return Err(RejectReason::OrdType.into());
    }
    let expires = match c.tif {
        TimeInForce::Gtd => c.expire_at > now,
        TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Ioc | TimeInForce::Fok => c.expire_at.is_zero(),
    };
    if !expires {
        return Err(beyond(RejectReason::ExpireTime, c.expire_at.0, now.0));
    }
    Ok(())
}

/// The account's limits of money; `freed` is the notional that the order replaces. Tells the open notional with it.
#[inline(always)]
pub(crate) fn admit_limits(account: &Account, notional: Amount, freed: Amount) -> Result<Amount, Refusal> {
    if !account.order_notional_max.is_zero() && notional > account.order_notional_max {
        return Err(beyond(
            RejectReason::OrderNotional,
            notional.0,
            account.order_notional_max.0,
        ));
    }
    let others = account
        .open_notional
        .checked_sub(freed)
        .expect("it was counted when it came to rest");
    let open = others.checked_add(notional).ok_or(RejectReason::Overflow)?;
    if !account.open_notional_max.is_zero() && open > account.open_notional_max {
        return Err(beyond(
            RejectReason::OpenNotional,
            open.0,
            account.open_notional_max.0,
        ));
    }
    Ok(open)
}

/// Whether what does not trade at once rests.
#[inline]
pub(crate) fn rests(c: &PlaceOrder) -> Rests {
    match c.tif {
        TimeInForce::Gtc | TimeInForce::Day | TimeInForce::Gtd => Rests::Yes,
        TimeInForce::Ioc | TimeInForce::Fok => Rests::No,
    }
}
