//! The event hash: a chain of keyed BLAKE3 over all events, closed every 1,024 commands.

use super::layout::{EPOCH_COMMANDS, event_chain_origin};
use crate::frame::{is_last_event, seq_of};
use crate::{ChainHash, JournalId};
use blake3::Hasher;

/// Bytes gathered before they are hashed: BLAKE3 takes sixteen pieces of 1 KiB side by side, at a tenth of what they
/// would cost one after the other.
const GATHERED: usize = 16 << 10;

/// Hashes events as they come. Equal sequences of event frames give equal hashes, wherever they were cut into
/// files, batches or calls.
#[derive(Clone, Debug)]
pub struct EventHasher {
    chain: ChainHash,
    state: Hasher,
    gathered: Box<[u8; GATHERED]>,
    length: usize,
}

impl EventHasher {
    /// Before the first event of a journal.
    #[must_use]
    pub fn new(id: JournalId) -> Self {
        Self::from_chain(event_chain_origin(id))
    }

    /// At the start of an epoch.
    #[must_use]
    pub fn from_chain(chain: ChainHash) -> Self {
        Self {
            chain,
            state: Hasher::new_keyed(&chain.0),
            gathered: Box::new([0; GATHERED]),
            length: 0,
        }
    }

    /// Adds the next event, closing the epoch after the last event of every 1,024th command.
    pub fn update(&mut self, frame: &[u8]) {
        self.add_run(frame);
        if is_last_event(frame) && seq_of(frame).0.is_multiple_of(EPOCH_COMMANDS) {
            self.close_epoch();
        }
    }

    /// Adds whole events that lie back to back, all of one epoch, and leaves closing the epoch to the caller.
    #[inline]
    pub(crate) fn add_run(&mut self, run: &[u8]) {
        let end = self.length + run.len();
        if end < GATHERED {
            self.gathered[self.length..end].copy_from_slice(run);
            self.length = end;
        } else {
            self.add_across(run);
        }
    }

    /// Adds a run that fills what is gathered: always hashed in whole fillings, which BLAKE3 is quickest with.
    #[cold]
    fn add_across(&mut self, mut run: &[u8]) {
        while self.length + run.len() >= GATHERED {
            let (now, later) = run.split_at(GATHERED - self.length);
            self.gathered[self.length..].copy_from_slice(now);
            self.state.update(&*self.gathered);
            (self.length, run) = (0, later);
        }
        self.gathered[..run.len()].copy_from_slice(run);
        self.length = run.len();
    }

    /// Ends the epoch and returns the chain value after it.
    pub(crate) fn close_epoch(&mut self) -> ChainHash {
        self.state.update(&self.gathered[..self.length]);
        self.chain = ChainHash(self.state.finalize().into());
        self.state = Hasher::new_keyed(&self.chain.0);
        self.length = 0;
        self.chain
    }

    /// Chain value after the last closed epoch.
    #[must_use]
    pub fn chain(&self) -> ChainHash {
        self.chain
    }

    /// The hash of all events so far, those of the open epoch included.
    #[must_use]
    pub fn hash(&self) -> ChainHash {
        let mut whole = self.state.clone();
        ChainHash(whole.update(&self.gathered[..self.length]).finalize().into())
    }
}
