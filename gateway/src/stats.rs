//! Counts of what the gateway did, to be read from any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use xq_protocol::RejectCode;

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
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

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
    /// Messages told, retransmissions and repeats included.
    pub told: Counter,
    /// Bytes read from streams.
    pub bytes_in: Counter,
    /// Bytes written to streams.
    pub bytes_out: Counter,
    /// Readers dropped because they were too slow.
    pub too_slow: Counter,
    rejects: [Counter; 256],
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            connections: Counter::default(),
            connections_refused: Counter::default(),
            sessions: Counter::default(),
            commands: Counter::default(),
            told: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            too_slow: Counter::default(),
            rejects: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Stats {
    /// How often the door refused with this code.
    pub fn rejects(&self, code: RejectCode) -> u64 {
        self.rejects.get(usize::from(code.0)).map_or(0, Counter::get)
    }
    pub(crate) fn rejected(&self, code: RejectCode) {
        if let Some(counter) = self.rejects.get(usize::from(code.0)) {
            counter.add(1);
        }
    }
}
