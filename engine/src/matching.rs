//! Matching: the order in hand meets resting orders, and each fill is its own settlement.
//!
//! # Cost
//! A fill reads and writes one node (64 bytes), four ledger rows and the maker's account, writes one event, searches
//! nothing. Bounded by [`FILLS_MAX`] makers touched a command.

use crate::events::Events;
use crate::fees;
use crate::floor::{Arrival, Floor, Indexed};
use crate::ledger::{RowId, Spot};
use crate::order::{Marks, Slot, order_id};
use crate::party::Duties;
use crate::self_trade::Prevented;
use crate::series::Series;
use xq_protocol::{
    AccountId, Amount, CancelReason, Fee, OrderCanceled, OrderRefreshed, OrderRested, Ppm, Price, Qty,
    Reserved, SelfTradePrevention, SeriesId, SessionId, Side, Traded,
};

/// Most resting orders that one command may touch; the rest of the order in hand is cancelled.
pub const FILLS_MAX: usize = 8_192;

/// Most resting orders that are counted on beforehand: what the command tells besides counts toward its fills.
const FILLABLE_MAX: usize = FILLS_MAX - 2;

/// Why the order in hand stopped trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing is left of it, or nothing that it may meet.
    Done,
    /// What is left goes, whatever its time in force.
    Cancel(CancelReason),
}

impl Floor {
    /// Lets the order in hand trade as far as it may; what is left of it rests or goes.
    #[inline(never)]
    pub fn arrive(&mut self, series: &mut Series, arrival: &mut Arrival, rests: Rests, events: &mut Events) {
        let stop = self.meet(series, arrival, events);
        self.finish(series, arrival, rests, stop, events);
    }

    #[inline]
    fn meet(&mut self, series: &mut Series, arrival: &mut Arrival, events: &mut Events) -> Stop {
        match reaches(series, arrival.side, arrival.rung) {
            true => self.trade(series, arrival, events),
            false => Stop::Done,
        }
    }

    fn trade(&mut self, series: &mut Series, arrival: &mut Arrival, events: &mut Events) -> Stop {
        let opposite = arrival.side.opposite();
        // What the command caused before counts too, but for the event that took this order in.
        let bound = series.band.bound(arrival.side, arrival.rung);
        for _ in 0..(FILLS_MAX + 1).saturating_sub(events.len()) {
            if arrival.leaves.is_zero() || !reaches(series, arrival.side, bound) {
                return match bound == arrival.rung {
                    true => Stop::Done,
                    false => self.leave_band(series, arrival, events),
                };
            }
            let maker = self
                .levels
                .front(series.ladder(opposite))
                .expect("a best price has an order");
            if let Some(reason) = self.doom(maker) {
                self.cancel_doomed(series, maker, reason, events);
                continue;
            }
            let node = self.orders.node(maker);
            if node.owner == arrival.owner {
                match self.prevent_self_trade(series, arrival, maker, events) {
                    Prevented::Stop => return Stop::Cancel(CancelReason::SelfTrade),
                    Prevented::GoOn => continue,
                }
            }
            if node.marks.is_watched() {
                self.fill_watched(series, arrival, maker, events);
                continue;
            }
            let most = node.leaves;
            self.fill(series, arrival, (maker, most), events);
        }
        match arrival.leaves.is_zero() || !reaches(series, arrival.side, arrival.rung) {
            true => Stop::Done,
            false => Stop::Cancel(CancelReason::FillLimit),
        }
    }

    /// A maker that should be gone already is met, and goes: its own session is told, not the one that met it.
    #[cold]
    #[inline(never)]
    fn cancel_doomed(&mut self, series: &mut Series, maker: Slot, reason: CancelReason, events: &mut Events) {
        let spoke = self.speak_for(self.orders.details(maker).session, events);
        self.cancel(series, maker, reason, events);
        events.speak_again(spoke);
    }

    /// A trade with a maker that was set apart, and what follows from it.
    #[cold]
    #[inline(never)]
    fn fill_watched(&mut self, series: &mut Series, taker: &mut Arrival, maker: Slot, events: &mut Events) {
        let (shown, node) = (self.shown(maker), self.orders.node(maker));
        let (account, marks, before) = (AccountId(node.account), node.marks, node.leaves);
        let session = self.orders.details(maker).session;
        let qty = self.fill(series, taker, (maker, shown), events);
        let amount = series.price(series.last).times(qty).expect("it was traded");
        if marks.has(Marks::COUNTED) {
            self.count_traded(account, amount);
        }
        let spoke = self.speak_for(session, events);
        if marks.has(Marks::QUOTE) {
            self.count_quote(account, maker, (qty, amount), events);
        }
        // Filled whole, it is forgotten, and its terms with it.
        if marks.has(Marks::ICEBERG) && qty < before {
            self.show_more(series, maker, Qty(shown.0 - qty.0), events);
        }
        events.speak_again(spoke);
    }

