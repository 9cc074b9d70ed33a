//! Looking at the state: read-only views for tools and tests, and the laws as one check.

use crate::exchange::{Exchange, Venue};
use crate::ledger::Balance;
use crate::levels::Ladder;
use crate::order::{Marks, Slot, index};
use crate::series::Series;
use std::collections::BTreeMap;
use std::fmt;
use xq_protocol::{
    AccountId, Amount, AssetId, Bucket, ClOrdId, OrderId, Phase, Place, Price, Qty, Seq, SeriesId, Side,
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

/// How a series is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// The series.
    pub series: SeriesId,
    /// Coupons that are outstanding.
    pub outstanding: Amount,
    /// What a merchant is paid for one.
    pub redeem_value: Price,
    /// Money in its escrow.
    pub escrow: i128,
}

impl Exchange {
    /// How every series is covered, by its number.
    pub fn covers(&self) -> Vec<Cover> {
        let cover = |venue: &Venue, (id, series): (SeriesId, &Series)| Cover {
            series: id,
            outstanding: series.outstanding,
            redeem_value: series.redeem_value,
            escrow: venue.floor.ledger.system(series.escrow),
        };
        self.venue().map_or_else(Vec::new, |venue| {
            venue.series.iter().map(|one| cover(venue, one)).collect()
        })
    }

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

    /// The last command applied; zero before Genesis and right after it.
    pub fn last_seq(&self) -> Seq {
        self.venue().map_or(Seq::ZERO, |venue| venue.floor.seq)
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
        if let Some(broken) = self.audit().err() {
            panic!("{broken}");
        }
    }

    /// The same; the first breach is told.
    ///
    /// # Errors
    /// [`BrokenLaw`].
    pub fn audit(&self) -> Result<(), BrokenLaw> {
        self.venue().map_or(Ok(()), Venue::audit)
    }
}

/// A law that the state breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLaw(String);

impl fmt::Display for BrokenLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Requires that a law holds; what is broken is only put into words when it does not.
fn require(holds: bool, law: impl FnOnce() -> String) -> Result<(), BrokenLaw> {
    match holds {
        true => Ok(()),
        false => Err(BrokenLaw(law())),
    }
}

/// What orders need, by the row that holds it, and what is open, by account: found order by order.
struct Found {
    held: Vec<u64>,
    open: Vec<(u32, u64)>,
    orders: u32,
}

impl Venue {
    fn slots<'a>(&'a self, series: &'a Series, side: Side) -> impl Iterator<Item = Slot> + 'a {
        self.walk(series.ladder(side))
    }

