//! One series of the flows `ec1` and `ec1000`: the shape of exchange-core's own test orders (its
//! `TestOrdersGenerator`), with every draw pinned.
//!
//! What the description leaves open is settled so:
//! - A command draws, in this order: the side (0–3, lower two sell; see *lean*), the number that chooses its kind,
//!   then what the kind needs, then the account of a placed order. A cancel or a move draws its victim last, a move
//!   at the very price of the last trade then draws its direction.
//! - A GTC order draws its side anew, as exchange-core's does, then the deviation, the four uniforms, the size.
//! - *Lean*: 0 at first; a trade at or below the lowest price of the range makes it +1, one at or above the highest
//!   −1, and it is added to the draw of the side, of which 2 and more buys. The last trade's price is kept in range.
//! - "Size of each side" is the number of resting orders at the last check: every 512 commands of the series, and
//!   once when the prefill ends.
//! - Prefill: GTC orders on the drawn side, or on the other one when that has its half of the target already, until
//!   both have. So the timed part is always "filled".
//! - An IOC's limit is the end of the range. "The 512 oldest" are by time of placement: a move does not make an
//!   order younger. They stand in a window; what ends is replaced by the window's last, and then the next oldest is
//!   appended; a victim is a uniform place in the window. With nothing to pick, the order kinds take the turn.
//! - Prices come out within 6·d0 of the base. Powers and roots are integer ones.

use super::book::{Arrival, FlowBook, place};
use super::draw::SplitMix64;
use super::tape::Tape;
use std::collections::VecDeque;
use xq_protocol::{Side, TimeInForce};

/// Commands between two looks at the sizes of the sides, and orders in the window.
const CHECK_EVERY: u32 = 512;

/// State of one series while its commands are drawn.
pub(super) struct Session {
    series: u32,
    /// Resting orders wanted on each side.
    half: u32,
    deviation: u32,
    price_min: u32,
    price_max: u32,
    last_trade: u32,
    lean: i8,
    /// Resting orders by side, at the last check.
    checked: [u32; 2],
    since_check: u32,
    oldest: Oldest,
}

/// What a command does.
enum Kind {
    Gtc,
    Ioc,
    Cancel(u32),
    Move(u32),
}

impl Session {
    /// An empty series around a base price, wanting so many resting orders in all.
    pub fn new(series: u32, base: u32, resting: u32) -> Session {
        let deviation = (base / 20).min(10_000);
        Session {
            series,
            half: (resting / 2).max(1),
            deviation,
            price_min: base - deviation * 5,
            price_max: base + deviation * 5,
            last_trade: base,
            lean: 0,
            checked: [0; 2],
            since_check: 0,
            oldest: Oldest::default(),
        }
    }

    /// Fills both sides with GTC orders.
    pub fn prefill(&mut self, tape: &mut Tape) {
        loop {
            let short = |side| tape.book.resting(self.series, side) < self.half;
            let (buy, sell) = (short(Side::Buy), short(Side::Sell));
            if !buy && !sell {
                break;
            }
            let drawn = self.draw_side(&mut tape.draw);
            let side = if [buy, sell][place(drawn)] {
                drawn
            } else {
                drawn.opposite()
            };
            self.place_gtc(tape, side);
        }
        self.check(&tape.book);
    }

    /// Draws one command.
    pub fn step(&mut self, tape: &mut Tape) {
        let side = self.draw_side(&mut tape.draw);
        match self.draw_kind(side, &mut tape.draw) {
            Kind::Gtc => {
                let side = self.draw_side(&mut tape.draw);
                self.place_gtc(tape, side);
            }
            Kind::Ioc => self.place_ioc(tape),
            Kind::Cancel(id) => {
                tape.cancel(self.series, id);
                self.oldest.end(id, &tape.book);
            }
            Kind::Move(id) => self.move_order(tape, id),
        }
        self.since_check += 1;
        if self.since_check == CHECK_EVERY {
            self.check(&tape.book);
        }
    }

    fn check(&mut self, book: &FlowBook) {
        self.checked = [
            book.resting(self.series, Side::Buy),
            book.resting(self.series, Side::Sell),
        ];
        self.since_check = 0;
    }

    fn draw_side(&self, draw: &mut SplitMix64) -> Side {
        let drawn = i64::from(draw.below(4)) + i64::from(self.lean);
        if drawn >= 2 { Side::Buy } else { Side::Sell }
    }

