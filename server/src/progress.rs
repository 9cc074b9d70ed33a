//! How far the commands are durable: written by the journaler, waited for by the publisher, asked by everyone.

use crossbeam::utils::CachePadded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use xq_protocol::Seq;

/// The last durable command.
#[derive(Clone, Debug, Default)]
pub struct Durable(Arc<CachePadded<AtomicU64>>);

impl Durable {
    /// Everything up to `seq` is durable.
    pub fn starting_at(seq: Seq) -> Durable {
        Durable(Arc::new(CachePadded::new(AtomicU64::new(seq.0))))
    }

    /// The last durable command.
    #[inline]
    pub fn seq(&self) -> Seq {
        Seq(self.0.load(Ordering::Acquire))
    }

    /// Says that everything up to `seq` survives a power cut now.
    #[inline]
    pub(crate) fn advance(&self, seq: Seq) {
        let before = self.0.load(Ordering::Relaxed);
        assert!(before <= seq.0, "what was durable stays durable");
        self.0.store(seq.0, Ordering::Release);
    }
}
