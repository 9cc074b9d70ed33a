//! Looking at the state: read-only views for tools and tests, and the laws as one check.

use crate::exchange::{Exchange, Venue};
use crate::ledger::Balance;
use crate::levels::Ladder;
use crate::order::{Marks, Slot};
use crate::series::Series;
use std::collections::BTreeMap;
use xq_protocol::{
    AccountId, Amount, AssetId, Bucket, ClOrdId, OrderId, Phase, Place, Price, Qty, SeriesId, Side,
};

/// An order that rests, as its book has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestingOrder {
    /// The order.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The client's id.
    pub cl_ord_id: ClOrdId,
    /// Its price.
    pub price: Price,
    /// What is open of it, hidden quantity included.
    pub leaves: Qty,
    /// What is shown of it.
    pub shown: Qty,
    /// So many are shown at a time; zero shows all.
    pub display: Qty,
}

impl Exchange {
    /// Every balance that is not zero: the trial balance.
    pub fn balances(&self) -> Vec<Balance> {
        self.venue()
            .map_or_else(Vec::new, |venue| venue.floor.ledger.balances().collect())
    }

    /// What an account has of an asset in a bucket.
    pub fn balance(&self, account: AccountId, asset: AssetId, bucket: Bucket) -> Amount {
        let found = self.venue().and_then(|v| {
            v.floor
                .ledger
                .find(account, asset)
                .map(|row| v.floor.ledger.row(row))
        });
        found.map_or(Amount::ZERO, |row| match bucket {
            Bucket::Available => row.available,
            Bucket::Held => row.held,
            Bucket::Frozen => row.frozen,
        })
    }

    /// The best price of a side, if any order rests there.
    pub fn best(&self, series: SeriesId, side: Side) -> Option<Price> {
        let series = self.venue()?.series.get(series).ok()?;
        series.ladder(side).best().map(|rung| series.price(rung))
    }

    /// The resting orders of a side in priority, at most `max`.
    pub fn queue(&self, series: SeriesId, side: Side, max: usize) -> Vec<RestingOrder> {
        let Some(venue) = self.venue() else {
            return Vec::new();
        };
        let Ok(found) = venue.series.get(series) else {
            return Vec::new();
        };
        venue
            .slots(found, side)
            .take(max)
            .map(|slot| venue.resting(found, slot))
            .collect()
    }

    /// Prices of a side with the quantity shown at each, best first, at most `max`.
    pub fn depth(&self, series: SeriesId, side: Side, max: usize) -> Vec<(Price, Amount)> {
        let mut levels: Vec<(Price, Amount)> = Vec::new();
        for order in self.queue(series, side, usize::MAX) {
            let full = levels.len() == max;
            match levels.last_mut() {
                Some((price, open)) if *price == order.price => open.0 += u64::from(order.shown.0),
                Some(_) | None if full => break,
                Some(_) | None => levels.push((order.price, order.shown.into())),
            }
        }
        levels
    }

    /// Orders that rest in all books.
    pub fn open_orders(&self) -> u32 {
        self.venue().map_or(0, |venue| venue.floor.orders.live())
    }

    /// Checks the laws over all state; a breach is named.
    ///
    /// # Panics
    /// When a law is broken: assets do not sum to zero, a hold is not what open orders need, a book is crossed, escrow
    /// does not cover what is outstanding, an index has lost an order.
    pub fn check(&self) {
        let Some(venue) = self.venue() else { return };
        venue.check_assets();
        venue.check_orders();
    }
}

impl Venue {
    fn slots<'a>(&'a self, series: &'a Series, side: Side) -> impl Iterator<Item = Slot> + 'a {
        self.walk(series.ladder(side))
    }

    fn walk<'a>(&'a self, ladder: &'a Ladder) -> impl Iterator<Item = Slot> + 'a {
        let levels = &self.floor.levels;
        std::iter::successors(levels.front(ladder), |slot| {
            levels.after(ladder, &self.floor.orders, *slot)
        })
    }

    fn resting(&self, series: &Series, slot: Slot) -> RestingOrder {
        let node = self.floor.orders.node(slot);
        RestingOrder {
            order: self.floor.orders.id(slot),
            account: AccountId(node.account),
            cl_ord_id: self.floor.orders.details(slot).cl_ord_id,
            price: series.price(node.rung),
            leaves: node.leaves,
            shown: self.floor.shown(slot),
            display: self.floor.display(slot),
        }
    }

