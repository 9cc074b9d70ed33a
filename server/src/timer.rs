//! The timer: lets time pass in the exchange, a Tick at each interval.

use crate::clock::SteadyClock;
use crate::ingress::Ingress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xq_protocol::{EventFrame, Header, Nanos, Tick};

/// How often time passes at most while the disk is full. A Tick costs a block of the journal, and the room that is left
/// is kept for cancels: at a tenth of a second, Ticks would fill a segment of 64 MiB in half an hour, now in a day.
const ON_A_FULL_DISK: Duration = Duration::from_secs(5);

/// A Tick of this time.
pub(crate) fn tick(now: Nanos) -> EventFrame {
    let header = Header {
        time: now,
        ..Header::default()
    };
    EventFrame::new(header, &Tick {})
}

/// Offers Ticks until it is told to halt. One that does not fit a full ring is left out: the next says the same.
pub(crate) fn run(mut ingress: Ingress, clock: SteadyClock, interval: Duration, halt: &Arc<AtomicBool>) {
    let mut last = Instant::now();
    while !halt.load(Ordering::Acquire) {
        let left = pause(&ingress, interval).saturating_sub(last.elapsed());
        if left.is_zero() {
            let taken = ingress.offer(tick(clock.now()).bytes());
            if taken == 0 {
                tracing::warn!("the command ring is full: a tick was left out");
            }
            // Ticks that were missed while the machine was busy are not made up for: one says all that they would.
            last = Instant::now();
        } else {
            // Room on the disk is noticed within an interval.
            std::thread::park_timeout(left.min(interval));
        }
    }
}

/// How long after a Tick the next is due.
fn pause(ingress: &Ingress, interval: Duration) -> Duration {
    if ingress.is_disk_low() {
        interval.max(ON_A_FULL_DISK)
    } else {
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Gauges, RING_SLOTS_MIN, command_ring};

    #[test]
    fn a_full_disk_is_not_filled_with_ticks() {
        let (producer, _matcher, _journaler) = command_ring(RING_SLOTS_MIN);
        let gauges = Arc::new(Gauges::default());
        let ingress = Ingress::new(producer, Arc::clone(&gauges), RING_SLOTS_MIN, Default::default());
        let (usual, longer) = (Duration::from_millis(100), Duration::from_secs(9));
        assert_eq!(pause(&ingress, usual), usual);
        gauges.disk_is_low.store(true, Ordering::Relaxed);
        assert_eq!(pause(&ingress, usual), ON_A_FULL_DISK);
        assert_eq!(pause(&ingress, longer), longer);
    }
}
