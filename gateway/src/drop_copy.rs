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
    /// Who reads them.
    pub reader: Reader,
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
    /// How many each reader has, those that have not caught up included.
    opened: Map<Reader, usize>,
}

/// Who reads a drop copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Somebody who watches over the participant's own sessions.
    Own(ParticipantId),
    /// One of the house's people, for whom one drop copy in four is kept.
    House(ParticipantId),
}

/// As what one may watch over another, if one may: its own, or the house's people.
pub fn watching(reader: SessionId, watched: ParticipantId, register: &Register) -> Option<Reader> {
    let participant = reader.participant();
    let role = register.role(participant);
    match matches!(role, Some(Role::Operator | Role::Risk | Role::Regulator)) {
        true => Some(Reader::House(participant)),
        false => (participant == watched).then_some(Reader::Own(participant)),
    }
}

impl Copies {
    /// One more begins.
    ///
    /// # Errors
    /// R410: there are as many as may be, in all or of this reader, who may have one in eight.
    pub fn begin(&mut self, reader: Reader, limits: &Limits) -> Result<(), RejectReason> {
        let (share, each) = (
            limits.drop_copies_max.div_ceil(4),
            limits.drop_copies_max.div_ceil(8),
        );
        let is_house = |reader: &Reader| matches!(reader, Reader::House(_));
        let all: usize = self.opened.values().sum();
        let others = self.opened.iter().filter(|(other, _)| !is_house(other));
        let others: usize = others.map(|(_, count)| count).sum();
        let is_kept = !is_house(&reader) && others >= limits.drop_copies_max - share;
        let own = self.opened.get(&reader).copied().unwrap_or_default();
        if all >= limits.drop_copies_max || is_kept || own >= each {
            return Err(RejectReason::Capacity);
        }
        self.opened.insert(reader, own + 1);
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
    pub fn end(&mut self, reader: Reader, id: Option<CopyId>) {
        let own = self.opened.get_mut(&reader).expect("it began");
        *own -= 1;
        if *own == 0 {
            self.opened.remove(&reader);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_four_is_kept_for_the_house_and_nobody_has_more_than_one_in_eight() {
        let limits = Limits {
            drop_copies_max: 16,
            ..Limits::default()
        };
        let mut copies = Copies::default();
        let own = |number| Reader::Own(ParticipantId(number));
        let house = |number| Reader::House(ParticipantId(number));
        for number in 1..=6 {
            assert_eq!(copies.begin(own(number), &limits), Ok(()), "{number}");
            assert_eq!(copies.begin(own(number), &limits), Ok(()), "{number}");
        }
        assert_eq!(copies.begin(own(7), &limits), Err(RejectReason::Capacity));
        for number in [8, 8, 9] {
            assert_eq!(copies.begin(house(number), &limits), Ok(()), "{number}");
        }
        assert_eq!(copies.begin(house(8), &limits), Err(RejectReason::Capacity));
        copies.end(own(1), None);
        assert_eq!(copies.begin(own(2), &limits), Err(RejectReason::Capacity));
        assert_eq!(copies.begin(own(7), &limits), Ok(()));
        assert_eq!(copies.begin(house(9), &limits), Ok(()));
        copies.end(own(7), None);
        assert_eq!(
            copies.begin(house(9), &limits),
            Err(RejectReason::Capacity),
            "two already"
        );
    }
}
