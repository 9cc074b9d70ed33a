//! What a session machine asks its surroundings to do.

use crate::frames::Frames;
use xq_protocol::{
    ConnectionId, Count, DoorRejected, Header, RejectReason, ReqSeq, Reserved, SessionId, Terminate,
    TerminateReason,
};

/// A connection of a session, as SessionUp and SessionDown name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The session.
    pub session: SessionId,
    /// The connection's number.
    pub connection: ConnectionId,
}

/// Gathers what a machine wants done; emptied by whoever does it.
#[derive(Default)]
pub struct Output {
    /// Commands to be offered to the ring, headers filled in.
    pub commands: Frames,
    /// Frames to be sent to the client.
    pub replies: Frames,
    /// A SessionUp to be offered: the answer is `established` or `refused`.
    pub up: Option<Presence>,
    /// A SessionDown that is owed: it must enter the ring, later if it is full.
    pub down: Option<Presence>,
    /// The connection is to be closed once the replies are written.
    pub close: Option<TerminateReason>,
    /// Refusals counted, by code.
    pub refused: Vec<RejectReason>,
}

impl Output {
    /// Empties it; the memory stays.
    pub fn clear(&mut self) {
        self.commands.clear();
        self.replies.clear();
        self.refused.clear();
        (self.up, self.down, self.close) = (None, None, None);
    }

    /// Answers one request at the door.
    pub fn refuse(&mut self, request: &Request, reason: RejectReason) {
        let rejected = DoorRejected {
            req_seq: request.req_seq,
            template: Count(u32::from(request.template)),
            code: reason.code(),
            reserved: Reserved::ZERO,
            cl_ord_id: request.cl_ord_id,
        };
        self.replies.push(Header::request(request.req_seq), &rejected);
        self.refused.push(reason);
    }

    /// Says good-bye.
    pub fn terminate(&mut self, reason: TerminateReason, code: Option<RejectReason>) {
        let terminate = Terminate {
            reason,
            reserved: Reserved::ZERO,
            code: code.map(RejectReason::code).unwrap_or_default(),
            reserved2: Reserved::ZERO,
        };
        self.replies.push(Header::default(), &terminate);
        self.refused.extend(code);
        self.close = Some(reason);
    }
}

/// What a refusal says about the request it answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Its number, 0 when it could not be read.
    pub req_seq: ReqSeq,
    /// Its template id, 0 when it could not be read.
    pub template: u16,
    /// The client's id in it, if it had one.
    pub cl_ord_id: xq_protocol::ClOrdId,
}
