//! Which resting order an account's client calls by which id.
//!
//! # Cost
//! Open addressing with linear probing in 8-byte entries, at most a quarter of them in use: one cache line for most
//! searches. An entry keeps the hash, so that only a match is compared with the order; removal moves what follows
//! back, so that no tombstones gather. The memory is all there from the start, but what is searched grows with the
//! orders that rest, so that few orders stay in a near cache: a table of twice the size takes over step by step.

use crate::order::{NIL, Orders, Slot, index};
use crate::snapshot;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use xq_protocol::{AccountId, ClOrdId};

/// Places of the smallest table.
const FIRST: usize = 256;
/// Places for each id, at least.
const SPARSE: usize = 4;
/// Places of the old table that each new id clears: twice what must be, to be through before the next growth.
const CLEARED: usize = 2 * SPARSE;

/// One place of a table; its slot is 0 when it is free.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    slot: Slot,
}

const FREE: Entry = Entry { hash: 0, slot: NIL };

/// A power of two of places.
struct Table {
    entries: Vec<Entry>,
    mask: usize,
}

/// Every client's id of an order that rests.
pub(crate) struct ClientIds {
    /// Where new ids go.
    table: Table,
    /// Where so many older ones still stand, while a table of twice the size takes over.
    old: Table,
    old_used: usize,
    /// Up to where the old table was cleared.
    cleared: usize,
    /// Ids in both.
    used: usize,
    /// So many ids make the next one do more: a larger table begins, or goes on taking over.
    full_at: usize,
    /// Larger tables, free, the next one last.
    larger: Vec<Table>,
    hasher: FixedState,
}

impl Table {
    fn new(size: usize) -> Table {
        Table {
            entries: vec![FREE; size],
            mask: size - 1,
        }
    }

    fn size(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        index(hash) & self.mask
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & self.mask
    }

    /// The place whose entry has this hash and is the one meant.
    fn probe(&self, hash: u32, is_it: impl Fn(Entry) -> bool) -> Option<usize> {
        let mut place = self.home(hash);
        loop {
            let entry = self.entries[place];
            if entry.slot == NIL {
                return None;
            }
            if entry.hash == hash && is_it(entry) {
                return Some(place);
            }
            place = self.after(place);
        }
    }

    #[inline]
    fn put(&mut self, entry: Entry) {
        let mut place = self.home(entry.hash);
        while self.entries[place].slot != NIL {
            place = self.after(place);
        }
        self.entries[place] = entry;
    }

    /// Frees a place, and moves back what follows it.
    #[inline(always)]
    fn free(&mut self, place: usize) {
        match self.entries[self.after(place)].slot {
            NIL => self.entries[place] = FREE,
            _ => self.close_up(place),
        }
    }

    fn close_up(&mut self, place: usize) {
        let mut hole = place;
        let mut next = self.after(hole);
        loop {
            let entry = self.entries[next];
            if entry.slot == NIL {
                break;
            }
            // It may move back only as far as its own place.
            let from_home = next.wrapping_sub(index(entry.hash)) & self.mask;
            let from_hole = next.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.entries[hole] = entry;
                hole = next;
            }
            next = self.after(next);
        }
        self.entries[hole] = FREE;
    }
}

/// Bytes of all tables with room for the ids of `max` orders: each is half as large as the one that takes over.
pub(crate) fn bytes(max: usize) -> usize {
    let largest = (SPARSE * max).next_power_of_two().max(FIRST);
    (2 * largest - FIRST) * size_of::<Entry>()
}

impl ClientIds {
    /// Room for the ids of `max` orders.
    pub fn new(max: u32) -> ClientIds {
        let mut ids = ClientIds {
            table: Table::new(FIRST),
            old: Table::new(1),
            old_used: 0,
            cleared: 0,
            used: 0,
            full_at: FIRST / SPARSE,
            larger: Vec::new(),
            hasher: FixedState::with_seed(0),
        };
        ids.grow(max);
        ids
    }

