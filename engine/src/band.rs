//! The dynamic collar: prices around the last trade; the trade that would leave it halts the series instead.
//!
//! While a command is matched the band stays as it was; what was traded moves it afterwards. A series that reopens has
//! no band until its first trade.

use crate::events::Events;
use crate::exchange::Venue;
use crate::floor::{Arrival, Floor};
use crate::matching::{FILLS_MAX, Stop, Taker, reaches};
use crate::refusal::{Refusal, beyond};
use crate::self_trade::Prevented;
use crate::series::Series;
use crate::stops::Listed;
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{
    Bps, CancelReason, DynamicCollarSet, MarketHalted, Nanos, Phase, PhaseSet, Price, Qty, RejectReason,
    Reserved, SetDynamicCollar, Side,
};

/// Basis points of the whole.
pub(crate) const WHOLE: u32 = 10_000;
/// Series looked at in one tick for a halt that is over.
const SERIES_A_TICK: usize = 1_024;

/// A series' dynamic collar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    /// Half width; zero for none.
    pub width: Bps,
    /// How long a halt lasts; zero for as long as nobody reopens the series.
    pub halt_for: Nanos,
    /// When it reopens by itself; zero for never.
    pub reopen_at: Nanos,
    /// Lowest price in ticks that may trade.
    low: u32,
    /// Highest price in ticks that may trade.
    high: u32,
    /// Whether the series stands in the list of halted ones.
    listed: Listed,
    /// Whether anything has traded since the band was set or widened.
    moved: Moved,
}

/// A dynamic collar as a snapshot has it.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct SavedBand {
    pub halt_for: u64,
    pub reopen_at: u64,
    pub width: u32,
    pub low: u32,
    pub high: u32,
    pub moved: u8,
}

/// Whether anything has traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    No,
    Yes,
}

impl Band {
    /// No band.
    pub const OFF: Band = Band {
        width: Bps::ZERO,
        halt_for: Nanos::ZERO,
        reopen_at: Nanos::ZERO,
        low: 0,
        high: u32::MAX,
        listed: Listed::No,
        moved: Moved::No,
    };

    /// What of it a snapshot holds; whether the series is listed as halted follows from the list.
    pub fn saved(&self) -> SavedBand {
        let Band {
            width,
            halt_for,
            reopen_at,
            low,
            high,
            listed: _,
            moved,
        } = *self;
        SavedBand {
            width: width.0,
            halt_for: halt_for.0,
            reopen_at: reopen_at.0,
            low,
            high,
            moved: match moved {
                Moved::No => 0,
                Moved::Yes => 1,
            },
        }
    }

    /// The band as it was saved, when it can be so; the series is not listed as halted yet.
    pub fn restored(saved: &SavedBand) -> Option<Band> {
        let moved = match saved.moved {
            0 => Moved::No,
            1 => Moved::Yes,
            _ => return None,
        };
        let is_band = saved.width <= WHOLE && saved.low <= saved.high;
        is_band.then_some(Band {
            width: Bps(saved.width),
            halt_for: Nanos(saved.halt_for),
            reopen_at: Nanos(saved.reopen_at),
            low: saved.low,
            high: saved.high,
            listed: Listed::No,
            moved,
        })
    }

    /// Lists the series as halted; says whether it was listed before.
    pub fn list(&mut self) -> Listed {
        std::mem::replace(&mut self.listed, Listed::Yes)
    }

    /// How far a limit may trade.
    #[inline(always)]
    pub fn bound(&self, side: Side, rung: u32) -> u32 {
        match side {
            Side::Buy => rung.min(self.high),
            Side::Sell => rung.max(self.low),
        }
    }

    /// The band stands around this trade's price from here on.
    pub fn stand_around(&mut self, last: u32) {
        if self.width.is_zero() || last == 0 {
            return self.widen();
        }
        let wide = |bps: u32| u64::from(last) * u64::from(bps);
        let narrow = |rung: u64| u32::try_from(rung).unwrap_or(u32::MAX);
        self.low = narrow(wide(WHOLE - self.width.0).div_ceil(u64::from(WHOLE)));
        self.high = narrow(wide(WHOLE + self.width.0) / u64::from(WHOLE));
    }

    /// Something traded: the band follows when the command has been matched.
    pub fn traded(&mut self) {
        self.moved = Moved::Yes;
    }

    /// The band stands around the last trade's price, if there was one since it was set or widened.
    pub fn follow(&mut self, last: u32) {
        if self.moved == Moved::Yes {
            self.moved = Moved::No;
            self.stand_around(last);
        }
    }

    /// No band until the next trade.
    pub fn widen(&mut self) {
        self.moved = Moved::No;
        (self.low, self.high) = (Band::OFF.low, Band::OFF.high);
    }
}

