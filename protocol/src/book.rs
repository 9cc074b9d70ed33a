//! The book of one series as a subscriber keeps it: every resting order in priority, its levels, and its hash.
//!
//! # Cost
//! An order that comes, trades or goes is one look into a hash table and, unless its level begins or ends, one into a
//! tree of levels; levels are lists through one slab. Memory: 32 bytes an order and as much again for the table.

use crate::{BookHash, OrderId, Price, Qty, Reserved, RestingAdded, Side};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// One price with all that rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// What is open at it.
    pub qty: u64,
    /// In how many orders.
    pub orders: usize,
}

/// What a message says that the book cannot be: a message is missing before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// An order comes to rest that rests already.
    #[error("order {0} rests already")]
    Rests(OrderId),
    /// A message about an order that does not rest.
    #[error("order {0} does not rest")]
    Unknown(OrderId),
    /// An order would have more than before, or nothing from the beginning.
    #[error("order {0} cannot have this quantity")]
    Quantity(OrderId),
}

/// Mixes the exchange's order ids: they are given one after another, by nobody who wants them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    #[inline]
    fn finish(&self) -> u64 {
        // The table looks at the lowest and at the highest bits; a product's lowest bits know little.
        self.0.rotate_left(26)
    }
}

type Ids<V> = HashMap<OrderId, V, BuildHasherDefault<IdHasher>>;

/// No place of the slab.
const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    order: OrderId,
    price: Price,
    qty: Qty,
    before: u32,
    after: u32,
    side: Side,
}

/// The orders of one price: a list from first to last.
#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
    qty: u64,
    orders: u32,
}

/// A book.
#[derive(Debug, Default)]
pub struct Book {
    buys: BTreeMap<u64, Queue>,
    sells: BTreeMap<u64, Queue>,
    places: Ids<u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
}

/// Levels are sorted by this: the better price first.
#[inline]
fn rank(side: Side, price: Price) -> u64 {
    match side {
        Side::Buy => u64::MAX - price.0,
        Side::Sell => price.0,
    }
}

#[inline]
fn at(place: u32) -> usize {
    usize::try_from(place).expect("a place is an index")
}

