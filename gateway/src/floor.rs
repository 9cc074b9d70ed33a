//! The projections and the connections: where each event meets those who learn of it.

use crate::border::Begun;
use crate::config::Limits;
use crate::drop_copy::Copies;
use crate::output::{Output, Presence, Request};
use crate::pipe::{Bells, Pipe, Taken};
use crate::register::{LinkId, Map, Register};
use crate::repeats::{Repeated, Repeats};
use crate::session::{Established, Session};
use crate::stats::Stats;
use crate::told::{Telling, drives_session, tellings};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use xq_protocol::{
    Event, Frame, Hash, Header, KeyState, Nanos, RejectReason, Seq, SessionEstablished, SessionId, SessionUp,
    TerminateReason,
};
use xq_protocol::{Message, ReqSeq};

struct Link {
    session: Session,
    pipe: Pipe,
}

/// Register, connections, drop copies.
pub struct Floor {
    register: Register,
    copies: Copies,
    /// The last command all of whose events were followed.
    followed: Seq,
    /// The command of the last event that was followed.
    visited: Seq,
    links: Map<LinkId, Link>,
    last_link: u64,
    /// SessionDowns that must still enter the ring.
    owed: VecDeque<Presence>,
    /// Repeated requests whose outcome is to be told again.
    repeats: Repeats,
    /// Connections whose pipe is over its limit.
    slow: Vec<LinkId>,
    limits: Limits,
    stats: Arc<Stats>,
}

impl Floor {
    /// A floor that goes on from where the source's first event follows.
    pub fn new(limits: Limits, stats: Arc<Stats>, begun: Begun) -> Floor {
        Floor {
            register: begun.register,
            copies: Copies::default(),
            followed: begun.covered,
            visited: begun.covered,
            links: Map::default(),
            last_link: 0,
            owed: VecDeque::new(),
            repeats: Repeats::default(),
            slow: Vec::new(),
            limits,
            stats,
        }
    }

    /// The register.
    pub fn register(&self) -> &Register {
        &self.register
    }
    /// The last command all of whose events were followed.
    pub fn followed(&self) -> Seq {
        self.followed
    }
    /// The command of the last event that was followed.
    pub fn visited(&self) -> Seq {
        self.visited
    }
    /// The drop copies.
    pub fn copies(&mut self) -> &mut Copies {
        &mut self.copies
    }

    /// Follows one event.
    pub fn visit(&mut self, frame: &Frame<'_>, now: Nanos, durable: Seq) {
        let event = frame.event().expect("the event journal holds events");
        if let Event::Rejected(rejected) = event {
            self.stats.exchange_rejected(rejected.code);
        }
        for telling in tellings(frame.header, &event).into_iter().flatten() {
            self.tell(frame, &telling, now);
        }
        let header = frame.header;
        self.visited = header.seq;
        if header.is_last() {
            self.followed = header.seq;
        }
        self.register.follow(&event);
        if let Event::SessionEstablished(established) = event {
            self.established(
                header.session,
                now,
                &Established {
                    event: established,
                    durable,
                },
            );
        } else if let Event::Rejected(rejected) = event
            && drives_session(rejected.template.0)
        {
            let up = rejected.template.0 == u32::from(SessionUp::TEMPLATE);
            let waited = up
                .then(|| self.register.session_mut(header.session).refused())
                .flatten();
            let code = RejectReason::from_code(rejected.code).unwrap_or(RejectReason::NotAuthorised);
            self.with(waited, |session, out| session.refused(code, out));
        } else if let Event::RequestRepeated(repeated) = event {
            let repeated = Repeated {
                req_seq: repeated.req_seq,
                original: repeated.original,
            };
            self.repeated(header.session, repeated);
        } else if let Event::KeySet(key) = event
            && key.state == KeyState::Revoked
        {
            self.revoked(&key.fingerprint);
        }
    }

