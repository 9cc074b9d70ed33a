//! One connection's session, a state machine without I/O: bytes, time and durable events in, [`Output`] out.
//!
//! ```text
//!            Establish: SessionUp offered            durable SessionEstablished
//!  Awaiting ───────────────────────────> Establishing ───────────────────────> Up
//!      │ late, other message, no key         │ refused, lapse, closed              │ lapse, closed, taken over, malformed
//!      └────────────> Closed <───────────────┴──── SessionDown owed ───────────────┘
//! ```
//!
//! At the door a request is refused, and consumes its number, for these reasons in this order: R102 (session not up
//! yet, or a newer connection's SessionUp has entered the ring), R106 (a field that the exchange fills in, request
//! number 0), R108 (no command), R201 (the role may not; house commands are no client's), R106 (a field's value), R105
//! (throttle; urgent commands pass), R111 (ring full). A frame of an impossible or wrong length (R106) or of an unspoken
//! schema or version (R107) is answered and the connection closed: what follows it could not be found.

use crate::config::Limits;
use crate::output::{Output, Presence, Request};
use crate::register::{Register, SessionRecord};
use crate::throttle::Throttle;
use xq_protocol::{
    Command, Count, DecodeError, Establish, EstablishAck, Frame, HEADER_LEN, Hash, Header, HouseOnly,
    Message, Nanos, RejectReason, ReqSeq, Role, Seq, Sequence, SessionEstablished, SessionMessage,
    TerminateReason, is_urgent, rule,
};
use zerocopy::FromBytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Awaiting,
    Establishing(Presence),
    Up(Presence, Role),
    Closed,
}

/// The machine.
pub struct Session {
    limits: Limits,
    state: State,
    throttle: Throttle,
    fingerprint: Hash,
    opened: Nanos,
    heard: Nanos,
    sent: Nanos,
}

/// Whose the session is that this connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Own,
    /// A newer connection's SessionUp is in the ring, and its answer counts the requests that entered before it: one of
    /// this connection's that entered now would take a number which the newer connection is told to use.
    OfANewer,
}

/// What to do with a frame that is no frame of the state's.
enum Fault {
    /// Answer and go on.
    Refuse(RejectReason),
    /// Answer and close.
    Close(RejectReason),
}

impl Session {
    /// A connection that showed this certificate, now.
    pub fn new(limits: Limits, fingerprint: Hash, now: Nanos) -> Session {
        Session {
            limits,
            state: State::Awaiting,
            throttle: Throttle::new(limits.throttle_rate, limits.throttle_burst),
            fingerprint,
            opened: now,
            heard: now,
            sent: now,
        }
    }

    /// The certificate it showed.
    pub fn fingerprint(&self) -> &Hash {
        &self.fingerprint
    }
    /// The session and connection, once it is up and as long as it is.
    pub fn up(&self) -> Option<Presence> {
        match self.state {
            State::Up(presence, _) => Some(presence),
            State::Awaiting | State::Establishing(_) | State::Closed => None,
        }
    }
    /// Lets what its client asks for on a further stream through the throttle, as one request; who asks.
    ///
    /// # Errors
    /// R102: it is not up; R105: the throttle.
    pub fn admit_ask(&mut self, now: Nanos) -> Result<Presence, RejectReason> {
        let presence = self.up().ok_or(RejectReason::SessionNotEstablished)?;
        if self.throttle.take(now) {
            Ok(presence)
        } else {
            Err(RejectReason::Throttled)
        }
    }
    /// Says whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Takes bytes of the main stream, aligned to eight; returns how many of them, whole frames, are done with.
    pub fn received(&mut self, now: Nanos, bytes: &[u8], register: &Register, out: &mut Output) -> usize {
        self.heard = now;
        // Nobody can claim it in between: the one thread reads one connection at a time.
        let claim = self.claim(register);
        let mut rest = bytes;
        while self.state != State::Closed {
            match next_frame(rest) {
                Ok(Some((frame, after))) => {
                    rest = after;
                    self.frame((now, claim), &frame, register, out);
                }
                Ok(None) => return bytes.len() - rest.len(),
                Err(error) => self.malformed(request_of(rest), fault_code(&error), out),
            }
        }
        bytes.len() / 8 * 8
    }

    fn claim(&self, register: &Register) -> Claim {
        let record = self.up().and_then(|up| register.session(up.session));
        if record.is_some_and(SessionRecord::is_claimed) {
            Claim::OfANewer
        } else {
            Claim::Own
        }
    }

