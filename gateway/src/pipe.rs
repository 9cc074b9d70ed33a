//! What waits to be written to one stream, bounded.

use bytes::{Bytes, BytesMut};
use std::rc::Rc;
use tokio::sync::Notify;
use xq_protocol::TerminateReason;

/// The bells of a pipe's writer.
#[derive(Clone, Default)]
pub struct Bells {
    /// There is something to write.
    pub more: Rc<Notify>,
    /// It ends: what cannot be written soon is not written at all.
    pub ending: Rc<Notify>,
}

/// Bytes to be written, and whether that is all.
pub struct Pipe {
    waiting: BytesMut,
    limit: usize,
    closing: Option<TerminateReason>,
    bells: Bells,
}

/// What a writer takes from a pipe.
pub struct Taken {
    /// To be written.
    pub bytes: Bytes,
    /// After it nothing follows, for this reason.
    pub closing: Option<TerminateReason>,
}

impl Pipe {
    /// An empty pipe that may hold about so many bytes.
    pub fn new(limit: usize) -> Pipe {
        Pipe {
            waiting: BytesMut::new(),
            limit,
            closing: None,
            bells: Bells::default(),
        }
    }
    /// Its bells.
    pub fn bells(&self) -> Bells {
        self.bells.clone()
    }
    /// Puts whole frames; after the last one nothing is put any more.
    #[inline]
    pub fn put(&mut self, frames: &[u8]) {
        if self.closing.is_none() {
            if self.waiting.is_empty() {
                self.bells.more.notify_one();
            }
            self.waiting.extend_from_slice(frames);
        }
    }
    /// Says whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    /// Says whether its reader is too slow: more waits than may.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.waiting.len() > self.limit
    }
    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
    /// What waits is the last.
    pub fn close(&mut self, reason: TerminateReason) {
        self.closing.get_or_insert(reason);
        self.bells.more.notify_one();
        self.bells.ending.notify_one();
    }
    /// Why it closes.
    pub fn closing(&self) -> Option<TerminateReason> {
        self.closing
    }
    /// Takes what waits.
    pub fn take(&mut self) -> Taken {
        Taken {
            bytes: self.waiting.split().freeze(),
            closing: self.closing,
        }
    }
}
