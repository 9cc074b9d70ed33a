//! Why a client cannot do what it was asked.

use crate::wire::ReadError;
use std::path::PathBuf;
use xq_protocol::{RejectCode, RejectReason, TerminateReason};

/// Why a client cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate or key file is unfit.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No socket could be had.
    #[error("no socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The connection could not be made or was lost.
    #[error("connection: {0}")]
    Connection(String),
    /// The exchange closed the connection.
    #[error("the exchange closed the connection: {reason}{}", with_code(*code))]
    Terminated {
        /// Why.
        reason: TerminateReason,
        /// The reject code that goes with it, 0 for none.
        code: RejectCode,
    },
    /// Nothing was heard for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// What the exchange sent is no message here.
    #[error("unexpected message: {0}")]
    Unexpected(String),
    /// A request for market data was refused; none for a code that this client does not know.
    #[error("refused: {}", .0.map_or("for an unknown reason".to_owned(), |reason| format!("{reason}: {}", reason.text())))]
    MarketRefused(Option<RejectReason>),
    /// There is no connection at the moment: wait for [`crate::Report::Up`].
    #[error("not connected at the moment")]
    NotUp,
    /// The client was closed, or has given up.
    #[error("the client is closed")]
    Closed,
    /// A request number below one that still waits for its answer.
    #[error("request numbers are sent in increasing order")]
    OutOfOrder,
}

fn with_code(code: RejectCode) -> String {
    match RejectReason::from_code(code) {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    }
}

impl ClientError {
    /// Says whether another attempt may succeed: not when the exchange has said that this session will not be served.
    pub fn is_passing(&self) -> bool {
        match self {
            ClientError::Terminated { reason, code } => match reason {
                TerminateReason::HeartbeatLost
                | TerminateReason::ServerStopping
                | TerminateReason::TooSlow
                | TerminateReason::NotEstablished => true,
                TerminateReason::Requested
                | TerminateReason::TakenOver
                | TerminateReason::Malformed
                | TerminateReason::NotAuthorised
                | TerminateReason::SessionAhead => false,
                // It asked too often for what it had missed: later it may go on.
                TerminateReason::Refused => *code == RejectReason::Throttled.code(),
            },
            ClientError::Socket(_)
            | ClientError::Connection(_)
            | ClientError::Silent
            | ClientError::NotUp => true,
            ClientError::Key { .. }
            | ClientError::Unexpected(_)
            | ClientError::MarketRefused(_)
            | ClientError::Closed
            | ClientError::OutOfOrder => false,
        }
    }

    /// What a connection's end means: the exchange tells its reason in the closing code, too.
    pub(crate) fn from_connection(error: &quinn::ConnectionError) -> ClientError {
        if let quinn::ConnectionError::ApplicationClosed(close) = error {
            // Market data closes a connection that it does not serve with the reject code itself.
            let code = u16::try_from(close.error_code.into_inner()).ok().map(RejectCode);
            if let Some(code) = code.filter(|code| RejectReason::from_code(*code).is_some()) {
                let reason = TerminateReason::Refused;
                return ClientError::Terminated { reason, code };
            }
            let reason = usize::try_from(close.error_code.into_inner()).ok();
            if let Some(reason) = reason.and_then(|at| REASONS.get(at)) {
                let code = RejectCode::ZERO;
                return ClientError::Terminated {
                    reason: *reason,
                    code,
                };
            }
        }
        ClientError::Connection(error.to_string())
    }
}

/// The reasons by their numbers.
const REASONS: [TerminateReason; 10] = [
    TerminateReason::Requested,
    TerminateReason::TakenOver,
    TerminateReason::HeartbeatLost,
    TerminateReason::ServerStopping,
    TerminateReason::Malformed,
    TerminateReason::NotAuthorised,
    TerminateReason::SessionAhead,
    TerminateReason::TooSlow,
    TerminateReason::NotEstablished,
    TerminateReason::Refused,
];

impl From<ReadError> for ClientError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Broken(quinn::ReadError::ConnectionLost(lost)) => ClientError::from_connection(&lost),
            ReadError::Ended | ReadError::Broken(_) => ClientError::Connection(error.to_string()),
            ReadError::Decode(decode) => ClientError::Unexpected(decode.to_string()),
        }
    }
}
impl From<xq_protocol::DecodeError> for ClientError {
    fn from(error: xq_protocol::DecodeError) -> Self {
        ClientError::Unexpected(error.to_string())
    }
}
impl From<quinn::WriteError> for ClientError {
    fn from(error: quinn::WriteError) -> Self {
        match error {
            quinn::WriteError::ConnectionLost(lost) => ClientError::from_connection(&lost),
            other => ClientError::Connection(other.to_string()),
        }
    }
}
impl From<quinn::ConnectionError> for ClientError {
    fn from(error: quinn::ConnectionError) -> Self {
        ClientError::from_connection(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_closing_code_is_its_reasons_number() {
        for (number, reason) in REASONS.iter().enumerate() {
            assert_eq!(number, *reason as usize);
        }
    }

    #[test]
    fn a_refusal_passes_only_when_it_was_for_asking_too_often() {
        let refused = |code: RejectReason| ClientError::Terminated {
            reason: TerminateReason::Refused,
            code: code.code(),
        };
        assert!(refused(RejectReason::Throttled).is_passing());
        assert!(!refused(RejectReason::Capacity).is_passing());
    }
}
