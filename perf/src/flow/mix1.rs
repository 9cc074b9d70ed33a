//! `mix1_10k`: one series, 10,000 resting orders on about 553 levels, orders and cancels rather than moves. Seed 7.
//!
//! What the description leaves open is settled so:
//! - The mid starts at 100,000. Before every timed command a draw of 0–399 moves it one tick on 0, the next draw
//!   of 0–1 up or down.
//! - The kind is drawn from 0–99: 0–8 IOC, 9–16 move, the rest GTC or cancel: while fewer than 10,000 rest, GTC on
//!   less than `GTC_WHEN_SHORT`, else on less than `GTC_WHEN_FULL`, which comes out at 50 and 33 of a hundred.
//! - An order draws its side, its price, its size, its account. A price draws 0–24: on 0 it lies 1–3 ticks
//!   through the mid (drawn), else `offset` ticks away from it, on its own side. An IOC draws no price: its limit
//!   is 2,000 ticks through the mid, the farthest an order lies.
//! - `offset = (U^−0.7 − 1)·12`, rounded down, at most 2,000, from one 32-bit fraction against a table of
//!   thresholds made with integer roots and powers.
//! - A victim is uniform among the resting orders, which stand in a list; what ends is replaced by the list's last.
//!   A move gives the victim a newly drawn price of its side.
//! - Prefill: 10,000 resting GTC orders of the same draws, none of them through the mid, which stands still.

use super::book::{Arrival, index};
use super::tape::{Flow, Shape, Tape};
use xq_protocol::{Side, TimeInForce};

const RESTING: usize = 10_000;
const OFFSET_MAX: u32 = 2_000;
const GTC_WHEN_SHORT: u32 = 17 + 60;
const GTC_WHEN_FULL: u32 = 17 + 40;

/// The flow with so many commands.
pub(super) fn mix1(name: &'static str, commands: usize) -> Flow {
    let tape = Tape::new(
        Shape {
            name,
            series: 1,
            accounts: 1_000,
        },
        7,
    );
    let mut maker = Generator {
        tape,
        thresholds: thresholds(),
        mid: 100_000,
        live: Vec::new(),
        places: Vec::new(),
    };
    while maker.live.len() < RESTING {
        let side = maker.draw_side();
        let offset = maker.draw_offset();
        maker.place_gtc(side, away(side, maker.mid, 1 + offset));
    }
    maker.tape.end_prefill();
    while maker.tape.len() < commands {
        maker.step();
    }
    maker.tape.finish()
}

struct Generator {
    tape: Tape,
    thresholds: Vec<u32>,
    mid: u32,
    /// The resting orders, in no order.
    live: Vec<u32>,
    /// By id: its place in `live`, while it rests.
    places: Vec<u32>,
}

impl Generator {
    fn step(&mut self) {
        if self.tape.draw.below(400) == 0 {
            self.mid = self.mid + 2 * self.tape.draw.below(2) - 1;
        }
        let gtc_below = if self.live.len() < RESTING {
            GTC_WHEN_SHORT
        } else {
            GTC_WHEN_FULL
        };
        let drawn = self.tape.draw.below(100);
        if drawn < 9 {
            self.place_ioc();
        } else if drawn < 17 {
            self.move_order();
        } else if drawn < gtc_below {
            let side = self.draw_side();
            let price = self.draw_price(side);
            self.place_gtc(side, price);
        } else {
            let id = self.draw_victim();
            self.tape.cancel(0, id);
            self.end(id);
        }
    }

    fn draw_side(&mut self) -> Side {
        if self.tape.draw.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn draw_victim(&mut self) -> u32 {
        self.live[self.tape.draw.index(self.live.len())]
    }

    fn draw_offset(&mut self) -> u32 {
        let uniform = self.tape.draw.fraction();
        let reached = self.thresholds.partition_point(|threshold| uniform < *threshold);
        u32::try_from(reached).expect("at most 2,000")
    }

    fn draw_price(&mut self, side: Side) -> u32 {
        if self.tape.draw.below(25) == 0 {
            let through = 1 + self.tape.draw.below(3);
            return away(side.opposite(), self.mid, through);
        }
        let offset = self.draw_offset();
        away(side, self.mid, 1 + offset)
    }

    fn place_gtc(&mut self, side: Side, price: u32) {
        let qty = self.tape.draw.size();
        let id = self.tape.place(Arrival {
            series: 0,
            side,
            price,
            qty,
            tif: TimeInForce::Gtc,
        });
        self.after_trades();
        self.places.resize(self.tape.book.placed(), u32::MAX);
        if self.tape.book.open(id) > 0 {
            self.places[index(id)] = u32::try_from(self.live.len()).expect("about 10,000 rest");
            self.live.push(id);
        }
    }

    fn place_ioc(&mut self) {
        let side = self.draw_side();
        let price = away(side.opposite(), self.mid, OFFSET_MAX);
        let qty = self.tape.draw.size();
        self.tape.place(Arrival {
            series: 0,
            side,
            price,
            qty,
            tif: TimeInForce::Ioc,
        });
        self.after_trades();
    }

    fn move_order(&mut self) {
        let id = self.draw_victim();
        let price = self.draw_price(self.tape.book.side(id));
        self.tape.move_to(0, id, price);
        self.after_trades();
        if self.tape.book.open(id) == 0 {
            self.end(id);
        }
    }

    fn after_trades(&mut self) {
        for at in 0..self.tape.book.fills().len() {
            let maker = self.tape.book.fills()[at].maker;
            if self.tape.book.open(maker) == 0 {
                self.end(maker);
            }
        }
    }

    fn end(&mut self, id: u32) {
        let place = self.places[index(id)];
        assert_eq!(
            self.live.swap_remove(index(place)),
            id,
            "a resting order is listed"
        );
        if let Some(moved) = self.live.get(index(place)) {
            self.places[index(*moved)] = place;
        }
    }
}

/// The price so many ticks from the mid, on the passive side of an order of this side.
fn away(side: Side, mid: u32, ticks: u32) -> u32 {
    match side {
        Side::Buy => mid - ticks,
        Side::Sell => mid + ticks,
    }
}

/// For each offset x from 1: how much of 2^32 lies at or beyond it, `(12 / (12 + x))^(10/7)`. Falling.
fn thresholds() -> Vec<u32> {
    let beyond = |x: u32| {
        let ratio = (12_u128 << 62) / u128::from(12 + x);
        u32::try_from(power(seventh_root(ratio), 10) >> 30).expect("a fraction below one")
    };
    (1..=OFFSET_MAX).map(beyond).collect()
}

/// A fraction in units of 2^−62 raised to a whole power, rounded down at each step.
fn power(base: u128, exponent: u32) -> u128 {
    (1..exponent).fold(base, |product, _| (product * base) >> 62)
}

/// The largest fraction whose seventh power is not above, in units of 2^−62.
fn seventh_root(of: u128) -> u128 {
    let mut root = 0;
    for bit in (0..62).rev() {
        let tried = root | 1 << bit;
        if power(tried, 7) <= of {
            root = tried;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_the_stated_distribution() {
        let thresholds = thresholds();
        // Half of 2^32 lies beyond (0.5^−0.7 − 1)·12 = 7.49, and 1 % beyond (0.01^−0.7 − 1)·12 = 289.4.
        assert_eq!(thresholds.partition_point(|threshold| 1 << 31 < *threshold), 7);
        assert_eq!(
            thresholds.partition_point(|threshold| u32::MAX / 100 < *threshold),
            289
        );
        assert!(thresholds.is_sorted_by(|a, b| a > b));
    }
}