impl Book {
    /// An order comes to rest, behind all others at its price.
    ///
    /// # Errors
    /// It rests already, or has nothing.
    #[inline]
    pub fn add(&mut self, order: OrderId, side: Side, price: Price, qty: Qty) -> Result<(), BookError> {
        if qty.is_zero() {
            return Err(BookError::Quantity(order));
        }
        let node = Node {
            order,
            price,
            qty,
            before: NIL,
            after: NIL,
            side,
        };
        let next = u32::try_from(self.nodes.len()).expect("orders are counted in 32 bits");
        let place = self.free.last().copied().unwrap_or(next);
        match self.places.entry(order) {
            std::collections::hash_map::Entry::Occupied(_) => return Err(BookError::Rests(order)),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(place);
            }
        }
        if self.free.pop().is_some() {
            self.nodes[at(place)] = node;
        } else {
            self.nodes.push(node);
        }
        self.enqueue(place);
        Ok(())
    }

    fn enqueue(&mut self, place: u32) {
        let Node { side, price, qty, .. } = self.nodes[at(place)];
        let queues = match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        let queue = queues.entry(rank(side, price)).or_insert(Queue {
            first: place,
            last: NIL,
            qty: 0,
            orders: 0,
        });
        let before = std::mem::replace(&mut queue.last, place);
        queue.qty += u64::from(qty.0);
        queue.orders += 1;
        (self.nodes[at(place)].before, self.nodes[at(place)].after) = (before, NIL);
        if before != NIL {
            self.nodes[at(before)].after = place;
        }
    }

    fn dequeue(&mut self, place: u32) {
        let Node {
            side,
            price,
            qty,
            before,
            after,
            ..
        } = self.nodes[at(place)];
        let (queues, rank) = match side {
            Side::Buy => (&mut self.buys, rank(side, price)),
            Side::Sell => (&mut self.sells, rank(side, price)),
        };
        let queue = queues.get_mut(&rank).expect("a resting order stands in a level");
        queue.qty -= u64::from(qty.0);
        queue.orders -= 1;
        if queue.orders == 0 {
            queues.remove(&rank);
            return;
        }
        match before {
            NIL => queue.first = after,
            before => self.nodes[at(before)].after = after,
        }
        match after {
            NIL => queue.last = before,
            after => self.nodes[at(after)].before = before,
        }
    }

    /// A resting order has this quantity left, less than before, and keeps its place; at zero it is gone.
    ///
    /// # Errors
    /// It does not rest, or would have no less.
    #[inline]
    pub fn reduce(&mut self, order: OrderId, leaves: Qty) -> Result<Side, BookError> {
        let place = *self.places.get(&order).ok_or(BookError::Unknown(order))?;
        let node = &mut self.nodes[at(place)];
        let Node { side, price, qty, .. } = *node;
        if leaves >= qty {
            return Err(BookError::Quantity(order));
        }
        if leaves.is_zero() {
            self.dequeue(place);
            self.places.remove(&order);
            self.free.push(place);
            return Ok(side);
        }
        node.qty = leaves;
        let queues = match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        let queue = queues
            .get_mut(&rank(side, price))
            .expect("a resting order stands in a level");
        queue.qty -= u64::from(qty.0 - leaves.0);
        Ok(side)
    }

    /// A resting order goes behind all others at this price, with this quantity.
    ///
    /// # Errors
    /// It does not rest, or would have nothing.
    pub fn relocate(&mut self, order: OrderId, price: Price, qty: Qty) -> Result<Side, BookError> {
        let place = *self.places.get(&order).ok_or(BookError::Unknown(order))?;
        if qty.is_zero() {
            return Err(BookError::Quantity(order));
        }
        self.dequeue(place);
        let node = &mut self.nodes[at(place)];
        (node.price, node.qty) = (price, qty);
        let side = node.side;
        self.enqueue(place);
        Ok(side)
    }

    fn queues(&self, side: Side) -> &BTreeMap<u64, Queue> {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }

    fn level(&self, queue: &Queue) -> Level {
        Level {
            price: self.nodes[at(queue.first)].price,
            qty: queue.qty,
            orders: at(queue.orders),
        }
    }

    fn shown(node: &Node) -> RestingAdded {
        RestingAdded {
            order: node.order,
            price: node.price,
            qty: node.qty,
            side: node.side,
            reserved: Reserved::ZERO,
        }
    }

    /// An order, if it rests.
    pub fn order(&self, order: OrderId) -> Option<RestingAdded> {
        let place = self.places.get(&order)?;
        Some(Book::shown(&self.nodes[at(*place)]))
    }
    /// The order that trades next of a side.
    pub fn head(&self, side: Side) -> Option<RestingAdded> {
        self.orders(side).next()
    }
    /// The orders of a side in priority.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = RestingAdded> + '_ {
        let queues = self.queues(side).values();
        queues.flat_map(|queue| {
            let first = Some(queue.first);
            std::iter::successors(first, |place| {
                Some(self.nodes[at(*place)].after).filter(|after| *after != NIL)
            })
            .map(|place| Book::shown(&self.nodes[at(place)]))
        })
    }
    /// The best level of a side.
    pub fn best(&self, side: Side) -> Option<Level> {
        self.levels(side).next()
    }
    /// The levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.queues(side).values().map(|queue| self.level(queue))
    }
    /// What rests at a price.
    pub fn at_price(&self, side: Side, price: Price) -> Option<Level> {
        let queue = self.queues(side).get(&rank(side, price))?;
        Some(self.level(queue))
    }
    /// How many orders rest.
    pub fn len(&self) -> usize {
        self.places.len()
    }
    /// Says whether nothing rests.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
    /// The hash of all orders in priority.
    pub fn hash(&self) -> BookHash {
        book_hash(self.orders(Side::Buy), self.orders(Side::Sell))
    }
}

/// The hash of a book, given its buy and its sell orders in priority.
///
/// From 14,695,981,039,346,656,037 on, each 64-bit word w in turn makes h into ((h xor w) × 1,099,511,628,211 mod 2^64),
/// then into (h xor (h shifted right by 29)). The words of an order are its id, price and quantity; after the last order
/// of a side comes the number of its orders.
pub fn book_hash(
    buys: impl Iterator<Item = RestingAdded>,
    sells: impl Iterator<Item = RestingAdded>,
) -> BookHash {
    let mut hash = 14_695_981_039_346_656_037;
    side_hash(&mut hash, buys);
    side_hash(&mut hash, sells);
    BookHash(hash)
}