    fn check_assets(&self) {
        let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
        let mut units: BTreeMap<AssetId, i128> = BTreeMap::new();
        for balance in self.floor.ledger.balances() {
            *sums.entry(balance.asset).or_default() += balance.amount;
            if matches!(balance.place, Place::Account(..)) {
                *units.entry(balance.asset).or_default() += balance.amount;
            }
        }
        assert!(
            sums.values().all(|sum| *sum == 0),
            "every asset sums to zero: {sums:?}"
        );
        for (id, series) in self.series.iter() {
            let outstanding = units.get(&id.into()).copied().unwrap_or(0);
            assert!(
                outstanding == i128::from(series.outstanding.0),
                "series {id}: outstanding units are counted"
            );
            let needed = outstanding * i128::from(series.redeem_value.0);
            assert!(
                self.floor.ledger.system(series.escrow) >= needed,
                "series {id}: escrow covers what is outstanding"
            );
        }
    }

    fn check_orders(&self) {
        let mut held: BTreeMap<(AccountId, AssetId), u64> = BTreeMap::new();
        let mut found: BTreeMap<AccountId, (u32, u64)> = BTreeMap::new();
        let mut orders = 0;
        for (id, series) in self.series.iter() {
            self.check_book(id, series);
            let sides = [Side::Buy, Side::Sell];
            let resting = sides.into_iter().flat_map(|side| self.slots(series, side));
            let waiting = sides
                .into_iter()
                .flat_map(|side| self.walk(series.stops.ladder(side)));
            let waiting: Vec<Slot> = waiting.collect();
            assert!(
                waiting.len() == crate::order::index(series.stops.waiting),
                "series {id}: waiting orders are counted"
            );
            for slot in resting.chain(waiting) {
                orders += 1;
                self.check_order(id, series, slot);
                let node = self.floor.orders.node(slot);
                let row = self.floor.ledger.row(node.hold_row);
                *held.entry((row.account, row.asset)).or_default() += node.held.0;
                let counts = found.entry(row.account).or_default();
                let limit = series.price(self.floor.limit_rung(slot));
                counts.0 += 1;
                counts.1 += limit.times(node.leaves).expect("an order's amount fits").0;
            }
        }
        assert!(orders == self.floor.orders.live(), "no order is lost");
        for balance in self.floor.ledger.balances() {
            if let Place::Account(account, Bucket::Held) = balance.place {
                let need = held.remove(&(account, balance.asset)).unwrap_or(0);
                assert!(
                    balance.amount == i128::from(need),
                    "account {account} holds what its open orders need"
                );
            }
        }
        assert!(
            held.values().all(|need| *need == 0),
            "every hold stands in the ledger"
        );
        for id in self.floor.parties.account_ids() {
            let account = self.floor.parties.account(id).expect("listed as open");
            let counted = found.get(&id).copied().unwrap_or_default();
            assert!(
                (account.open_orders, account.open_notional.0) == counted,
                "account {id}'s orders are counted"
            );
        }
    }

    fn check_order(&self, id: SeriesId, series: &Series, slot: Slot) {
        let (node, details) = self.floor.orders.both(slot);
        let limit = series.price(self.floor.limit_rung(slot));
        let need = match node.marks.has(Marks::WAITS) {
            true => self.floor.need_waiting(limit, slot, node.leaves),
            false => self.floor.need_resting(limit, slot, node.leaves),
        };
        assert!(
            node.held == need && node.series == id.0,
            "order {slot} holds what it needs"
        );
        let shown = self.floor.shown(slot);
        assert!(
            !shown.is_zero() && shown <= node.leaves,
            "order {slot} shows a part of what is open"
        );
        let row = self.floor.ledger.row(node.hold_row);
        assert!(row.account.0 == node.account);
        assert!(
            self.floor.find_cl_ord_id(row.account, details.cl_ord_id) == Some(slot),
            "its client finds it"
        );
    }

    fn check_book(&self, id: SeriesId, series: &Series) {
        let (bid, ask) = (series.bids.best(), series.asks.best());
        if series.phase == Phase::Continuous
            && let (Some(bid), Some(ask)) = (bid, ask)
        {
            assert!(bid < ask, "series {id}: the book is crossed");
        }
    }
}
