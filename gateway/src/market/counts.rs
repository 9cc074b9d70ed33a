//! Counts of market data, to be read from any thread, and the delay between private and public telling.

use crate::stats::{Counter, Durations};
use std::sync::atomic::{AtomicU64, Ordering};
use xq_protocol::{Header, Nanos, RejectCode, RejectReason, Seq};

/// Reject codes are below it.
const CODES: usize = 1_000;

/// What market data counts.
#[derive(Debug)]
pub struct MarketStats {
    /// Subscribers that are there now.
    pub subscribers: Counter,
    /// Events followed.
    pub events: Counter,
    /// Packets made, each once however many want it.
    pub packets: Counter,
    /// Bytes of those.
    pub packet_bytes: Counter,
    /// Datagrams handed to subscribers' connections.
    pub datagrams: Counter,
    /// Snapshots told.
    pub snapshots: Counter,
    /// Repairs told.
    pub repairs: Counter,
    /// Bytes written to streams: answers, repairs, snapshots, levels.
    pub stream_bytes: Counter,
    /// Subscribers dropped because they were too slow.
    pub dropped: Counter,
    refused: Box<[Counter]>,
}

impl Default for MarketStats {
    fn default() -> Self {
        MarketStats {
            subscribers: Counter::default(),
            events: Counter::default(),
            packets: Counter::default(),
            packet_bytes: Counter::default(),
            datagrams: Counter::default(),
            snapshots: Counter::default(),
            repairs: Counter::default(),
            stream_bytes: Counter::default(),
            dropped: Counter::default(),
            refused: (0..CODES).map(|_| Counter::default()).collect(),
        }
    }
}

impl MarketStats {
    /// How often a request, or a subscriber, was refused with this code.
    pub fn refusals(&self, code: RejectCode) -> u64 {
        self.refused.get(usize::from(code.0)).map_or(0, Counter::get)
    }
    pub(crate) fn refused(&self, reason: RejectReason) {
        if let Some(counter) = self.refused.get(usize::from(reason.code().0)) {
            counter.add(1);
        }
    }
}

/// Of so many commands one is timed.
const ONE_OF: u64 = 64;
/// Timed commands that may be told on one way and not yet on the other.
const MARKS: usize = 1_024;
/// Bits of a mark that tell when, in microseconds: more than twelve days.
const WHEN_BITS: u32 = 40;

/// Where private reports and public messages of the same command meet: who comes second counts how much later it is.
///
/// The gateway's thread says when it told a command's last event to sessions, the thread of market data when it sent it.
#[derive(Debug)]
pub struct Delays {
    /// One of each timed command that was told on one way: its number's low bits, and when.
    marks: Box<[AtomicU64]>,
    /// The private report came first, so much earlier.
    pub private_first: Durations,
    /// The public message came first, so much earlier.
    pub public_first: Durations,
}

impl Default for Delays {
    fn default() -> Self {
        Delays {
            marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
            private_first: Durations::default(),
            public_first: Durations::default(),
        }
    }
}

impl Delays {
    /// Says whether an event is one whose tellings are timed: the last one of one command in 64.
    #[inline]
    pub fn is_timed(header: &Header) -> bool {
        header.seq.0.is_multiple_of(ONE_OF) && header.is_last()
    }

    /// A command's last event was told to sessions. Only the gateway's thread may say so.
    pub fn told_privately(&self, seq: Seq, now: Nanos) {
        if let Some(later) = self.second(seq, now) {
            self.public_first.count(later);
        }
    }

    /// A command's last event was sent to subscribers. Only the thread of market data may say so.
    pub fn told_publicly(&self, seq: Seq, now: Nanos) {
        if let Some(later) = self.second(seq, now) {
            self.private_first.count(later);
        }
    }

    /// How much later this is than the other telling of the same command; none when this is the first.
    fn second(&self, seq: Seq, now: Nanos) -> Option<Nanos> {
        let number = seq.0 / ONE_OF;
        let when_mask = (1 << WHEN_BITS) - 1;
        // Never zero, which is no mark.
        let mark = (number << WHEN_BITS) | ((now.0 / 1_000) & when_mask).max(1);
        let place = usize::try_from(number).ok()? % MARKS;
        let found = self.marks[place].swap(mark, Ordering::AcqRel);
        if found == 0 || found >> WHEN_BITS != mark >> WHEN_BITS {
            return None;
        }
        self.marks[place].store(0, Ordering::Release);
        let later = (mark & when_mask).wrapping_sub(found & when_mask) & when_mask;
        // A clock read on another core a moment before: they were told at the same time.
        let is_before = later > when_mask / 2;
        Some(Nanos(if is_before { 0 } else { later * 1_000 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(durations: &Durations) -> (u64, u128) {
        (durations.steps().iter().sum(), durations.sum().as_micros())
    }

    #[test]
    fn who_tells_second_counts_how_much_later() {
        let delays = Delays::default();
        delays.told_privately(Seq(64), Nanos(1_000_000));
        delays.told_publicly(Seq(64), Nanos(1_005_000));
        delays.told_publicly(Seq(128), Nanos(2_000_000));
        delays.told_privately(Seq(128), Nanos(2_007_000));
        delays.told_privately(Seq(192), Nanos(3_000_000));
        delays.told_publicly(Seq(192), Nanos(2_999_000));
        assert_eq!(counted(&delays.private_first), (2, 5));
        assert_eq!(counted(&delays.public_first), (1, 7));
        // One that was told on one way only is no measure of another command.
        delays.told_privately(Seq(64), Nanos(1));
        delays.told_publicly(Seq(64 + 64 * 1_024), Nanos(9_000_000));
        assert_eq!(counted(&delays.private_first), (2, 5));
    }
}