impl Floor {
    /// The order in hand may not trade any further than the band: what would trade beyond it halts the series.
    #[cold]
    pub fn leave_band(&mut self, series: &mut Series, arrival: &mut Arrival, events: &mut Events) -> Stop {
        let opposite = arrival.side.opposite();
        // What the command caused before counts too, so that many quotes at once cannot cause too much.
        for _ in 0..(2 * FILLS_MAX).saturating_sub(events.len()) {
            if arrival.leaves.is_zero() || !reaches(series, arrival.side, arrival.rung) {
                return Stop::Done;
            }
            let front = self
                .levels
                .front(series.ladder(opposite))
                .expect("a best price has an order");
            if let Some(reason) = self.doom(front) {
                self.cancel(series, front, reason, events);
            } else if self.orders.node(front).owner != arrival.owner {
                break;
            } else if self.prevent_self_trade(series, arrival, front, events) == Prevented::Stop {
                // Nobody halts a market with an order that could not have traded.
                return Stop::Cancel(CancelReason::SelfTrade);
            }
        }
        if arrival.leaves.is_zero() || !reaches(series, arrival.side, arrival.rung) {
            return Stop::Done;
        }
        self.halt(series, arrival, events);
        Stop::Cancel(CancelReason::DynamicCollar)
    }

    fn halt(&mut self, series: &mut Series, arrival: &Arrival, events: &mut Events) {
        let best = series.ladder(arrival.side.opposite()).best_or_unreached();
        series.phase = Phase::Halt;
        let band = &mut series.band;
        band.reopen_at = match band.halt_for {
            Nanos::ZERO => Nanos::ZERO,
            length => Nanos(self.now.0.saturating_add(length.0).max(1)),
        };
        if band.list() == Listed::No {
            self.halted.push_back(arrival.series);
        }
        let (low, high, reopen_at) = (band.low, band.high, band.reopen_at);
        events.emit(&MarketHalted {
            series: arrival.series,
            currency: series.currency,
            reserved: Reserved::ZERO,
            price: series.price(best),
            low: series.price(low),
            high: series.top_of(high),
            reopen_at,
        });
    }
}

impl Floor {
    /// Says whether so much can be filled at once, all of it within the band; else why not.
    pub fn admit_fillable(
        &self,
        series: &Series,
        (side, rung): (Side, u32),
        wanted: Qty,
        (taker, short): (Taker, RejectReason),
    ) -> Result<(), Refusal> {
        let bound = series.band.bound(side, rung);
        let fillable = self.fillable(series, (side, bound), wanted, taker);
        if fillable >= wanted {
            return Ok(());
        }
        let is_there = bound != rung && self.fillable(series, (side, rung), wanted, taker) >= wanted;
        Err(match is_there {
            true => beyond(
                RejectReason::CollarDynamic,
                series.price(rung).0,
                series.price(bound).0,
            ),
            false => beyond(short, wanted.0.into(), fillable.0.into()),
        })
    }
}

impl Venue {
    /// Sets a series' dynamic collar.
    pub(crate) fn set_dynamic_collar(
        &mut self,
        c: &SetDynamicCollar,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        self.series.get(c.series)?;
        if c.width.0 > WHOLE {
            return Err(beyond(
                RejectReason::CollarDynamic,
                c.width.0.into(),
                WHOLE.into(),
            ));
        }
        let series = self.series.known_mut(c.series.0);
        (series.band.width, series.band.halt_for) = (c.width, c.halt_for);
        series.band.stand_around(series.last);
        series.settle_watch();
        events.emit(&DynamicCollarSet {
            series: c.series,
            width: c.width,
            halt_for: c.halt_for,
        });
        Ok(())
    }

    /// Reopens, at a tick, the series whose halt is over.
    pub(crate) fn reopen_series(&mut self, events: &mut Events) {
        let now = self.floor.now;
        for _ in 0..self.floor.halted.len().min(SERIES_A_TICK) {
            let id = self.floor.halted.pop_front().expect("counted just now");
            let series = self.series.known_mut(id.0);
            let reopen_at = series.band.reopen_at;
            if !reopen_at.is_zero() && now < reopen_at {
                self.floor.halted.push_back(id);
                continue;
            }
            series.band.listed = Listed::No;
            // Nobody has set its phase since, or its time to reopen would be none.
            if !reopen_at.is_zero() {
                series.set_phase(Phase::Continuous);
                events.emit(&PhaseSet {
                    series: id,
                    phase: Phase::Continuous,
                    reserved: Reserved::ZERO,
                });
            }
        }
    }
}

impl Series {
    /// The phase from here on: whoever sets it, the series does not reopen by itself any more, and its first trade sets
    /// its band anew.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.band.reopen_at = Nanos::ZERO;
        self.band.widen();
    }

    /// The price of a rung, at most the face value.
    fn top_of(&self, rung: u32) -> Price {
        self.price(rung).min(self.face)
    }
}
