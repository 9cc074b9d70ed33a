//! Self-trade prevention: an order meets one of its own participant's, and one of the two gives way, or both.

use crate::events::Events;
use crate::floor::{Arrival, Floor, need_at_rest};
use crate::ledger::Spot;
use crate::order::{Marks, Slot};
use crate::series::Series;
use xq_protocol::{
    AccountId, Amount, CancelReason, OrderReduced, Ppm, Price, Qty, Reserved, SelfTradePrevention, SeriesId,
    SessionId,
};

/// What becomes of the arriving order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prevented {
    /// It meets the next order.
    GoOn,
    /// What is left of it is cancelled.
    Stop,
}

impl Floor {
    /// The order in hand meets one of its own participant's: what it said when it was placed decides.
    #[cold]
    pub fn prevent_self_trade(
        &mut self,
        series: &mut Series,
        arrival: &mut Arrival,
        maker: Slot,
        events: &mut Events,
    ) -> Prevented {
        match self.orders.details(arrival.slot).self_trade {
            SelfTradePrevention::CancelNewest => Prevented::Stop,
            SelfTradePrevention::CancelOldest => {
                self.cancel(series, maker, CancelReason::SelfTrade, events);
                Prevented::GoOn
            }
            SelfTradePrevention::CancelBoth => {
                self.cancel(series, maker, CancelReason::SelfTrade, events);
                Prevented::Stop
            }
            SelfTradePrevention::Decrement => self.decrement(series, arrival, maker, events),
        }
    }

    /// Both lose the smaller one's quantity.
    fn decrement(
        &mut self,
        series: &mut Series,
        arrival: &mut Arrival,
        maker: Slot,
        events: &mut Events,
    ) -> Prevented {
        let open = self.orders.node(maker).leaves;
        if open > arrival.leaves {
            self.reduce(series, maker, arrival.leaves, events);
            return Prevented::Stop;
        }
        self.cancel(series, maker, CancelReason::SelfTrade, events);
        if open == arrival.leaves {
            return Prevented::Stop;
        }
        self.reduce_arrival(series, arrival, open, events);
        Prevented::GoOn
    }

    /// Takes some of the quantity of the order in hand.
    fn reduce_arrival(&mut self, series: &Series, arrival: &mut Arrival, qty: Qty, events: &mut Events) {
        assert!(qty < arrival.leaves);
        arrival.leaves = Qty(arrival.leaves.0 - qty.0);
        let need = arrival.need();
        let released = arrival.held.checked_sub(need).expect("less open needs no more");
        arrival.held = need;
        let row = arrival.hold_row;
        self.ledger
            .transfer(Spot::Held(row), Spot::Available(row), released);
        let details = self.orders.details_mut(arrival.slot);
        details.total = Qty(details.total.0 - qty.0);
        events.emit(&OrderReduced {
            order: arrival.id,
            account: arrival.account,
            series: arrival.series,
            released,
            qty,
            leaves: arrival.leaves,
            session: SessionId(details.session),
            currency: series.currency,
            side: arrival.side,
            reserved: Reserved::ZERO,
        });
    }

    /// Takes some of a resting or waiting order's quantity; it keeps its place.
    pub fn reduce(&mut self, series: &Series, slot: Slot, qty: Qty, events: &mut Events) {
        let leaves = Qty(self.orders.node(slot).leaves.0 - qty.0);
        let released = self.lower(series, slot, leaves);
        let details = self.orders.details_mut(slot);
        details.total = Qty(details.total.0 - qty.0);
        let session = SessionId(details.session);
        let node = self.orders.node(slot);
        events.emit(&OrderReduced {
            order: self.orders.id(slot),
            account: AccountId(node.account),
            series: SeriesId(node.series),
            released,
            qty,
            leaves,
            session,
            currency: series.currency,
            side: node.side,
            reserved: Reserved::ZERO,
        });
    }

    /// Lowers what is open of an order and gives back what it needs no more.
    pub fn lower(&mut self, series: &Series, slot: Slot, leaves: Qty) -> Amount {
        let limit = series.price(self.limit_rung(slot));
        let waits = self.orders.node(slot).marks.has(Marks::WAITS);
        let need = match waits {
            true => self.need_waiting(limit, slot, leaves),
            false => self.need_resting(limit, slot, leaves),
        };
        let node = self.orders.node_mut(slot);
        assert!(!leaves.is_zero() && leaves < node.leaves);
        let released = node.held.checked_sub(need).expect("less open needs no more");
        let gone = limit
            .times(Qty(node.leaves.0 - leaves.0))
            .expect("part of the order's amount");
        node.held = need;
        node.leaves = leaves;
        let (row, account, marks) = (node.hold_row, AccountId(node.account), node.marks);
        self.ledger
            .transfer(Spot::Held(row), Spot::Available(row), released);
        let account = self.parties.open_account(account);
        account.open_notional = account
            .open_notional
            .checked_sub(gone)
            .expect("it was counted when it came to rest");
        if marks.has(Marks::ICEBERG) {
            let terms = self.terms.get_mut(self.orders.details(slot).terms);
            terms.shown = terms.shown.min(leaves);
        }
        released
    }

    /// What a resting order must hold for so much.
    pub fn need_resting(&self, limit: Price, slot: Slot, leaves: Qty) -> Amount {
        let node = self.orders.node(slot);
        need_at_rest(
            node.side,
            limit,
            leaves,
            node.rested_notional,
            Ppm(node.maker_ppm),
        )
    }
}
