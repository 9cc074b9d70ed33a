//! Orders with further terms: what admission asks of them, and what is kept of them beside the order.

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::Floor;
use crate::matching::{Meets, Rests, Taker, collar_bound};
use crate::order::{Marks, Slot, order_id};
use crate::place::{Plan, admit_bounds, admit_terms, rests};
use crate::refusal::{Refusal, beyond};
use crate::series::Series;
use crate::stops::admit_short_of;
use crate::terms::Terms;
use xq_protocol::{
    Amount, Execution, OrderType, PlaceExtendedOrder, PlaceOrder, Ppm, Price, Qty, RejectReason,
    ReplaceOrder, Reserved, SelfTradePrevention, Side, TermsAccepted, TimeInForce,
};

/// Most parts in which an order may be shown: each costs whoever takes it a fill.
const PARTS_MAX: u32 = 64;

/// What an order has beyond the plain one.
pub(crate) struct Further<'a> {
    c: &'a PlaceExtendedOrder,
    /// What is kept of it while it is open.
    terms: Option<Terms>,
    /// The stop that it waits for, in ticks.
    stop: Option<u32>,
}

/// Whether an order that was taken in goes on to the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    Waits,
}

impl Venue {
    /// Places an order with further terms.
    pub(crate) fn place_extended(
        &mut self,
        speaker: Speaker,
        c: &PlaceExtendedOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        match c.order_type {
            OrderType::Limit | OrderType::Market => self.place_with_terms(speaker, c, events),
            OrderType::Stop | OrderType::StopLimit => self.place_stop(speaker, c, events),
        }
    }

    fn place_with_terms(
        &mut self,
        speaker: Speaker,
        c: &PlaceExtendedOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let mut plain = c.plain();
        let plan = match self.admit_place(speaker, &plain, c.self_trade) {
            Err(refusal) if refusal.reason == RejectReason::WouldTake => {
                plain.limit = self.repriced(&plain, refusal)?;
                self.admit_place(speaker, &plain, c.self_trade)?
            }
            other => other?,
        };
        self.admit_quantities(c, &plan)?;
        self.admit_limited(&plain, plan.open_notional)?;
        let terms = (!c.display_qty.is_zero()).then_some(Terms {
            limit: 0,
            taker: Ppm::ZERO,
            display: c.display_qty,
            shown: c.display_qty.min(c.qty),
            rests: Rests::Yes,
        });
        let further = Further { c, terms, stop: None };
        let slot = self.place(speaker, (&plain, Some(&further)), &plan, events);
        if !self.floor.orders.is_live(slot) {
            self.floor.drop_terms(slot);
        }
        Ok(())
    }

    /// Minimum and displayed quantity, where there are any.
    fn admit_quantities(&self, c: &PlaceExtendedOrder, plan: &Plan) -> Result<(), Refusal> {
        if !c.stop.is_zero() {
            return Err(beyond(RejectReason::StopPrice, c.stop.0, 0));
        }
        let series = self.series.get(c.series)?;
        for part in [c.min_qty, c.display_qty] {
            if !part.0.is_multiple_of(series.lot.0) {
                return Err(beyond(RejectReason::Lot, part.0.into(), series.lot.0.into()));
            }
        }
        if c.display_qty > c.qty {
            return Err(beyond(
                RejectReason::QtyMax,
                c.display_qty.0.into(),
                c.qty.0.into(),
            ));
        }
        let parts = c.qty.0.div_ceil(PARTS_MAX);
        if !c.display_qty.is_zero() && c.display_qty.0 < parts {
            return Err(beyond(RejectReason::QtyMin, c.display_qty.0.into(), parts.into()));
        }
        if !c.display_qty.is_zero() && rests(&c.plain()) == Rests::No {
            return Err(RejectReason::Tif.into());
        }
        if c.min_qty > c.qty {
            let (min, qty) = (c.min_qty.0.into(), c.qty.0.into());
            return Err(beyond(RejectReason::MinQtyUnfillable, min, qty));
        }
        let taker = Taker {
            owner: plan.owner,
            self_trade: c.self_trade,
        };
        let at_least = (taker, RejectReason::MinQtyUnfillable);
        self.floor
            .admit_fillable(series, (c.side, plan.rung), c.min_qty, at_least)?;
        if !c.display_qty.is_zero() && !self.floor.terms.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        Ok(())
    }

