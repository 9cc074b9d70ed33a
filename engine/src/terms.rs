//! Further terms of the orders that have any: stop, limit while it waits, quantity shown.
//!
//! # Cost
//! 24 bytes an order with terms; no other order reads or writes anything here.

use crate::matching::Rests;
use crate::order::index;
use xq_protocol::{Ppm, Qty};

/// Place of an order's terms; 0 is none.
pub(crate) type TermsId = u32;

/// Orders for each one that may have terms.
const ORDERS_EACH: u32 = 4;

/// Terms of one order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// While it waits, its limit in ticks; when free, the next free place.
    pub limit: u32,
    /// While it waits, its rate as taker, as it was when the order was accepted.
    pub taker: Ppm,
    /// So many are shown at a time; zero shows all.
    pub display: Qty,
    /// So many are shown now.
    pub shown: Qty,
    /// Whether what does not trade when its stop is reached rests.
    pub rests: Rests,
}

/// Terms that say nothing.
pub(crate) const EMPTY: Terms = Terms {
    limit: 0,
    taker: Ppm::ZERO,
    display: Qty::ZERO,
    shown: Qty::ZERO,
    rests: Rests::Yes,
};

impl Terms {
    /// How many parts it takes to show so much.
    pub fn slices(&self, leaves: Qty) -> usize {
        let hidden = leaves.0.saturating_sub(self.shown.0);
        let parts = 1 + hidden.div_ceil(self.display.0.max(1));
        index(parts)
    }

    /// Shows what is to be shown of so much.
    pub fn show(&mut self, leaves: Qty) {
        self.shown = self.display.min(leaves);
    }
}

/// Bytes that the terms of a part of so many orders take.
pub(crate) fn bytes(orders: usize) -> usize {
    orders.div_ceil(index(ORDERS_EACH)) * size_of::<Terms>()
}

/// The terms of every order that has any.
pub(crate) struct AllTerms {
    rows: Vec<Terms>,
    free: TermsId,
    used: u32,
    max: u32,
}

impl AllTerms {
    /// Room for the terms of a part of so many orders.
    pub fn new(orders_max: u32) -> AllTerms {
        let (rows, free) = (Vec::new(), 0);
        let mut all = AllTerms {
            rows,
            free,
            used: 0,
            max: 0,
        };
        all.grow(orders_max);
        all.rows.push(EMPTY);
        all
    }

    /// Makes room for the terms of a part of so many orders in all.
    pub fn grow(&mut self, orders_max: u32) {
        let max = orders_max.div_ceil(ORDERS_EACH);
        assert!(max >= self.max, "capacities only grow");
        self.rows
            .reserve_exact((index(max) + 1).saturating_sub(self.rows.len()));
        self.max = max;
    }

    /// Says whether one more order can have terms.
    pub fn has_room(&self) -> bool {
        self.used < self.max
    }

    /// Keeps an order's terms: admission found room.
    pub fn add(&mut self, terms: Terms) -> TermsId {
        assert!(self.has_room(), "admission found room for the terms");
        self.used += 1;
        match self.free {
            0 => {
                self.rows.push(terms);
                TermsId::try_from(self.rows.len() - 1).expect("capacity is a u32")
            }
            id => {
                self.free = self.rows[index(id)].limit;
                self.rows[index(id)] = terms;
                id
            }
        }
    }

    /// Forgets an order's terms.
    pub fn remove(&mut self, id: TermsId) {
        assert!(id != 0 && self.used > 0);
        self.used -= 1;
        self.rows[index(id)] = Terms {
            limit: self.free,
            ..EMPTY
        };
        self.free = id;
    }

    /// The terms.
    pub fn get(&self, id: TermsId) -> &Terms {
        &self.rows[index(id)]
    }
    /// The terms, to be changed.
    pub fn get_mut(&mut self, id: TermsId) -> &mut Terms {
        &mut self.rows[index(id)]
    }
}