    fn draw_kind(&self, side: Side, draw: &mut SplitMix64) -> Kind {
        let short = self.half.saturating_sub(self.checked[place(side)]);
        let kinds = match short {
            0 => 40,
            1..=CHECK_EVERY => 10,
            _ => 2,
        };
        let drawn = draw.below(kinds);
        if drawn < 2 || self.oldest.window.is_empty() {
            return if short > 0 { Kind::Gtc } else { Kind::Ioc };
        }
        let cancels = if short > 0 { 2..=2 } else { 2..=3 };
        let victim = self.oldest.window[draw.index(self.oldest.window.len())];
        if cancels.contains(&drawn) {
            Kind::Cancel(victim)
        } else {
            Kind::Move(victim)
        }
    }

    fn place_gtc(&mut self, tape: &mut Tape, side: Side) {
        let draw = &mut tape.draw;
        let uniform = u64::from(draw.fraction());
        let squared = (uniform * uniform) >> 32;
        let spread = (squared * u64::from(self.deviation)) >> 32;
        let spread = 1 + u32::try_from(spread).expect("a fraction of the deviation");
        let sum: u32 = (0..4).map(|_| draw.below(spread)).sum();
        // Twice the mean less the spread lies in −spread..spread; the side says which way its size counts.
        let distance = (sum / 4 * 2).abs_diff(spread);
        let price = match side {
            Side::Buy => self.last_trade - distance,
            Side::Sell => self.last_trade + distance,
        };
        let qty = draw.size();
        let arrival = Arrival {
            series: self.series,
            side,
            price,
            qty,
            tif: TimeInForce::Gtc,
        };
        let id = tape.place(arrival);
        self.after_trades(&tape.book);
        if tape.book.open(id) > 0 {
            self.oldest.add(id);
        }
    }

    fn place_ioc(&mut self, tape: &mut Tape) {
        let side = self.draw_side(&mut tape.draw);
        let price = match side {
            Side::Buy => self.price_max + self.deviation,
            Side::Sell => self.price_min - self.deviation,
        };
        let qty = tape.draw.size();
        tape.place(Arrival {
            series: self.series,
            side,
            price,
            qty,
            tif: TimeInForce::Ioc,
        });
        self.after_trades(&tape.book);
    }

    /// Moves an order by 1 % of its distance toward the last trade, at least one tick; from the very price of the
    /// last trade one tick either way.
    fn move_order(&mut self, tape: &mut Tape, id: u32) {
        let price = tape.book.price(id);
        let step = price.abs_diff(self.last_trade).div_ceil(100);
        let up = match price.cmp(&self.last_trade) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => tape.draw.below(2) == 1,
        };
        let step = step.max(1);
        tape.move_to(self.series, id, if up { price + step } else { price - step });
        self.after_trades(&tape.book);
        if tape.book.open(id) == 0 {
            self.oldest.end(id, &tape.book);
        }
    }

    /// Follows the last trade's price, and forgets the makers that were filled.
    fn after_trades(&mut self, book: &FlowBook) {
        for fill in book.fills() {
            if fill.price <= self.price_min {
                self.lean = 1;
            } else if fill.price >= self.price_max {
                self.lean = -1;
            }
            self.last_trade = fill.price.clamp(self.price_min, self.price_max);
            if book.open(fill.maker) == 0 {
                self.oldest.end(fill.maker, book);
            }
        }
    }
}

/// The 512 oldest resting orders of a series, and the younger ones in order of age.
#[derive(Default)]
struct Oldest {
    window: Vec<u32>,
    /// Younger orders; those that have ended since are skipped when their turn comes.
    younger: VecDeque<u32>,
}

impl Oldest {
    fn add(&mut self, id: u32) {
        if self.window.len() < super::book::index(CHECK_EVERY) {
            self.window.push(id);
        } else {
            self.younger.push_back(id);
        }
    }

    fn end(&mut self, id: u32, book: &FlowBook) {
        let Some(at) = self.window.iter().position(|other| *other == id) else {
            return;
        };
        self.window.swap_remove(at);
        while let Some(next) = self.younger.pop_front() {
            if book.open(next) > 0 {
                self.window.push(next);
                break;
            }
        }
    }
}