    /// Makes room for the ids of `max` orders in all.
    pub fn grow(&mut self, max: u32) {
        let mut size = self.larger.first().map_or(self.table.size(), Table::size);
        while size < SPARSE * index(max) {
            size *= 2;
            self.larger.insert(0, Table::new(size));
        }
    }

    /// Begins, while it is empty, with the table that so many ids need, or with the largest.
    pub fn begin_with(&mut self, ids: usize) {
        assert!(self.used == 0 && self.old_used == 0, "an empty table");
        while ids >= self.full_at
            && let Some(next) = self.larger.pop()
        {
            self.table = next;
            self.full_at = self.table.size() / SPARSE;
        }
    }

    /// Places of the table into which ids are entered.
    pub fn places(&self) -> usize {
        self.table.size()
    }

    /// Enters ids of orders, each behind its hash. The first order whose client calls another by the same id is named.
    pub fn enter(&mut self, entries: &[snapshot::Entry], orders: &Orders) -> Result<(), Slot> {
        let key = |slot: Slot| (orders.node(slot).account, orders.details(slot).cl_ord_id);
        for (hash, slot) in entries {
            let hash = u32::try_from(*hash).expect("a hash of 32 bits");
            // Orders are looked at only where all of a hash is equal.
            let is_another = |entry: Entry| key(entry.slot) == key(*slot);
            let another = self.table.probe(hash, is_another).or(match self.old_used {
                0 => None,
                _ => self.old.probe(hash, is_another),
            });
            if another.is_some() {
                return Err(*slot);
            }
            self.insert(hash, *slot);
        }
        Ok(())
    }

    /// By which hash an id of this account is kept.
    #[inline]
    pub fn hash(&self, account: AccountId, id: ClOrdId) -> u32 {
        let hash = self.hasher.hash_one((u128::from_le_bytes(id.0), account.0));
        u32::try_from(hash >> 32).expect("the upper half")
    }

    /// The account's order with this id.
    #[inline(always)]
    pub fn find(&self, orders: &Orders, hash: u32, account: AccountId, id: ClOrdId) -> Option<Slot> {
        match self.table.entries[self.table.home(hash)].slot {
            NIL if self.old_used == 0 => None,
            _ => self.search(orders, hash, account, id),
        }
    }

    fn search(&self, orders: &Orders, hash: u32, account: AccountId, id: ClOrdId) -> Option<Slot> {
        let is_it = |entry: Entry| {
            let (node, details) = orders.both(entry.slot);
            details.cl_ord_id == id && node.account == account.0
        };
        if let Some(place) = self.table.probe(hash, is_it) {
            return Some(self.table.entries[place].slot);
        }
        if self.old_used == 0 {
            return None;
        }
        let place = self.old.probe(hash, is_it)?;
        Some(self.old.entries[place].slot)
    }

    /// Enters an order's id, which is not there yet.
    #[inline]
    pub fn insert(&mut self, hash: u32, slot: Slot) {
        if self.used >= self.full_at {
            self.take_over();
        }
        self.used += 1;
        assert!(slot != NIL, "only a free place names no order");
        self.table.put(Entry { hash, slot });
    }

    /// Begins with a table of twice the size, or goes on moving ids into it: a few places at a time.
    #[cold]
    fn take_over(&mut self) {
        if self.old_used == 0 {
            let next = self.larger.pop().expect("there are no more ids than orders");
            // Most places are free, or a search for what is not there might never end.
            assert!(next.size() == 2 * self.table.size() && SPARSE * self.used < next.size());
            self.old = std::mem::replace(&mut self.table, next);
            (self.old_used, self.cleared, self.full_at) = (self.used, 0, 0);
        }
        for _ in 0..CLEARED {
            // What follows is moved back when an entry goes, so a place is done only once it is free.
            while self.old.entries[self.cleared].slot != NIL {
                self.table.put(self.old.entries[self.cleared]);
                self.old.free(self.cleared);
                self.old_used -= 1;
            }
            self.cleared = self.old.after(self.cleared);
        }
        self.end_when_cleared();
    }

    fn end_when_cleared(&mut self) {
        if self.old_used == 0 {
            self.full_at = self.table.size() / SPARSE;
        }
    }