    #[inline]
    fn frame(
        &mut self,
        (now, claim): (Nanos, Claim),
        frame: &Frame<'_>,
        register: &Register,
        out: &mut Output,
    ) {
        let result = match (self.state, claim) {
            (State::Awaiting, _) => return self.establish(frame, register, out),
            (State::Closed, _) => return,
            (State::Establishing(_), _) | (State::Up(..), Claim::OfANewer) => {
                self.session_frame(frame, out, RejectReason::SessionNotEstablished)
            }
            (State::Up(presence, role), Claim::Own) => match rule(frame.header.template_id) {
                Some(_) => self.command(now, frame, (presence, role), out),
                None => self.session_frame(frame, out, RejectReason::UnsupportedMessage),
            },
        };
        match result {
            Ok(()) => {}
            Err(Fault::Refuse(reason)) => out.refuse(&request(frame), reason),
            Err(Fault::Close(reason)) => self.malformed(request(frame), reason, out),
        }
    }

    fn establish(&mut self, frame: &Frame<'_>, register: &Register, out: &mut Output) {
        if frame.header.template_id != Establish::TEMPLATE {
            return self.end(
                TerminateReason::NotEstablished,
                Some(RejectReason::SessionNotEstablished),
                out,
            );
        }
        let establish = match frame.session_message() {
            Ok(SessionMessage::Establish(establish)) if frame.header.client_field_not_zero().is_none() => {
                establish
            }
            Ok(_) | Err(_) => {
                return self.end(TerminateReason::Malformed, Some(RejectReason::Malformed), out);
            }
        };
        match self.welcome(establish, register) {
            Ok(()) => {
                let session = establish.session;
                let known = register
                    .session(session)
                    .map(|record| record.connection)
                    .unwrap_or_default();
                let connection = xq_protocol::ConnectionId(known.0 + 1);
                let presence = Presence { session, connection };
                self.state = State::Establishing(presence);
                out.up = Some(presence);
            }
            Err((reason, code)) => self.end(reason, Some(code), out),
        }
    }

    fn welcome(
        &self,
        establish: &Establish,
        register: &Register,
    ) -> Result<(), (TerminateReason, RejectReason)> {
        let unknown = (TerminateReason::NotAuthorised, RejectReason::NotAuthenticated);
        let owner = register.owner(&self.fingerprint).ok_or(unknown)?;
        // The house has no client: its sessions would speak for the exchange itself.
        if owner.is_zero() || establish.session.participant() != owner || register.role(owner).is_none() {
            return Err((TerminateReason::NotAuthorised, RejectReason::NotAuthorised));
        }
        let other_history = !establish.journal_id.is_zero()
            && establish.journal_id != register.journal()
            && !establish.next_out_seq.is_zero();
        if other_history || establish.next_out_seq.0 > register.told(establish.session) + 1 {
            return Err((TerminateReason::SessionAhead, RejectReason::SessionAhead));
        }
        Ok(())
    }

    #[inline]
    fn command(
        &mut self,
        now: Nanos,
        frame: &Frame<'_>,
        (presence, role): (Presence, Role),
        out: &mut Output,
    ) -> Result<(), Fault> {
        let header = frame.header;
        if header.client_field_not_zero().is_some() || header.req_seq.is_zero() {
            return Err(Fault::Refuse(RejectReason::Malformed));
        }
        let rule = rule(header.template_id).ok_or(Fault::Refuse(RejectReason::UnsupportedMessage))?;
        if rule.house_only == HouseOnly::Yes || !rule.allows(role) {
            return Err(Fault::Refuse(RejectReason::NotAuthorised));
        }
        let command = frame.command().map_err(|error| fault(&error))?;
        if let Command::SetRules(rules) = command
            && rules.version > self.limits.rules_version_max
        {
            // What the exchange does not know it could not execute; in the journal it would end every start.
            return Err(Fault::Refuse(RejectReason::UnsupportedMessage));
        }
        if !is_urgent(header.template_id) && !self.throttle.take(now) {
            return Err(Fault::Refuse(RejectReason::Throttled));
        }
        let filled = out.commands.copy(frame);
        filled.session = presence.session;
        filled.time = now;
        Ok(())
    }

    fn session_frame(
        &mut self,
        frame: &Frame<'_>,
        out: &mut Output,
        other: RejectReason,
    ) -> Result<(), Fault> {
        if frame.header.client_field_not_zero().is_some() {
            return Err(Fault::Refuse(RejectReason::Malformed));
        }
        let template = frame.header.template_id;
        if template != Sequence::TEMPLATE && template != xq_protocol::Terminate::TEMPLATE {
            return Err(Fault::Refuse(other));
        }
        let message = frame.session_message().map_err(|error| fault(&error))?;
        if let SessionMessage::Terminate(_) = message {
            self.end(TerminateReason::Requested, None, out);
        }
        Ok(())
    }

