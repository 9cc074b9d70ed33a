//! Orders as rows of a snapshot.

use super::{Details, EMPTY, Marks, NIL, Order, Orders, Slot, index};
use crate::matching::Rests;
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use crate::terms::Terms;
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{
    Amount, ClOrdId, Execution, OnDisconnect, Ppm, Qty, SelfTradePrevention, Side, TimeInForce,
};

const ORDERS: SectionKind = SectionKind::Orders;

/// A resting order. Its level, its owner and its place in the table of clients' ids follow from it.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct OrderRow {
    pub held: u64,
    pub rested_notional: u64,
    pub ends: u64,
    pub seq: u64,
    pub cl_ord_id: [u8; 16],
    pub slot: u32,
    pub rung: u32,
    pub leaves: u32,
    pub account: u32,
    pub series: u32,
    pub hold_row: u32,
    pub counter_row: u32,
    pub maker_ppm: i32,
    pub older: u32,
    pub generation: u32,
    pub session: u32,
    pub total: u32,
    pub side: u8,
    pub tif: u8,
    pub execution: u8,
    pub on_disconnect: u8,
    pub self_trade: u8,
    pub marks: u8,
    /// Whether it has the further terms that follow.
    pub has_terms: u8,
    pub rests: u8,
    pub terms_limit: u32,
    pub taker_ppm: i32,
    pub display: u32,
    pub shown: u32,
}

/// A place that no order has, and how often it was used.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct FreePlaceRow {
    pub slot: u32,
    pub generation: u32,
}

impl Orders {
    /// The order in this place, and its further terms, if it has any.
    pub fn row(&self, slot: Slot, terms: Option<&Terms>) -> OrderRow {
        let (node, details) = self.both(slot);
        let Order {
            next: _,
            prev: _,
            leaf: _,
            rung,
            leaves,
            account,
            series,
            owner: _,
            held,
            rested_notional,
            hold_row,
            counter_row,
            maker_ppm,
            side,
            marks,
            spare: _,
        } = *node;
        let Details {
            cl_ord_id,
            ends,
            seq,
            older,
            newer: _,
            generation,
            session,
            total,
            cl_hash: _,
            tif,
            execution,
            on_disconnect,
            self_trade,
            terms: _,
        } = *details;
        let has_terms = u8::from(terms.is_some());
        let Terms {
            limit,
            taker,
            display,
            shown,
            rests,
        } = *terms.unwrap_or(&crate::terms::EMPTY);
        OrderRow {
            held: held.0,
            rested_notional: rested_notional.0,
            ends,
            seq,
            cl_ord_id: cl_ord_id.0,
            slot,
            rung,
            leaves: leaves.0,
            account,
            series,
            hold_row,
            counter_row,
            maker_ppm,
            older,
            generation,
            session,
            total: total.0,
            side: side.byte(),
            tif: tif.byte(),
            execution: execution.byte(),
            on_disconnect: on_disconnect.byte(),
            self_trade: self_trade.byte(),
            marks: marks.0,
            has_terms,
            rests: match rests {
                Rests::Yes => 1,
                Rests::No => 0,
            },
            terms_limit: limit,
            taker_ppm: taker.0,
            display: display.0,
            shown: shown.0,
        }
    }

