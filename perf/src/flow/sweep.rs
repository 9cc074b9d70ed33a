//! `sweep`: one order eats 500 makers on 125 levels, 500 orders refill them, sides alternate. Seed 9.
//!
//! What the description leaves open is settled so: asks stand at 100,001 to 102,500, bids at 100,000 down to
//! 97,501, four orders of ten coupons a level. The prefill goes level by level outward, asks before bids at each,
//! the four orders of a level together. The first sweep buys; its limit is the 125th level. The refill is the 500
//! prices just emptied, level by level outward, shuffled by Fisher and Yates from the back. 1,000 accounts.

use super::book::Arrival;
use super::tape::{Flow, Shape, Tape};
use xq_protocol::{Side, TimeInForce};

const LEVELS: u32 = 2_500;
const SWEPT: u32 = 125;
const ORDERS: u32 = 4;
const QTY: u32 = 10;

/// The flow with so many commands; a last cycle may be cut short.
pub(super) fn sweep(name: &'static str, commands: usize) -> Flow {
    let mut tape = Tape::new(
        Shape {
            name,
            series: 1,
            accounts: 1_000,
        },
        9,
    );
    for level in 0..LEVELS {
        for side in [Side::Sell, Side::Buy] {
            (0..ORDERS).for_each(|_| refill(&mut tape, side, level));
        }
    }
    tape.end_prefill();
    let mut levels: Vec<u32> = Vec::new();
    let mut maker_side = Side::Sell;
    while tape.len() < commands {
        let (side, price) = (maker_side.opposite(), price(maker_side, SWEPT - 1));
        tape.place(Arrival {
            series: 0,
            side,
            price,
            qty: SWEPT * ORDERS * QTY,
            tif: TimeInForce::Ioc,
        });
        levels.clear();
        levels.extend((0..SWEPT * ORDERS).map(|order| order / ORDERS));
        for last in (1..levels.len()).rev() {
            levels.swap(last, tape.draw.index(last + 1));
        }
        let left = commands - tape.len();
        levels
            .iter()
            .take(left)
            .for_each(|level| refill(&mut tape, maker_side, *level));
        maker_side = maker_side.opposite();
    }
    tape.finish()
}

fn refill(tape: &mut Tape, side: Side, level: u32) {
    tape.place(Arrival {
        series: 0,
        side,
        price: price(side, level),
        qty: QTY,
        tif: TimeInForce::Gtc,
    });
}

fn price(side: Side, level: u32) -> u32 {
    match side {
        Side::Buy => 100_000 - level,
        Side::Sell => 100_001 + level,
    }
}
