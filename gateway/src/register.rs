//! What the gateway must know of the exchange, kept by following its events: keys, roles, sessions.

mod saved;

pub use saved::BadRegister;

use crate::told::{Told, tellings};
use hashbrown::HashMap;
use std::collections::VecDeque;
use xq_protocol::{
    ConnectionId, Event, Frame, Hash, JournalId, KeySet, KeyState, ParticipantId, Role, SessionEstablished,
    SessionId,
};

/// Names one connection of this gateway; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// One session as the gateway knows it.
#[derive(Debug, Default)]
pub struct SessionRecord {
    /// What it was told.
    pub told: Told,
    /// The connection that has it now.
    pub link: Option<LinkId>,
    /// The largest connection number given or seen.
    pub connection: ConnectionId,
    /// SessionUps that entered the ring and have no event yet, in order.
    pending: VecDeque<(ConnectionId, LinkId)>,
}

impl SessionRecord {
    /// Gives the next connection number.
    pub fn next_connection(&mut self) -> ConnectionId {
        self.connection = ConnectionId(self.connection.0 + 1);
        self.connection
    }
    /// A SessionUp of this connection entered the ring.
    pub fn up_offered(&mut self, connection: ConnectionId, link: LinkId) {
        assert!(
            self.pending.back().is_none_or(|(last, _)| *last < connection),
            "connection numbers increase"
        );
        self.pending.push_back((connection, link));
    }
    /// Says whether a newer connection's SessionUp is in the ring: what entered now under the session's number would be
    /// executed after it, as if that connection had sent it.
    pub fn is_claimed(&self) -> bool {
        !self.pending.is_empty()
    }
    /// The connection was established: who waited for it.
    pub fn established(&mut self, established: &SessionEstablished) -> Option<LinkId> {
        let connection = established.connection;
        self.connection = self.connection.max(connection);
        while let Some((number, link)) = self.pending.front().copied() {
            if number > connection {
                return None;
            }
            self.pending.pop_front();
            if number == connection {
                return Some(link);
            }
        }
        None
    }
    /// A SessionUp was refused by the exchange: who waited for it.
    pub fn refused(&mut self) -> Option<LinkId> {
        self.pending.pop_front().map(|(_, link)| link)
    }
}

/// The gateway's projections. They follow from the events alone: whoever follows them from the first, or from where they
/// were saved, has the same.
#[derive(Debug, Default)]
pub struct Register {
    keys: Map<Hash, ParticipantId>,
    roles: Map<ParticipantId, Role>,
    sessions: Map<SessionId, SessionRecord>,
    journal: JournalId,
}

impl Register {
    /// Follows one event where nobody is connected: what it tells is counted.
    pub fn watch(&mut self, frame: &Frame<'_>) {
        let event = frame.event().expect("the event journal holds events");
        for telling in tellings(frame.header, &event).into_iter().flatten() {
            self.session_mut(telling.to).told.counted(frame.header);
        }
        self.follow(&event);
        if let Event::SessionEstablished(established) = event {
            let waited = self.session_mut(frame.header.session).established(established);
            assert!(waited.is_none(), "nobody is connected");
        }
    }

    /// Follows one event, but for what it tells to sessions.
    pub fn follow(&mut self, event: &Event<'_>) {
        if let Event::ExchangeOpened(opened) = event {
            self.journal = opened.journal_id;
        } else if let Event::ParticipantRegistered(registered) = event {
            self.roles.insert(registered.participant, registered.role);
        } else if let Event::KeySet(key) = event {
            self.key_set(key);
        }
    }

    fn key_set(&mut self, key: &KeySet) {
        match key.state {
            KeyState::Valid => {
                self.keys.insert(key.fingerprint, key.participant);
            }
            KeyState::Revoked => {
                self.keys.remove(&key.fingerprint);
            }
        }
    }

    /// Whose valid key this is.
    pub fn owner(&self, fingerprint: &Hash) -> Option<ParticipantId> {
        self.keys.get(fingerprint).copied()
    }
    /// A participant's role.
    pub fn role(&self, participant: ParticipantId) -> Option<Role> {
        self.roles.get(&participant).copied()
    }
    /// Identity of the journal; all zero before its first event.
    pub fn journal(&self) -> JournalId {
        self.journal
    }
    /// A session, if it was ever told anything or came up.
    pub fn session(&self, session: SessionId) -> Option<&SessionRecord> {
        self.sessions.get(&session)
    }
    /// A session, to be changed.
    #[inline]
    pub fn session_mut(&mut self, session: SessionId) -> &mut SessionRecord {
        self.sessions.entry(session).or_default()
    }
    /// Messages told to a session so far.
    pub fn told(&self, session: SessionId) -> u64 {
        self.session(session).map_or(0, |record| record.told.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{Count, ReqSeq, Reserved};

    fn established(connection: u64) -> SessionEstablished {
        SessionEstablished {
            connection: ConnectionId(connection),
            last_req_seq: ReqSeq(0),
            window: Count(0),
            reserved: Reserved::ZERO,
        }
    }

    #[test]
    fn each_answer_finds_who_waited_for_it() {
        let mut record = SessionRecord::default();
        assert_eq!(record.established(&established(4)), None, "seen at recovery");
        for link in 0..4 {
            let connection = record.next_connection();
            assert_eq!(connection, ConnectionId(5 + link));
            record.up_offered(connection, LinkId(link));
        }
        assert_eq!(record.refused(), Some(LinkId(0)));
        assert_eq!(record.established(&established(6)), Some(LinkId(1)));
        assert_eq!(record.established(&established(8)), Some(LinkId(3)));
        assert_eq!(record.refused(), None);
    }
}