    /// Of what an order showed so many are left: when none is, it shows more, last at its price.
    fn show_more(&mut self, series: &mut Series, maker: Slot, left: Qty, events: &mut Events) {
        let (node, details) = self.orders.both(maker);
        let row = self.terms.get_mut(details.terms);
        row.shown = left;
        if !left.is_zero() {
            return;
        }
        row.show(node.leaves);
        events.emit(&OrderRefreshed {
            order: order_id(maker, details),
            account: AccountId(node.account),
            series: SeriesId(node.series),
            display_qty: row.shown,
            leaves: node.leaves,
            session: SessionId(details.session),
            currency: series.currency,
            side: node.side,
            reserved: Reserved::ZERO,
        });
        let rung = node.rung;
        let ladder = series.ladder_mut(node.side);
        self.levels.relocate(ladder, &mut self.orders, maker, rung);
    }

    /// One trade of at most so many: both legs and both fees move, the maker goes when nothing is left of it.
    #[inline(always)]
    fn fill(
        &mut self,
        series: &mut Series,
        taker: &mut Arrival,
        (maker_slot, most): (Slot, Qty),
        events: &mut Events,
    ) -> Qty {
        let maker_id = self.orders.id(maker_slot);
        let maker_session = SessionId(self.orders.details(maker_slot).session);
        let maker = self.orders.node_mut(maker_slot);
        let qty = Qty(most.0.min(taker.leaves.0));
        series.traded(maker.rung);
        let price = series.price(maker.rung);
        let amount = price.times(qty).expect("both orders' amounts fit");

        let maker_after = Amount(maker.rested_notional.0 + amount.0);
        let maker_fee = fees::of_fill(maker.rested_notional, maker_after, Ppm(maker.maker_ppm));
        let taker_after = Amount(taker.notional.0 + amount.0);
        let charged = fees::due(taker_after, taker.rates.taker);
        let taker_fee = Fee(charged.0 - taker.charged.0);
        maker.rested_notional = maker_after;
        (taker.notional, taker.charged) = (taker_after, charged);
        maker.leaves = Qty(maker.leaves.0 - qty.0);
        taker.leaves = Qty(taker.leaves.0 - qty.0);
        let (maker_leaves, maker_account) = (maker.leaves, AccountId(maker.account));
        let maker_rows = Rows {
            hold: maker.hold_row,
            counter: maker.counter_row,
        };
        let taker_rows = Rows {
            hold: taker.hold_row,
            counter: taker.counter_row,
        };

        let released = match taker.side {
            Side::Buy => {
                maker.held = Amount(maker.held.0 - u64::from(qty.0));
                let paid = amount.0 + paid_fee(taker_fee);
                let need = taker.need();
                let released = Amount(taker.held.0 - paid - need.0);
                taker.held = need;
                released
            }
            Side::Sell => {
                taker.held = Amount(taker.held.0 - u64::from(qty.0));
                maker.held = Amount(maker.held.0 - amount.0 - paid_fee(maker_fee));
                // A resting buy order trades at its limit, so its hold goes down to nothing by itself.
                assert!(maker.leaves.0 > 0 || maker.held.is_zero());
                Amount::ZERO
            }
        };
        let settlement = match taker.side {
            Side::Buy => Settlement {
                buyer: taker_rows,
                seller: maker_rows,
                buyer_fee: taker_fee,
                seller_fee: maker_fee,
            },
            Side::Sell => Settlement {
                buyer: maker_rows,
                seller: taker_rows,
                buyer_fee: maker_fee,
                seller_fee: taker_fee,
            },
        };
        self.settle(series, &settlement, amount, qty);
        if !released.is_zero() && !cfg!(feature = "mutant-forget-refund") {
            self.ledger.transfer(
                Spot::Held(taker.hold_row),
                Spot::Available(taker.hold_row),
                released,
            );
        }
        if maker_leaves.is_zero() {
            let ladder = series.ladder_mut(taker.side.opposite());
            self.levels.remove(ladder, &mut self.orders, maker_slot);
            self.forget(maker_slot, amount);
        } else {
            let account = self.parties.open_account(maker_account);
            account.open_notional = Amount(account.open_notional.0 - amount.0);
        }
        events.emit(&Traded {
            series: taker.series,
            currency: series.currency,
            taker_side: taker.side,
            reserved: Reserved::ZERO,
            price,
            amount,
            qty,
            maker_leaves,
            taker_leaves: taker.leaves,
            maker_session,
            maker_order: maker_id,
            taker_order: taker.id,
            maker_account,
            taker_account: taker.account,
            maker_fee,
            taker_fee,
            released,
        });
        qty
    }

