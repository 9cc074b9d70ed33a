//! The trading floor: resting orders with every index over them, and the ledger that holds what they need.

use crate::client_ids::ClientIds;
use crate::events::Events;
use crate::fees;
use crate::jobs::Jobs;
use crate::ledger::{Ledger, RowId, Spot};
use crate::levels::Levels;
use crate::order::{Details, Marks, NIL, Orders, Slot, order_id};
use crate::party::{Account, Duties, Parties, Rates};
use crate::rules::Rules;
use crate::series::Series;
use crate::terms::AllTerms;
use std::collections::VecDeque;
use xq_protocol::{
    AccountId, Amount, AssetId, CancelReason, ClOrdId, Fee, Nanos, OrderCanceled, Price, Qty, Reserved, Seq,
    SeriesId, SessionId, Side, TimeInForce,
};

/// Everything that a resting order touches, but its series.
pub(crate) struct Floor {
    pub orders: Orders,
    pub levels: Levels,
    pub ledger: Ledger,
    pub parties: Parties,
    pub jobs: Jobs,
    pub client_ids: ClientIds,
    pub terms: AllTerms,
    /// Resting orders whose time may end.
    pub expiring: u32,
    /// The exchange's time.
    pub now: Nanos,
    /// The business date.
    pub day: u32,
    /// The command in hand.
    pub seq: Seq,
    /// The rules that hold.
    pub rules: Rules,
    /// Series that were halted and may have to be reopened.
    pub halted: VecDeque<SeriesId>,
}

/// Capacities of the floor's tables.
#[derive(Clone, Copy)]
pub(crate) struct FloorSize {
    pub participants: u32,
    pub accounts: u32,
    pub balances: u32,
    pub orders: u32,
    pub pages: u32,
    pub sessions: u32,
    pub series: u32,
}

/// Whether an order stands in the account's list, the table of client's ids and the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexed {
    No,
    Yes,
}

/// The order in hand: it has arrived and does not rest yet.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub slot: Slot,
    pub id: xq_protocol::OrderId,
    pub account: AccountId,
    pub owner: u32,
    pub side: Side,
    pub series: SeriesId,
    pub leaves: Qty,
    pub limit: Price,
    pub rung: u32,
    pub held: Amount,
    /// Price × quantity it has traded since it arrived.
    pub notional: Amount,
    /// What it was charged on that.
    pub charged: Fee,
    pub rates: Rates,
    pub hold_row: RowId,
    pub counter_row: RowId,
    pub indexed: Indexed,
    /// What sets it apart.
    pub marks: Marks,
}

impl Arrival {
    /// What it must hold for what is open, whether that trades at once or rests first.
    #[inline(always)]
    pub fn need(&self) -> Amount {
        match self.side {
            Side::Sell => self.leaves.into(),
            // Filled, it will not rest: where makers pay more, what was kept for that is needed no more.
            Side::Buy if self.leaves.is_zero() => Amount::ZERO,
            Side::Buy => {
                let open = self
                    .limit
                    .times(self.leaves)
                    .expect("an order's amount fits, as admission checked");
                let rate = self.rates.taker.max(self.rates.maker);
                let all = self.notional.checked_add(open).expect("an order's amount fits");
                let fee = fees::due(all, rate).0.max(0) - self.charged.0;
                let fee = Amount(u64::try_from(fee.max(0)).expect("not negative"));
                open.checked_add(fee).expect("an amount and its fee fit")
            }
        }
    }
    /// What it must hold at rest, where it pays the maker's rate.
    #[inline]
    pub fn need_at_rest(&self) -> Amount {
        need_at_rest(self.side, self.limit, self.leaves, Amount::ZERO, self.rates.maker)
    }
}

/// What a resting order must hold.
#[inline]
pub(crate) fn need_at_rest(
    side: Side,
    limit: Price,
    leaves: Qty,
    traded: Amount,
    maker: xq_protocol::Ppm,
) -> Amount {
    match side {
        Side::Sell => leaves.into(),
        Side::Buy => {
            let open = limit
                .times(leaves)
                .expect("an order's amount fits, as admission checked");
            open.checked_add(fees::to_hold(traded, open, maker))
                .expect("an amount and its fee fit")
        }
    }
}

