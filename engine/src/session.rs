//! Sessions: which are up, and which request numbers they have used; a request is executed at most once.

pub(crate) mod rows;

use crate::order::index;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xq_protocol::{ConnectionId, Nanos, ReqSeq, Role, Seq, SessionId};

/// How many of a session's last request numbers are remembered with their outcome.
pub const WINDOW: u64 = 8_192;

/// Whether a session's connection is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    Down,
}

/// Whether orders of a session's last end are still being cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleanup {
    None,
    Goes,
}

/// A session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub id: SessionId,
    pub link: Link,
    /// Its participant's role, which never changes.
    pub role: Role,
    pub connection: ConnectionId,
    pub last_req_seq: ReqSeq,
    /// When its orders are cancelled; zero for never.
    pub cancel_at: Nanos,
    pub cleanup: Cleanup,
}

/// What a request number means for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// New: it is applied; numbers between the last and it were skipped, if any.
    New { skipped: Option<(ReqSeq, ReqSeq)> },
    /// It was used by this command.
    Repeated { original: Seq },
    /// It was skipped before: nothing was applied under it.
    Skipped,
    /// It is older than the window.
    Stale,
}

/// Every session there ever was.
pub(crate) struct Sessions {
    by_id: HashMap<SessionId, u32, FixedState>,
    sessions: Vec<Session>,
    /// Each session's window: request number modulo its length → the command, 0 when the number was skipped.
    windows: Vec<u64>,
    ending: u32,
    /// Whose number was used last: its next is likely to follow.
    recent: u32,
    max: u32,
}

/// Bytes of a session with its window, and of what finds it.
pub(crate) const ROW_BYTES: usize = size_of::<Session>() + 8 * 8_192;
pub(crate) const KEY_BYTES: usize = size_of::<(SessionId, u32)>();
const _: () = assert!(WINDOW == 8_192);

impl Sessions {
    /// Room for `max` sessions.
    pub fn new(max: u32) -> Sessions {
        let mut sessions = Sessions {
            by_id: HashMap::with_hasher(FixedState::with_seed(0)),
            sessions: Vec::new(),
            windows: Vec::new(),
            ending: 0,
            recent: 0,
            max: 0,
        };
        sessions.grow(max);
        sessions
    }

    /// Makes room for `max` sessions.
    pub fn grow(&mut self, max: u32) {
        assert!(max >= self.max, "capacities only grow");
        self.by_id.reserve(index(max) - self.by_id.len());
        self.sessions.reserve_exact(index(max) - self.sessions.len());
        let window = usize::try_from(WINDOW).expect("small");
        // Fresh zeroed memory costs nothing until it is touched; pushing zeros would touch it all.
        let mut windows = vec![0; index(max) * window];
        windows[..self.windows.len()].copy_from_slice(&self.windows);
        self.windows = windows;
        self.max = max;
    }

