//! Quotes of market makers: two sides in up to sixteen series at once, and the protection that takes them all away.
//!
//! A side of a quote is an order under an id that series and side give, so that the account has one of each. A side
//! whose price stays and whose quantity does not grow keeps its place; any other is cancelled and placed anew, all
//! cancels of a leg before its new orders, so that a quote never meets itself.

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::Floor;
use crate::jobs::{Job, MMPS_MAX, Scope};
use crate::order::{Marks, Slot};
use crate::party::Duties;
use crate::refusal::{Refusal, beyond};
use xq_protocol::{
    AccountId, Amount, CancelReason, ClOrdId, Count, Execution, JobKind, MassQuote, MmpReset, MmpSet,
    MmpTripped, Nanos, Observed, OnDisconnect, OrderType, PlaceOrder, Qty, QuoteAnswered, QuoteLeg,
    QuoteRefused, RejectReason, Reserved, ResetMmp, SelfTradePrevention, SeriesId, SessionId, SetMmp, Side,
    TimeInForce,
};

/// A market maker's protection: its limits, and what its quotes have traded since the window began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mmp {
    pub trades_max: Count,
    pub qty_max: Amount,
    pub notional_max: Amount,
    pub window: Nanos,
    /// When the window began: with the first trade after the one before had ended.
    pub begun: Nanos,
    pub trades: Count,
    pub qty: Amount,
    pub notional: Amount,
}

impl Mmp {
    /// Counts a trade.
    fn count(&mut self, now: Nanos, qty: Qty, amount: Amount) {
        if now.0 - self.begun.0 >= self.window.0 {
            self.forget(now);
        }
        self.trades = Count(self.trades.0.saturating_add(1));
        self.qty = Amount(self.qty.0.saturating_add(qty.0.into()));
        self.notional = Amount(self.notional.0.saturating_add(amount.0));
    }

    /// Nothing has been traded in the window that begins now.
    fn forget(&mut self, now: Nanos) {
        (self.begun, self.trades) = (now, Count::ZERO);
        (self.qty, self.notional) = (Amount::ZERO, Amount::ZERO);
    }

    /// Whether a limit is reached.
    fn is_reached(&self) -> bool {
        let reached = |used: u64, max: u64| max > 0 && used >= max;
        reached(self.trades.0.into(), self.trades_max.0.into())
            || reached(self.qty.0, self.qty_max.0)
            || reached(self.notional.0, self.notional_max.0)
    }
}

impl Floor {
    /// A side of a quote traded: when its account's protection is set off by that, no quote of it trades any more.
    pub fn count_quote(
        &mut self,
        account: AccountId,
        slot: Slot,
        (qty, amount): (Qty, Amount),
        events: &mut Events,
    ) {
        let duties = self.parties.duties(account);
        if !duties.has(Duties::PROTECTED) || duties.has(Duties::TRIPPED) {
            return;
        }
        let now = self.now;
        let mmp = self.parties.mmps.get_mut(&account);
        let mmp = mmp.expect("a protected account has limits");
        mmp.count(now, qty, amount);
        if !mmp.is_reached() {
            return;
        }
        let mmp = *mmp;
        self.parties.open_account(account).duties = duties.with(Duties::TRIPPED);
        // The slot may be free again; what it says of its last order is still there.
        let (node, details) = self.orders.both(slot);
        events.emit(&MmpTripped {
            account,
            series: SeriesId(node.series),
            qty: mmp.qty,
            notional: mmp.notional,
            trades: mmp.trades,
            session: SessionId(details.session),
        });
        let scope = Scope::Quotes(account);
        self.jobs
            .add(Job::cancel(JobKind::Protection, scope, self.seq, &self.parties));
    }
}

/// What became of the sides of a quote.
#[derive(Default)]
struct Answer {
    quoted: u32,
    withdrawn: u32,
    refused: u32,
}

/// What is to be done for a side.
enum Change {
    /// It stands as it is to, or nothing stands and nothing is to.
    None,
    /// It stays, with less.
    Lower(Slot, Qty),
    /// What stands goes.
    Withdraw(Slot),
    /// What stands goes, and a new order comes.
    Anew(Option<Slot>),
}

