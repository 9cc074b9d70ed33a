//! The one clock: wall time at the start, carried on by the monotonic clock, never stepped.

use crate::exit::Failure;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use xq_protocol::Nanos;

/// How far the wall clock may lie after the last journaled time before a start is refused.
pub const LEAP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a start long after the last journaled time is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockLeap {
    /// Refused: the clock is probably wrong.
    Refuse,
    /// The operator says that so much time has passed.
    Accept,
}

/// Live time: what the wall clock said at the start, plus what has passed since.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    wall_at_start: Nanos,
    started: Instant,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the wall clock says.
pub fn wall_now() -> Nanos {
    Nanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos))
}

impl SteadyClock {
    /// A clock that begins with the wall clock's time.
    pub fn start() -> SteadyClock {
        SteadyClock::starting_at(wall_now())
    }

    /// A clock that begins with the time given.
    pub fn starting_at(wall_at_start: Nanos) -> SteadyClock {
        SteadyClock {
            wall_at_start,
            started: Instant::now(),
        }
    }

    /// The time, UTC.
    #[inline]
    pub fn now(&self) -> Nanos {
        Nanos(self.wall_at_start.0.saturating_add(nanos(self.started.elapsed())))
    }

    /// How far the wall clock has moved away from this one since the start, nanoseconds; positive when it is ahead.
    pub fn wall_offset_ns(&self) -> i64 {
        let (wall, ours) = (i128::from(wall_now().0), i128::from(self.now().0));
        i64::try_from(wall - ours).unwrap_or(if wall > ours { i64::MAX } else { i64::MIN })
    }

    /// Refuses to start under a clock that lies before the last journaled time, or far after it.
    ///
    /// # Errors
    /// [`Failure::Clock`], with both times.
    pub fn check(&self, last_journaled: Nanos, leap: ClockLeap) -> Result<(), Failure> {
        let (now, last) = (self.wall_at_start, last_journaled);
        if last.is_zero() {
            return Ok(());
        }
        if now < last {
            let behind = Duration::from_nanos(last.0 - now.0);
            return Err(Failure::Clock(format!(
                "the wall clock says {now} ns, the journal's last command is of {last} ns, {behind:?} later; \
                 set the clock right"
            )));
        }
        let ahead = Duration::from_nanos(now.0 - last.0);
        if ahead > LEAP_MAX && leap == ClockLeap::Refuse {
            return Err(Failure::Clock(format!(
                "the wall clock says {now} ns, the journal's last command is of {last} ns, {ahead:?} earlier; \
                 if the clock is right, start with --accept-clock-leap"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000_000;

    #[test]
    fn a_clock_behind_the_journal_is_refused_and_a_leap_needs_the_flag() {
        let clock = SteadyClock::starting_at(Nanos(10 * DAY));
        let check = |last, leap| clock.check(Nanos(last), leap).is_ok();
        assert!(check(10 * DAY, ClockLeap::Refuse));
        assert!(check(9 * DAY, ClockLeap::Refuse), "exactly a day is no leap");
        assert!(!check(9 * DAY - 1, ClockLeap::Refuse));
        assert!(check(9 * DAY - 1, ClockLeap::Accept));
        assert!(!check(10 * DAY + 1, ClockLeap::Refuse));
        assert!(
            !check(10 * DAY + 1, ClockLeap::Accept),
            "backwards is never accepted"
        );
        assert!(check(0, ClockLeap::Refuse), "an empty journal has no last time");
    }

    #[test]
    fn time_goes_on_from_where_it_started() {
        let clock = SteadyClock::starting_at(Nanos(5));
        let first = clock.now();
        assert!(first >= Nanos(5) && clock.now() >= first);
    }
}