    fn place_stop(
        &mut self,
        speaker: Speaker,
        c: &PlaceExtendedOrder,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let (plan, stop) = self.admit_stop(speaker, c)?;
        let terms = Terms {
            limit: plan.rung,
            taker: plan.rates.taker,
            display: Qty::ZERO,
            shown: Qty::ZERO,
            rests: match c.order_type {
                OrderType::Stop | OrderType::Market => Rests::No,
                OrderType::StopLimit | OrderType::Limit => Rests::Yes,
            },
        };
        let further = Further {
            c,
            terms: Some(terms),
            stop: Some(stop),
        };
        self.place(speaker, (&c.plain(), Some(&further)), &plan, events);
        Ok(())
    }

    /// Admits an order that waits for its stop; tells the stop in ticks.
    fn admit_stop(&self, speaker: Speaker, c: &PlaceExtendedOrder) -> Result<(Plan, u32), Refusal> {
        let account = self.acting(speaker, c.account)?;
        let series = self.series.get(c.series)?;
        self.admit_party(speaker, account, series)?;
        self.admit_market(series)?;
        let limit = match c.order_type {
            OrderType::Stop | OrderType::Market => collar_bound(series, c.side),
            OrderType::StopLimit | OrderType::Limit => c.limit,
        };
        let rung = admit_terms(series, limit, c.qty, account.order_qty_max)?;
        admit_stop_conditions(c, self.floor.now.0)?;
        let rung = admit_bounds(series, limit, rung)?;
        let plain = c.plain();
        let cl_hash = self.admit_cl_ord_id(c.account, c.cl_ord_id)?;
        self.admit_room(&plain, account)?;
        let stop = admit_stop_price(series, c, limit)?;
        if !self.floor.terms.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        let plan = self.admit_funds(&plain, (series, account), (limit, rung, Meets::Orders), cl_hash)?;
        self.admit_limited(&plain, plan.open_notional)?;
        Ok((plan, stop))
    }

    /// An order was refused: one that would take, and is to give way instead, is placed one tick short of that.
    #[cold]
    pub(crate) fn place_repriced(
        &mut self,
        speaker: Speaker,
        c: &PlaceOrder,
        refusal: Refusal,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        if refusal.reason != RejectReason::WouldTake {
            return Err(refusal);
        }
        let limit = self.repriced(c, refusal)?;
        // One tick short of what it would take, it takes nothing: it does not come back here.
        self.place_order(speaker, &PlaceOrder { limit, ..*c }, events)
    }

    /// The limit at which an order that would take only makes.
    fn repriced(&self, c: &PlaceOrder, refusal: Refusal) -> Result<Price, Refusal> {
        match c.execution {
            Execution::Any | Execution::PostOnly => Err(refusal),
            Execution::PostOnlyReprice => self
                .making_limit(self.series.get(c.series)?, c.side)
                .ok_or(refusal),
        }
    }

    /// The same of a replacement.
    #[cold]
    pub(crate) fn replace_repriced(
        &mut self,
        speaker: Speaker,
        c: &ReplaceOrder,
        refusal: Refusal,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        if refusal.reason != RejectReason::WouldTake {
            return Err(refusal);
        }
        let slot = self.named(c.account, c.order, c.orig_cl_ord_id)?;
        let (node, details) = self.floor.orders.both(slot);
        if details.execution != Execution::PostOnlyReprice {
            return Err(refusal);
        }
        let series = self.series.known(node.series);
        let limit = self.making_limit(series, node.side).ok_or(refusal)?;
        self.replace_order(speaker, &ReplaceOrder { limit, ..*c }, events)
    }

    /// One tick short of the best opposite price; none when no price is left there.
    fn making_limit(&self, series: &Series, side: Side) -> Option<Price> {
        let best = self.floor.best_live(series, side.opposite())?;
        let rung = match side {
            Side::Buy => best.checked_sub(1).filter(|rung| *rung > 0)?,
            Side::Sell => best.checked_add(1)?,
        };
        Some(series.price(rung))
    }
}