impl Venue {
    /// Sets up to sixteen two-sided quotes.
    pub(crate) fn mass_quote(
        &mut self,
        speaker: Speaker,
        c: &MassQuote,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let account = self.acting(speaker, c.account)?;
        if account.duties.has(Duties::TRIPPED) {
            return Err(RejectReason::MmpActive.into());
        }
        let mut answer = Answer::default();
        let legs = c.legs();
        for (i, leg) in legs.iter().enumerate() {
            if leg.series.is_zero() {
                continue;
            }
            match admit_leg(leg, legs.get(..i).expect("one of the legs")) {
                Ok(()) => self.quote_leg(speaker, (c, leg), &mut answer, events),
                Err(refusal) => {
                    for side in [Side::Buy, Side::Sell] {
                        self.refuse_side((c, leg, side), refusal, &mut answer, events);
                    }
                }
            }
        }
        events.emit(&QuoteAnswered {
            quote: c.quote,
            account: c.account,
            quoted: Count(answer.quoted),
            withdrawn: Count(answer.withdrawn),
            refused: Count(answer.refused),
        });
        Ok(())
    }

    /// Both sides of a leg: first what goes, then what comes.
    fn quote_leg(
        &mut self,
        speaker: Speaker,
        (c, leg): (&MassQuote, &QuoteLeg),
        answer: &mut Answer,
        events: &mut Events,
    ) {
        let sides = [Side::Buy, Side::Sell];
        let changes = sides.map(|side| self.change_of(speaker, (c.account, leg, side)));
        for (side, change) in sides.into_iter().zip(&changes) {
            match change {
                Err(_) => self.take_back_quote(c.account, leg.series, side, events),
                Ok(Change::None | Change::Anew(None)) => {}
                Ok(Change::Lower(slot, by)) => {
                    let series = self.series.known(leg.series.0);
                    self.floor.reduce(series, *slot, *by, events);
                }
                Ok(Change::Withdraw(slot) | Change::Anew(Some(slot))) => self.take_back(*slot, events),
            }
        }
        for (side, change) in sides.into_iter().zip(changes) {
            let come = match change {
                Ok(Change::Anew(_)) => self.quote_side(speaker, (c.account, leg, side), events),
                Ok(Change::Withdraw(_)) => {
                    answer.withdrawn += 1;
                    continue;
                }
                Ok(Change::None) if leg.side(side).0.is_zero() => continue,
                Ok(Change::None | Change::Lower(..)) => Ok(()),
                Err(refusal) => Err(refusal),
            };
            match come {
                Ok(()) => answer.quoted += 1,
                Err(refusal) => self.refuse_side((c, leg, side), refusal, answer, events),
            }
        }
    }

    /// What is to be done for a side, other than what stands there.
    fn change_of(
        &self,
        speaker: Speaker,
        (account, leg, side): (AccountId, &QuoteLeg, Side),
    ) -> Result<Change, Refusal> {
        let series = self.series.get(leg.series)?;
        let (qty, price) = leg.side(side);
        if qty.is_zero() && !price.is_zero() {
            return Err(beyond(RejectReason::QtyMin, 0, series.qty_min.0.into()));
        }
        let standing = self.floor.find_cl_ord_id(account, quote_id(leg.series, side));
        let Some(slot) = standing else {
            return Ok(match qty {
                Qty::ZERO => Change::None,
                _ => Change::Anew(None),
            });
        };
        let node = self.floor.orders.node(slot);
        if !node.marks.has(Marks::QUOTE) {
            return Err(RejectReason::DupClOrdId.into());
        }
        // What is about to go, or would go with another session, is placed anew.
        let lasts =
            self.floor.doom(slot).is_none() && self.floor.orders.details(slot).session == speaker.session.0;
        let stays = lasts && price == series.price(node.rung) && qty <= node.leaves;
        Ok(match stays && qty.0.is_multiple_of(series.lot.0) {
            _ if qty.is_zero() => Change::Withdraw(slot),
            true if qty == node.leaves => Change::None,
            true => Change::Lower(slot, Qty(node.leaves.0 - qty.0)),
            false => Change::Anew(Some(slot)),
        })
    }

    fn take_back(&mut self, slot: Slot, events: &mut Events) {
        let series = self.series.known_mut(self.floor.orders.node(slot).series);
        self.floor.cancel(series, slot, CancelReason::Quote, events);
    }

    /// Takes back what stands as a side of a quote, if anything does.
    fn take_back_quote(&mut self, account: AccountId, series: SeriesId, side: Side, events: &mut Events) {
        let standing = self.floor.find_cl_ord_id(account, quote_id(series, side));
        let is_quote = |slot: &Slot| self.floor.orders.node(*slot).marks.has(Marks::QUOTE);
        if let Some(slot) = standing.filter(is_quote) {
            self.take_back(slot, events);
        }
    }

