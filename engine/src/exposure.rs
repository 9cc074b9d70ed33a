//! Limits of few accounts: coupons of a series that it may hold and buy, and what it may trade on a business day.
//!
//! What open orders may buy is found by walking them: an account with such limits has at most [`OPEN_ORDERS_MAX`].

use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::Floor;
use crate::order::{Marks, NIL, Slot};
use crate::party::{Account, Duties};
use crate::refusal::{Refusal, beyond};
use xq_protocol::{
    AccountId, Amount, Count, ExposureLimitsSet, LimitsTold, PlaceOrder, Qty, QueryLimits, RejectReason,
    Reserved, Role, Seq, SeriesId, SetExposureLimits, Side,
};

/// Most orders that an account with such limits may have open.
pub(crate) const OPEN_ORDERS_MAX: u32 = 1_024;

/// An account's limits of position and of the day, and what it has traded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exposure {
    /// Coupons of any one series; zero for no limit.
    pub position_max: Amount,
    /// Price × quantity of a day; zero for no limit.
    pub daily_max: Amount,
    /// Price × quantity traded on `day`; counted while there is a limit.
    pub traded: Amount,
    /// The business date on which it last traded.
    pub day: u32,
    /// The command since which what it trades is counted.
    pub since: Seq,
}

impl Exposure {
    /// No limit.
    pub const NONE: Exposure = Exposure {
        position_max: Amount::ZERO,
        daily_max: Amount::ZERO,
        traded: Amount::ZERO,
        day: 0,
        since: Seq::ZERO,
    };

    /// What it has traded on this date.
    fn traded_on(&self, day: u32) -> Amount {
        match self.day == day {
            true => self.traded,
            false => Amount::ZERO,
        }
    }
}

/// What an order adds to an account's exposure.
struct Wanted {
    account: AccountId,
    series: SeriesId,
    side: Side,
    /// What will be open of it.
    qty: Qty,
    /// The order that it takes the place of; none for a new one.
    except: Slot,
    /// The account's open notional with it.
    open_notional: Amount,
}

impl Floor {
    /// An account traded so much.
    pub fn count_traded(&mut self, account: AccountId, amount: Amount) {
        let day = self.day;
        let exposure = &mut self.parties.file_mut(account).exposure;
        let before = exposure.traded_on(day);
        exposure.day = day;
        // Beyond what can be counted, every limit is reached.
        exposure.traded = Amount(before.0.saturating_add(amount.0));
    }

    /// A trade of the day, of this command, was undone: it counts no more, if it ever did.
    pub fn uncount_traded(&mut self, account: AccountId, trade: Seq, amount: Amount) {
        let day = self.day;
        let exposure = &mut self.parties.file_mut(account).exposure;
        if exposure.day == day && trade >= exposure.since {
            exposure.traded = Amount(exposure.traded.0.saturating_sub(amount.0));
        }
    }

    /// Coupons that an account's open orders may buy, but for one of them.
    fn open_to_buy(&self, account: AccountId, series: SeriesId, except: Slot) -> u64 {
        let newest = self.parties.account(account).map_or(NIL, |a| a.newest_order);
        let orders = std::iter::successors(Some(newest), |slot| Some(self.orders.details(*slot).older));
        orders
            .take_while(|slot| *slot != NIL)
            .filter(|slot| *slot != except)
            .map(|slot| self.orders.node(slot))
            .filter(|node| node.side == Side::Buy && node.series == series.0)
            .map(|node| u64::from(node.leaves.0))
            .sum()
    }

    /// Coupons that an account has of a series, in every bucket.
    fn position(&self, account: AccountId, series: SeriesId) -> u64 {
        let row = self.ledger.find(account, series.into());
        row.map_or(0, |row| {
            let row = self.ledger.row(row);
            row.available
                .0
                .saturating_add(row.held.0)
                .saturating_add(row.frozen.0)
        })
    }

    /// Marks an account's open orders, so that what they trade counts, or does not any more.
    fn count_open_orders(&mut self, account: AccountId, duties: Duties) {
        let mut slot = self.parties.open_account(account).newest_order;
        while slot != NIL {
            let (node, details) = self.orders.both_mut(slot);
            node.marks = match duties.has(Duties::LIMITED) {
                true => node.marks.with(Marks::COUNTED),
                false => node.marks.without(Marks::COUNTED),
            };
            slot = details.older;
        }
    }
}

impl Venue {
    /// Says whether an account may have this order, with which so much is open, should it have such limits.
    #[cold]
    pub(crate) fn admit_limited(&self, c: &PlaceOrder, open_notional: Amount) -> Result<(), Refusal> {
        self.admit_exposure(&Wanted {
            account: c.account,
            series: c.series,
            side: c.side,
            qty: c.qty,
            except: NIL,
            open_notional,
        })
    }

    /// The same of an order that is to have so much open.
    #[inline(always)]
    pub(crate) fn admit_limited_replace(
        &self,
        account: &Account,
        slot: Slot,
        leaves: Qty,
        open_notional: Amount,
    ) -> Result<(), Refusal> {
        match account.duties.has(Duties::LIMITED) {
            true => self.admit_more(slot, leaves, open_notional),
            false => Ok(()),
        }
    }

