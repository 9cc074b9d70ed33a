//! Open orders as events tell of them: those of a journal, and those that a session or a drop copy is told.

use std::collections::BTreeMap;
use xq_protocol::{AccountId, Event, OrderId, OrderType, Price, Qty, SeriesId, Side};

/// An open order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) account: AccountId,
    pub(crate) series: SeriesId,
    pub(crate) side: Side,
    pub(crate) price: Price,
    pub(crate) leaves: Qty,
    /// So many are shown at most.
    display: Qty,
    /// It waits for its stop, and is not in the book.
    waits: bool,
}

impl Open {
    /// How many of it stand in the book for all to see.
    pub(crate) fn shown(&self) -> u64 {
        match self.waits {
            true => 0,
            false => u64::from(self.leaves.min(self.display).0),
        }
    }
}

/// Open orders by their number.
#[derive(Default)]
pub(crate) struct OpenOrders {
    orders: BTreeMap<OrderId, Open>,
}

impl OpenOrders {
    /// An order, if it is open.
    pub(crate) fn get(&self, order: OrderId) -> Option<&Open> {
        self.orders.get(&order)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Open> {
        self.orders.values()
    }

    /// Follows one event; of new orders, those that are `wanted`. `changed` gets an order as it was and as it is.
    pub(crate) fn follow(
        &mut self,
        event: &Event<'_>,
        wanted: &dyn Fn(AccountId, SeriesId) -> bool,
        changed: &mut dyn FnMut(Option<Open>, Option<Open>),
    ) {
        match event {
            Event::OrderAccepted(e) if wanted(e.account, e.series) => {
                let open = Open {
                    account: e.account,
                    series: e.series,
                    side: e.side,
                    price: e.limit,
                    leaves: e.qty,
                    display: Qty(u32::MAX),
                    waits: matches!(e.order_type, OrderType::Stop | OrderType::StopLimit),
                };
                self.orders.insert(e.order, open);
                changed(None, Some(open));
            }
            Event::TermsAccepted(e) if !e.display_qty.is_zero() => {
                self.alter(e.order, changed, |order| order.display = e.display_qty);
            }
            Event::StopTriggered(e) => self.alter(e.order, changed, |order| {
                (order.waits, order.price, order.leaves) = (false, e.limit, e.leaves);
            }),
            Event::Traded(e) => {
                self.alter(e.maker_order, changed, |order| order.leaves = e.maker_leaves);
                self.alter(e.taker_order, changed, |order| order.leaves = e.taker_leaves);
            }
            Event::Executed(e) => self.alter(e.order, changed, |order| order.leaves = e.leaves),
            Event::OrderReduced(e) => self.alter(e.order, changed, |order| order.leaves = e.leaves),
            Event::OrderReplaced(e) => self.alter(e.order, changed, |order| {
                (order.price, order.leaves) = (e.limit, e.leaves);
            }),
            Event::OrderCanceled(e) => self.alter(e.order, changed, |order| order.leaves = Qty::ZERO),
            // Nothing else changes what is open.
            _ => {}
        }
    }

    /// Changes an open order; at nothing it is forgotten.
    fn alter(
        &mut self,
        id: OrderId,
        changed: &mut dyn FnMut(Option<Open>, Option<Open>),
        change: impl FnOnce(&mut Open),
    ) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        let before = *order;
        change(order);
        let after = Some(*order).filter(|order| !order.leaves.is_zero());
        if after.is_none() {
            self.orders.remove(&id);
        }
        changed(Some(before), after);
    }
}
