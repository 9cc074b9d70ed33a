//! Price levels of all books: 64-way tries over prices in ticks, in pages shared by every series.
//!
//! One structure serves a deep series and many sparse ones: a page is made where an order rests and given back when its
//! last order goes, the next level is found by counting bits, and no order is ever searched for.
//!
//! # Cost
//! A level is 4 bytes, a page of 64 neighbouring ticks 272. Adding at a known page: one cache line of the page, one of
//! the tail's node. Removing: the page is named in the order, so no descent.

use crate::order::{NIL, Orders, Slot, index};
use xq_protocol::Side;

/// Ticks of one page.
const FAN: u32 = 64;
/// Bits of a tick that a page resolves.
const FAN_BITS: u32 = 6;
/// Most ticks that a series may have: face ÷ tick.
pub(crate) const RUNGS_MAX: u64 = (1 << 30) - 1;
/// Inner pages between the root and a leaf at the most.
const INNER_DEPTH_MAX: u32 = 4;

/// 64 neighbouring price levels.
#[derive(Clone, Copy)]
struct Leaf {
    occupied: u64,
    parent: u32,
    /// The page's ticks start at `base × 64`.
    base: u32,
    /// Of each level the oldest order. Orders of a level stand in a circle, so before the oldest stands the newest.
    heads: [Slot; FAN as usize],
}

/// 64 neighbouring pages of the level below.
#[derive(Clone, Copy)]
struct Inner {
    occupied: u64,
    parent: u32,
    children: [u32; FAN as usize],
}

const EMPTY_LEAF: Leaf = Leaf {
    occupied: 0,
    parent: NIL,
    base: 0,
    heads: [NIL; FAN as usize],
};
const EMPTY_INNER: Inner = Inner {
    occupied: 0,
    parent: NIL,
    children: [NIL; FAN as usize],
};

/// One side of one book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    root: u32,
    /// The best price in ticks; while no order rests here, one that nobody reaches and every order betters.
    best_rung: u32,
    best_leaf: u32,
    /// Inner pages between root and leaf, the root included.
    inner_depth: u8,
    side: Side,
}

impl Ladder {
    /// An empty side for prices of up to `rungs` ticks.
    pub fn new(side: Side, rungs: u64) -> Ladder {
        assert!(rungs <= RUNGS_MAX);
        let mut inner_depth = 0;
        while rungs >> (FAN_BITS * (u32::from(inner_depth) + 1)) > 0 {
            inner_depth += 1;
        }
        assert!(u32::from(inner_depth) <= INNER_DEPTH_MAX);
        Ladder {
            root: NIL,
            best_rung: unreached(side),
            best_leaf: NIL,
            inner_depth,
            side,
        }
    }

    /// The best price in ticks, if any order rests here.
    #[inline]
    pub fn best(&self) -> Option<u32> {
        (self.best_leaf != NIL).then_some(self.best_rung)
    }

    /// The best price in ticks, or one that no limit reaches.
    #[inline]
    pub fn best_or_unreached(&self) -> u32 {
        self.best_rung
    }

    #[inline]
    fn is_better(&self, rung: u32) -> bool {
        match self.side {
            Side::Buy => rung > self.best_rung,
            Side::Sell => rung < self.best_rung,
        }
    }
}

/// What stands for the best price of a side without any: prices in ticks lie between these two.
const fn unreached(side: Side) -> u32 {
    match side {
        Side::Buy => 0,
        Side::Sell => u32::MAX,
    }
}

/// Bytes of a page of levels and of the inner pages that it may need.
pub(crate) const PAGE_BYTES: usize = size_of::<Leaf>() + 4 * size_of::<Inner>();
const _: () = assert!(INNER_DEPTH_MAX == 4);

/// The pages of every book.
pub(crate) struct Levels {
    leaves: Vec<Leaf>,
    inners: Vec<Inner>,
    free_leaf: u32,
    free_inner: u32,
    used: u32,
    max: u32,
}

