//! Commands that wait for a second pair of eyes.

pub(crate) mod rows;

use sha2::{Digest, Sha256};
use xq_protocol::{CommandFrame, Frame, Hash, Nanos, ParticipantId, RejectReason, Seq};

/// A command that waits.
#[derive(Clone, Copy)]
pub(crate) struct Proposal {
    pub seq: Seq,
    pub hash: Hash,
    pub proposer: ParticipantId,
    pub expires_at: Nanos,
    pub frame: CommandFrame,
}

/// Every command that waits, oldest first.
pub(crate) struct Proposals {
    waiting: Vec<Proposal>,
    max: usize,
}

/// What an approval must repeat: SHA-256 of the command's sequence, template id and body.
pub(crate) fn hash(seq: Seq, frame: &Frame<'_>) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(seq.0.to_le_bytes());
    hasher.update(frame.header.template_id.to_le_bytes());
    hasher.update(frame.body);
    Hash(hasher.finalize().into())
}

/// Bytes of a command that waits.
pub(crate) const ROW_BYTES: usize = size_of::<Proposal>();

impl Proposals {
    /// Room for `max` commands.
    pub fn new(max: usize) -> Proposals {
        Proposals {
            waiting: Vec::with_capacity(max),
            max,
        }
    }

    /// Commands that wait.
    pub fn used(&self) -> usize {
        self.waiting.len()
    }

    /// Says whether one more can wait.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.max
    }

    /// Lets a command wait.
    pub fn add(&mut self, proposal: Proposal) {
        assert!(self.has_room() && self.waiting.last().is_none_or(|last| last.seq < proposal.seq));
        self.waiting.push(proposal);
    }

    /// The proposal that this approval means, if it may approve it.
    pub fn admit(
        &self,
        seq: Seq,
        hash: Hash,
        approver: ParticipantId,
        now: Nanos,
    ) -> Result<&Proposal, RejectReason> {
        let found = self
            .waiting
            .iter()
            .find(|p| p.seq == seq && p.hash == hash && p.expires_at > now);
        let proposal = found.ok_or(RejectReason::FourEyesRequired)?;
        if proposal.proposer == approver {
            return Err(RejectReason::SameApprover);
        }
        Ok(proposal)
    }

    /// Takes a proposal out, to be executed.
    pub fn remove(&mut self, seq: Seq) {
        self.waiting.retain(|p| p.seq != seq);
    }

    /// Takes out one proposal whose time is over.
    pub fn take_expired(&mut self, now: Nanos) -> Option<Seq> {
        let found = self.waiting.iter().position(|p| p.expires_at <= now)?;
        Some(self.waiting.remove(found).seq)
    }
}