impl Floor {
    /// Keeps the further terms of an order that was just taken in, tells them, and lets it wait when it has a stop.
    #[cold]
    pub fn keep_terms(
        &mut self,
        series: &mut Series,
        slot: Slot,
        (further, plan): (&Further<'_>, &Plan),
        events: &mut Events,
    ) -> Goes {
        let c = further.c;
        let terms = further.terms.map_or(0, |terms| self.terms.add(terms));
        let (node, details) = self.orders.both_mut(slot);
        (details.self_trade, details.terms) = (c.self_trade, terms);
        node.marks = node.marks.with(Marks::EXTENDED);
        if !c.display_qty.is_zero() {
            node.marks = node.marks.with(Marks::ICEBERG);
        }
        events.emit(&TermsAccepted {
            order: order_id(slot, details),
            account: c.account,
            series: c.series,
            stop: c.stop,
            min_qty: c.min_qty,
            display_qty: c.display_qty,
            currency: series.currency,
            side: c.side,
            self_trade: c.self_trade,
            reserved: Reserved::ZERO,
        });
        let Some(stop) = further.stop else {
            return Goes::On;
        };
        node.marks = node.marks.with(Marks::WAITS);
        node.rung = stop;
        self.wait(series, slot, plan.open_notional);
        Goes::Waits
    }

    /// The limit of an order in ticks, whether it rests or waits.
    pub fn limit_rung(&self, slot: Slot) -> u32 {
        let (node, details) = self.orders.both(slot);
        match node.marks.has(Marks::WAITS) {
            true => self.terms.get(details.terms).limit,
            false => node.rung,
        }
    }

    /// What a waiting order must hold for so much: it may come to take.
    pub fn need_waiting(&self, limit: Price, slot: Slot, leaves: Qty) -> Amount {
        let (node, details) = self.orders.both(slot);
        let rate = self.terms.get(details.terms).taker.max(Ppm(node.maker_ppm));
        crate::floor::need_at_rest(node.side, limit, leaves, Amount::ZERO, rate)
    }

    /// What an order shows.
    pub fn shown(&self, slot: Slot) -> Qty {
        let (node, details) = self.orders.both(slot);
        match node.marks.has(Marks::ICEBERG) {
            true => self.terms.get(details.terms).shown,
            false => node.leaves,
        }
    }

    /// How many are shown of an order at a time; zero when all are.
    pub fn display(&self, slot: Slot) -> Qty {
        let (node, details) = self.orders.both(slot);
        match node.marks.has(Marks::ICEBERG) {
            true => self.terms.get(details.terms).display,
            false => Qty::ZERO,
        }
    }

    /// Shows what is to be shown of an order whose quantity is new.
    pub fn show(&mut self, slot: Slot) {
        let (node, details) = self.orders.both(slot);
        self.terms.get_mut(details.terms).show(node.leaves);
    }

    /// Forgets an order's further terms; its slot is like any other then.
    pub fn drop_terms(&mut self, slot: Slot) {
        let details = self.orders.details_mut(slot);
        details.self_trade = SelfTradePrevention::CancelNewest;
        let terms = std::mem::replace(&mut details.terms, 0);
        if terms != 0 {
            self.terms.remove(terms);
        }
    }
}

/// Time in force, order type and the terms that a waiting order may have.
fn admit_stop_conditions(c: &PlaceExtendedOrder, now: u64) -> Result<(), Refusal> {
    if c.execution != Execution::Any {
        return Err(RejectReason::Tif.into());
    }
    let expires = match c.tif {
        TimeInForce::Gtd => c.expire_at.0 > now,
        TimeInForce::Gtc | TimeInForce::Day => c.expire_at.is_zero(),
        // It waits, so it is not immediate.
        TimeInForce::Ioc | TimeInForce::Fok => return Err(RejectReason::Tif.into()),
    };
    let unlimited = c.order_type == OrderType::Stop;
    if unlimited != c.limit.is_zero() || !c.min_qty.is_zero() || !c.display_qty.is_zero() {
        return Err(RejectReason::OrdType.into());
    }
    match expires {
        true => Ok(()),
        false => Err(beyond(RejectReason::ExpireTime, c.expire_at.0, now)),
    }
}

/// The stop in ticks: on a tick, not reached yet, and on the limit's near side.
fn admit_stop_price(series: &Series, c: &PlaceExtendedOrder, limit: Price) -> Result<u32, Refusal> {
    let refuse = |allowed: u64| Err(beyond(RejectReason::StopPrice, c.stop.0, allowed));
    if !c.stop.0.is_multiple_of(series.tick.0) || c.stop < series.tick {
        return refuse(series.tick.0);
    }
    admit_short_of(c.side, c.stop, limit)?;
    let Ok(stop) = u32::try_from(c.stop.0 / series.tick.0) else {
        return refuse(series.face.0);
    };
    match series.stops.admit(c.side, stop, series.last) {
        Err(reached) => refuse(series.price(reached).0),
        Ok(()) if c.stop > series.face => refuse(series.face.0),
        Ok(()) => Ok(stop),
    }
}
