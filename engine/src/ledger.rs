//! Every account, every asset, every amount: what moves, moves by [`Ledger::transfer`].
//!
//! # Cost
//! A row is 32 bytes; a transfer between known rows touches one cache line each side. Rows are found by one probe of a
//! table of 32-bit places; an order keeps its two rows, so that a fill searches nothing.

pub(crate) mod rows;

use crate::order::index;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use xq_protocol::{AccountId, Amount, AssetId, Bucket, Place};

/// Place of a row; 0 is none.
pub(crate) type RowId = u32;
/// Place of a system balance.
pub(crate) type SystemId = u32;

/// Where an amount lies, resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    /// A row's available amount.
    Available(RowId),
    /// A row's held amount.
    Held(RowId),
    /// A row's frozen amount.
    Frozen(RowId),
    /// A balance of the house's chart of accounts.
    System(SystemId),
}

/// What one account has of one asset.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Row {
    pub account: AccountId,
    pub asset: AssetId,
    pub available: Amount,
    pub held: Amount,
    pub frozen: Amount,
}

// Two rows a cache line, none across two.
const _: () = assert!(size_of::<Row>() == 32);

/// A balance of the chart of accounts that is nobody's account.
#[derive(Clone, Copy, Debug)]
struct System {
    place: Place,
    asset: AssetId,
    /// Credits less debits: negative for what is owed to the exchange, such as money at the custodian bank.
    balance: i128,
}

impl System {
    /// Says whether more may be debited than was credited.
    fn may_be_negative(&self) -> bool {
        match self.place {
            Place::Custody | Place::Registrar | Place::Rebates => true,
            Place::Account(..) | Place::FreeEscrow(_) | Place::Escrow(_) | Place::Fees => false,
        }
    }
}

/// One line of a trial balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Where it lies.
    pub place: Place,
    /// Of what.
    pub asset: AssetId,
    /// Credits less debits.
    pub amount: i128,
}

/// The ledger.
pub(crate) struct Ledger {
    rows: Vec<Row>,
    /// Each row's account's row made before it.
    older: Vec<RowId>,
    by_key: HashTable<RowId>,
    systems: Vec<System>,
    by_place: BTreeMap<(Place, AssetId), SystemId>,
    hasher: FixedState,
    max: u32,
}

const EMPTY: Row = Row {
    account: AccountId::ZERO,
    asset: AssetId::ZERO,
    available: Amount::ZERO,
    held: Amount::ZERO,
    frozen: Amount::ZERO,
};

/// Bytes of a balance, and of what finds it.
pub(crate) const ROW_BYTES: usize = size_of::<Row>() + size_of::<RowId>();
pub(crate) const KEY_BYTES: usize = size_of::<RowId>();

impl Ledger {
    /// Room for `max` rows.
    pub fn new(max: u32) -> Ledger {
        let mut ledger = Ledger {
            rows: Vec::new(),
            older: Vec::new(),
            by_key: HashTable::new(),
            systems: Vec::new(),
            by_place: BTreeMap::new(),
            hasher: FixedState::with_seed(0),
            max: 0,
        };
        ledger.grow(max);
        ledger.rows.push(EMPTY);
        ledger.older.push(0);
        ledger
    }

    /// Makes room for `max` rows in all.
    pub fn grow(&mut self, max: u32) {
        assert!(max >= self.max, "capacities only grow");
        self.rows.reserve_exact(index(max) + 1 - self.rows.len());
        self.older.reserve_exact(index(max) + 1 - self.older.len());
        let Ledger {
            rows, by_key, hasher, ..
        } = self;
        by_key.reserve(index(max) - by_key.len(), |id| hash(hasher, &rows[index(*id)]));
        self.max = max;
    }

    /// Says whether `count` more rows can be made.
    #[inline]
    pub fn has_room(&self, count: usize) -> bool {
        self.rows.len() + count <= index(self.max) + 1
    }

    /// Rows that were made.
    pub fn used(&self) -> usize {
        self.rows.len() - 1
    }

    /// The row of an account's asset, if there is one.
    #[inline]
    pub fn find(&self, account: AccountId, asset: AssetId) -> Option<RowId> {
        let hash = key_hash(&self.hasher, account, asset);
        let is_it = |id: &RowId| {
            let row = &self.rows[index(*id)];
            row.account == account && row.asset == asset
        };
        self.by_key.find(hash, is_it).copied()
    }

    /// Makes a row; `older` is the account's newest so far. Admission found room and no such row.
    pub fn open(&mut self, account: AccountId, asset: AssetId, older: RowId) -> RowId {
        assert!(self.has_room(1), "admission found room for the row");
        let id = u32::try_from(self.rows.len()).expect("capacity is a u32");
        self.rows.push(Row {
            account,
            asset,
            ..EMPTY
        });
        self.older.push(older);
        let Ledger {
            rows, by_key, hasher, ..
        } = self;
        let key = hash(hasher, &rows[index(id)]);
        by_key.insert_unique(key, id, |id| hash(hasher, &rows[index(*id)]));
        id
    }