    pub(crate) fn walk<'a>(&'a self, ladder: &'a Ladder) -> impl Iterator<Item = Slot> + 'a {
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

    pub(crate) fn audit(&self) -> Result<(), BrokenLaw> {
        self.audit_sums()?;
        self.audit_ids()
    }

    /// All but the index of clients' ids.
    pub(crate) fn audit_sums(&self) -> Result<(), BrokenLaw> {
        self.audit_assets()?;
        self.audit_orders()
    }

    /// Every order is found by its client.
    fn audit_ids(&self) -> Result<(), BrokenLaw> {
        for slot in self.all_slots() {
            let account = AccountId(self.floor.orders.node(slot).account);
            let cl_ord_id = self.floor.orders.details(slot).cl_ord_id;
            require(
                self.floor.find_cl_ord_id(account, cl_ord_id) == Some(slot),
                || format!("order {slot}: its client finds it"),
            )?;
        }
        Ok(())
    }

    fn audit_assets(&self) -> Result<(), BrokenLaw> {
        let mut units = vec![0_i128; self.series.used() + 1];
        let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
        for balance in self.floor.ledger.balances() {
            // Units are of series, whose numbers are places; the few others are currencies.
            match (balance.place, units.get_mut(index(balance.asset.0))) {
                (Place::Account(..), Some(sum)) => *sum += balance.amount,
                // Any other place or asset.
                _ => *sums.entry(balance.asset).or_default() += balance.amount,
            }
        }
        for (asset, outside) in (0..).zip(&units).filter(|(_, sum)| **sum != 0) {
            *sums.entry(AssetId(asset)).or_default() += outside;
        }
        require(sums.values().all(|sum| *sum == 0), || {
            let uneven = sums.iter().find(|(_, sum)| **sum != 0);
            format!("every asset sums to zero: {uneven:?}")
        })?;
        for (id, series) in self.series.iter() {
            let outstanding = units[index(id.0)];
            require(outstanding == i128::from(series.outstanding.0), || {
                format!("series {id}: outstanding units are counted")
            })?;
            let needed = outstanding * i128::from(series.redeem_value.0);
            require(self.floor.ledger.system(series.escrow) >= needed, || {
                format!("series {id}: escrow covers what is outstanding")
            })?;
        }
        Ok(())
    }

    fn audit_orders(&self) -> Result<(), BrokenLaw> {
        let mut found = Found {
            held: vec![0; self.floor.ledger.used() + 1],
            open: vec![(0, 0); self.floor.parties.accounts_used() + 1],
            orders: 0,
        };
        for (id, series) in self.series.iter() {
            audit_book(id, series)?;
            let mut waiting = 0;
            for side in [Side::Buy, Side::Sell] {
                for slot in self.slots(series, side) {
                    self.audit_order((id, series), slot, &mut found)?;
                }
                for slot in self.walk(series.stops.ladder(side)) {
                    self.audit_order((id, series), slot, &mut found)?;
                    waiting += 1;
                }
            }
            require(waiting == series.stops.waiting, || {
                format!("series {id}: waiting orders are counted")
            })?;
        }
        require(found.orders == self.floor.orders.live(), || {
            "no order is lost".to_owned()
        })?;
        for (row, need) in (0..).zip(&found.held).skip(1) {
            let row = self.floor.ledger.row(row);
            require(row.held.0 == *need, || {
                format!("account {} holds what its open orders need", row.account)
            })?;
        }
        for id in self.floor.parties.account_ids() {
            let account = self.floor.parties.account(id).expect("listed as open");
            let counted = found.open[index(id.0)];
            require((account.open_orders, account.open_notional.0) == counted, || {
                format!("account {id}'s orders are counted")
            })?;
        }
        Ok(())
    }

    fn audit_order(
        &self,
        (id, series): (SeriesId, &Series),
        slot: Slot,
        found: &mut Found,
    ) -> Result<(), BrokenLaw> {
        found.orders += 1;
        let node = self.floor.orders.node(slot);
        let limit = series.price(self.floor.limit_rung(slot));
        let need = match node.marks.has(Marks::WAITS) {
            true => self.floor.need_waiting(limit, slot, node.leaves),
            false => self.floor.need_resting(limit, slot, node.leaves),
        };
        require(node.held == need && node.series == id.0, || {
            format!("order {slot} holds what it needs")
        })?;
        let shown = self.floor.shown(slot);
        require(!shown.is_zero() && shown <= node.leaves, || {
            format!("order {slot} shows a part of what is open")
        })?;
        let account = self.floor.ledger.row(node.hold_row).account;
        require(account.0 == node.account, || {
            format!("order {slot} holds what is its account's")
        })?;
        // What is summed here may never have been admitted: it need not fit.
        let held = &mut found.held[index(node.hold_row)];
        *held = held.saturating_add(need.0);
        let open = &mut found.open[index(account.0)];
        open.0 += 1;
        open.1 = open
            .1
            .saturating_add(limit.times(node.leaves).expect("an order's amount fits").0);
        Ok(())
    }
}

fn audit_book(id: SeriesId, series: &Series) -> Result<(), BrokenLaw> {
    let crossed = match (series.bids.best(), series.asks.best()) {
        (Some(bid), Some(ask)) => bid >= ask,
        (Some(_) | None, Some(_) | None) => false,
    };
    require(!crossed || series.phase != Phase::Continuous, || {
        format!("series {id}: the book is crossed")
    })
}