impl Floor {
    /// An empty floor.
    pub fn new(size: FloorSize) -> Floor {
        Floor {
            orders: Orders::new(size.orders),
            levels: Levels::new(size.pages),
            ledger: Ledger::new(size.balances),
            parties: Parties::new(size.participants, size.accounts),
            jobs: Jobs::new(crate::order::index(size.sessions)),
            client_ids: ClientIds::new(size.orders),
            terms: AllTerms::new(size.orders),
            expiring: 0,
            now: Nanos::ZERO,
            day: 0,
            seq: Seq::ZERO,
            rules: Rules::FIRST,
            halted: VecDeque::with_capacity(crate::order::index(size.series)),
        }
    }

    /// Makes every table as large as `size` says.
    pub fn grow(&mut self, size: FloorSize) {
        self.orders.grow(size.orders);
        self.levels.grow(size.pages);
        self.ledger.grow(size.balances);
        self.parties.grow(size.participants, size.accounts);
        self.jobs.grow(crate::order::index(size.sessions));
        self.client_ids.grow(size.orders);
        self.terms.grow(size.orders);
        self.halted
            .reserve_exact(crate::order::index(size.series) - self.halted.len());
    }

    /// The account's live order with this client's id.
    #[inline]
    pub fn find_cl_ord_id(&self, account: AccountId, id: ClOrdId) -> Option<Slot> {
        let hash = self.client_ids.hash(account, id);
        self.client_ids.find(&self.orders, hash, account, id)
    }

    /// Why a resting order will not trade any more, if so.
    #[inline(always)]
    pub fn doom(&self, slot: Slot) -> Option<CancelReason> {
        let order = self.orders.node(slot);
        if order.marks.may_cease()
            && let Some(reason) = self.ceased(slot)
        {
            return Some(reason);
        }
        match self.jobs.len() {
            0 => None,
            _ => self.doom_of_jobs(slot),
        }
    }

    #[cold]
    fn doom_of_jobs(&self, slot: Slot) -> Option<CancelReason> {
        let (order, details) = (self.orders.node(slot), self.orders.details(slot));
        self.jobs.doom(order, details, &self.parties)
    }

    fn ceased(&self, slot: Slot) -> Option<CancelReason> {
        let (order, details) = self.orders.both(slot);
        if order.marks.has(Marks::ENDS) && self.is_expired(details) {
            return Some(CancelReason::Expired);
        }
        let is_quote = order.marks.has(Marks::QUOTE);
        let quotes = || self.parties.duties(AccountId(order.account));
        (is_quote && quotes().has(Duties::TRIPPED)).then_some(CancelReason::Protection)
    }

    fn is_expired(&self, details: &Details) -> bool {
        match details.tif {
            TimeInForce::Day => u64::from(self.day) > details.ends,
            TimeInForce::Gtd => self.now.0 >= details.ends,
            TimeInForce::Gtc | TimeInForce::Ioc | TimeInForce::Fok => false,
        }
    }

    /// The row of a coupon, 0 for none; the one that the account's last order was for is found without a search.
    #[inline(always)]
    pub fn coupon_row(&self, id: AccountId, account: &Account, coupon: AssetId) -> RowId {
        match account.recent_coupon == coupon {
            true => account.recent_coupon_row,
            false => self.ledger.find(id, coupon).unwrap_or(0),
        }
    }

    /// The row of a currency, 0 for none; the one that the account's last order was in is found without a search.
    #[inline(always)]
    pub fn cash_row(&self, id: AccountId, account: &Account, currency: AssetId) -> RowId {
        match self.ledger.row(account.recent_cash_row).asset == currency {
            true => account.recent_cash_row,
            false => self.ledger.find(id, currency).unwrap_or(0),
        }
    }

    /// The row of an account's asset, made if it is missing: admission found room.
    #[inline]
    pub fn row(&mut self, account: AccountId, asset: AssetId) -> RowId {
        match self.ledger.find(account, asset) {
            Some(row) => row,
            None => self.new_row(account, asset),
        }
    }

    /// Makes a row that is missing: admission found room.
    pub fn new_row(&mut self, account: AccountId, asset: AssetId) -> RowId {
        let newest = &mut self.parties.file_mut(account).newest_row;
        let row = self.ledger.open(account, asset, *newest);
        *newest = row;
        row
    }