    /// The session's place, if it was ever up.
    #[inline]
    pub fn find(&self, id: SessionId) -> Option<u32> {
        match self.sessions.get(index(self.recent)) {
            Some(session) if session.id == id => Some(self.recent),
            Some(_) | None => self.by_id.get(&id).copied(),
        }
    }
    /// Sessions that were ever up.
    pub fn used(&self) -> usize {
        self.sessions.len()
    }
    /// Says whether one more session can come up for the first time.
    pub fn has_room(&self) -> bool {
        self.sessions.len() < index(self.max)
    }
    /// The session at a place.
    #[inline]
    pub fn at(&self, place: u32) -> &Session {
        &self.sessions[index(place)]
    }
    /// Sessions whose orders will be cancelled at some time.
    pub fn ending(&self) -> u32 {
        self.ending
    }
    /// Places of all sessions.
    pub fn places(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.sessions.len()).expect("capacity is a u32")
    }

    /// Brings a session up; admission found the connection new and room for the session.
    pub fn up(&mut self, id: SessionId, role: Role, connection: ConnectionId) -> &Session {
        let place = self.find(id).unwrap_or_else(|| {
            let place = u32::try_from(self.sessions.len()).expect("capacity is a u32");
            self.by_id.insert(id, place);
            self.sessions.push(Session {
                id,
                link: Link::Down,
                role,
                connection: ConnectionId::ZERO,
                last_req_seq: ReqSeq::ZERO,
                cancel_at: Nanos::ZERO,
                cleanup: Cleanup::None,
            });
            place
        });
        self.stay(place);
        let session = &mut self.sessions[index(place)];
        assert!(
            connection > session.connection,
            "admission found the connection new"
        );
        (session.link, session.connection) = (Link::Up, connection);
        session
    }

    /// Takes a session down; its orders are cancelled at `cancel_at`.
    pub fn down(&mut self, place: u32, cancel_at: Nanos) {
        let session = &mut self.sessions[index(place)];
        assert!(session.link == Link::Up && !cancel_at.is_zero());
        (session.link, session.cancel_at) = (Link::Down, cancel_at);
        self.ending += 1;
    }

    /// Its orders will not be cancelled, or have been.
    pub fn stay(&mut self, place: u32) {
        let session = &mut self.sessions[index(place)];
        if !session.cancel_at.is_zero() {
            session.cancel_at = Nanos::ZERO;
            self.ending -= 1;
        }
    }

    /// Its orders are being cancelled, or were.
    pub fn set_cleanup(&mut self, place: u32, cleanup: Cleanup) {
        let before = std::mem::replace(&mut self.sessions[index(place)].cleanup, cleanup);
        assert!(before != cleanup, "one job a session");
    }

    /// Uses the number that follows the session's last for a command; tells the session's role, or nothing when it is
    /// another number or the session is not up.
    #[inline(always)]
    pub fn use_next(&mut self, id: SessionId, req_seq: ReqSeq, seq: Seq) -> Option<Role> {
        if self.sessions.get(index(self.recent))?.id != id {
            self.recent = *self.by_id.get(&id)?;
        }
        let session = self.sessions.get_mut(index(self.recent))?;
        // Zero is no number: it is not the next, whatever the last was.
        if req_seq.0.wrapping_sub(1) != session.last_req_seq.0
            || req_seq.is_zero()
            || session.link == Link::Down
        {
            return None;
        }
        session.last_req_seq = req_seq;
        self.windows[window_index(self.recent, req_seq.0)] = seq.0;
        Some(session.role)
    }

    /// What this request number means.
    pub fn classify(&self, place: u32, req_seq: ReqSeq) -> Request {
        let last = self.at(place).last_req_seq.0;
        if req_seq.0 > last {
            let skipped = (req_seq.0 > last + 1).then(|| (ReqSeq(last + 1), ReqSeq(req_seq.0 - 1)));
            return Request::New { skipped };
        }
        if last - req_seq.0 >= WINDOW {
            return Request::Stale;
        }
        match self.windows[window_index(place, req_seq.0)] {
            0 => Request::Skipped,
            seq => Request::Repeated { original: Seq(seq) },
        }
    }

    /// Uses a request number for a command; what was skipped before it is forgotten.
    pub fn consume(&mut self, place: u32, req_seq: ReqSeq, seq: Seq) {
        let last = self.at(place).last_req_seq.0;
        assert!(req_seq.0 > last, "the number was classified as new");
        // Of a wide gap only as much as the window shows has to be wiped.
        for skipped in (last + 1).max(req_seq.0.saturating_sub(WINDOW))..req_seq.0 {
            self.windows[window_index(place, skipped)] = 0;
        }
        self.windows[window_index(place, req_seq.0)] = seq.0;
        self.sessions[index(place)].last_req_seq = req_seq;
        self.recent = place;
    }
}

#[inline]
fn window_index(place: u32, req_seq: u64) -> usize {
    let within = usize::try_from(req_seq % WINDOW).expect("small");
    index(place) * usize::try_from(WINDOW).expect("small") + within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_new_once_then_repeated_then_stale() {
        let mut sessions = Sessions::new(1);
        sessions.up(SessionId(16), Role::Trader, ConnectionId(1));
        let place = sessions.find(SessionId(16)).expect("up");
        assert_eq!(
            sessions.classify(place, ReqSeq(1)),
            Request::New { skipped: None }
        );
        sessions.consume(place, ReqSeq(1), Seq(10));
        assert_eq!(
            sessions.classify(place, ReqSeq(1)),
            Request::Repeated { original: Seq(10) }
        );
        assert_eq!(
            sessions.classify(place, ReqSeq(4)),
            Request::New {
                skipped: Some((ReqSeq(2), ReqSeq(3)))
            }
        );
        sessions.consume(place, ReqSeq(4), Seq(11));
        assert_eq!(sessions.classify(place, ReqSeq(3)), Request::Skipped);
        sessions.consume(place, ReqSeq(1 + WINDOW), Seq(12));
        assert_eq!(sessions.classify(place, ReqSeq(1)), Request::Stale);
        assert_eq!(sessions.classify(place, ReqSeq(2)), Request::Skipped);
        assert_eq!(
            sessions.classify(place, ReqSeq(4)),
            Request::Repeated { original: Seq(11) }
        );
        sessions.consume(place, ReqSeq::MAX, Seq(13));
        assert_eq!(
            sessions.classify(place, ReqSeq::MAX),
            Request::Repeated { original: Seq(13) }
        );
        assert_eq!(sessions.classify(place, ReqSeq(u64::MAX - 1)), Request::Skipped);
    }
}
