//! Commands that wait for approval, as rows of a snapshot.

use super::{Proposal, Proposals};
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{CommandFrame, Frame, Nanos, ParticipantId, Seq};

/// A command that waits. What an approval must repeat follows from it.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct ProposalRow {
    pub seq: u64,
    pub expires_at: u64,
    pub proposer: u32,
    pub frame: Vec<u8>,
}

/// A frame from its bytes, which may lie anywhere; none when they are not exactly one.
pub(crate) fn frame_of(bytes: &[u8]) -> Option<CommandFrame> {
    let mut frame = CommandFrame::default();
    let words = frame.words_mut();
    if !bytes.len().is_multiple_of(8) || bytes.len() > 8 * words.len() {
        return None;
    }
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let whole = frame.frame().is_ok_and(|frame: Frame<'_>| frame.bytes() == bytes);
    whole.then_some(frame)
}

impl Proposals {
    /// Every command that waits, the oldest first.
    pub fn rows(&self) -> impl Iterator<Item = ProposalRow> + '_ {
        self.waiting.iter().map(|proposal| {
            let Proposal {
                seq,
                hash: _,
                proposer,
                expires_at,
                frame,
            } = proposal;
            ProposalRow {
                seq: seq.0,
                expires_at: expires_at.0,
                proposer: proposer.0,
                frame: frame.bytes().to_vec(),
            }
        })
    }

    /// Lets a command wait after all others. No command before `now` was not there yet.
    pub fn restore(&mut self, row: &ProposalRow, now: Seq) -> Result<(), BadSnapshot> {
        let kind = SectionKind::Proposals;
        let frame = frame_of(&row.frame);
        let Some((frame, view)) = frame
            .as_ref()
            .and_then(|frame| Some((frame, frame.frame().ok()?)))
        else {
            return bad(kind, "what waits is no frame");
        };
        let (seq, proposer) = (Seq(row.seq), ParticipantId(row.proposer));
        let own = view.header.session.participant() == proposer;
        let is_command = view.command().is_ok();
        let follows = self.waiting.last().is_none_or(|last| last.seq < seq) && seq <= now;
        if !own || !is_command || !follows || !self.has_room() {
            return bad(kind, format!("proposal {seq} was never made"));
        }
        self.add(Proposal {
            seq,
            hash: super::hash(seq, &view),
            proposer,
            expires_at: Nanos(row.expires_at),
            frame: *frame,
        });
        Ok(())
    }
}
