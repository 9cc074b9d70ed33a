//! Drop copies: what a participant's sessions are told, told once more to whoever may watch over it.
//!
//! A drop copy reads the event journal from where its reader asks until it has caught up; from then on it is told as the
//! sessions are. Each message bears its event's place, so that a reader who lost the connection goes on without a gap.

use crate::config::Limits;
use crate::frames::Frames;
use crate::output::Output;
use crate::pipe::{Bells, Pipe, Taken};
use crate::register::{Map, Register};
use crate::told::{Telling, tellings};
use xq_protocol::{
    DropCopied, Frame, Header, ParticipantId, RejectReason, Role, Seq, SessionId, TerminateReason,
};

/// Names one drop copy of this gateway; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CopyId(u64);

/// One drop copy that has caught up.
struct Copy {
    watched: ParticipantId,
    pipe: Pipe,
    /// The command up to which its reader knows that it has all.
    told_up_to: Seq,
}

/// What is read of the journal before a drop copy has caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Whose messages.
    pub watched: ParticipantId,
    /// The next event to be looked at.
    pub next: (Seq, u16),
}

impl Behind {
    /// Says whether this event was looked at already.
    pub fn has_passed(&self, header: &Header) -> bool {
        (header.seq, header.index) < self.next
    }

    /// Puts what this event tells to the participant's sessions.
    pub fn read(&mut self, frame: &Frame<'_>, put: &mut Vec<u8>) {
        let event = frame.event().expect("the event journal holds events");
        for telling in tellings(frame.header, &event).into_iter().flatten() {
            if telling.to.participant() == self.watched {
                telling.write(frame, 0, &mut |bytes| put.extend_from_slice(bytes));
            }
        }
        self.next = (frame.header.seq, frame.header.index.saturating_add(1));
    }
}

/// All drop copies that have caught up.
#[derive(Default)]
pub struct Copies {
    copies: Map<CopyId, Copy>,
    watchers: Map<ParticipantId, Vec<CopyId>>,
    last: u64,
    slow: Vec<CopyId>,
    /// How many there are of all, those that have not caught up included.
    opened: usize,
}

/// Says whether one may watch over another: its own, or the house's people.
pub fn may_watch(reader: SessionId, watched: ParticipantId, register: &Register) -> bool {
    let role = register.role(reader.participant());
    reader.participant() == watched || matches!(role, Some(Role::Operator | Role::Risk | Role::Regulator))
}

impl Copies {
    /// One more begins.
    ///
    /// # Errors
    /// R410: there are as many as may be.
    pub fn begin(&mut self, limits: &Limits) -> Result<(), RejectReason> {
        if self.opened >= limits.drop_copies_max {
            return Err(RejectReason::Capacity);
        }
        self.opened += 1;
        Ok(())
    }

    /// It has caught up: it is told from now on.
    pub fn caught_up(&mut self, watched: ParticipantId, limits: &Limits) -> (CopyId, Bells) {
        self.last += 1;
        let id = CopyId(self.last);
        let pipe = Pipe::new(limits.outbox_max);
        let bells = pipe.bells();
        let copy = Copy {
            watched,
            pipe,
            told_up_to: Seq::ZERO,
        };
        self.copies.insert(id, copy);
        self.watchers.entry(watched).or_default().push(id);
        (id, bells)
    }

    /// It has ended, caught up or not.
    pub fn end(&mut self, id: Option<CopyId>) {
        self.opened -= 1;
        let Some(Copy { watched, .. }) = id.and_then(|id| self.copies.remove(&id)) else {
            return;
        };
        let watchers = self.watchers.get_mut(&watched).expect("it watched");
        watchers.retain(|other| Some(*other) != id);
        if watchers.is_empty() {
            self.watchers.remove(&watched);
        }
    }

    /// A message is told.
    #[inline]
    pub fn tell(&mut self, frame: &Frame<'_>, telling: &Telling<'_>) {
        if self.watchers.is_empty() {
            return;
        }
        let Some(watchers) = self.watchers.get(&telling.to.participant()) else {
            return;
        };
        for id in watchers {
            let copy = self.copies.get_mut(id).expect("who watches is there");
            telling.write(frame, 0, &mut |bytes| copy.pipe.put(bytes));
            if copy.pipe.is_over() {
                self.slow.push(*id);
            }
        }
    }

    /// Tells everyone who has caught up that nothing is missing up to this command; whoever has not read what waits for it
    /// hears it later, so that a place never waits behind another.
    pub fn tell_place(&mut self, seq: Seq) {
        let is_due = |copy: &&mut Copy| copy.told_up_to < seq && copy.pipe.is_empty();
        for copy in self.copies.values_mut().filter(is_due) {
            let mut place = Frames::default();
            place.push(Header::default(), &DropCopied { seq });
            copy.pipe.put(place.bytes());
            copy.told_up_to = seq;
        }
    }

    /// Drops those who read too slowly; returns how many.
    pub fn drop_slow(&mut self) -> usize {
        let mut dropped = 0;
        for id in std::mem::take(&mut self.slow) {
            let copy = self
                .copies
                .get_mut(&id)
                .filter(|copy| copy.pipe.closing().is_none());
            if let Some(copy) = copy {
                // What waits is not written any more, but why.
                copy.pipe.clear();
                let mut last = Output::default();
                last.terminate(TerminateReason::TooSlow, None);
                copy.pipe.put(last.replies.bytes());
                copy.pipe.close(TerminateReason::TooSlow);
                dropped += 1;
            }
        }
        dropped
    }

    /// Takes what waits to be written.
    pub fn take(&mut self, id: CopyId) -> Option<Taken> {
        self.copies.get_mut(&id).map(|copy| copy.pipe.take())
    }
}
