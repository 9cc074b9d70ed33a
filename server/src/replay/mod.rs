//! Real orders through a session: a tape of LOBSTER's messages, the machine that plays it, and the venue it needs.

mod desk;
mod drive;
mod run;
mod tape;
mod venue;

pub use desk::Keyring;
pub use drive::{Drive, DriveError, Row, Stage, Step, Tally};
pub use run::{Outcome, Pace, play};
pub use tape::{Tape, TapeError, read_rows};
pub use venue::{Market, must_be_empty, open, traders};

/// Why a replay cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The files.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// The configuration has nobody to do this.
    #[error("the configuration has {0}")]
    Nobody(&'static str),
    /// The connection, named by whose it is.
    #[error("{who}: {error}")]
    Client {
        /// Whose session.
        who: String,
        /// What happened.
        error: xq_client::ClientError,
    },
    /// The exchange refused a command of the set-up.
    #[error("{what} was refused: {why}")]
    Refused {
        /// The command.
        what: String,
        /// The code and what it means.
        why: String,
    },
    /// The exchange refused what a message says.
    #[error("line {line}: refused: {why}")]
    LineRefused {
        /// The message's line.
        line: usize,
        /// The code and what it means.
        why: String,
    },
    /// The tape and the book part.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// Orders rest in the series before the first message.
    #[error("series {series}: {orders} orders rest already: a replay needs an empty book")]
    NotEmpty {
        /// The series.
        series: xq_protocol::SeriesId,
        /// How many.
        orders: usize,
    },
}