    /// Moves both legs of a trade and both fees.
    #[inline(always)]
    fn settle(&mut self, series: &Series, trade: &Settlement, amount: Amount, qty: Qty) {
        let ledger = &mut self.ledger;
        let buyer_cash = trade.buyer.hold;
        let seller_cash = trade.seller.counter;
        ledger.transfer(Spot::Held(buyer_cash), Spot::Available(seller_cash), amount);
        let fees = Spot::System(series.fees);
        match trade.buyer_fee.0 {
            0 => {}
            1.. => ledger.transfer(Spot::Held(buyer_cash), fees, size(trade.buyer_fee)),
            ..0 => ledger.transfer(
                Spot::System(series.rebates),
                Spot::Available(buyer_cash),
                size(trade.buyer_fee),
            ),
        }
        match trade.seller_fee.0 {
            0 => {}
            1.. => ledger.transfer(Spot::Available(seller_cash), fees, size(trade.seller_fee)),
            ..0 => ledger.transfer(
                Spot::System(series.rebates),
                Spot::Available(seller_cash),
                size(trade.seller_fee),
            ),
        }
        ledger.transfer(
            Spot::Held(trade.seller.hold),
            Spot::Available(trade.buyer.counter),
            qty.into(),
        );
    }

    /// Counts what an order that was set apart has taken. The rest of a quote that sets its protection off by that goes.
    #[cold]
    fn count_taken(&mut self, arrival: &Arrival, stop: Stop, events: &mut Events) -> Stop {
        if arrival.notional.is_zero() {
            return stop;
        }
        if arrival.marks.has(Marks::COUNTED) {
            self.count_traded(arrival.account, arrival.notional);
        }
        if arrival.marks.has(Marks::QUOTE) {
            let qty = Qty(self.orders.details(arrival.slot).total.0 - arrival.leaves.0);
            self.count_quote(arrival.account, arrival.slot, (qty, arrival.notional), events);
            if self.parties.duties(arrival.account).has(Duties::TRIPPED) {
                return Stop::Cancel(CancelReason::Protection);
            }
        }
        stop
    }

    /// What becomes of the order in hand after it stopped trading.
    fn finish(
        &mut self,
        series: &mut Series,
        arrival: &mut Arrival,
        rests: Rests,
        stop: Stop,
        events: &mut Events,
    ) {
        let stop = match arrival.marks.is_watched() {
            true => self.count_taken(arrival, stop, events),
            false => stop,
        };
        if arrival.leaves.is_zero() {
            assert!(arrival.held.is_zero(), "a filled order holds nothing");
            return self.discard(arrival);
        }
        let reason = match (stop, rests) {
            (Stop::Cancel(reason), _) => reason,
            (Stop::Done, Rests::No) => CancelReason::Unfilled,
            (Stop::Done, Rests::Yes) => return self.come_to_rest(series, arrival, events),
        };
        self.ledger.transfer(
            Spot::Held(arrival.hold_row),
            Spot::Available(arrival.hold_row),
            arrival.held,
        );
        let canceled = OrderCanceled {
            order: arrival.id,
            account: arrival.account,
            series: arrival.series,
            session: SessionId(self.orders.details(arrival.slot).session),
            qty: arrival.leaves,
            released: arrival.held,
            currency: series.currency,
            side: arrival.side,
            reason,
            reserved: Reserved::ZERO,
        };
        self.discard(arrival);
        events.emit(&canceled);
    }

    fn discard(&mut self, arrival: &Arrival) {
        match arrival.indexed {
            Indexed::Yes => self.forget(arrival.slot, Amount::ZERO),
            Indexed::No => self.orders.release(arrival.slot),
        }
    }

    /// Brings what is left of the order in hand to rest, last at its price.
    fn come_to_rest(&mut self, series: &mut Series, arrival: &mut Arrival, events: &mut Events) {
        let need = arrival.need_at_rest();
        let released = arrival
            .held
            .checked_sub(need)
            .expect("rest needs no more than arrival");
        arrival.held = need;
        let node = self.orders.node_mut(arrival.slot);
        node.rung = arrival.rung;
        node.leaves = arrival.leaves;
        node.held = need;
        node.rested_notional = Amount::ZERO;
        node.maker_ppm = arrival.rates.maker.0;
        if node.marks.has(Marks::ICEBERG) {
            self.show(arrival.slot);
        }
        let notional = arrival
            .limit
            .times(arrival.leaves)
            .expect("admission computed it");
        let account = self.parties.open_account(arrival.account);
        let open_notional = account
            .open_notional
            .checked_add(notional)
            .expect("admission checked the sum");
        match arrival.indexed {
            Indexed::Yes => {
                account.open_notional = open_notional;
                let ladder = series.ladder_mut(arrival.side);
                self.levels.push(ladder, &mut self.orders, arrival.slot);
            }
            Indexed::No => self.enter(series, arrival.slot, open_notional),
        }
        if !released.is_zero() {
            self.ledger.transfer(
                Spot::Held(arrival.hold_row),
                Spot::Available(arrival.hold_row),
                released,
            );
            events.emit(&OrderRested {
                order: arrival.id,
                account: arrival.account,
                series: arrival.series,
                released,
                leaves: arrival.leaves,
                currency: series.currency,
                side: arrival.side,
                reserved: Reserved::ZERO,
            });
        }
    }

