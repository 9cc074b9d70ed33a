//! Which resting order an account's client calls by which id.
//!
//! # Cost
//! Open addressing with linear probing in 8-byte entries, at most half of them in use: one cache line for most
//! searches. An entry keeps the hash, so that only a match is compared with the order; removal moves what follows
//! back, so that no tombstones gather.

use crate::order::{NIL, Orders, Slot, index};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use xq_protocol::{AccountId, ClOrdId};

/// One place of the table; its slot is 0 when it is free.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    slot: Slot,
}

const FREE: Entry = Entry { hash: 0, slot: NIL };

/// The table.
pub(crate) struct ClientIds {
    entries: Vec<Entry>,
    mask: usize,
    used: usize,
    hasher: FixedState,
}

impl ClientIds {
    /// Room for the ids of `max` orders.
    pub fn new(max: u32) -> ClientIds {
        let mut ids = ClientIds {
            entries: Vec::new(),
            mask: 0,
            used: 0,
            hasher: FixedState::with_seed(0),
        };
        ids.grow(max);
        ids
    }

    /// Makes room for the ids of `max` orders in all.
    pub fn grow(&mut self, max: u32) {
        let wanted = (2 * index(max)).next_power_of_two().max(16);
        if wanted <= self.entries.len() {
            return;
        }
        let old = std::mem::replace(&mut self.entries, vec![FREE; wanted]);
        self.mask = wanted - 1;
        self.used = 0;
        for entry in old.iter().filter(|entry| entry.slot != NIL) {
            self.insert(entry.hash, entry.slot);
        }
    }

    /// By which hash the table keeps this id of this account.
    #[inline]
    pub fn hash(&self, account: AccountId, id: ClOrdId) -> u32 {
        let hash = self.hasher.hash_one((u128::from_le_bytes(id.0), account.0));
        u32::try_from(hash >> 32).expect("the upper half")
    }

    /// The account's order with this id.
    #[inline(always)]
    pub fn find(&self, orders: &Orders, hash: u32, account: AccountId, id: ClOrdId) -> Option<Slot> {
        match self.entries[index(hash) & self.mask].slot {
            NIL => None,
            _ => self.probe(orders, hash, account, id),
        }
    }

    fn probe(&self, orders: &Orders, hash: u32, account: AccountId, id: ClOrdId) -> Option<Slot> {
        let mut at = index(hash) & self.mask;
        loop {
            let entry = self.entries[at];
            if entry.slot == NIL {
                return None;
            }
            if entry.hash == hash {
                let (node, details) = orders.both(entry.slot);
                if details.cl_ord_id == id && node.account == account.0 {
                    return Some(entry.slot);
                }
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Enters an order's id, which is not there yet.
    #[inline]
    pub fn insert(&mut self, hash: u32, slot: Slot) {
        // One free place at least, or a search for what is not there would never end.
        assert!(slot != NIL && 2 * self.used < self.entries.len());
        let mut at = index(hash) & self.mask;
        while self.entries[at].slot != NIL {
            at = (at + 1) & self.mask;
        }
        self.entries[at] = Entry { hash, slot };
        self.used += 1;
    }

    /// Takes an order's id out.
    #[inline(always)]
    pub fn remove(&mut self, hash: u32, slot: Slot) {
        let home = index(hash) & self.mask;
        let next = (home + 1) & self.mask;
        if self.entries[home].slot == slot && self.entries[next].slot == NIL {
            self.entries[home] = FREE;
            self.used -= 1;
        } else {
            self.close_up(home, slot);
        }
    }

    /// Takes an id out that stands with others in a row, and moves back what follows it.
    fn close_up(&mut self, home: usize, slot: Slot) {
        let mut hole = home;
        while self.entries[hole].slot != slot {
            assert!(
                self.entries[hole].slot != NIL,
                "every resting order is in the table"
            );
            hole = (hole + 1) & self.mask;
        }
        let mut next = (hole + 1) & self.mask;
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
            next = (next + 1) & self.mask;
        }
        self.entries[hole] = FREE;
        self.used -= 1;
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