impl Levels {
    /// Room for `max` pages of 64 ticks.
    pub fn new(max: u32) -> Levels {
        let mut levels = Levels {
            leaves: Vec::new(),
            inners: Vec::new(),
            free_leaf: NIL,
            free_inner: NIL,
            used: 0,
            max: 0,
        };
        levels.grow(max);
        levels.leaves.push(EMPTY_LEAF);
        levels.inners.push(EMPTY_INNER);
        levels
    }

    /// Makes room for `max` pages in all, and for the inner pages above them.
    pub fn grow(&mut self, max: u32) {
        assert!(max >= self.max, "capacities only grow");
        let leaves = index(max) + 1;
        let inners = index(max) * index(INNER_DEPTH_MAX) + index(INNER_DEPTH_MAX) + 2;
        self.leaves
            .reserve_exact(leaves.saturating_sub(self.leaves.len()));
        self.inners
            .reserve_exact(inners.saturating_sub(self.inners.len()));
        self.max = max;
    }

    /// Pages in which orders rest.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Says whether an order can rest at any price: one more page is free.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.used < self.max
    }

    /// Says whether an order can rest at this price: its page is there, or one more is free.
    pub fn has_room_at(&self, ladder: &Ladder, rung: u32) -> bool {
        self.has_room() || self.find_leaf(ladder, rung >> FAN_BITS) != NIL
    }

    /// The oldest order at the best price.
    #[inline]
    pub fn front(&self, ladder: &Ladder) -> Option<Slot> {
        if ladder.best_leaf == NIL {
            return None;
        }
        let head = self.leaves[index(ladder.best_leaf)].heads[index(ladder.best_rung % FAN)];
        assert!(head != NIL, "the best level is occupied");
        Some(head)
    }

    /// Puts an order last at its price; its node knows the price in ticks.
    #[inline(always)]
    pub fn push(&mut self, ladder: &mut Ladder, orders: &mut Orders, slot: Slot) {
        let rung = orders.node(slot).rung;
        let leaf = self.leaf_for(ladder, rung >> FAN_BITS);
        self.append(ladder, orders, slot, leaf);
    }

    /// Moves an order to the end of the queue at another price, or at its own.
    #[inline(always)]
    pub fn relocate(&mut self, ladder: &mut Ladder, orders: &mut Orders, slot: Slot, rung: u32) {
        self.remove(ladder, orders, slot);
        let node = orders.node_mut(slot);
        node.rung = rung;
        let (near, base) = (node.leaf, rung >> FAN_BITS);
        // The page that it stood in is likely to be the one, unless it was the last there and the page went.
        let leaf = &self.leaves[index(near)];
        let leaf = match leaf.base == base && leaf.occupied != 0 {
            true => near,
            false => self.leaf_for(ladder, base),
        };
        self.append(ladder, orders, slot, leaf);
    }

    #[inline(always)]
    fn append(&mut self, ladder: &mut Ladder, orders: &mut Orders, slot: Slot, leaf_id: u32) {
        let node = orders.node_mut(slot);
        let rung = node.rung;
        node.leaf = leaf_id;
        let bit = rung % FAN;
        let leaf = &mut self.leaves[index(leaf_id)];
        let head = leaf.heads[index(bit)];
        if head == NIL {
            (node.prev, node.next) = (slot, slot);
            leaf.heads[index(bit)] = slot;
            leaf.occupied |= 1 << bit;
            // A price that is occupied already cannot be a new best.
            if ladder.is_better(rung) {
                ladder.best_rung = rung;
                ladder.best_leaf = leaf_id;
            }
        } else {
            let tail = std::mem::replace(&mut orders.node_mut(head).prev, slot);
            let node = orders.node_mut(slot);
            (node.prev, node.next) = (tail, head);
            orders.node_mut(tail).next = slot;
        }
    }

    /// Takes an order out of its level.
    #[inline(always)]
    pub fn remove(&mut self, ladder: &mut Ladder, orders: &mut Orders, slot: Slot) {
        let node = orders.node(slot);
        let (prev, next, leaf_id, rung) = (node.prev, node.next, node.leaf, node.rung);
        let bit = rung % FAN;
        let leaf = &mut self.leaves[index(leaf_id)];
        let head = &mut leaf.heads[index(bit)];
        if next == slot {
            assert!(*head == slot, "the only order of a level is its oldest");
            *head = NIL;
            leaf.occupied &= !(1 << bit);
            return self.level_emptied(ladder, leaf_id, rung);
        }
        if *head == slot {
            *head = next;
        }
        orders.node_mut(prev).next = next;
        orders.node_mut(next).prev = prev;
    }

    /// After the last order of a level went: finds the new best, gives empty pages back.
    fn level_emptied(&mut self, ladder: &mut Ladder, leaf_id: u32, rung: u32) {
        if ladder.best_rung == rung {
            match self.next_level(ladder, leaf_id, rung) {
                Some((leaf, rung)) => (ladder.best_leaf, ladder.best_rung) = (leaf, rung),
                None => (ladder.best_leaf, ladder.best_rung) = (NIL, unreached(ladder.side)),
            }
        }
        if self.leaves[index(leaf_id)].occupied == 0 {
            self.give_back(ladder, leaf_id);
        }
    }

    /// The page that holds these prices, made if it is missing.
    #[inline]
    fn leaf_for(&mut self, ladder: &mut Ladder, base: u32) -> u32 {
        if self.leaves[index(ladder.best_leaf)].base == base && ladder.best_leaf != NIL {
            return ladder.best_leaf;
        }
        match self.find_leaf(ladder, base) {
            NIL => self.make_path(ladder, base),
            leaf => leaf,
        }
    }

    /// The page that holds these prices, none when it is missing.
    #[inline]
    fn find_leaf(&self, ladder: &Ladder, base: u32) -> u32 {
        let mut page = ladder.root;
        let mut shift = FAN_BITS * u32::from(ladder.inner_depth);
        // Page 0 is no page and has no children, so a path that is missing leads to it and stays there.
        while shift > 0 {
            shift -= FAN_BITS;
            let bit = base >> shift & (FAN - 1);
            page = self.inners[index(page)].children[index(bit)];
        }
        page
    }

    #[cold]
    fn make_path(&mut self, ladder: &mut Ladder, base: u32) -> u32 {
        if ladder.root == NIL {
            ladder.root = match ladder.inner_depth {
                0 => self.new_leaf(NIL, base),
                _ => self.new_inner(NIL),
            };
        }
        let mut page = ladder.root;
        for depth in (0..u32::from(ladder.inner_depth)).rev() {
            let bit = base >> (FAN_BITS * depth) & (FAN - 1);
            let child = match (self.inners[index(page)].children[index(bit)], depth) {
                (NIL, 0) => self.new_leaf(page, base),
                (NIL, _) => self.new_inner(page),
                (child, _) => {
                    page = child;
                    continue;
                }
            };
            let inner = &mut self.inners[index(page)];
            inner.children[index(bit)] = child;
            inner.occupied |= 1 << bit;
            page = child;
        }
        page
    }

    fn new_leaf(&mut self, parent: u32, base: u32) -> u32 {
        assert!(self.used < self.max, "admission found a free page");
        self.used += 1;
        let id = match self.free_leaf {
            NIL => {
                self.leaves.push(EMPTY_LEAF);
                u32::try_from(self.leaves.len() - 1).expect("capacity is a u32")
            }
            id => {
                self.free_leaf = self.leaves[index(id)].parent;
                id
            }
        };
        let leaf = &mut self.leaves[index(id)];
        assert!(leaf.occupied == 0, "a free page is empty");
        leaf.parent = parent;
        leaf.base = base;
        id
    }

    fn new_inner(&mut self, parent: u32) -> u32 {
        let id = match self.free_inner {
            NIL => {
                self.inners.push(EMPTY_INNER);
                u32::try_from(self.inners.len() - 1).expect("capacity is a u32")
            }
            id => {
                self.free_inner = self.inners[index(id)].parent;
                id
            }
        };
        self.inners[index(id)].parent = parent;
        id
    }

    /// Gives an empty page back, and each page above it that becomes empty.
    fn give_back(&mut self, ladder: &mut Ladder, leaf_id: u32) {
        let leaf = &mut self.leaves[index(leaf_id)];
        let (mut parent, base) = (leaf.parent, leaf.base);
        leaf.parent = self.free_leaf;
        self.free_leaf = leaf_id;
        self.used -= 1;
        let mut depth = 0;
        while parent != NIL {
            let bit = base >> (FAN_BITS * depth) & (FAN - 1);
            let inner = &mut self.inners[index(parent)];
            inner.children[index(bit)] = NIL;
            inner.occupied &= !(1 << bit);
            if inner.occupied != 0 {
                return;
            }
            let emptied = parent;
            parent = inner.parent;
            inner.parent = self.free_inner;
            self.free_inner = emptied;
            depth += 1;
        }
        ladder.root = NIL;
    }

    /// The next worse level that is occupied.
    fn next_level(&self, ladder: &Ladder, leaf_id: u32, rung: u32) -> Option<(u32, u32)> {
        let leaf = &self.leaves[index(leaf_id)];
        if let Some(bit) = beyond(leaf.occupied, rung % FAN, ladder.side) {
            return Some((leaf_id, leaf.base * FAN + bit));
        }
        let mut parent = leaf.parent;
        let mut depth = 0;
        while parent != NIL {
            let inner = &self.inners[index(parent)];
            let bit = leaf.base >> (FAN_BITS * depth) & (FAN - 1);
            if let Some(bit) = beyond(inner.occupied, bit, ladder.side) {
                return Some(self.first_below(inner.children[index(bit)], depth, ladder.side));
            }
            parent = inner.parent;
            depth += 1;
        }
        None
    }

    /// The best level below a page that stands `depth` pages above the leaves.
    fn first_below(&self, page: u32, depth: u32, side: Side) -> (u32, u32) {
        let mut page = page;
        for _ in 0..depth {
            let inner = &self.inners[index(page)];
            page = inner.children[index(first(inner.occupied, side))];
        }
        let leaf = &self.leaves[index(page)];
        (page, leaf.base * FAN + first(leaf.occupied, side))
    }

    /// The order after this one in priority: at its price, or first at the next worse level.
    pub fn after(&self, ladder: &Ladder, orders: &Orders, slot: Slot) -> Option<Slot> {
        let node = orders.node(slot);
        let bit = node.rung % FAN;
        if node.next != self.leaves[index(node.leaf)].heads[index(bit)] {
            return Some(node.next);
        }
        let (leaf, rung) = self.next_level(ladder, node.leaf, node.rung)?;
        Some(self.leaves[index(leaf)].heads[index(rung % FAN)])
    }
}

/// The best occupied bit that is worse than `bit`.
#[inline]
fn beyond(occupied: u64, bit: u32, side: Side) -> Option<u32> {
    let worse = match side {
        Side::Buy => occupied & ((1 << bit) - 1),
        // Two shifts: a shift by 64 would not be none.
        Side::Sell => occupied >> bit >> 1 << bit << 1,
    };
    (worse != 0).then(|| first(worse, side))
}

/// The best of some occupied bits.
#[inline]
fn first(occupied: u64, side: Side) -> u32 {
    assert!(occupied != 0, "a page that is linked is occupied");
    match side {
        Side::Buy => 63 - occupied.leading_zeros(),
        Side::Sell => occupied.trailing_zeros(),
    }
}
