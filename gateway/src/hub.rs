//! The middle of the gateway: follows the events, routes each to the sessions that learn of it, and carries
//! what sessions ask for to the ring.

use crate::border::{Again, Begun, Clock, EventSource, Ingress};
use crate::config::Limits;
use crate::drop_copy::{Behind, CopyId, watching};
use crate::floor::Floor;
use crate::frames::{Frames, Inbound, each};
use crate::market::Delays;
use crate::output::{Output, Presence};
use crate::pipe::{Bells, Taken};
use crate::register::LinkId;
use crate::stats::Stats;
use crate::told::tellings;
use std::ops::ControlFlow;
use std::sync::Arc;
use xq_protocol::{
    DropCopyRequest, Hash, Header, Nanos, RejectReason, ReqSeq, Seq, SessionDown, SessionId, SessionUp,
    TerminateReason,
};

/// Outcomes told again at once: each begins with a search for its command, through up to about a thousand others.
const REPEATS_AT_ONCE: usize = 16;
/// Bytes of outcomes told again at once, but for the last outcome's.
const REPEATED_BYTES_AT_ONCE: usize = 64 << 10;

/// Events that one drop copy looks at in a turn, between two turns of everyone else.
const EVENTS_AT_ONCE: usize = 4_096;

/// What the gateway needs of the rest of the exchange.
pub struct Borders {
    /// The command ring.
    pub ingress: Box<dyn Ingress>,
    /// The event journal.
    pub source: Box<dyn EventSource>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Rung by the publisher once a durable batch.
    pub bell: Arc<tokio::sync::Notify>,
    /// Where private and public telling meet.
    pub delays: Arc<Delays>,
    /// What is known before the source's first event.
    pub begun: Begun,
}

/// All that the gateway's one thread shares between its connections.
pub struct Hub {
    floor: Floor,
    ingress: Box<dyn Ingress>,
    source: Box<dyn EventSource>,
    clock: Arc<dyn Clock>,
    delays: Arc<Delays>,
    stats: Arc<Stats>,
    limits: Limits,
    started: Nanos,
    out: Output,
}

/// A stretch of a session's messages that is being told again.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    session: SessionId,
    next: u64,
    end: u64,
}

impl Replay {
    /// The number of the first message still to be told.
    pub fn from(&self) -> ReqSeq {
        ReqSeq(self.next)
    }
}

