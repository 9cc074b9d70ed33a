//! Counts of what the gateway did, to be read from any thread.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use xq_protocol::{Nanos, RejectCode};

/// One count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(
            u64::try_from(more).expect("a usize fits 64 bits"),
            Ordering::Relaxed,
        );
    }
    pub(crate) fn set(&self, count: usize) {
        self.0.store(
            u64::try_from(count).expect("a usize fits 64 bits"),
            Ordering::Relaxed,
        );
    }
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Steps of [`Durations`]: up to 1 µs, 2 µs, 4 µs and so on to 8.4 s, and beyond.
pub const DURATION_STEPS: usize = 25;

/// How often something took how long: counted by one thread, read by any.
#[derive(Debug, Default)]
pub struct Durations {
    steps: [AtomicU64; DURATION_STEPS],
    sum_ns: AtomicU64,
}

impl Durations {
    /// Longest duration of a step; the last step has none.
    pub fn longest(step: usize) -> Option<Duration> {
        (step + 1 < DURATION_STEPS).then(|| Duration::from_micros(1 << step))
    }
    /// How many there were of each step, each counted once.
    pub fn steps(&self) -> [u64; DURATION_STEPS] {
        std::array::from_fn(|step| self.steps[step].load(Ordering::Relaxed))
    }
    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed))
    }
    /// Counts one. Only one thread may.
    pub fn count(&self, took: Nanos) {
        let bits = u64::BITS - took.0.saturating_sub(1).div_euclid(1_000).leading_zeros();
        let step = usize::try_from(bits).map_or(DURATION_STEPS, |bits| bits.min(DURATION_STEPS - 1));
        // A sum that is too large begins anew, as counters may: whoever counts is not to end by it.
        let more = |to: &AtomicU64, by: u64| {
            let sum = to.load(Ordering::Relaxed).wrapping_add(by);
            to.store(sum, Ordering::Relaxed);
        };
        more(&self.steps[step], 1);
        more(&self.sum_ns, took.0);
    }
}

/// Reject codes are below it.
const CODES: usize = 1_000;

/// What the gateway counts.
#[derive(Debug)]
pub struct Stats {
    /// Connections that are open now, handshakes included.
    pub connections: Counter,
    /// Connection attempts turned away because there were too many.
    pub connections_refused: Counter,
    /// Sessions that are up now.
    pub sessions: Counter,
    /// Commands that entered the ring.
    pub commands: Counter,
    /// Messages told again to sessions that had missed them.
    pub retransmitted: Counter,
    /// Bytes read from streams.
    pub bytes_in: Counter,
    /// Bytes written to streams.
    pub bytes_out: Counter,
    /// The first moment at which the server's certificate is not valid any more, Unix seconds.
    pub certificate_ends: AtomicI64,
    /// Readers dropped because they were too slow.
    pub too_slow: Counter,
    /// From a command's coming until what follows from it may be told, of one command in each look at the events.
    pub told_after: Durations,
    rejects: Box<[Counter]>,
    exchange_rejects: Box<[Counter]>,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            connections: Counter::default(),
            connections_refused: Counter::default(),
            sessions: Counter::default(),
            commands: Counter::default(),
            retransmitted: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            certificate_ends: AtomicI64::new(0),
            too_slow: Counter::default(),
            told_after: Durations::default(),
            rejects: (0..CODES).map(|_| Counter::default()).collect(),
            exchange_rejects: (0..CODES).map(|_| Counter::default()).collect(),
        }
    }
}

impl Stats {
    /// How often the door refused with this code.
    pub fn rejects(&self, code: RejectCode) -> u64 {
        self.rejects.get(usize::from(code.0)).map_or(0, Counter::get)
    }
    /// How often the exchange itself refused with this code, as far as its events were followed.
    pub fn exchange_rejects(&self, code: RejectCode) -> u64 {
        let counter = self.exchange_rejects.get(usize::from(code.0));
        counter.map_or(0, Counter::get)
    }
    pub(crate) fn rejected(&self, code: RejectCode) {
        if let Some(counter) = self.rejects.get(usize::from(code.0)) {
            counter.add(1);
        }
    }
    pub(crate) fn exchange_rejected(&self, code: RejectCode) {
        if let Some(counter) = self.exchange_rejects.get(usize::from(code.0)) {
            counter.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_step_that_it_is_not_longer_than() {
        let durations = Durations::default();
        let step_of = |ns: u64| {
            let before = durations.steps();
            durations.count(Nanos(ns));
            let after = durations.steps();
            (0..DURATION_STEPS).find(|step| after[*step] > before[*step])
        };
        let cases = [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000, 2),
            (4_001, 3),
        ];
        for (ns, step) in cases {
            assert_eq!(step_of(ns), Some(step), "{ns} ns");
            assert!(Durations::longest(step).expect("not the last").as_nanos() >= u128::from(ns));
        }
        assert_eq!(step_of(3_600_000_000_000), Some(DURATION_STEPS - 1));
        assert_eq!(Durations::longest(DURATION_STEPS - 1), None);
        assert_eq!(durations.sum(), Duration::from_nanos(3_600_000_014_003));
        for _ in 0..2 {
            assert_eq!(step_of(u64::MAX), Some(DURATION_STEPS - 1));
        }
        let begun_anew = Duration::from_nanos(3_600_000_014_001);
        assert_eq!(durations.sum(), begun_anew, "whoever counts goes on");
    }

    #[test]
    fn every_reject_is_counted_under_its_code() {
        let stats = Stats::default();
        for reason in xq_protocol::RejectReason::ALL {
            stats.rejected(reason.code());
            stats.exchange_rejected(reason.code());
            let counts = (
                stats.rejects(reason.code()),
                stats.exchange_rejects(reason.code()),
            );
            assert_eq!(counts, (1, 1), "{reason}");
        }
    }
}
