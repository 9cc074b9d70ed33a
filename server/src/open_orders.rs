//! Open orders as events tell of them: those of a journal, and those that a session or a drop copy is told.

use std::collections::BTreeMap;
use xq_engine::RestingOrder;
use xq_protocol::{AccountId, Event, Liquidity, OrderId, OrderType, Price, Qty, SeriesId, Side};

/// An open order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) account: AccountId,
    pub(crate) series: SeriesId,
    pub(crate) side: Side,
    pub(crate) price: Price,
    pub(crate) leaves: Qty,
    /// So many are shown at a time.
    display: Qty,
    /// So many are shown now.
    shown: Qty,
    /// It waits for its stop, and is not in the book.
    waits: bool,
}

impl Open {
    /// An order as the exchange has it in the book.
    pub(crate) fn resting(series: SeriesId, side: Side, order: &RestingOrder) -> Open {
        Open {
            account: order.account,
            series,
            side,
            price: order.price,
            leaves: order.leaves,
            display: match order.display.is_zero() {
                true => ALL,
                false => order.display,
            },
            shown: order.shown,
            waits: false,
        }
    }

    /// Shows what is to be shown of what is left.
    fn show(&mut self) {
        self.shown = self.display.min(self.leaves);
    }

    /// So many of it have traded in the book: what is shown is so much less, until it is shown more.
    fn made(&mut self, qty: Qty, leaves: Qty) {
        self.leaves = leaves;
        self.shown = Qty(self.shown.0.saturating_sub(qty.0));
    }

    /// So many are left of it after it took.
    fn took(&mut self, leaves: Qty) {
        self.leaves = leaves;
        self.show();
    }

    /// How many of it stand in the book for all to see.
    pub(crate) fn shown(&self) -> u64 {
        match self.waits {
            true => 0,
            false => u64::from(self.shown.0),
        }
    }
}

/// An order that hides nothing shows at most so many.
const ALL: Qty = Qty(u32::MAX);

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

    /// Adds an order that is open already.
    pub(crate) fn begin_with(&mut self, id: OrderId, order: Open) {
        self.orders.insert(id, order);
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
                    display: ALL,
                    shown: e.qty,
                    waits: matches!(e.order_type, OrderType::Stop | OrderType::StopLimit),
                };
                self.orders.insert(e.order, open);
                changed(None, Some(open));
            }
            Event::TermsAccepted(e) if !e.display_qty.is_zero() => {
                self.alter(e.order, changed, |order| {
                    order.display = e.display_qty;
                    order.show();
                });
            }
            Event::StopTriggered(e) => self.alter(e.order, changed, |order| {
                (order.waits, order.price) = (false, e.limit);
                order.took(e.leaves);
            }),
            Event::OrderRefreshed(e) => self.alter(e.order, changed, |order| {
                (order.shown, order.leaves) = (e.display_qty, e.leaves);
            }),
            Event::Traded(e) => {
                self.alter(e.maker_order, changed, |order| order.made(e.qty, e.maker_leaves));
                self.alter(e.taker_order, changed, |order| order.took(e.taker_leaves));
            }
            Event::Executed(e) => self.alter(e.order, changed, |order| match e.liquidity {
                Liquidity::Maker => order.made(e.qty, e.leaves),
                Liquidity::Taker => order.took(e.leaves),
            }),
            Event::OrderReduced(e) => self.alter(e.order, changed, |order| {
                (order.leaves, order.shown) = (e.leaves, order.shown.min(e.leaves));
            }),
            Event::OrderReplaced(e) => self.alter(e.order, changed, |order| {
                order.price = e.limit;
                order.took(e.leaves);
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