    fn malformed(&mut self, request: Request, reason: RejectReason, out: &mut Output) {
        if self.state != State::Awaiting {
            out.refuse(&request, reason);
        }
        self.end(TerminateReason::Malformed, Some(reason), out);
    }

    /// Of the commands in `out`, only so many bytes were taken. The urgent ones among the others stay in `out`, to be
    /// offered once more: an order that found no room must not keep a cancel behind it from entering.
    pub fn taken(&mut self, taken: usize, out: &mut Output) {
        let offered = std::mem::take(&mut out.commands);
        for frame in crate::frames::each(offered.bytes().get(taken..).unwrap_or_default()) {
            if is_urgent(frame.header.template_id) {
                out.commands.copy(&frame);
            } else {
                out.refuse(&request(&frame), RejectReason::EngineBusy);
            }
        }
    }

    /// Of the urgent commands in `out`, only so many bytes were taken: the others are refused.
    pub fn urgent_taken(&mut self, taken: usize, out: &mut Output) {
        let offered = std::mem::take(&mut out.commands);
        for frame in crate::frames::each(offered.bytes().get(taken..).unwrap_or_default()) {
            out.refuse(&request(&frame), RejectReason::EngineBusy);
        }
    }

    /// Its SessionUp is durable.
    pub fn established(&mut self, now: Nanos, news: &Established<'_>, register: &Register, out: &mut Output) {
        let State::Establishing(presence) = self.state else {
            return;
        };
        assert_eq!(
            presence.connection, news.event.connection,
            "the answer is this connection's"
        );
        let Some(role) = register.role(presence.session.participant()) else {
            return self.end(
                TerminateReason::NotAuthorised,
                Some(RejectReason::NotAuthorised),
                out,
            );
        };
        self.state = State::Up(presence, role);
        let ack = EstablishAck {
            connection: presence.connection,
            next_req_seq: ReqSeq(news.event.last_req_seq.0.saturating_add(1)),
            next_out_seq: ReqSeq(register.told(presence.session) + 1),
            journal_id: register.journal(),
            durable: news.durable,
            window: news.event.window,
            retransmit_max: self.limits.retransmit_max,
            throttle_rate: self.limits.throttle_rate,
            throttle_burst: self.limits.throttle_burst,
            heartbeat: self.limits.heartbeat,
            lapse: self.limits.lapse,
        };
        out.replies.push(Header::default(), &ack);
        self.sent = now;
    }

    /// Its SessionUp did not enter the ring, or the exchange refused it.
    pub fn refused(&mut self, code: RejectReason, out: &mut Output) {
        if let State::Establishing(_) = self.state {
            // The session did not come up, so nothing is owed for its end.
            self.state = State::Awaiting;
            self.end(TerminateReason::Refused, Some(code), out);
        }
    }

    /// Something was written to the client.
    #[inline]
    pub fn told(&mut self, now: Nanos) {
        self.sent = now;
    }

    /// Time passed; `next_out` is the number of the next message told.
    pub fn tick(&mut self, now: Nanos, next_out: ReqSeq, out: &mut Output) {
        let since = |then: Nanos| Nanos(now.0.saturating_sub(then.0));
        match self.state {
            State::Closed => {}
            State::Awaiting => {
                if since(self.opened) >= self.limits.establish_within {
                    self.end(
                        TerminateReason::NotEstablished,
                        Some(RejectReason::SessionNotEstablished),
                        out,
                    );
                }
            }
            State::Establishing(_) | State::Up(..) => {
                if since(self.heard) >= self.limits.lapse {
                    self.end(TerminateReason::HeartbeatLost, None, out);
                } else if self.up().is_some() && since(self.sent) >= self.limits.heartbeat {
                    out.replies.push(Header::default(), &Sequence { next: next_out });
                    self.sent = now;
                }
            }
        }
    }

    /// It ends here, for this reason; a SessionDown is owed when its SessionUp entered the ring.
    pub fn end(&mut self, reason: TerminateReason, code: Option<RejectReason>, out: &mut Output) {
        match self.state {
            State::Closed => return,
            State::Awaiting => {}
            State::Establishing(presence) | State::Up(presence, _) => match reason {
                // The newer connection has the session: nothing ended.
                TerminateReason::TakenOver => {}
                TerminateReason::Requested
                | TerminateReason::HeartbeatLost
                | TerminateReason::ServerStopping
                | TerminateReason::Malformed
                | TerminateReason::NotAuthorised
                | TerminateReason::SessionAhead
                | TerminateReason::TooSlow
                | TerminateReason::NotEstablished
                | TerminateReason::Refused => out.down = Some(presence),
            },
        }
        self.state = State::Closed;
        out.terminate(reason, code);
    }
}

