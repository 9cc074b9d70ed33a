//! Resting orders: a slab of two cache lines each, the one that matching reads and the one that it rarely does.

pub(crate) mod rows;

use crate::terms::TermsId;
use xq_protocol::{
    Amount, ClOrdId, Execution, OnDisconnect, OrderId, Qty, SelfTradePrevention, Side, TimeInForce,
};

/// Place of an order in the slab; 0 is none.
pub(crate) type Slot = u32;
/// No order.
pub(crate) const NIL: Slot = 0;

/// What matching reads of an order: one cache line.
///
/// ```text
/// 0     4     8     12    16      20       24      28     32    40             48        52           56         60
/// | next| prev| leaf| rung| leaves| account| series| owner| held| rested       | hold_row| counter_row| maker_ppm| …
/// |     |     |     |     |       |        |       |      |     | notional     |         |            |          |
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Order {
    /// Next in time at its price, the oldest after the newest; when free, the next free slot.
    pub next: Slot,
    /// Previous in time at its price, the newest before the oldest.
    pub prev: Slot,
    /// Page of price levels that its level stands in.
    pub leaf: u32,
    /// Its price in ticks.
    pub rung: u32,
    /// What is open of it.
    pub leaves: Qty,
    /// Whose it is.
    pub account: u32,
    /// Of which series.
    pub series: u32,
    /// The participant who owns the account: it does not trade with itself.
    pub owner: u32,
    /// What the ledger holds for it: cash for a buy order, units for a sell order.
    pub held: Amount,
    /// Price × quantity it has traded since it rests: what its fee as maker is computed from.
    pub rested_notional: Amount,
    /// Ledger row of what it holds.
    pub hold_row: u32,
    /// Ledger row of what it gets.
    pub counter_row: u32,
    /// Its maker's rate, as it was when the order was accepted.
    pub maker_ppm: i32,
    /// Buy or sell.
    pub side: Side,
    /// What sets it apart from most orders.
    pub marks: Marks,
    spare: u16,
}

const _: () = assert!(size_of::<Order>() == 64);

/// What sets an order apart, a bit each, so that most orders are asked once and for all: they have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Marks(u8);

impl Marks {
    /// An order like most.
    pub const NONE: Marks = Marks(0);
    /// Its time ends, with the business day or at an instant, as its details say.
    pub const ENDS: Marks = Marks(1);
    /// It shows less than is open of it.
    pub const ICEBERG: Marks = Marks(1 << 1);
    /// It waits for its stop, and stands in no book.
    pub const WAITS: Marks = Marks(1 << 2);
    /// It was placed with further terms.
    pub const EXTENDED: Marks = Marks(1 << 3);
    /// It is a side of a market maker's quote.
    pub const QUOTE: Marks = Marks(1 << 4);
    /// What it trades counts toward its account's day.
    pub const COUNTED: Marks = Marks(1 << 5);

    /// Marks of orders of which something follows when they trade as makers.
    const WATCHED: u8 = Marks::ICEBERG.0 | Marks::QUOTE.0 | Marks::COUNTED.0;
    /// Marks of orders that may cease to trade by themselves.
    const CEASING: u8 = Marks::ENDS.0 | Marks::QUOTE.0;

    /// Says whether it has all of these.
    #[inline(always)]
    pub fn has(self, marks: Marks) -> bool {
        self.0 & marks.0 == marks.0
    }
    /// Says whether something follows when it trades as maker.
    #[inline(always)]
    pub fn is_watched(self) -> bool {
        self.0 & Marks::WATCHED != 0
    }
    /// Says whether it may cease to trade by itself.
    #[inline(always)]
    pub fn may_cease(self) -> bool {
        self.0 & Marks::CEASING != 0
    }
    /// As a byte.
    pub const fn byte(self) -> u8 {
        self.0
    }
    /// Of a byte.
    #[inline(always)]
    pub const fn of_byte(byte: u8) -> Marks {
        Marks(byte)
    }
    /// Says whether a replacement of it is a matter of its own.
    #[inline(always)]
    pub fn is_replaced_apart(self) -> bool {
        self.0 & (Marks::WAITS.0 | Marks::QUOTE.0) != 0
    }
    /// With these too.
    #[inline]
    pub fn with(self, marks: Marks) -> Marks {
        Marks(self.0 | marks.0)
    }
    /// Without these.
    pub fn without(self, marks: Marks) -> Marks {
        Marks(self.0 & !marks.0)
    }
}

/// What is read of an order when it comes and when it goes: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Details {
    /// The client's id.
    pub cl_ord_id: ClOrdId,
    /// When it ends: of a GTD order the instant in nanoseconds, of a DAY order the business date it holds for.
    pub ends: u64,
    /// The command that placed it.
    pub seq: u64,
    /// The account's order placed before it.
    pub older: Slot,
    /// The account's order placed after it.
    pub newer: Slot,
    /// How often the slot was used.
    pub generation: u32,
    /// The session that placed it.
    pub session: u32,
    /// Quantity in all, what has been filled included.
    pub total: Qty,
    /// Hash of the account and the client's id, by which the table of client's ids keeps it.
    pub cl_hash: u32,
    /// How long it holds.
    pub tif: TimeInForce,
    /// Whether it may take.
    pub execution: Execution,
    /// What becomes of it when its session ends.
    pub on_disconnect: OnDisconnect,
    /// What becomes of it when it meets an order of its own participant.
    pub self_trade: SelfTradePrevention,
    /// Its further terms, 0 for none.
    pub terms: TermsId,
}

const _: () = assert!(size_of::<Details>() == 64);

