//! What trading came to in every series, kept by following the events where nobody subscribes; as bytes, and back.

use super::statistics::{CANDLES, Trading};
use crate::register::Map;
use xq_protocol::{
    CandleTold, DayRolled, Event, Frame, Message, SeriesId, StatisticsTold, TradeBusted, Traded,
};
use zerocopy::{IntoBytes, TryFromBytes};

/// Bytes after which a piece is put.
const PIECE: usize = 4 << 20;
/// Bytes of a series in a piece: its number, its day, its candles.
const ROW: usize = 4 + size_of::<StatisticsTold>() + CANDLES.len() * size_of::<CandleTold>();

/// Every series that has traded. It follows from the events alone: whoever follows them from the first, or from where
/// they were saved, has the same.
#[derive(Clone, Debug, Default)]
pub struct Tradings {
    series: Map<SeriesId, Box<Trading>>,
}

/// Bytes that are none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what trading came to cannot be read at byte {at} of a piece")]
pub struct BadTradings {
    /// Where.
    pub at: usize,
}

impl Tradings {
    /// Follows one event.
    #[inline]
    pub fn watch(&mut self, frame: &Frame<'_>) {
        let wanted = [Traded::TEMPLATE, TradeBusted::TEMPLATE, DayRolled::TEMPLATE];
        if !wanted.contains(&frame.header.template_id) {
            return;
        }
        match frame.event() {
            Ok(Event::Traded(traded)) => {
                let trading = self.series.entry(traded.series).or_default();
                trading.traded(frame.header.time, (traded.price, traded.qty), &mut |_| {});
            }
            Ok(Event::TradeBusted(busted)) => {
                if let Some(trading) = self.series.get_mut(&busted.series) {
                    trading.broken(busted.price, busted.qty);
                }
            }
            Ok(Event::DayRolled(rolled)) => {
                self.series
                    .values_mut()
                    .for_each(|trading| trading.roll(rolled.date));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A series, if it has traded.
    pub fn of(&self, series: SeriesId) -> Option<&Trading> {
        self.series.get(&series).map(Box::as_ref)
    }

    /// Puts everything, piece by piece; the same trading gives the same bytes.
    ///
    /// # Errors
    /// What `put` answers.
    pub fn save<E>(&self, put: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut ids: Vec<_> = self.series.keys().copied().collect();
        ids.sort_unstable();
        let mut piece = Vec::with_capacity(PIECE.min(ids.len() * ROW));
        for id in ids {
            if piece.len() + ROW > PIECE {
                put(&piece)?;
                piece.clear();
            }
            let Trading {
                day,
                candles,
                // Whoever begins to follow is told everything.
                changed: _,
            } = &*self.series[&id];
            piece.extend_from_slice(&id.0.to_le_bytes());
            piece.extend_from_slice(day.as_bytes());
            candles
                .iter()
                .for_each(|candle| piece.extend_from_slice(candle.as_bytes()));
        }
        match piece.is_empty() {
            true => Ok(()),
            false => put(&piece),
        }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// [`BadTradings`]: nothing more is to be made of it.
    pub fn restore(&mut self, piece: &[u8]) -> Result<(), BadTradings> {
        for (number, row) in piece.chunks(ROW).enumerate() {
            let at = number * ROW;
            self.restore_row(row).ok_or(BadTradings { at })?;
        }
        Ok(())
    }

    fn restore_row(&mut self, row: &[u8]) -> Option<()> {
        let (id, rest) = row.split_first_chunk::<4>()?;
        let (day, mut rest) = StatisticsTold::try_read_from_prefix(rest).ok()?;
        let mut trading = Trading {
            day,
            ..Trading::default()
        };
        for (candle, seconds) in trading.candles.iter_mut().zip(CANDLES) {
            (*candle, rest) = CandleTold::try_read_from_prefix(rest).ok()?;
            (candle.seconds.0 == seconds).then_some(())?;
        }
        let before = self
            .series
            .insert(SeriesId(u32::from_le_bytes(*id)), Box::new(trading));
        (before.is_none() && rest.is_empty()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{Date, EventFrame, Header, Nanos, Price, Qty, Reserved};

    fn trade(series: u32, time: u64, price: u64) -> EventFrame {
        let header = Header {
            time: Nanos(time),
            ..Header::default()
        };
        let traded = Traded {
            series: SeriesId(series),
            price: Price(price),
            qty: Qty(3),
            ..Traded::try_read_from_bytes(&[0; size_of::<Traded>()]).expect("zeros are a trade")
        };
        EventFrame::new(header, &traded)
    }

    fn saved(tradings: &Tradings) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let put = &mut |piece: &[u8]| {
            pieces.push(piece.to_vec());
            Ok::<(), ()>(())
        };
        tradings.save(put).expect("a vector takes all");
        pieces
    }

    #[test]
    fn what_is_saved_is_restored_and_goes_on() {
        let mut tradings = Tradings::default();
        let watch = |tradings: &mut Tradings, frame: &EventFrame| {
            tradings.watch(&frame.frame().expect("it is a frame"));
        };
        assert!(saved(&tradings).is_empty());
        for number in 0..40_000 {
            watch(
                &mut tradings,
                &trade(1 + number % 20_000, u64::from(number) << 30, u64::from(number)),
            );
        }
        let rolled = DayRolled {
            date: Date(20_261_124),
            reserved: Reserved::ZERO,
        };
        watch(&mut tradings, &EventFrame::new(Header::default(), &rolled));
        watch(&mut tradings, &trade(7, 1 << 50, 55));
        let pieces = saved(&tradings);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= PIECE));
        let mut again = Tradings::default();
        for piece in &pieces {
            again.restore(piece).expect("it was saved");
        }
        assert_eq!(saved(&again), pieces);
        for tradings in [&mut tradings, &mut again] {
            watch(tradings, &trade(7, (1 << 50) + 1, 60));
        }
        assert_eq!(saved(&again), saved(&tradings));
        let day = again.of(SeriesId(7)).expect("it has traded").day;
        assert_eq!((day.open.0, day.last.0, day.trades.0), (55, 60, 2));
        let day = again.of(SeriesId(8)).expect("it has traded").day;
        assert_eq!((day.trades.0, day.date.0), (0, 20_261_124));
    }

    #[test]
    fn bytes_that_are_none_of_it_are_refused() {
        let mut tradings = Tradings::default();
        for series in [1, 2] {
            tradings.watch(&trade(series, 5, 5).frame().expect("it is a frame"));
        }
        let piece = saved(&tradings).remove(0);
        assert_eq!(piece.len(), 2 * ROW);
        let refuses = |piece: &[u8]| Tradings::default().restore(piece).err();
        assert_eq!(refuses(&piece[..2 * ROW - 1]), Some(BadTradings { at: ROW }));
        let twice = [&piece[..ROW], &piece[..ROW]].concat();
        assert_eq!(refuses(&twice), Some(BadTradings { at: ROW }));
        // A candle of no length would divide by zero.
        let mut lengthless = piece.clone();
        let seconds = ROW - size_of::<CandleTold>() + std::mem::offset_of!(CandleTold, seconds);
        lengthless[seconds..seconds + 4].fill(0);
        assert_eq!(refuses(&lengthless), Some(BadTradings { at: 0 }));
    }
}
