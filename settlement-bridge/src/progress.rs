//! How far a bridge is, as numbers that others may read at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use xq_protocol::{Nanos, Seq};

/// Counted by the bridge, read by pages and views.
#[derive(Debug, Default)]
pub struct Progress {
    connected: AtomicBool,
    caught_up: AtomicBool,
    torn: AtomicBool,
    committed_seq: AtomicU64,
    committed_at: AtomicU64,
    seen_seq: AtomicU64,
    events: AtomicU64,
    rows: AtomicU64,
    trades: AtomicU64,
    transactions: AtomicU64,
    retries: AtomicU64,
}

/// A reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Whether PostgreSQL answers.
    pub connected: bool,
    /// Whether events stand there that are not whole, as a power cut leaves them until the exchange has started again.
    pub torn: bool,
    /// The last command whose events are in PostgreSQL.
    pub committed: Seq,
    /// The last command whose events were read.
    pub seen: Seq,
    /// For how long something has waited to be written; zero when all there is was written.
    pub lag: Duration,
    /// Events written since the start.
    pub events: u64,
    /// Rows written since the start, changed ones included.
    pub rows: u64,
    /// Trades written since the start.
    pub trades: u64,
    /// Transactions committed since the start.
    pub transactions: u64,
    /// How often the bridge began anew since the start.
    pub retries: u64,
}

impl Progress {
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
        if !connected {
            self.caught_up.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn began_at(&self, seq: Seq, at: Nanos) {
        self.committed_seq.store(seq.0, Ordering::Relaxed);
        self.seen_seq.fetch_max(seq.0, Ordering::Relaxed);
        self.committed_at.store(at.0, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, batch: &crate::batch::Sealed) {
        self.began_at(batch.to.cursor.seq, batch.to.at);
        for (count, more) in [
            (&self.events, batch.events),
            (&self.rows, batch.rows),
            (&self.trades, batch.trades),
        ] {
            count.fetch_add(more, Ordering::Relaxed);
        }
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn seen(&self, seq: Seq) {
        self.seen_seq.store(seq.0, Ordering::Relaxed);
    }

    pub(crate) fn at_the_end(&self, at_the_end: bool, torn: bool) {
        self.caught_up.store(at_the_end, Ordering::Relaxed);
        self.torn.store(torn, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// What is counted now.
    pub fn read(&self) -> Reading {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let committed_at = Duration::from_nanos(load(&self.committed_at));
        // A clock that was set back makes no negative lag.
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(committed_at);
        let caught_up = self.caught_up.load(Ordering::Relaxed);
        let begun = !committed_at.is_zero();
        Reading {
            connected: self.connected.load(Ordering::Relaxed),
            torn: self.torn.load(Ordering::Relaxed),
            committed: Seq(load(&self.committed_seq)),
            seen: Seq(load(&self.seen_seq)),
            lag: if caught_up || !begun {
                Duration::ZERO
            } else {
                since
            },
            events: load(&self.events),
            rows: load(&self.rows),
            trades: load(&self.trades),
            transactions: load(&self.transactions),
            retries: load(&self.retries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_makes_no_lag_and_none_is_negative() {
        let progress = Progress::default();
        progress.connected(true);
        assert_eq!(progress.read().lag, Duration::ZERO, "nothing has begun");
        progress.began_at(Seq(7), Nanos(u64::MAX / 2));
        assert_eq!(progress.read().lag, Duration::ZERO);
        progress.began_at(Seq(8), Nanos(1));
        assert!(progress.read().lag > Duration::from_secs(1_000_000_000));
        progress.at_the_end(true, false);
        assert_eq!(progress.read().lag, Duration::ZERO, "nothing waits");
    }
}