    /// The quantity that an order of this side and limit would fill at once, up to `wanted`. What will not trade any more
    /// is passed over; so is an order of its own participant where that would be cancelled, else it ends it.
    pub fn fillable(&self, series: &Series, (side, rung): (Side, u32), wanted: Qty, taker: Taker) -> Qty {
        let ladder = series.ladder(side.opposite());
        let mut next = self.levels.front(ladder);
        let (mut found, mut touched) = (0, 0);
        while touched < FILLABLE_MAX {
            let Some(slot) = next else { break };
            touched += self.slices(slot);
            let node = self.orders.node(slot);
            if found >= wanted.0 || !crosses(side, rung, node.rung) {
                break;
            }
            let own = node.owner == taker.owner;
            if own && taker.self_trade != SelfTradePrevention::CancelOldest {
                break;
            }
            if self.doom(slot).is_none() && !own {
                found += node.leaves.0.min(wanted.0 - found);
            }
            next = self.levels.after(ladder, &self.orders, slot);
        }
        Qty(found)
    }

    /// How often a taker has to meet an order to take all of it.
    fn slices(&self, slot: Slot) -> usize {
        let (node, details) = self.orders.both(slot);
        match node.marks.has(Marks::ICEBERG) {
            true => self.terms.get(details.terms).slices(node.leaves),
            false => 1,
        }
    }

    /// Says whether an order of this side and limit would meet a live order at once.
    pub fn would_take(&self, series: &Series, side: Side, rung: u32) -> bool {
        self.best_live(series, side.opposite())
            .is_some_and(|best| crosses(side, rung, best))
    }

    /// The best price of a side's orders that may still trade; among very many that may not, that of the last looked at.
    pub fn best_live(&self, series: &Series, side: Side) -> Option<u32> {
        let ladder = series.ladder(side);
        let mut slot = self.levels.front(ladder)?;
        for _ in 0..FILLS_MAX {
            if self.doom(slot).is_none() {
                break;
            }
            slot = self.levels.after(ladder, &self.orders, slot)?;
        }
        Some(self.orders.node(slot).rung)
    }
}

/// Who asks how much could be taken.
#[derive(Clone, Copy)]
pub(crate) struct Taker {
    /// The participant who owns the account.
    pub owner: u32,
    /// What becomes of the participant's own orders on the way.
    pub self_trade: SelfTradePrevention,
}

/// The two ledger rows of an order: what it holds, and what it gets.
#[derive(Clone, Copy)]
struct Rows {
    hold: RowId,
    counter: RowId,
}

/// Who pays what to whom.
struct Settlement {
    buyer: Rows,
    seller: Rows,
    buyer_fee: Fee,
    seller_fee: Fee,
}

/// Whether what is left of an order rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rests {
    Yes,
    No,
}

/// What an order finds when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meets {
    /// Opposite orders at a price that it accepts.
    Orders,
    /// No such order.
    Nothing,
}

/// What an order of this side and limit would meet now.
#[inline]
pub(crate) fn meets(series: &Series, side: Side, rung: u32) -> Meets {
    match reaches(series, side, rung) {
        true => Meets::Orders,
        false => Meets::Nothing,
    }
}

/// Says whether a limit reaches the best opposite price.
#[inline]
pub(crate) fn reaches(series: &Series, side: Side, rung: u32) -> bool {
    match side {
        Side::Buy => rung >= series.asks.best_or_unreached(),
        Side::Sell => rung <= series.bids.best_or_unreached(),
    }
}

#[inline]
fn crosses(side: Side, rung: u32, resting: u32) -> bool {
    match side {
        Side::Buy => rung >= resting,
        Side::Sell => rung <= resting,
    }
}

/// What a fee takes out of a hold: nothing when it is a rebate.
#[inline]
fn paid_fee(fee: Fee) -> u64 {
    u64::try_from(fee.0).unwrap_or(0)
}

/// A fee's or rebate's amount.
#[inline]
fn size(fee: Fee) -> Amount {
    Amount(fee.0.unsigned_abs())
}

/// The limit of an order that takes any price within the collar.
pub(crate) fn collar_bound(series: &Series, side: Side) -> Price {
    match side {
        Side::Buy => series.collar_high,
        Side::Sell => series.collar_low,
    }
}
