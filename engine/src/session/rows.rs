//! Sessions and their windows as rows of a snapshot.

use super::{Cleanup, Link, Session, Sessions, WINDOW, window_index};
use crate::order::index;
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{ConnectionId, Nanos, ReqSeq, Role, Seq, SessionId};

/// A session.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub connection: u64,
    pub last_req_seq: u64,
    pub cancel_at: u64,
    pub id: u32,
    pub link: u8,
    pub role: u8,
    pub cleanup: u8,
}

/// How many numbers of a session its window holds: all, or the last ones.
fn held(last: ReqSeq) -> u64 {
    last.0.min(WINDOW)
}

impl Sessions {
    /// Every session, in the order they first came up.
    pub fn rows(&self) -> impl Iterator<Item = SessionRow> + '_ {
        self.sessions.iter().map(|session| {
            let Session {
                id,
                link,
                role,
                connection,
                last_req_seq,
                cancel_at,
                cleanup,
            } = *session;
            SessionRow {
                connection: connection.0,
                last_req_seq: last_req_seq.0,
                cancel_at: cancel_at.0,
                id: id.0,
                link: u8::from(link == Link::Up),
                role: role.byte(),
                cleanup: u8::from(cleanup == Cleanup::Goes),
            }
        })
    }

    /// What each number was used for, session by session, from the oldest number that is held to the last.
    pub fn window_rows(&self) -> impl Iterator<Item = u64> + '_ {
        self.places().flat_map(move |place| {
            let last = self.at(place).last_req_seq;
            let oldest = last.0 - held(last);
            (oldest..last.0).map(move |before| self.windows[window_index(place, before + 1)])
        })
    }

    /// Numbers that all windows hold.
    pub fn windows_used(&self) -> u64 {
        self.sessions
            .iter()
            .map(|session| held(session.last_req_seq))
            .sum()
    }

    /// Adds the session that came up next. `role` is its participant's.
    pub fn restore(&mut self, row: &SessionRow, role: Role) -> Result<(), BadSnapshot> {
        let kind = SectionKind::Sessions;
        let id = SessionId(row.id);
        let known = Role::from_byte(row.role) == Some(role);
        if !known || self.by_id.contains_key(&id) || !self.has_room() {
            return bad(kind, format!("session {id}: another role, twice, or no room"));
        }
        let (link, cleanup) = match (row.link, row.cleanup) {
            (0, 0) => (Link::Down, Cleanup::None),
            (0, 1) => (Link::Down, Cleanup::Goes),
            (1, 0) => (Link::Up, Cleanup::None),
            (1, 1) => (Link::Up, Cleanup::Goes),
            _ => return bad(kind, format!("session {id}: neither up nor down")),
        };
        if link == Link::Up && row.cancel_at != 0 {
            return bad(kind, format!("session {id} is up, and its orders are to go"));
        }
        let place = u32::try_from(self.sessions.len()).expect("capacity is a u32");
        self.by_id.insert(id, place);
        self.ending += u32::from(row.cancel_at != 0);
        self.sessions.push(Session {
            id,
            link,
            role,
            connection: ConnectionId(row.connection),
            last_req_seq: ReqSeq(row.last_req_seq),
            cancel_at: Nanos(row.cancel_at),
            cleanup,
        });
        Ok(())
    }

    /// Fills the windows, as [`Sessions::window_rows`] gives them: `at` is the session, and the number within what it
    /// holds, that comes next. No command before `now` was not there yet.
    pub fn restore_windows(
        &mut self,
        rows: &[u64],
        at: &mut (u32, u64),
        now: Seq,
    ) -> Result<(), BadSnapshot> {
        for seq in rows {
            while self
                .sessions
                .get(index(at.0))
                .is_some_and(|s| held(s.last_req_seq) == at.1)
            {
                *at = (at.0 + 1, 0);
            }
            let Some(session) = self.sessions.get(index(at.0)) else {
                return bad(SectionKind::Windows, "more numbers than sessions have used");
            };
            let last = session.last_req_seq;
            let number = last.0 - held(last) + at.1 + 1;
            // A number that was skipped has no command; the last never was.
            if *seq > now.0 || (*seq == 0 && number == last.0) {
                return bad(
                    SectionKind::Windows,
                    format!("command {seq} of session {}", session.id),
                );
            }
            self.windows[window_index(at.0, number)] = *seq;
            at.1 += 1;
        }
        Ok(())
    }
}