impl Order {
    /// A node that holds nothing yet.
    pub const EMPTY: Order = Order {
        next: NIL,
        prev: NIL,
        leaf: 0,
        rung: 0,
        leaves: Qty::ZERO,
        account: 0,
        series: 0,
        owner: 0,
        held: Amount::ZERO,
        rested_notional: Amount::ZERO,
        hold_row: 0,
        counter_row: 0,
        maker_ppm: 0,
        side: Side::Buy,
        marks: Marks::NONE,
        spare: 0,
    };
}

impl Details {
    /// Details that say nothing yet.
    pub const EMPTY: Details = Details {
        cl_ord_id: ClOrdId::ZERO,
        ends: 0,
        seq: 0,
        older: NIL,
        newer: NIL,
        generation: 0,
        session: 0,
        total: Qty::ZERO,
        cl_hash: 0,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        on_disconnect: OnDisconnect::Cancel,
        self_trade: SelfTradePrevention::CancelNewest,
        terms: 0,
    };
}

/// An order's two cache lines beside each other: whoever reads the one has the other on its way.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
struct Entry {
    node: Order,
    details: Details,
}

const EMPTY: Entry = Entry {
    node: Order::EMPTY,
    details: Details::EMPTY,
};

/// Bytes of an order.
pub(crate) const ROW_BYTES: usize = size_of::<Entry>();

/// Every order that rests, and the one in hand.
pub(crate) struct Orders {
    entries: Vec<Entry>,
    free: Slot,
    live: u32,
    max: u32,
}

impl Orders {
    /// Room for `max` orders.
    pub fn new(max: u32) -> Orders {
        let mut orders = Orders {
            entries: Vec::new(),
            free: NIL,
            live: 0,
            max: 0,
        };
        orders.grow(max);
        orders.entries.push(EMPTY);
        orders
    }

    /// Makes room for `max` orders in all, slot 0 and the order in hand besides.
    pub fn grow(&mut self, max: u32) {
        assert!(max >= self.max, "capacities only grow");
        let wanted = usize::try_from(max).expect("32 bits fit") + 2;
        self.entries.reserve_exact(wanted - self.entries.len());
        self.max = max;
    }

    /// Orders in the slab.
    pub fn live(&self) -> u32 {
        self.live
    }
    /// Says whether one more order can come to rest.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.live < self.max
    }
    /// One past the highest slot ever used.
    pub fn end(&self) -> Slot {
        Slot::try_from(self.entries.len()).expect("capacity is a u32")
    }

    /// Takes a slot; there is always one for the order in hand.
    #[inline]
    pub fn take(&mut self) -> Slot {
        self.live += 1;
        if self.free == NIL {
            self.free = self.new_slot();
        }
        let slot = self.free;
        let entry = &mut self.entries[index(slot)];
        self.free = entry.node.next;
        entry.details.generation = entry.details.generation.wrapping_add(1).max(1);
        slot
    }

    #[cold]
    fn new_slot(&mut self) -> Slot {
        let room = self.entries.len() < self.entries.capacity();
        assert!(room, "admission kept one slot for the order in hand");
        self.entries.push(EMPTY);
        self.end() - 1
    }

    /// Gives a slot back.
    #[inline]
    pub fn release(&mut self, slot: Slot) {
        assert!(slot != NIL && self.live > 0);
        self.live -= 1;
        let entry = &mut self.entries[index(slot)];
        entry.node.next = self.free;
        entry.node.leaves = Qty::ZERO;
        entry.details.seq = 0;
        self.free = slot;
    }

    /// Says whether the slot holds a resting order.
    pub fn is_live(&self, slot: Slot) -> bool {
        self.entries
            .get(index(slot))
            .is_some_and(|entry| entry.details.seq != 0)
    }

    /// The order's id: its slot and how often it was used.
    #[inline]
    pub fn id(&self, slot: Slot) -> OrderId {
        order_id(slot, self.details(slot))
    }

    /// The slot of a live order.
    #[inline]
    pub fn find(&self, order: OrderId) -> Option<Slot> {
        let slot = Slot::try_from(order.0 & 0xFFFF_FFFF).expect("masked to 32 bits");
        let details = &self.entries.get(index(slot))?.details;
        // Slot 0 is never taken, so its sequence stays 0.
        let is_it = details.seq != 0 && u64::from(details.generation) == order.0 >> 32;
        is_it.then_some(slot)
    }

    #[inline]
    pub fn node(&self, slot: Slot) -> &Order {
        &self.entries[index(slot)].node
    }
    #[inline]
    pub fn node_mut(&mut self, slot: Slot) -> &mut Order {
        &mut self.entries[index(slot)].node
    }
    #[inline]
    pub fn details(&self, slot: Slot) -> &Details {
        &self.entries[index(slot)].details
    }
    #[inline]
    pub fn details_mut(&mut self, slot: Slot) -> &mut Details {
        &mut self.entries[index(slot)].details
    }
    /// Both lines of an order.
    #[inline]
    pub fn both(&self, slot: Slot) -> (&Order, &Details) {
        let entry = &self.entries[index(slot)];
        (&entry.node, &entry.details)
    }
    /// Both lines of an order, to be changed.
    #[inline]
    pub fn both_mut(&mut self, slot: Slot) -> (&mut Order, &mut Details) {
        let entry = &mut self.entries[index(slot)];
        (&mut entry.node, &mut entry.details)
    }
}

/// The id of the order in this slot: the slot and how often it was used.
#[inline]
pub(crate) fn order_id(slot: Slot, details: &Details) -> OrderId {
    OrderId(u64::from(details.generation) << 32 | u64::from(slot))
}

/// A 32-bit place as an index.
#[inline]
pub(crate) const fn index(place: u32) -> usize {
    place as usize
}