    /// Puts the order that its slot describes last at its price, and enters it into the account's list, the table of
    /// client's ids and the counts; with it, the account has so much open.
    #[inline(never)]
    pub fn enter(&mut self, series: &mut Series, slot: Slot, open_notional: Amount) {
        self.list(slot, open_notional);
        let ladder = series.ladder_mut(self.orders.node(slot).side);
        self.levels.push(ladder, &mut self.orders, slot);
    }

    /// Enters an order into the account's list, the table of client's ids and the counts; with it, the account has so
    /// much open.
    #[inline(always)]
    pub fn list(&mut self, slot: Slot, open_notional: Amount) {
        let (node, details) = self.orders.both_mut(slot);
        assert!(!node.leaves.is_zero());
        let account = self.parties.open_account(AccountId(node.account));
        assert!(open_notional > account.open_notional);
        account.open_notional = open_notional;
        account.open_orders += 1;
        let older = std::mem::replace(&mut account.newest_order, slot);
        (details.older, details.newer) = (older, NIL);
        self.expiring += u32::from(node.marks.has(Marks::ENDS));
        self.client_ids.insert(details.cl_hash, slot);
        if older != NIL {
            self.orders.details_mut(older).newer = slot;
        }
    }

    /// Takes an order out of the account's list, the table of client's ids and the counts, gives its slot back, and
    /// takes so much out of the account's open notional.
    #[inline(always)]
    pub fn forget(&mut self, slot: Slot, notional: Amount) {
        let (node, details) = self.orders.both(slot);
        let (older, newer) = (details.older, details.newer);
        self.client_ids.remove(details.cl_hash, slot);
        let (marks, account) = (node.marks, self.parties.open_account(AccountId(node.account)));
        account.open_orders -= 1;
        account.open_notional = account
            .open_notional
            .checked_sub(notional)
            .expect("it was counted when it came to rest");
        if newer == NIL {
            account.newest_order = older;
        } else {
            self.orders.details_mut(newer).older = older;
        }
        if older != NIL {
            self.orders.details_mut(older).newer = newer;
        }
        if self.jobs.len() > 0 {
            self.jobs.step_over(slot, older);
        }
        if marks != Marks::NONE {
            self.forget_marks(slot, marks);
        }
        self.orders.release(slot);
    }

    /// What besides goes with an order that was set apart.
    #[cold]
    fn forget_marks(&mut self, slot: Slot, marks: Marks) {
        self.expiring -= u32::from(marks.has(Marks::ENDS));
        if marks.has(Marks::EXTENDED) {
            self.drop_terms(slot);
        }
    }

    /// Gives an order another client's id.
    pub fn rename(&mut self, slot: Slot, id: ClOrdId) {
        let (node, details) = self.orders.both_mut(slot);
        self.client_ids.remove(details.cl_hash, slot);
        details.cl_ord_id = id;
        details.cl_hash = self.client_ids.hash(AccountId(node.account), id);
        self.client_ids.insert(details.cl_hash, slot);
    }

    /// Takes an order out of its level, and what is open of it out of the account's notional; it stays indexed.
    #[inline(always)]
    pub fn unlink(&mut self, series: &mut Series, slot: Slot) {
        let node = self.orders.node(slot);
        let notional = series
            .price(node.rung)
            .times(node.leaves)
            .expect("an order's amount fits");
        let account = self.parties.open_account(AccountId(node.account));
        account.open_notional = account
            .open_notional
            .checked_sub(notional)
            .expect("it was counted when it came to rest");
        self.levels
            .remove(series.ladder_mut(node.side), &mut self.orders, slot);
    }

    /// Cancels a resting order in passing: what it held is available again.
    #[inline(never)]
    pub fn cancel(&mut self, series: &mut Series, slot: Slot, reason: CancelReason, events: &mut Events) {
        self.cancel_as_asked(series, slot, reason, events);
    }

    /// The same, for the command that asks for it.
    #[inline(always)]
    pub fn cancel_as_asked(
        &mut self,
        series: &mut Series,
        slot: Slot,
        reason: CancelReason,
        events: &mut Events,
    ) {
        let (node, details) = self.orders.both(slot);
        if node.marks.has(Marks::WAITS) {
            return self.cancel_waiting(series, slot, reason, events);
        }
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
        let notional = series
            .price(node.rung)
            .times(node.leaves)
            .expect("an order's amount fits");
        let ladder = series.ladder_mut(node.side);
        self.levels.remove(ladder, &mut self.orders, slot);
        self.forget(slot, notional);
    }
}