    #[inline]
    fn tell(&mut self, frame: &Frame<'_>, telling: &Telling<'_>, now: Nanos) {
        self.copies.tell(frame, telling);
        let record = self.register.session_mut(telling.to);
        record.told.counted(frame.header);
        let Some(id) = record.link else { return };
        if let Some(link) = self.links.get_mut(&id) {
            telling.write(frame, 0, &mut |bytes| link.pipe.put(bytes));
            link.session.told(now);
            if link.pipe.is_over() {
                self.slow.push(id);
                // It is told nothing more; what it missed is repeated when it comes back.
                record.link = None;
            }
        }
    }

    fn repeated(&mut self, session: SessionId, repeated: Repeated) {
        let record = self.register.session_mut(session);
        // At recovery nobody is there to be told again.
        if let Some(id) = record.link
            && self.repeats.push(session, repeated).is_err()
        {
            self.slow.push(id);
            record.link = None;
        }
    }

    /// Tells a session again what it was told of an event; breaks when it can be told nothing more.
    pub fn repeat(&mut self, frame: &Frame<'_>, session: SessionId) -> ControlFlow<()> {
        let record = self.register.session_mut(session);
        let linked = record.link.and_then(|id| Some((id, self.links.get_mut(&id)?)));
        let Some((id, link)) = linked else {
            return ControlFlow::Break(());
        };
        let event = frame.event().expect("the event journal holds events");
        for telling in tellings(frame.header, &event).into_iter().flatten() {
            if telling.to == session {
                telling.write(frame, Header::REPEATED, &mut |bytes| link.pipe.put(bytes));
            }
        }
        if link.pipe.is_over() {
            self.slow.push(id);
            record.link = None;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// A request was repeated whose outcome cannot be told again: it is refused, which says that much.
    pub fn gone(&mut self, session: SessionId, req_seq: ReqSeq) {
        let Some(id) = self.register.session_mut(session).link else {
            return;
        };
        let (mut out, request) = (
            Output::default(),
            Request {
                req_seq,
                ..Request::default()
            },
        );
        out.refuse(&request, RejectReason::StaleRequest);
        self.act(id, &mut out);
    }

    /// The next repeated request whose outcome is to be told again: whose, and which.
    pub fn next_repeat(&mut self) -> Option<(SessionId, Repeated)> {
        while let Some(session) = self.repeats.turn() {
            if self.register.session_mut(session).link.is_some() {
                return self.repeats.next();
            }
            self.repeats.forget(session);
        }
        None
    }

    fn established(&mut self, session: SessionId, now: Nanos, news: &Established<'_>) {
        let event: &SessionEstablished = news.event;
        let record = self.register.session_mut(session);
        let (next, last) = (record.established(event), record.link.take());
        // The connection that repeated them is not the one that comes up now.
        self.repeats.forget(session);
        // Whoever had the session has it no more, even when the newer connection is gone already.
        self.end_link(last, TerminateReason::TakenOver);
        let Some(id) = next.filter(|id| self.links.contains_key(id)) else {
            return;
        };
        let mut out = Output::default();
        let link = self.links.get_mut(&id).expect("looked up above");
        link.session.established(now, news, &self.register, &mut out);
        if link.session.up().is_some() {
            self.register.session_mut(session).link = Some(id);
            self.stats.sessions.add(1);
        }
        self.act(id, &mut out);
    }

    fn end_link(&mut self, id: Option<LinkId>, reason: TerminateReason) {
        if let Some(id) = id {
            self.end(id, reason, None);
        }
    }

    fn revoked(&mut self, fingerprint: &Hash) {
        let showed = |link: &Link| link.session.fingerprint() == fingerprint;
        let ids: Vec<_> = self
            .links
            .iter()
            .filter(|(_, l)| showed(l))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.end(
                id,
                TerminateReason::NotAuthorised,
                Some(RejectReason::NotAuthenticated),
            );
        }
    }

    fn with(&mut self, id: Option<LinkId>, ask: impl FnOnce(&mut Session, &mut Output)) {
        let Some((id, link)) = id.and_then(|id| Some((id, self.links.get_mut(&id)?))) else {
            return;
        };
        let was_up = link.session.up();
        let mut out = Output::default();
        ask(&mut link.session, &mut out);
        if let Some(presence) = was_up.filter(|_| link.session.is_closed()) {
            self.off(id, presence.session);
        }
        self.act(id, &mut out);
    }

    /// A session's connection is up no more.
    fn off(&mut self, id: LinkId, session: SessionId) {
        let record = self.register.session_mut(session);
        if record.link == Some(id) {
            record.link = None;
        }
        self.stats.sessions.down();
    }

    /// Does what a session's machine asked for, but for what needs the ring.
    pub fn act(&mut self, id: LinkId, out: &mut Output) {
        for reason in out.refused.drain(..) {
            self.stats.rejected(reason.code());
        }
        self.owed.extend(out.down.take());
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !out.replies.is_empty() {
            link.pipe.put(out.replies.bytes());
        }
        if let Some(reason) = out.close.take() {
            link.pipe.close(reason);
        } else if link.pipe.is_over() {
            self.slow.push(id);
        }
    }

    /// A new connection.
    pub fn open(&mut self, fingerprint: Hash, now: Nanos) -> (LinkId, Bells) {
        self.last_link += 1;
        let id = LinkId(self.last_link);
        let session = Session::new(self.limits, fingerprint, now);
        let pipe = Pipe::new(self.limits.outbox_max);
        let bells = pipe.bells();
        self.links.insert(id, Link { session, pipe });
        (id, bells)
    }

    /// A connection's machine.
    pub fn session(&mut self, id: LinkId) -> Option<&mut Session> {
        self.links.get_mut(&id).map(|link| &mut link.session)
    }

    /// Bytes came on a connection's main stream, at this time; returns how many are done with.
    pub fn received(&mut self, id: LinkId, (now, bytes): (Nanos, &[u8]), out: &mut Output) -> usize {
        let Some(link) = self.links.get_mut(&id) else {
            return bytes.len() / 8 * 8;
        };
        let was_up = link.session.up();
        let used = link.session.received(now, bytes, &self.register, out);
        if let Some(presence) = was_up.filter(|_| link.session.is_closed()) {
            self.off(id, presence.session);
        }
        used
    }

    /// A SessionUp entered the ring.
    pub fn up_offered(&mut self, id: LinkId, presence: Presence) {
        let record = self.register.session_mut(presence.session);
        let connection = record.next_connection();
        assert_eq!(connection, presence.connection, "the machine counted from here");
        record.up_offered(connection, id);
    }

    /// Ends a connection.
    pub fn end(&mut self, id: LinkId, reason: TerminateReason, code: Option<RejectReason>) {
        self.with(Some(id), |session, out| session.end(reason, code, out));
    }

    /// Forgets a connection.
    pub fn forget(&mut self, id: LinkId) {
        self.links.remove(&id);
    }

    /// Drops those who read too slowly.
    pub fn drop_slow(&mut self) {
        for id in std::mem::take(&mut self.slow) {
            if let Some(link) = self.links.get_mut(&id).filter(|link| !link.session.is_closed()) {
                link.pipe.clear();
                self.stats.too_slow.add(1);
                self.end(id, TerminateReason::TooSlow, None);
            }
        }
        let dropped = self.copies.drop_slow();
        self.stats.too_slow.add(dropped);
    }

    /// Takes what waits to be written to a connection.
    pub fn take(&mut self, id: LinkId) -> Option<Taken> {
        self.links.get_mut(&id).map(|link| link.pipe.take())
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let up = self.session(id).and_then(|session| session.up());
            let next = ReqSeq(up.map_or(0, |presence| self.register.told(presence.session)) + 1);
            self.with(Some(id), |session, out| session.tick(now, next, out));
        }
        self.copies.tell_place(self.followed);
        self.drop_slow();
    }

    /// The exchange stops.
    pub fn stop(&mut self) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            self.end(id, TerminateReason::ServerStopping, None);
        }
    }

    /// The SessionDown that is owed longest.
    pub fn owed(&self) -> Option<Presence> {
        self.owed.front().copied()
    }
    /// It entered the ring.
    pub fn paid(&mut self) {
        self.owed.pop_front();
    }
}
