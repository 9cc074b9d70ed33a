//! Repeated requests whose first outcome is still to be told again: a bounded queue for each session, served in turn.

use crate::register::Map;
use std::collections::VecDeque;
use xq_protocol::{ReqSeq, Seq, SessionId};

/// Repeated requests that wait for one session: as many as the exchange remembers outcomes. Who repeats more than that
/// before it has read the answers is too slow.
pub const WAITING_MAX: usize = 8_192;

/// A request that was repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Its number.
    pub req_seq: ReqSeq,
    /// The command that had it first.
    pub original: Seq,
}

/// The queues.
///
/// # Cost
/// Sixteen bytes a repeated request, at most 128 KiB a session.
#[derive(Debug, Default)]
pub struct Repeats {
    /// For each session that has any: the commands whose outcomes are to be told again, in the order of asking.
    waiting: Map<SessionId, VecDeque<Repeated>>,
    /// The same sessions, whose turn is next first.
    turns: VecDeque<SessionId>,
}

/// As many as may wait for a session do so already.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Repeats {
    /// The outcome of a request is to be told to its session again.
    ///
    /// # Errors
    /// [`TooMany`]
    pub fn push(&mut self, session: SessionId, repeated: Repeated) -> Result<(), TooMany> {
        let queue = self.waiting.entry(session).or_default();
        if queue.len() >= WAITING_MAX {
            return Err(TooMany);
        }
        if queue.is_empty() {
            self.turns.push_back(session);
        }
        queue.push_back(repeated);
        Ok(())
    }

    /// The session whose turn is next.
    pub fn turn(&self) -> Option<SessionId> {
        self.turns.front().copied()
    }

    /// Takes the oldest of the session whose turn is next; its next turn comes after all others'.
    pub fn next(&mut self) -> Option<(SessionId, Repeated)> {
        let session = self.turns.pop_front()?;
        let queue = self
            .waiting
            .get_mut(&session)
            .expect("who has a turn has a queue");
        let repeated = queue.pop_front().expect("a queue is never empty");
        if queue.is_empty() {
            self.waiting.remove(&session);
        } else {
            self.turns.push_back(session);
        }
        assert_eq!(self.turns.len(), self.waiting.len(), "each queue has its turn");
        Some((session, repeated))
    }

    /// Forgets what waits for a session: nobody is there any more to hear it.
    pub fn forget(&mut self, session: SessionId) {
        if self.waiting.remove(&session).is_some() {
            self.turns.retain(|other| *other != session);
        }
        assert_eq!(self.turns.len(), self.waiting.len(), "each queue has its turn");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_take_turns_and_none_waits_for_another() {
        let (one, two) = (SessionId(16), SessionId(32));
        let mut repeats = Repeats::default();
        let of = |number: u64| Repeated {
            req_seq: ReqSeq(number),
            original: Seq(number + 100),
        };
        for n in 0..WAITING_MAX {
            assert_eq!(repeats.push(one, of(u64::try_from(n).expect("small"))), Ok(()));
        }
        assert_eq!(repeats.push(one, of(0)), Err(TooMany));
        assert_eq!(repeats.push(two, of(7)), Ok(()));
        assert_eq!(repeats.next(), Some((one, of(0))));
        assert_eq!(repeats.next(), Some((two, of(7))));
        assert_eq!(repeats.next(), Some((one, of(1))));
        assert_eq!(repeats.push(two, of(8)), Ok(()));
        repeats.forget(one);
        assert_eq!((repeats.next(), repeats.next()), (Some((two, of(8))), None));
    }
}