fn side_hash(hash: &mut u64, orders: impl Iterator<Item = RestingAdded>) {
    let mut mix = |word: u64| {
        *hash = (*hash ^ word).wrapping_mul(1_099_511_628_211);
        *hash ^= *hash >> 29;
    };
    let mut count = 0;
    for order in orders {
        count += 1;
        for word in [order.order.0, order.price.0, u64::from(order.qty.0)] {
            mix(word);
        }
    }
    mix(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let mut book = Book::default();
        for (order, side, price, qty) in [
            (1, Side::Buy, 100, 5),
            (2, Side::Buy, 101, 5),
            (3, Side::Buy, 101, 7),
            (4, Side::Sell, 103, 1),
            (5, Side::Sell, 102, 2),
        ] {
            let added = book.add(OrderId(order), side, Price(price), Qty(qty));
            assert_eq!(added, Ok(()));
        }
        book
    }

    fn ids(book: &Book, side: Side) -> Vec<u64> {
        book.orders(side).map(|order| order.order.0).collect()
    }

    #[test]
    fn orders_stand_by_price_then_arrival() {
        let mut book = book();
        assert_eq!(
            (ids(&book, Side::Buy), ids(&book, Side::Sell)),
            (vec![2, 3, 1], vec![5, 4])
        );
        let level = |price, qty, orders| Level {
            price: Price(price),
            qty,
            orders,
        };
        let levels: Vec<_> = book.levels(Side::Buy).collect();
        assert_eq!(levels, [level(101, 12, 2), level(100, 5, 1)]);
        assert_eq!(book.reduce(OrderId(2), Qty(1)), Ok(Side::Buy));
        assert_eq!(book.best(Side::Buy), Some(level(101, 8, 2)));
        assert_eq!(book.relocate(OrderId(2), Price(101), Qty(9)), Ok(Side::Buy));
        assert_eq!(ids(&book, Side::Buy), [3, 2, 1]);
        assert_eq!(book.relocate(OrderId(3), Price(100), Qty(7)), Ok(Side::Buy));
        assert_eq!(ids(&book, Side::Buy), [2, 1, 3]);
        assert_eq!(book.reduce(OrderId(1), Qty(0)), Ok(Side::Buy));
        assert_eq!(ids(&book, Side::Buy), [2, 3]);
        assert_eq!(book.add(OrderId(6), Side::Buy, Price(101), Qty(1)), Ok(()));
        assert_eq!(ids(&book, Side::Buy), [2, 6, 3]);
        assert_eq!(
            (book.len(), book.at_price(Side::Buy, Price(101))),
            (5, Some(level(101, 10, 2)))
        );
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let mut book = book();
        let before = book.hash();
        let known = OrderId(2);
        assert_eq!(
            book.add(known, Side::Buy, Price(1), Qty(1)),
            Err(BookError::Rests(known))
        );
        let new = OrderId(9);
        assert_eq!(
            book.add(new, Side::Buy, Price(1), Qty(0)),
            Err(BookError::Quantity(new))
        );
        assert_eq!(book.reduce(new, Qty(1)), Err(BookError::Unknown(new)));
        assert_eq!(book.reduce(known, Qty(5)), Err(BookError::Quantity(known)));
        assert_eq!(book.relocate(new, Price(1), Qty(1)), Err(BookError::Unknown(new)));
        assert_eq!(
            book.relocate(known, Price(1), Qty(0)),
            Err(BookError::Quantity(known))
        );
        assert_eq!(book.hash(), before);
    }

    #[test]
    fn the_hash_is_pinned_and_knows_place_price_quantity_and_side() {
        assert_eq!(Book::default().hash(), BookHash(2_510_862_036_170_291_465));
        let all: Vec<fn(&mut Book)> = vec![
            |_| {},
            |book| assert!(book.reduce(OrderId(2), Qty(4)).is_ok()),
            |book| assert!(book.relocate(OrderId(2), Price(101), Qty(5)).is_ok()),
            |book| assert!(book.relocate(OrderId(2), Price(100), Qty(5)).is_ok()),
            |book| assert!(book.reduce(OrderId(4), Qty(0)).is_ok()),
        ];
        let hashes: std::collections::BTreeSet<_> = all
            .iter()
            .map(|change| {
                let mut book = book();
                change(&mut book);
                book.hash()
            })
            .collect();
        assert_eq!(hashes.len(), all.len());
        let order = |side| {
            let mut book = Book::default();
            assert_eq!(book.add(OrderId(1), side, Price(1), Qty(1)), Ok(()));
            book.hash()
        };
        assert_ne!(order(Side::Buy), order(Side::Sell));
    }
}
