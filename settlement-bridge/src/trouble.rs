//! What can go wrong between the journal and PostgreSQL, sorted by what is done about it.

use crate::projection::Poison;
use postgres::error::SqlState;
use std::error::Error as _;
use std::io;
use xq_journal::EventCursor;
use xq_protocol::{JournalId, Seq};

/// Why a bridge does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It passes: PostgreSQL is away, starting, read-only, slow or full. Tried again.
    #[error("{0}")]
    Weather(String),
    /// An event that cannot be written: nothing behind it is.
    #[error("poison: {0}")]
    Poison(#[from] Poison),
    /// PostgreSQL does not take some row: which, the commands one by one will tell.
    #[error("{0}")]
    Unfit(String),
    /// Someone must decide: it would be wrong to go on.
    #[error("{0}")]
    Refused(String),
    /// The cursor is not where this bridge left it.
    #[error(
        "the cursor is not at command {0}, where this bridge left it: another bridge writes this database"
    )]
    Moved(Seq),
    /// The database's rows are from another journal.
    #[error("the database holds journal {database}, this folder journal {folder}: nothing is written")]
    OtherJournal {
        /// The database's.
        database: JournalId,
        /// The folder's.
        folder: JournalId,
    },
    /// The database has more than the journal.
    #[error(
        "the database has the events up to {database}, the event journal ends with command {journal}: start the exchange \
         first, which makes events again that a power cut took; if it has started, the journal was restored to an earlier \
         point, or its commands were cut"
    )]
    Ahead {
        /// The database's cursor.
        database: EventCursor,
        /// The journal's last command.
        journal: Seq,
    },
    /// What comes next is not there any more.
    #[error(
        "the database has the events up to {database}, the event journal begins with command {journal}: bring the archived \
         segments back"
    )]
    Archived {
        /// The database's cursor.
        database: EventCursor,
        /// The journal's first command.
        journal: Seq,
    },
    /// The journal has other events than the database was filled from.
    #[error(
        "the journal's events up to {0} have another hash than those in the database: it was filled from another history"
    )]
    OtherHistory(EventCursor),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] xq_journal::Error),
}

impl Trouble {
    /// Says whether trying again may help.
    pub fn passes(&self) -> bool {
        match self {
            Trouble::Weather(_) => true,
            // A disk that does not answer now may; damage to events is mended by the exchange's next start.
            Trouble::Journal(xq_journal::Error::Io { .. } | xq_journal::Error::Corrupt { .. }) => true,
            Trouble::Poison(_)
            | Trouble::Unfit(_)
            | Trouble::Refused(_)
            | Trouble::Moved(_)
            | Trouble::OtherJournal { .. }
            | Trouble::Ahead { .. }
            | Trouble::Archived { .. }
            | Trouble::OtherHistory(_)
            | Trouble::Journal(_) => false,
        }
    }
}

/// What PostgreSQL said, while doing something.
pub(crate) fn told(doing: &str, error: &postgres::Error) -> Trouble {
    let text = match error.as_db_error() {
        Some(said) => {
            let place = said.where_().map_or(String::new(), |place| format!(" ({place})"));
            let detail = said
                .detail()
                .map_or(String::new(), |detail| format!(": {detail}"));
            format!(
                "{doing}: {} {}{detail}{place}",
                said.code().code(),
                said.message()
            )
        }
        None => match error.source() {
            Some(source) => format!("{doing}: {error}: {source}"),
            None => format!("{doing}: {error}"),
        },
    };
    match error.code().and_then(|code| code.code().get(..2)) {
        Some("22" | "23") => Trouble::Unfit(text),
        Some(_) | None if passes(error) => Trouble::Weather(text),
        Some(_) | None => Trouble::Refused(text),
    }
}

impl From<io::Error> for Trouble {
    /// Of a copy that was being written: the connection is gone, or the server said why it takes no more.
    fn from(error: io::Error) -> Trouble {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<postgres::Error>())
        {
            Some(inner) => told("copying rows", inner),
            None => Trouble::Weather(format!("copying rows: {error}")),
        }
    }
}

/// Classes of SQLSTATE that pass: connections, resources, operators, what the system has to do.
const PASSING: &[&str] = &["08", "40", "53", "55", "57", "58", "XX"];

fn passes(error: &postgres::Error) -> bool {
    if let Some(code) = error.code() {
        let class = code.code().get(..2).unwrap_or("");
        return PASSING.contains(&class) || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
    }
    // Without a code it is the connection's, unless what the other side showed cannot be trusted.
    let mut cause = error.source();
    while let Some(inner) = cause {
        let is_tls = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        if inner.is::<rustls::Error>() || inner.downcast_ref::<io::Error>().is_some_and(is_tls) {
            return false;
        }
        if inner.downcast_ref::<io::Error>().is_some() {
            return true;
        }
        cause = inner.source();
    }
    error.is_closed()
}
