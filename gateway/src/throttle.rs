//! The throttle of one session: a token bucket, kept as the instant at which it will be full again.

use xq_protocol::{Count, Nanos};

/// A bucket of `burst` tokens that gains `rate` a second.
pub struct Throttle {
    interval: u64,
    depth: u64,
    full_at: u64,
}

impl Throttle {
    /// A full bucket; a rate of zero lets nothing through but what is never throttled.
    pub fn new(rate: Count, burst: Count) -> Throttle {
        let interval = 1_000_000_000_u64
            .checked_div(u64::from(rate.0))
            .unwrap_or(u64::MAX);
        // A rate above one a nanosecond is none that could be exceeded.
        let interval = interval.max(1);
        let burst = if rate.is_zero() { 0 } else { u64::from(burst.0) };
        Throttle {
            interval,
            depth: interval.saturating_mul(burst),
            full_at: 0,
        }
    }

    /// Takes a token, if there is one.
    #[inline]
    pub fn take(&mut self, now: Nanos) -> bool {
        self.take_many(now, 1)
    }

    /// Takes so many tokens, if they are there.
    #[inline]
    pub fn take_many(&mut self, now: Nanos, tokens: u64) -> bool {
        let cost = self.interval.saturating_mul(tokens);
        let full_at = self.full_at.max(now.0).saturating_add(cost);
        let admitted = full_at - now.0 <= self.depth;
        if admitted {
            self.full_at = full_at;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut throttle = Throttle::new(Count(1_000), Count(5));
        let start = Nanos(1_000_000_000);
        let passed = (0..10).filter(|_| throttle.take(start)).count();
        assert_eq!(passed, 5);
        assert!(!throttle.take(Nanos(start.0 + 999_999)));
        assert!(throttle.take(Nanos(start.0 + 1_000_000)));
        assert!(!throttle.take(Nanos(start.0 + 1_000_000)));
        let much_later = Nanos(start.0 + 1_000_000_000);
        assert_eq!((0..10).filter(|_| throttle.take(much_later)).count(), 5);
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_through() {
        let mut throttle = Throttle::new(Count(0), Count(5));
        assert!(!throttle.take(Nanos(u64::MAX / 2)));
    }
}
