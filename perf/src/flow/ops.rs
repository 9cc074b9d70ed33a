//! The commands of a flow, 20 bytes each.

use super::book::index;
use sha2::{Digest, Sha256};
use xq_protocol::{Side, TimeInForce};

/// One command of a flow. Ids are the flow's own: dense, in order of placement over all series, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOp {
    /// A new limit order, `Gtc` or `Ioc`.
    Place {
        /// The id it gets, also when it is filled at once.
        id: u32,
        /// Who places it, in `0..accounts` of the flow.
        account: u32,
        /// Buy or sell.
        side: Side,
        /// Limit in ticks, in `1..=price_max` of the flow.
        price: u32,
        /// Coupons, at least 1.
        qty: u32,
        /// `Gtc` or `Ioc`.
        tif: TimeInForce,
    },
    /// Cancels a resting order.
    Cancel {
        /// The order.
        id: u32,
    },
    /// Gives a resting order another price: it loses its priority, and may trade.
    Move {
        /// The order.
        id: u32,
        /// The new limit in ticks.
        price: u32,
    },
    /// Lowers a resting order, which keeps its priority (`lobster` only).
    Reduce {
        /// The order.
        id: u32,
        /// By so much, less than what is open.
        by: u32,
    },
}

/// One command packed: kind, side and time in force share a word with the account.
#[derive(Clone, Copy)]
struct Packed {
    id: u32,
    /// `account << 8 | tif << 4 | side << 3 | kind`.
    tag: u32,
    price: u32,
    qty: u32,
    series: u32,
}

const _: () = assert!(size_of::<Packed>() == 20);

const PLACE: u32 = 0;
const CANCEL: u32 = 1;
const MOVE: u32 = 2;
const REDUCE: u32 = 3;

/// A sequence of commands, each with the index of its series.
#[derive(Clone, Default)]
pub struct Ops(Vec<Packed>);

impl Ops {
    /// Number of commands.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a command for a series.
    pub fn push(&mut self, series: u32, op: FlowOp) {
        self.0.push(Packed::new(series, op));
    }

    /// The command at a place, with its series.
    #[inline]
    pub fn get(&self, place: usize) -> (u32, FlowOp) {
        (self.0[place].series, self.0[place].unpack())
    }

    /// Every command with its series, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, FlowOp)> + '_ {
        self.0.iter().map(|packed| (packed.series, packed.unpack()))
    }

    /// Feeds the commands to a hash: five little-endian words each (id, tag, price, quantity, series).
    pub(super) fn hash_into(&self, hash: &mut Sha256) {
        for packed in &self.0 {
            for word in [packed.id, packed.tag, packed.price, packed.qty, packed.series] {
                hash.update(word.to_le_bytes());
            }
        }
    }
}

impl Packed {
    fn new(series: u32, op: FlowOp) -> Packed {
        match op {
            FlowOp::Place {
                id,
                account,
                side,
                price,
                qty,
                tif,
            } => {
                assert!(account < 1 << 24, "an account index has 24 bits");
                let choices = u32::from(tif.byte()) << 4 | u32::from(side.byte()) << 3;
                Packed {
                    id,
                    tag: account << 8 | choices | PLACE,
                    price,
                    qty,
                    series,
                }
            }
            FlowOp::Cancel { id } => Packed {
                id,
                tag: CANCEL,
                price: 0,
                qty: 0,
                series,
            },
            FlowOp::Move { id, price } => Packed {
                id,
                tag: MOVE,
                price,
                qty: 0,
                series,
            },
            FlowOp::Reduce { id, by } => Packed {
                id,
                tag: REDUCE,
                price: 0,
                qty: by,
                series,
            },
        }
    }

    #[inline]
    fn unpack(&self) -> FlowOp {
        match self.tag & 7 {
            PLACE => FlowOp::Place {
                id: self.id,
                account: self.tag >> 8,
                side: Side::ALL[index(self.tag >> 3 & 1)],
                price: self.price,
                qty: self.qty,
                tif: TimeInForce::ALL[index(self.tag >> 4 & 15)],
            },
            CANCEL => FlowOp::Cancel { id: self.id },
            MOVE => FlowOp::Move {
                id: self.id,
                price: self.price,
            },
            kind => {
                assert!(kind == REDUCE, "only this file writes tags");
                FlowOp::Reduce {
                    id: self.id,
                    by: self.qty,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let place = |side, tif| FlowOp::Place {
            id: 7,
            account: (1 << 24) - 1,
            side,
            price: 9,
            qty: 126,
            tif,
        };
        let all = [
            place(Side::Buy, TimeInForce::Gtc),
            place(Side::Sell, TimeInForce::Ioc),
            FlowOp::Cancel { id: u32::MAX },
            FlowOp::Move {
                id: 1,
                price: u32::MAX,
            },
            FlowOp::Reduce { id: 2, by: 3 },
        ];
        let mut ops = Ops::default();
        all.iter()
            .zip(11..)
            .for_each(|(op, series)| ops.push(series, *op));
        assert!(ops.iter().eq((11..).zip(all)));
        assert_eq!(ops.get(2), (13, all[2]));
    }
}
