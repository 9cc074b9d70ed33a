//! Session messages: how client and gateway talk about talking; none of them enters the ring.

use crate::meta::messages;
use crate::*;

macro_rules! code_choice {
    ($(#[doc = $doc:literal])* $name:ident { $( $(#[doc = $item_doc:literal])* $item:ident = $value:literal ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, zerocopy::TryFromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(u8)]
        pub enum $name { $( $(#[doc = $item_doc])* $item = $value ),* }
        impl WireType for $name {
            const NAME: &'static str = stringify!($name);
            const SHAPE: Shape = Shape::Choice(&[ $( ($value, stringify!($item)) ),* ]);
            const ABOUT: &'static str = concat!($($doc),*);
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $( $name::$item => stringify!($item) ),* })
            }
        }
    };
}

code_choice!(/// Why a session's connection is closed.
    TerminateReason {
    /// Its client said so.
    Requested = 0,
    /// A newer connection of the same session took over.
    TakenOver = 1,
    /// Nothing was heard for too long.
    HeartbeatLost = 2,
    /// The exchange stops.
    ServerStopping = 3,
    /// What was sent is no frame, or of an unspoken version.
    Malformed = 4,
    /// The certificate's participant may not use this session.
    NotAuthorised = 5,
    /// The client has seen more than the exchange has told: another history.
    SessionAhead = 6,
    /// The client reads too slowly: it may come back and have what it missed repeated.
    TooSlow = 7,
    /// The first message was no Establish.
    NotEstablished = 8,
    /// The session could not be opened by the exchange.
    Refused = 9,
});

messages! {
    /// A session message, viewed in its frame.
    SessionMessage, SESSION_MESSAGES;

    /// First message of a connection: which session, and what the client has seen of it.
    Establish = 301 {
        /// The session; its participant must be the certificate's.
        session: SessionId,
        /// Zero.
        reserved: Reserved<4>,
        /// The next out sequence the client expects; 0 when it wants only what comes from now on.
        next_out_seq: ReqSeq,
        /// The journal the client knows this session from; all zero when it knows none.
        journal_id: JournalId,
    }
    /// The session is up, durably.
    EstablishAck = 302 {
        /// The connection's number.
        connection: ConnectionId,
        /// The next request number the exchange expects at least.
        next_req_seq: ReqSeq,
        /// The out sequence of the next message told.
        next_out_seq: ReqSeq,
        /// Identity of the journal.
        journal_id: JournalId,
        /// Durable up to here.
        durable: Seq,
        /// How many of the last request numbers are remembered: repeated inside, the original outcome is told.
        window: Count,
        /// How many messages one retransmission may have.
        retransmit_max: Count,
        /// Requests a second that are let through; cancels always are.
        throttle_rate: Count,
        /// Requests at once that are let through.
        throttle_burst: Count,
        /// Silence after which a Sequence is sent.
        heartbeat: Nanos,
        /// Silence after which the connection is given up.
        lapse: Nanos,
    }
    /// Heartbeat: the out sequence of the next message its sender will tell; from a client, its next request number.
    Sequence = 303 {
        /// The number.
        next: ReqSeq,
    }
    /// Asks to be told again, on a stream of its own.
    RetransmitRequest = 304 {
        /// The first out sequence wanted.
        from: ReqSeq,
        /// How many.
        count: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// So many messages follow on this stream, as they were told first.
    Retransmission = 305 {
        /// The out sequence of the first.
        from: ReqSeq,
        /// How many; fewer than asked for when there are no more or the limit is reached.
        count: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// Last message of a connection.
    Terminate = 306 {
        /// Why.
        reason: TerminateReason,
        /// Zero.
        reserved: Reserved<1>,
        /// The reject code that goes with it, zero for none.
        code: RejectCode,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// A request was refused at the door: it consumed its number and never entered the exchange.
    DoorRejected = 307 {
        /// The request's number.
        req_seq: ReqSeq,
        /// Its template id.
        template: Count,
        /// Why.
        code: RejectCode,
        /// Zero.
        reserved: Reserved<2>,
        /// The client's id in the request, if it had one.
        cl_ord_id: ClOrdId,
    }
    /// Asks, as the first message of a stream of its own, for all that a participant's sessions are told.
    DropCopyRequest = 308 {
        /// Whose; zero for the asker's own.
        participant: ParticipantId,
        /// The first event wanted: its place among its command's.
        index: Count,
        /// The first event wanted: its command. A command that is not there yet: from now on.
        seq: Seq,
    }
    /// A drop copy begins. What follows are messages as the participant's sessions are told them, and `DropCopied`.
    DropCopyBegan = 309 {
        /// Whose.
        participant: ParticipantId,
        /// The first event looked at: its place among its command's.
        index: Count,
        /// The first event looked at: its command.
        seq: Seq,
    }
    /// On a drop copy that has caught up, now and then: nothing is missing up to this command.
    DropCopied = 310 {
        /// The command.
        seq: Seq,
    }
}