    /// Takes an order's id out.
    #[inline(always)]
    pub fn remove(&mut self, hash: u32, slot: Slot) {
        self.used -= 1;
        let home = self.table.home(hash);
        match self.table.entries[home].slot == slot {
            true => self.table.free(home),
            false => self.remove_from_row(hash, slot),
        }
    }

    fn remove_from_row(&mut self, hash: u32, slot: Slot) {
        let is_it = |entry: Entry| entry.slot == slot;
        if let Some(place) = self.table.probe(hash, is_it) {
            return self.table.free(place);
        }
        let place = self.old.probe(hash, is_it);
        self.old.free(place.expect("every resting order is in a table"));
        self.old_used -= 1;
        self.end_when_cleared();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id that is a number.
    fn id(number: u32) -> ClOrdId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        ClOrdId(bytes)
    }

    /// Orders of one account, whose hashes meet often.
    fn with(ids: &[u32], orders: &mut Orders) -> Vec<(u32, Slot)> {
        ids.iter()
            .map(|number| {
                let slot = orders.take();
                let (node, details) = orders.both_mut(slot);
                (node.account, details.cl_ord_id) = (1, id(*number));
                (number % 5, slot)
            })
            .collect()
    }

    #[test]
    fn what_is_entered_is_found_until_it_is_taken_out() {
        let mut orders = Orders::new(64);
        let mut table = ClientIds::new(64);
        let numbers: Vec<u32> = (0..64).collect();
        let entered = with(&numbers, &mut orders);
        for (hash, slot) in &entered {
            table.insert(*hash, *slot);
        }
        // Out in another order than in: each removal must leave all others reachable.
        for step in 0..64 {
            let gone = step * 37 % 64;
            table.remove(entered[gone].0, entered[gone].1);
            let out: Vec<usize> = (0..=step).map(|s| s * 37 % 64).collect();
            for (at, (hash, slot)) in entered.iter().enumerate() {
                let found = table.find(&orders, *hash, AccountId(1), id(numbers[at]));
                assert_eq!(found, (!out.contains(&at)).then_some(*slot), "{at} after {step}");
            }
        }
    }

    #[test]
    fn a_larger_region_takes_over_without_losing_an_id() {
        let mut orders = Orders::new(4_096);
        let mut table = ClientIds::new(4_096);
        let numbers: Vec<u32> = (0..4_096).collect();
        let mut entered = with(&numbers, &mut orders);
        // Neighbouring hashes, so that rows are long and cross the end of each region.
        (0_u32..)
            .zip(&mut entered)
            .for_each(|(at, (hash, _))| *hash = at % 1_000 * 3);
        let mut gone = vec![false; entered.len()];
        for at in 0..entered.len() {
            table.insert(entered[at].0, entered[at].1);
            if at % 3 == 2 {
                let out = at / 2;
                if !std::mem::replace(&mut gone[out], true) {
                    table.remove(entered[out].0, entered[out].1);
                }
            }
            let sample = (at * 7_919) % (at + 1);
            for look in [at, sample] {
                let found = table.find(&orders, entered[look].0, AccountId(1), id(numbers[look]));
                assert_eq!(
                    found,
                    (!gone[look]).then_some(entered[look].1),
                    "{look} after {at}"
                );
            }
        }
        for (at, (hash, slot)) in entered.iter().enumerate() {
            let found = table.find(&orders, *hash, AccountId(1), id(numbers[at]));
            assert_eq!(found, (!gone[at]).then_some(*slot), "{at} in the end");
        }
    }

    #[test]
    fn growing_keeps_every_id() {
        let mut orders = Orders::new(8);
        let mut table = ClientIds::new(8);
        let entered = with(&[3, 8, 13, 4], &mut orders);
        entered.iter().for_each(|(hash, slot)| table.insert(*hash, *slot));
        table.grow(10_000);
        for ((hash, slot), number) in entered.iter().zip([3, 8, 13, 4]) {
            assert_eq!(table.find(&orders, *hash, AccountId(1), id(number)), Some(*slot));
            assert_eq!(table.find(&orders, *hash, AccountId(2), id(number)), None);
        }
    }
}