    #[cold]
    fn admit_more(&self, slot: Slot, leaves: Qty, open_notional: Amount) -> Result<(), Refusal> {
        let node = self.floor.orders.node(slot);
        self.admit_exposure(&Wanted {
            account: AccountId(node.account),
            series: SeriesId(node.series),
            side: node.side,
            qty: leaves,
            except: slot,
            open_notional,
        })
    }

    /// Says whether an account may be given so many coupons, should it have such limits.
    pub(crate) fn admit_receipt(
        &self,
        account: AccountId,
        series: SeriesId,
        qty: Qty,
    ) -> Result<(), Refusal> {
        let limited = self.floor.parties.duties(account).has(Duties::LIMITED);
        match limited {
            true => self.admit_position((account, series), qty, NIL),
            false => Ok(()),
        }
    }

    fn admit_exposure(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let (floor, account) = (&self.floor, wanted.account);
        if wanted.side == Side::Buy {
            self.admit_position((account, wanted.series), wanted.qty, wanted.except)?;
        }
        let limits = &floor.parties.file(account).exposure;
        let traded = limits.traded_on(floor.day);
        let all = traded.0.saturating_add(wanted.open_notional.0);
        if !limits.daily_max.is_zero() && all > limits.daily_max.0 {
            return Err(beyond(RejectReason::DailyLimit, all, limits.daily_max.0));
        }
        Ok(())
    }

    /// With so many more, in place of what one of its orders may buy, an account stays within its position.
    fn admit_position(
        &self,
        (account, series): (AccountId, SeriesId),
        qty: Qty,
        except: Slot,
    ) -> Result<(), Refusal> {
        let max = self.floor.parties.file(account).exposure.position_max;
        let open = self.floor.open_to_buy(account, series, except);
        let held = self.floor.position(account, series);
        let all = held.saturating_add(open).saturating_add(qty.0.into());
        match !max.is_zero() && all > max.0 {
            true => Err(beyond(RejectReason::Position, all, max.0)),
            false => Ok(()),
        }
    }

    /// Sets an account's limits of position and of the day. They may lie beneath what it has and has traded: then it
    /// buys, or trades, nothing more until that has fallen.
    pub(crate) fn set_exposure_limits(
        &mut self,
        c: &SetExposureLimits,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let account = self.floor.parties.account(c.account)?;
        let limited = !c.position_max.is_zero() || !c.daily_max.is_zero();
        if limited {
            admit_open_orders(account.open_orders_max)?;
            admit_open_orders(Count(account.open_orders.max(1)))?;
        }
        // Without limits before, it may have more orders open than are walked: none of them is marked.
        let was_limited = account.duties.has(Duties::LIMITED);
        let duties = match limited {
            true => account.duties.with(Duties::LIMITED),
            false => account.duties.without(Duties::LIMITED),
        };
        self.floor.parties.open_account(c.account).duties = duties;
        let now = self.floor.seq;
        let exposure = &mut self.floor.parties.file_mut(c.account).exposure;
        if limited && !was_limited {
            // What it traded before was not counted, or not all of it.
            (exposure.since, exposure.traded) = (now, Amount::ZERO);
        }
        (exposure.position_max, exposure.daily_max) = (c.position_max, c.daily_max);
        if limited || was_limited {
            self.floor.count_open_orders(c.account, duties);
        }
        events.emit(&ExposureLimitsSet {
            account: c.account,
            reserved: Reserved::ZERO,
            position_max: c.position_max,
            daily_max: c.daily_max,
        });
        Ok(())
    }

    /// Tells an account's limits and what is used of them.
    pub(crate) fn query_limits(
        &self,
        speaker: Speaker,
        c: &QueryLimits,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let account = match speaker.role {
            Role::Operator | Role::Risk => self.floor.parties.account(c.account)?,
            Role::House
            | Role::Trader
            | Role::MarketMaker
            | Role::Issuer
            | Role::Merchant
            | Role::Bank
            | Role::Regulator => self.acting(speaker, c.account)?,
        };
        if !c.series.is_zero() {
            self.series.get(c.series)?;
        }
        let floor = &self.floor;
        let limits = &floor.parties.file(c.account).exposure;
        let limited = account.duties.has(Duties::LIMITED);
        let (mut traded, mut position) = (0, 0);
        if limited {
            traded = limits
                .traded_on(floor.day)
                .0
                .saturating_add(account.open_notional.0);
            let open = floor.open_to_buy(c.account, c.series, NIL);
            position = floor.position(c.account, c.series).saturating_add(open);
        }
        events.emit(&LimitsTold {
            account: c.account,
            series: c.series,
            open_orders: Count(account.open_orders),
            open_orders_max: account.open_orders_max,
            open_notional: account.open_notional,
            open_notional_max: account.open_notional_max,
            traded: Amount(traded),
            daily_max: limits.daily_max,
            position: Amount(position),
            position_max: limits.position_max,
        });
        Ok(())
    }
}

/// Says whether an account with such limits may have so many orders open; no limit is too many.
pub(crate) fn admit_open_orders(max: Count) -> Result<(), Refusal> {
    match max.is_zero() || max.0 > OPEN_ORDERS_MAX {
        true => Err(beyond(
            RejectReason::MaxOpenOrders,
            max.0.into(),
            OPEN_ORDERS_MAX.into(),
        )),
        false => Ok(()),
    }
}
