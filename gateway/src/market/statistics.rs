//! What trading came to: a business day's statistics and the candles, in integers, by the exchange's own time.

use xq_protocol::{Amount, CandleTold, Count, Date, Nanos, Price, Qty, StatisticsTold};

/// Lengths of candles in seconds.
pub const CANDLES: [u32; 5] = [1, 60, 300, 3_600, 86_400];

const SECOND: u64 = 1_000_000_000;

/// One series' trading.
#[derive(Clone, Debug)]
pub struct Trading {
    /// Since the business day began.
    pub day: StatisticsTold,
    /// The stretches that have begun; one without trades has none.
    pub candles: [CandleTold; CANDLES.len()],
    /// Which of them changed since they were told, a bit each.
    pub changed: u8,
}

impl Default for Trading {
    fn default() -> Self {
        let zero = Price::ZERO;
        let candle = |seconds| CandleTold {
            begins: Nanos::ZERO,
            open: zero,
            high: zero,
            low: zero,
            close: zero,
            volume: Amount::ZERO,
            turnover: Amount::ZERO,
            trades: Count::ZERO,
            seconds: Count(seconds),
        };
        Trading {
            day: no_trades(Date::ZERO),
            candles: CANDLES.map(candle),
            changed: 0,
        }
    }
}

fn no_trades(date: Date) -> StatisticsTold {
    let zero = Price::ZERO;
    StatisticsTold {
        open: zero,
        high: zero,
        low: zero,
        last: zero,
        volume: Amount::ZERO,
        turnover: Amount::ZERO,
        trades: Count::ZERO,
        date,
    }
}

/// A sum that stops at the largest value: a count that is too large must not end who counts.
fn plus(sum: Amount, more: u64) -> Amount {
    Amount(sum.0.saturating_add(more))
}

impl Trading {
    /// A business day begins.
    pub fn roll(&mut self, date: Date) {
        self.day = no_trades(date);
    }

    /// A trade of the day was undone: its prices stay, since nobody can tell what they would have been without it.
    pub fn broken(&mut self, price: Price, qty: Qty) {
        let turnover = price.0.saturating_mul(u64::from(qty.0));
        let day = &mut self.day;
        day.volume = Amount(day.volume.0.saturating_sub(u64::from(qty.0)));
        day.turnover = Amount(day.turnover.0.saturating_sub(turnover));
        day.trades = Count(day.trades.0.saturating_sub(1));
    }

    /// A trade; `ended` gets each candle that it ends.
    pub fn traded(&mut self, time: Nanos, (price, qty): (Price, Qty), ended: &mut dyn FnMut(CandleTold)) {
        let turnover = price.0.saturating_mul(u64::from(qty.0));
        let day = &mut self.day;
        if day.trades.is_zero() {
            (day.open, day.high, day.low) = (price, price, price);
        }
        (day.high, day.low, day.last) = (day.high.max(price), day.low.min(price), price);
        day.volume = plus(day.volume, u64::from(qty.0));
        day.turnover = plus(day.turnover, turnover);
        day.trades = Count(day.trades.0.saturating_add(1));
        for (at, candle) in self.candles.iter_mut().enumerate() {
            let length = u64::from(candle.seconds.0) * SECOND;
            let begins = Nanos(time.0 - time.0 % length);
            if candle.trades.is_zero() || candle.begins != begins {
                if self.changed & 1 << at != 0 {
                    ended(*candle);
                }
                *candle = CandleTold {
                    begins,
                    open: price,
                    high: price,
                    low: price,
                    close: price,
                    volume: Amount::ZERO,
                    turnover: Amount::ZERO,
                    trades: Count::ZERO,
                    ..*candle
                };
            }
            (candle.high, candle.low, candle.close) = (candle.high.max(price), candle.low.min(price), price);
            candle.volume = plus(candle.volume, u64::from(qty.0));
            candle.turnover = plus(candle.turnover, turnover);
            candle.trades = Count(candle.trades.0.saturating_add(1));
            self.changed |= 1 << at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_make_a_day_and_its_candles() {
        let mut trading = Trading::default();
        trading.roll(Date(20_261_123));
        let mut ended = Vec::new();
        let start = 1_700_006_400 * SECOND;
        for (second, price, qty) in [(0, 100, 1), (0, 90, 2), (59, 120, 3), (61, 110, 4)] {
            trading.traded(
                Nanos(start + second * SECOND + 5),
                (Price(price), Qty(qty)),
                &mut |candle| {
                    ended.push((candle.seconds.0, candle.close.0, candle.trades.0));
                },
            );
        }
        assert_eq!(ended, [(1, 90, 2), (1, 120, 1), (60, 120, 3)]);
        let day = trading.day;
        assert_eq!(
            (day.open.0, day.high.0, day.low.0, day.last.0),
            (100, 120, 90, 110)
        );
        assert_eq!(
            (day.volume.0, day.turnover.0, day.trades.0),
            (10, 100 + 180 + 360 + 440, 4)
        );
        let [second, minute, _, _, whole] = trading.candles;
        assert_eq!(
            (second.begins.0, second.open.0, second.trades.0),
            (start + 61 * SECOND, 110, 1)
        );
        assert_eq!((minute.begins.0, minute.volume.0), (start + 60 * SECOND, 4));
        assert_eq!(
            (whole.begins.0, whole.open.0, whole.close.0, whole.trades.0),
            (start, 100, 110, 4)
        );
        trading.broken(Price(90), Qty(2));
        let day = trading.day;
        assert_eq!(
            (day.low.0, day.volume.0, day.turnover.0, day.trades.0),
            (90, 8, 100 + 360 + 440, 3)
        );
        trading.roll(Date(20_261_124));
        assert_eq!((trading.day.trades.0, trading.day.date.0), (0, 20_261_124));
        assert_eq!(
            trading.candles[4].trades.0, 4,
            "candles follow the clock, not the business day"
        );
    }
}