/// The news that a session is up.
pub struct Established<'a> {
    /// The event.
    pub event: &'a SessionEstablished,
    /// Durable up to here.
    pub durable: Seq,
}

/// The first whole frame and what follows it; none while it is incomplete.
#[inline]
fn next_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, DecodeError> {
    match Frame::split(bytes) {
        Ok(split) => Ok(Some(split)),
        // Its length is known before its header is whole: an impossible one is not waited for.
        Err(DecodeError::Truncated { .. }) => Frame::peek_len(bytes).map(|_| None),
        Err(error) => Err(error),
    }
}

fn fault_code(error: &DecodeError) -> RejectReason {
    match error {
        DecodeError::UnknownSchema { .. } | DecodeError::UnknownVersion { .. } => RejectReason::SchemaVersion,
        DecodeError::UnknownTemplate { .. } => RejectReason::UnsupportedMessage,
        DecodeError::Truncated { .. }
        | DecodeError::BadLength { .. }
        | DecodeError::Misaligned
        | DecodeError::BlockLength { .. }
        | DecodeError::BadField { .. } => RejectReason::Malformed,
    }
}

fn fault(error: &DecodeError) -> Fault {
    match error {
        DecodeError::BadField { .. } | DecodeError::UnknownTemplate { .. } => {
            Fault::Refuse(fault_code(error))
        }
        DecodeError::Truncated { .. }
        | DecodeError::BadLength { .. }
        | DecodeError::Misaligned
        | DecodeError::UnknownSchema { .. }
        | DecodeError::UnknownVersion { .. }
        | DecodeError::BlockLength { .. } => Fault::Close(fault_code(error)),
    }
}

/// What can be read of a request whose frame may be none.
fn request_of(bytes: &[u8]) -> Request {
    let header = bytes
        .get(..HEADER_LEN)
        .and_then(|head| Header::read_from_bytes(head).ok());
    header.map_or_else(Request::default, |header| Request {
        req_seq: header.req_seq,
        template: header.template_id,
        ..Request::default()
    })
}

fn request(frame: &Frame<'_>) -> Request {
    let cl_ord_id = match frame.command() {
        Ok(Command::PlaceOrder(order)) => order.cl_ord_id,
        Ok(Command::PlaceExtendedOrder(order)) => order.cl_ord_id,
        Ok(Command::CancelOrder(cancel)) => cancel.cl_ord_id,
        Ok(Command::ReplaceOrder(replace)) => replace.cl_ord_id,
        Ok(_) | Err(_) => xq_protocol::ClOrdId::ZERO,
    };
    Request {
        req_seq: frame.header.req_seq,
        template: frame.header.template_id,
        cl_ord_id,
    }
}

/// What a client asks for on a further stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Messages told before.
    Retransmit {
        /// The first.
        from: ReqSeq,
        /// How many, cut to the limit.
        count: Count,
    },
    /// A drop copy.
    DropCopy(xq_protocol::DropCopyRequest),
}

/// Reads the first frame of a further stream; none while it is incomplete.
///
/// # Errors
/// R106, R107 or R108 when it asks for nothing that there is.
pub fn ask(bytes: &[u8], limits: &Limits) -> Result<Option<Ask>, RejectReason> {
    let Some((frame, _)) = next_frame(bytes).map_err(|error| fault_code(&error))? else {
        return Ok(None);
    };
    if frame.header.client_field_not_zero().is_some() {
        return Err(RejectReason::Malformed);
    }
    match frame.session_message().map_err(|error| fault_code(&error))? {
        SessionMessage::RetransmitRequest(request) if !request.from.is_zero() => Ok(Some(Ask::Retransmit {
            from: request.from,
            count: request.count.min(limits.retransmit_max),
        })),
        SessionMessage::RetransmitRequest(_) => Err(RejectReason::Malformed),
        SessionMessage::DropCopyRequest(request) => Ok(Some(Ask::DropCopy(*request))),
        SessionMessage::Establish(_)
        | SessionMessage::EstablishAck(_)
        | SessionMessage::Sequence(_)
        | SessionMessage::Retransmission(_)
        | SessionMessage::Terminate(_)
        | SessionMessage::DoorRejected(_)
        | SessionMessage::DropCopyBegan(_)
        | SessionMessage::DropCopied(_) => Err(RejectReason::UnsupportedMessage),
    }
}

#[cfg(test)]
mod any_bytes;
#[cfg(test)]
mod tests;