    /// Places that are free, the next to be used first.
    pub fn free_rows(&self) -> impl Iterator<Item = FreePlaceRow> + '_ {
        let after = |slot: &Slot| Some(self.node(*slot).next).filter(|next| *next != NIL);
        let first = Some(self.free).filter(|slot| *slot != NIL);
        std::iter::successors(first, after).map(|slot| FreePlaceRow {
            slot,
            generation: self.details(slot).generation,
        })
    }

    /// So many places, each to be filled by a row.
    pub fn restore_places(&mut self, end: u32) -> Result<(), BadSnapshot> {
        let Orders {
            entries,
            free,
            live,
            max,
        } = self;
        assert!(entries.len() == 1 && *live == 0 && *free == NIL, "a fresh slab");
        if !(1..=index(*max) + 2).contains(&index(end)) {
            return bad(SectionKind::Venue, format!("{end} places of orders"));
        }
        entries.resize(index(end), EMPTY);
        Ok(())
    }

    /// Fills a free place, which follows the one before.
    pub fn restore_free(&mut self, row: &FreePlaceRow, before: Slot) -> Result<(), BadSnapshot> {
        self.check_place(SectionKind::FreePlaces, row.slot, row.generation)?;
        self.details_mut(row.slot).generation = row.generation;
        match before {
            NIL => self.free = row.slot,
            before => self.node_mut(before).next = row.slot,
        }
        Ok(())
    }

    /// Fills a place with an order; whoever calls judges what it refers to, and links it. `owner` has its account.
    pub fn restore(&mut self, row: &OrderRow, owner: u32) -> Result<Slot, BadSnapshot> {
        self.check_place(ORDERS, row.slot, row.generation)?;
        let words = (
            Side::from_byte(row.side),
            TimeInForce::from_byte(row.tif),
            Execution::from_byte(row.execution),
            OnDisconnect::from_byte(row.on_disconnect),
            SelfTradePrevention::from_byte(row.self_trade),
        );
        let (Some(side), Some(tif), Some(execution), Some(on_disconnect), Some(self_trade)) = words else {
            return bad(ORDERS, format!("order in place {}: an unknown choice", row.slot));
        };
        let ends = match tif {
            TimeInForce::Day | TimeInForce::Gtd => Marks::ENDS,
            TimeInForce::Gtc => Marks::NONE,
            TimeInForce::Ioc | TimeInForce::Fok => return bad(ORDERS, "an order that cannot rest"),
        };
        let marks = marks_of(row)?;
        if marks.has(Marks::ENDS) != (ends == Marks::ENDS) {
            return bad(
                ORDERS,
                format!("order in place {}: whether its time ends", row.slot),
            );
        }
        if row.leaves == 0 || row.leaves > row.total || row.seq == 0 {
            return bad(ORDERS, format!("order in place {}: its quantities", row.slot));
        }
        let entry = &mut self.entries[index(row.slot)];
        entry.node = Order {
            rung: row.rung,
            leaves: Qty(row.leaves),
            account: row.account,
            series: row.series,
            owner,
            held: Amount(row.held),
            rested_notional: Amount(row.rested_notional),
            hold_row: row.hold_row,
            counter_row: row.counter_row,
            maker_ppm: row.maker_ppm,
            side,
            marks,
            ..Order::EMPTY
        };
        entry.details = Details {
            cl_ord_id: ClOrdId(row.cl_ord_id),
            ends: row.ends,
            seq: row.seq,
            older: row.older,
            newer: NIL,
            generation: row.generation,
            session: row.session,
            total: Qty(row.total),
            cl_hash: 0,
            tif,
            execution,
            on_disconnect,
            self_trade,
            terms: 0,
        };
        self.live += 1;
        if self.live > self.max {
            return bad(ORDERS, "more orders than there is room for");
        }
        Ok(row.slot)
    }

    /// Each place is filled once; one that was never used has no number.
    fn check_place(&self, kind: SectionKind, slot: Slot, generation: u32) -> Result<(), BadSnapshot> {
        let entry = self.entries.get(index(slot)).filter(|_| slot != NIL);
        match entry {
            Some(entry) if entry.details.generation == 0 && generation != 0 => Ok(()),
            Some(_) | None => bad(kind, format!("place {slot} is none, or filled twice")),
        }
    }
}

/// What sets an order apart, when it can be so.
fn marks_of(row: &OrderRow) -> Result<Marks, BadSnapshot> {
    let all = Marks::ENDS
        .with(Marks::ICEBERG)
        .with(Marks::WAITS)
        .with(Marks::EXTENDED)
        .with(Marks::QUOTE)
        .with(Marks::COUNTED);
    let marks = Marks(row.marks);
    let (iceberg, waits) = (marks.has(Marks::ICEBERG), marks.has(Marks::WAITS));
    let has_terms = row.has_terms == 1;
    let known = all.has(marks) && row.has_terms <= 1 && row.rests <= 1;
    let extended = marks.has(Marks::EXTENDED) || !(iceberg || waits || has_terms);
    let right = iceberg == (row.display > 0) && (has_terms || !(iceberg || waits)) && !(iceberg && waits);
    match known && extended && right {
        true => Ok(marks),
        false => bad(ORDERS, format!("order in place {}: its further terms", row.slot)),
    }
}

impl OrderRow {
    /// Whether it waits for its stop.
    pub fn waits(&self) -> bool {
        Marks(self.marks).has(Marks::WAITS)
    }

    /// Its limit in ticks, whether it rests or waits.
    pub fn limit_rung(&self) -> u32 {
        match self.waits() {
            true => self.terms_limit,
            false => self.rung,
        }
    }

    /// Its further terms, if it has any.
    pub fn terms(&self) -> Option<Terms> {
        (self.has_terms == 1).then_some(Terms {
            limit: self.terms_limit,
            taker: Ppm(self.taker_ppm),
            display: Qty(self.display),
            shown: Qty(self.shown),
            rests: match self.rests {
                0 => Rests::No,
                _ => Rests::Yes,
            },
        })
    }
}
