//! Hiccups: how much later than asked a thread wakes that has nothing else to do. What the machine, its hypervisor or other
//! work did to it, it did to every thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xq_gateway::Durations;
use xq_protocol::Nanos;

/// How long it asks to rest.
const REST: Duration = Duration::from_millis(5);

/// Counts until it is told to halt.
pub(crate) fn run(hiccups: &Durations, halt: &AtomicBool) {
    while !halt.load(Ordering::Acquire) {
        let due = Instant::now() + REST;
        std::thread::park_timeout(REST);
        let late = Instant::now().saturating_duration_since(due);
        hiccups.count(Nanos(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX)));
    }
}