    /// Places a side anew.
    fn quote_side(
        &mut self,
        speaker: Speaker,
        (account, leg, side): (AccountId, &QuoteLeg, Side),
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let (qty, price) = leg.side(side);
        let cl_ord_id = quote_id(leg.series, side);
        let order = PlaceOrder {
            account,
            series: leg.series,
            qty,
            side,
            order_type: OrderType::Limit,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
            limit: price,
            expire_at: Nanos::ZERO,
            cl_ord_id,
            on_disconnect: OnDisconnect::Cancel,
            reserved: Reserved::ZERO,
        };
        // A side before may have set the protection off.
        if self.floor.parties.duties(account).has(Duties::TRIPPED) {
            return Err(RejectReason::MmpActive.into());
        }
        let mut plan = self.admit_place(speaker, &order, SelfTradePrevention::CancelNewest)?;
        if plan.marks != Marks::NONE {
            self.admit_limited(&order, plan.open_notional)?;
        }
        plan.marks = plan.marks.with(Marks::QUOTE);
        self.place(speaker, (&order, None), &plan, events);
        Ok(())
    }

    /// A side is refused: what stood there goes, since its maker does not want it any more.
    fn refuse_side(
        &mut self,
        (c, leg, side): (&MassQuote, &QuoteLeg, Side),
        refusal: Refusal,
        answer: &mut Answer,
        events: &mut Events,
    ) {
        answer.refused += 1;
        self.take_back_quote(c.account, leg.series, side, events);
        events.emit(&QuoteRefused {
            quote: c.quote,
            account: c.account,
            series: leg.series,
            observed: Observed(refusal.observed),
            allowed: Observed(refusal.allowed),
            code: refusal.reason.code(),
            side,
            reserved: Reserved::ZERO,
        });
    }

    /// Sets a market maker's protection.
    pub(crate) fn set_mmp(
        &mut self,
        speaker: Speaker,
        c: &SetMmp,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let duties = self.acting(speaker, c.account)?.duties;
        let limited = !c.trades_max.is_zero() || !c.qty_max.is_zero() || !c.notional_max.is_zero();
        if duties.has(Duties::TRIPPED) {
            return Err(RejectReason::MmpActive.into());
        }
        if limited == c.window.is_zero() {
            return Err(beyond(RejectReason::Terms, c.window.0, 0));
        }
        let mmps = &mut self.floor.parties.mmps;
        if limited && mmps.len() >= MMPS_MAX && !mmps.contains_key(&c.account) {
            return Err(RejectReason::Capacity.into());
        }
        let duties = match limited {
            true => {
                let mmp = Mmp {
                    trades_max: c.trades_max,
                    qty_max: c.qty_max,
                    notional_max: c.notional_max,
                    window: c.window,
                    begun: self.floor.now,
                    trades: Count::ZERO,
                    qty: Amount::ZERO,
                    notional: Amount::ZERO,
                };
                mmps.insert(c.account, mmp);
                duties.with(Duties::PROTECTED)
            }
            false => {
                mmps.remove(&c.account);
                duties.without(Duties::PROTECTED)
            }
        };
        self.floor.parties.open_account(c.account).duties = duties;
        events.emit(&MmpSet {
            account: c.account,
            trades_max: c.trades_max,
            qty_max: c.qty_max,
            notional_max: c.notional_max,
            window: c.window,
        });
        Ok(())
    }

    /// Lets a market maker quote again, once all its quotes are gone.
    pub(crate) fn reset_mmp(
        &mut self,
        speaker: Speaker,
        c: &ResetMmp,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let duties = self.acting(speaker, c.account)?.duties;
        let going = self.floor.jobs.has(JobKind::Protection, Scope::Quotes(c.account));
        if !duties.has(Duties::TRIPPED) || going {
            return Err(RejectReason::MmpActive.into());
        }
        self.floor.parties.open_account(c.account).duties = duties.without(Duties::TRIPPED);
        let now = self.floor.now;
        let mmp = self.floor.parties.mmps.get_mut(&c.account);
        mmp.expect("a protected account has limits").forget(now);
        events.emit(&MmpReset {
            account: c.account,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }
}

/// Says whether a leg makes sense beside those before it: its bid below its offer, its series none of theirs.
fn admit_leg(leg: &QuoteLeg, before: &[QuoteLeg]) -> Result<(), Refusal> {
    let both = !leg.bid_qty.is_zero() && !leg.ask_qty.is_zero();
    if both && leg.bid >= leg.ask {
        return Err(beyond(RejectReason::SelfTrade, leg.bid.0, leg.ask.0));
    }
    match before.iter().any(|other| other.series == leg.series) {
        true => Err(RejectReason::DupClOrdId.into()),
        false => Ok(()),
    }
}

/// The id of an account's quote in a series: `~`, the side's letter, the series' number.
fn quote_id(series: SeriesId, side: Side) -> ClOrdId {
    let mut id = [0; 16];
    (id[0], id[1]) = (
        b'~',
        match side {
            Side::Buy => b'b',
            Side::Sell => b's',
        },
    );
    let mut rest = series.0;
    for place in id[2..12].iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    ClOrdId(id)
}