impl Hub {
    /// A hub that has followed nothing yet but what it begins with.
    pub fn new(limits: Limits, borders: Borders, stats: Arc<Stats>) -> Hub {
        Hub {
            floor: Floor::new(limits, Arc::clone(&stats), borders.begun),
            ingress: borders.ingress,
            source: borders.source,
            started: borders.clock.now(),
            clock: borders.clock,
            delays: borders.delays,
            stats,
            limits,
            out: Output::default(),
        }
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    /// Connections and what is known of sessions.
    pub fn floor(&mut self) -> &mut Floor {
        &mut self.floor
    }

    /// Follows a bounded number of events, and tells a bounded number of outcomes again; returns how many of both.
    pub fn poll(&mut self) -> usize {
        let (now, durable) = (self.clock.now(), self.source.durable());
        let (floor, stats, started) = (&mut self.floor, &self.stats, self.started);
        let (clock, delays) = (&self.clock, &self.delays);
        let mut first = true;
        let visited = self.source.poll(&mut |frame| {
            // What was told before this start says nothing of how long it took.
            if std::mem::take(&mut first) && frame.header.time >= started {
                stats
                    .told_after
                    .count(Nanos(now.0.saturating_sub(frame.header.time.0)));
            }
            floor.visit(frame, now, durable);
            if Delays::is_timed(frame.header) && frame.header.time >= started {
                delays.told_privately(frame.header.seq, clock.now());
            }
        });
        let repeated = self.repeat_some();
        self.floor.drop_slow();
        self.pay_downs();
        visited + repeated
    }

    /// Tells some outcomes again to those who repeated their requests; returns how many. The others wait for the next
    /// time, since the one thread also has everyone else to serve.
    fn repeat_some(&mut self) -> usize {
        let (mut outcomes, mut bytes) = (0, 0);
        while outcomes < REPEATS_AT_ONCE && bytes < REPEATED_BYTES_AT_ONCE {
            let Some((session, repeated)) = self.floor.next_repeat() else {
                break;
            };
            outcomes += 1;
            let floor = &mut self.floor;
            let again = self.source.read_from(repeated.original, &mut |frame| {
                if frame.header.seq != repeated.original {
                    return ControlFlow::Break(());
                }
                bytes += frame.bytes().len();
                floor.repeat(frame, session)
            });
            if again == Again::Gone {
                self.floor.gone(session, repeated.req_seq);
            }
        }
        outcomes
    }

    /// A new connection that showed this certificate.
    pub fn open(&mut self, fingerprint: Hash) -> (LinkId, Bells) {
        self.floor.open(fingerprint, self.clock.now())
    }

    /// Bytes came on a connection's main stream.
    pub fn received(&mut self, id: LinkId, inbound: &mut Inbound) {
        let now = self.clock.now();
        let mut out = std::mem::take(&mut self.out);
        let used = self.floor.received(id, (now, inbound.bytes()), &mut out);
        inbound.consumed(used);
        if !out.commands.is_empty() {
            self.offer(id, &mut out);
        }
        if let Some(presence) = out.up.take() {
            self.offer_up(id, presence, &mut out);
        }
        self.floor.act(id, &mut out);
        out.clear();
        self.out = out;
        self.pay_downs();
    }

    fn offer(&mut self, id: LinkId, out: &mut Output) {
        let offered = out.commands.bytes().len();
        let mut taken = self.ingress.offer(out.commands.bytes()).min(offered);
        let entered = each(&out.commands.bytes()[..taken]).count();
        self.stats.commands.add(entered);
        if taken < offered {
            self.floor.session(id).expect("it sent this").taken(taken, out);
            if !out.commands.is_empty() {
                taken = self.ingress.offer(out.commands.bytes());
                self.floor
                    .session(id)
                    .expect("it sent this")
                    .urgent_taken(taken, out);
            }
        }
    }

    fn offer_up(&mut self, id: LinkId, presence: Presence, out: &mut Output) {
        let header = self.house_header(presence.session);
        let session = self.floor.session(id).expect("it asked for this");
        let command = SessionUp {
            connection: presence.connection,
            fingerprint: *session.fingerprint(),
        };
        let mut frames = Frames::default();
        frames.push(header, &command);
        if self.ingress.offer(frames.bytes()) == frames.bytes().len() {
            self.floor.up_offered(id, presence);
        } else {
            session.refused(RejectReason::EngineBusy, out);
            // It may have ended in the same read. What never entered has no end: its number is the next connection's.
            out.down = out.down.filter(|down| *down != presence);
        }
    }

    fn house_header(&self, session: SessionId) -> Header {
        Header {
            session,
            time: self.clock.now(),
            ..Header::default()
        }
    }

    /// Offers the SessionDowns that are owed; what finds no room stays owed.
    fn pay_downs(&mut self) {
        while let Some(presence) = self.floor.owed() {
            let down = SessionDown {
                connection: presence.connection,
            };
            let mut frames = Frames::default();
            frames.push(self.house_header(presence.session), &down);
            if self.ingress.offer(frames.bytes()) < frames.bytes().len() {
                return;
            }
            self.floor.paid();
        }
    }

    /// Takes what waits to be written to a connection.
    pub fn take(&mut self, id: LinkId) -> Option<Taken> {
        self.floor.take(id)
    }

    /// A connection is gone.
    pub fn lost(&mut self, id: LinkId) {
        self.floor.end(id, TerminateReason::Requested, None);
        self.floor.forget(id);
        self.pay_downs();
    }

    /// Time passed.
    pub fn tick(&mut self) {
        self.floor.tick(self.clock.now());
        self.pay_downs();
    }

    /// The exchange stops: every connection is told so.
    pub fn stop(&mut self) {
        self.floor.stop();
        self.pay_downs();
    }

    /// Begins to tell a session's messages again: how many there will be, and from where, which is later than asked for
    /// when the events of the first are archived.
    pub fn replay(&mut self, session: SessionId, from: u64, count: u32) -> (Replay, u32) {
        let told = self.floor.register().told(session);
        let oldest = self.source.oldest();
        let record = self.floor.register().session(session);
        let from = from.max(record.map_or(1, |record| record.told.first_since(oldest)));
        let end = from.saturating_add(u64::from(count)).min(told + 1).max(from);
        let many = u32::try_from(end - from).expect("no more than asked for");
        let next = from;
        (Replay { session, next, end }, many)
    }

    /// Puts the next messages of a replay, up to the session's next mark; none are left when it returns false. When they
    /// are gone it ends there, short of what was announced.
    pub fn replay_some(&mut self, replay: &mut Replay, put: &mut Vec<u8>) -> bool {
        let record = self.floor.register().session(replay.session);
        let place = record.and_then(|record| record.told.find(replay.next));
        let Some((mark, next_mark)) = place.filter(|_| replay.next < replay.end) else {
            return false;
        };
        let mut number = mark.number;
        let until = next_mark.map_or(replay.end, |next| next.min(replay.end));
        let again = self.source.read_from(mark.seq, &mut |frame| {
            if (frame.header.seq, frame.header.index) < (mark.seq, mark.index) {
                return ControlFlow::Continue(());
            }
            let event = frame.event().expect("the event journal holds events");
            for telling in tellings(frame.header, &event).into_iter().flatten() {
                if telling.to == replay.session {
                    if (replay.next..until).contains(&number) {
                        telling.write(frame, 0, &mut |bytes| put.extend_from_slice(bytes));
                    }
                    number += 1;
                }
            }
            if number < until {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if again == Again::Gone {
            replay.end = replay.next;
            return false;
        }
        assert!(number >= until, "what was counted is found again");
        self.stats
            .retransmitted
            .add(usize::try_from(until - replay.next).unwrap_or(0));
        replay.next = until;
        replay.next < replay.end
    }

    /// Admits what a connection asks for on a further stream; who asks.
    ///
    /// # Errors
    /// R102: its session is not up; R105: the throttle.
    pub fn admit_ask(&mut self, id: LinkId) -> Result<Presence, RejectReason> {
        let now = self.clock.now();
        let session = self.floor.session(id);
        session.ok_or(RejectReason::SessionNotEstablished)?.admit_ask(now)
    }

    /// Begins a drop copy: who is watched, and from which event on.
    ///
    /// # Errors
    /// R201: this reader may not watch that participant; R410: there are as many as may be.
    pub fn open_copy(&mut self, reader: SessionId, wanted: &DropCopyRequest) -> Result<Behind, RejectReason> {
        let watched = match wanted.participant.is_zero() {
            true => reader.participant(),
            false => wanted.participant,
        };
        let reader = watching(reader, watched, self.floor.register()).ok_or(RejectReason::NotAuthorised)?;
        let index = u16::try_from(wanted.index.0).map_err(|_| RejectReason::Malformed)?;
        let limits = self.limits;
        self.floor.copies().begin(reader, &limits)?;
        let (after, oldest) = (Seq(self.floor.followed().0 + 1), self.source.oldest());
        // What is archived is not told: it says from where on it tells.
        let next = match wanted.seq {
            seq if seq < oldest || seq.is_zero() => (oldest, 0),
            seq if seq > after => (after, 0),
            seq => (seq, index),
        };
        Ok(Behind {
            watched,
            reader,
            next,
        })
    }

    /// Puts some of what a drop copy has not told yet; once nothing is left it has caught up.
    ///
    /// # Errors
    /// R109: what it has still to tell is archived meanwhile, or cannot be read any more.
    pub fn copy_some(
        &mut self,
        behind: &mut Behind,
        put: &mut Vec<u8>,
    ) -> Result<Option<(CopyId, Bells)>, RejectReason> {
        let limits = self.limits;
        let (mut left, mut is_all) = (EVENTS_AT_ONCE, true);
        if behind.next.0 > self.floor.visited() {
            return Ok(Some(self.floor.copies().caught_up(behind.watched, &limits)));
        }
        let again = self.source.read_from(behind.next.0, &mut |frame| {
            if behind.has_passed(frame.header) {
                return ControlFlow::Continue(());
            }
            if left == 0 {
                is_all = false;
                return ControlFlow::Break(());
            }
            left -= 1;
            behind.read(frame, put);
            ControlFlow::Continue(())
        });
        match again {
            Again::Visited => Ok(is_all.then(|| self.floor.copies().caught_up(behind.watched, &limits))),
            Again::Gone => Err(RejectReason::StaleRequest),
        }
    }
}

#[cfg(test)]
mod tests;