    /// The row.
    #[inline]
    pub fn row(&self, id: RowId) -> &Row {
        &self.rows[index(id)]
    }

    /// The row that the same account opened before this one; 0 for none.
    pub fn older(&self, id: RowId) -> RowId {
        self.older[index(id)]
    }

    /// Opens a system balance.
    pub fn open_system(&mut self, place: Place, asset: AssetId) -> SystemId {
        let id = u32::try_from(self.systems.len()).expect("bounded by the series");
        self.systems.push(System {
            place,
            asset,
            balance: 0,
        });
        let before = self.by_place.insert((place, asset), id);
        assert!(before.is_none(), "{place} was open already");
        id
    }

    /// The system balance of this place, if it is open.
    pub fn find_system(&self, place: Place, asset: AssetId) -> Option<SystemId> {
        self.by_place.get(&(place, asset)).copied()
    }

    /// Credits less debits of a system balance.
    pub fn system(&self, id: SystemId) -> i128 {
        self.systems[index(id)].balance
    }

    /// Moves an amount from the debited spot to the credited one: the only way anything moves.
    #[inline(always)]
    pub fn transfer(&mut self, debit: Spot, credit: Spot, amount: Amount) {
        let from = self.take(debit, amount);
        if cfg!(feature = "mutant-skip-transfer")
            && matches!(credit, Spot::System(_))
            && matches!(debit, Spot::Held(_))
        {
            return;
        }
        let to = self.give(credit, amount);
        assert!(from == to, "a transfer moves one asset");
    }

    #[inline(always)]
    fn take(&mut self, spot: Spot, amount: Amount) -> AssetId {
        let (asset, balance) = match spot {
            Spot::System(id) => {
                let system = &mut self.systems[index(id)];
                system.balance -= i128::from(amount.0);
                assert!(
                    system.balance >= 0 || system.may_be_negative(),
                    "{} would be negative",
                    system.place
                );
                return system.asset;
            }
            Spot::Available(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.available)
            }
            Spot::Held(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.held)
            }
            Spot::Frozen(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.frozen)
            }
        };
        *balance = balance
            .checked_sub(amount)
            .expect("admission found the amount there");
        asset
    }

    #[inline(always)]
    fn give(&mut self, spot: Spot, amount: Amount) -> AssetId {
        let (asset, balance) = match spot {
            Spot::System(id) => {
                let system = &mut self.systems[index(id)];
                system.balance += i128::from(amount.0);
                return system.asset;
            }
            Spot::Available(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.available)
            }
            Spot::Held(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.held)
            }
            Spot::Frozen(id) => {
                let row = &mut self.rows[index(id)];
                (row.asset, &mut row.frozen)
            }
        };
        *balance = balance
            .checked_add(amount)
            .expect("what is created of an asset fits, as admission checked");
        asset
    }

    /// Every balance that is not zero, accounts first, in the order they were opened.
    pub fn balances(&self) -> impl Iterator<Item = Balance> + '_ {
        let rows = self.rows.iter().flat_map(|row| {
            [
                (Bucket::Available, row.available),
                (Bucket::Held, row.held),
                (Bucket::Frozen, row.frozen),
            ]
            .map(|(bucket, amount)| Balance {
                place: Place::Account(row.account, bucket),
                asset: row.asset,
                amount: i128::from(amount.0),
            })
        });
        let systems = self.systems.iter().map(|s| Balance {
            place: s.place,
            asset: s.asset,
            amount: s.balance,
        });
        rows.chain(systems).filter(|balance| balance.amount != 0)
    }
}

#[inline]
fn key_hash(hasher: &FixedState, account: AccountId, asset: AssetId) -> u64 {
    hasher.hash_one(u64::from(account.0) << 32 | u64::from(asset.0))
}

#[inline]
fn hash(hasher: &FixedState, row: &Row) -> u64 {
    key_hash(hasher, row.account, row.asset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::Currency;

    #[test]
    fn what_leaves_one_spot_comes_to_the_other() {
        let cny = AssetId::from(Currency(156));
        let mut ledger = Ledger::new(2);
        let custody = ledger.open_system(Place::Custody, cny);
        let row = ledger.open(AccountId(7), cny, 0);
        ledger.transfer(Spot::System(custody), Spot::Available(row), Amount(100));
        ledger.transfer(Spot::Available(row), Spot::Held(row), Amount(40));
        assert_eq!(
            (ledger.row(row).available, ledger.row(row).held),
            (Amount(60), Amount(40))
        );
        assert_eq!(ledger.balances().map(|b| b.amount).sum::<i128>(), 0);
        assert_eq!(ledger.find(AccountId(7), cny), Some(row));
        assert_eq!(ledger.find(AccountId(8), cny), None);
    }

    #[test]
    #[should_panic(expected = "admission found the amount there")]
    fn nothing_is_taken_that_is_not_there() {
        let cny = AssetId::from(Currency(156));
        let mut ledger = Ledger::new(1);
        let row = ledger.open(AccountId(7), cny, 0);
        ledger.transfer(Spot::Available(row), Spot::Held(row), Amount(1));
    }
}
