//! The timer: lets time pass in the exchange, a Tick at each interval.

use crate::clock::SteadyClock;
use crate::ingress::Ingress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xq_protocol::{EventFrame, Header, Nanos, Tick};

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
    let mut due = Instant::now() + interval;
    while !halt.load(Ordering::Acquire) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let taken = ingress.offer(tick(clock.now()).bytes());
            if taken == 0 {
                tracing::warn!("the command ring is full: a tick was left out");
            }
            // Ticks that were missed while the machine was busy are not made up for: one says all that they would.
            due = Instant::now() + interval;
        } else {
            std::thread::park_timeout(left);
        }
    }
}
