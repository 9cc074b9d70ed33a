//! The event hash: a SHA-256 chain over all events, closed every 1,024 commands.

use super::layout::{EPOCH_COMMANDS, event_chain_origin};
use crate::frame::{is_last_event, seq_of};
use crate::{ChainHash, JournalId};
use sha2::{Digest, Sha256};

/// Bytes gathered before they are hashed: hashing in bulk is cheaper than frame by frame, and a few
/// microseconds at a time stall nobody.
const GATHERED: usize = 4096;

/// Hashes events as they come. Equal sequences of event frames give equal hashes, wherever they were cut into
/// files, batches or calls.
#[derive(Clone, Debug)]
pub struct EventHasher {
    chain: ChainHash,
    state: Sha256,
    gathered: [u8; GATHERED],
    length: usize,
}

impl EventHasher {
    /// Before the first event of a journal.
    #[must_use]
    pub fn new(id: JournalId) -> Self {
        Self::from_chain(event_chain_origin(id))
    }

    /// At the start of an epoch.
    pub(crate) fn from_chain(chain: ChainHash) -> Self {
        Self {
            chain,
            state: Sha256::new().chain_update(chain.0),
            gathered: [0; GATHERED],
            length: 0,
        }
    }

    /// Adds the next event, closing the epoch after the last event of every 1,024th command.
    pub fn update(&mut self, frame: &[u8]) {
        self.add(frame);
        if is_last_event(frame) && seq_of(frame).0.is_multiple_of(EPOCH_COMMANDS) {
            self.close_epoch();
        }
    }

    /// Adds the next event and leaves closing the epoch to the caller.
    pub(crate) fn add(&mut self, frame: &[u8]) {
        self.add_run(frame);
    }

    /// Adds whole events that lie back to back, all of one epoch, and leaves closing the epoch to the caller.
    pub(crate) fn add_run(&mut self, run: &[u8]) {
        if self.length + run.len() > GATHERED {
            self.state.update(&self.gathered[..self.length]);
            self.length = 0;
        }
        if run.len() > GATHERED {
            self.state.update(run);
        } else {
            self.gathered[self.length..self.length + run.len()].copy_from_slice(run);
            self.length += run.len();
        }
    }

    /// Ends the epoch and returns the chain value after it.
    pub(crate) fn close_epoch(&mut self) -> ChainHash {
        *self = Self::from_chain(self.hash());
        self.chain
    }

    /// Chain value after the last closed epoch.
    pub(crate) fn chain(&self) -> ChainHash {
        self.chain
    }

    /// The hash of all events so far, those of the open epoch included.
    #[must_use]
    pub fn hash(&self) -> ChainHash {
        ChainHash(
            self.state
                .clone()
                .chain_update(&self.gathered[..self.length])
                .finalize()
                .into(),
        )
    }
}
