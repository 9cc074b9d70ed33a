//! How the program ends: every exit code, and every failure that leads to one.

use std::io::{ErrorKind, Write};
use xq_engine::{Exchange, RULES_VERSION};
use xq_journal::Error as JournalError;

macro_rules! exits {
    ($( $(#[doc = $doc:literal])* $name:ident = $code:literal ),* $(,)?) => {
        /// Exit codes of `xq`; numbers follow `sysexits.h` where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Exit { $( $(#[doc = $doc])* $name = $code ),* }

        impl Exit {
            /// All of them, with what they mean.
            pub const ALL: &'static [(Exit, &'static str)] = &[ $( (Exit::$name, concat!($($doc),*)) ),* ];
            /// The number given to the operating system.
            pub const fn code(self) -> u8 { match self { $( Exit::$name => $code ),* } }
        }
    };
}

exits! {
    /// Done, or stopped cleanly.
    Done = 0,
    /// What was asked for was refused by the exchange, or does not hold.
    Refused = 1,
    /// The command line is wrong.
    Usage = 64,
    /// A journal is corrupt, incomplete or another's; nothing was changed.
    JournalCorrupt = 65,
    /// Executing the commands again gives other events, now or before: only after `xq verify` succeeded it serves again.
    Divergence = 70,
    /// The clock lies before the last journaled time, or more than a day after it.
    ClockRefused = 71,
    /// The bridge met an event that it cannot write: all before it is in PostgreSQL, nothing behind it.
    Poison = 72,
    /// A file cannot be created, a folder is in use, or a port is taken.
    CannotCreate = 73,
    /// The disk failed: a write or a sync returned an error, and nothing is retried.
    DiskFailed = 74,
    /// The disk is full.
    DiskFull = 75,
    /// A journal was written by a newer version of this program, or goes on under rules that only a newer one knows.
    NewerJournal = 76,
    /// The configuration is wrong, or asks for what the journal forbids.
    Configuration = 78,
    /// A thread of the exchange ended that should not have: a fault of the program, of which the journals know nothing.
    Broken = 79,
    /// Nobody read standard output to its end, as when `head` ends first; what a shell says of such programs.
    Unread = 141,
}

/// Why the exchange cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration, by the name of the key.
    #[error("configuration: {0}")]
    Configuration(String),
    /// The clock, with both times.
    #[error("clock: {0}")]
    Clock(String),
    /// Something the program needs to have cannot be made.
    #[error("{what}: {source}")]
    CannotCreate {
        /// The file, folder or address.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// A journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk is full, and the exchange can neither be opened nor closed in good order.
    #[error("disk full: {0}")]
    DiskFull(&'static str),
    /// Two executions differ.
    #[error("divergence: {0}")]
    Divergence(String),
    /// Two executions differed before, and nobody has verified the journals since.
    #[error(
        "journal folder {folder}: {file} stands there since a divergence, and says which: `xq verify` must succeed \
         before it serves again"
    )]
    LockedOut {
        /// The folder.
        folder: String,
        /// The file that tells what differed.
        file: &'static str,
    },
    /// The journal goes on under rules that this program does not know.
    #[error(
        "version {version} of the rules holds in this journal, and this program knows up to version {known}: go on with the \
         newer program"
    )]
    NewerRules {
        /// What holds.
        version: u32,
        /// What is known.
        known: u32,
    },
    /// The record of commands that are set aside is not what two operators signed.
    #[error("quarantine: {0}")]
    Quarantine(String),
    /// A thread of the pipeline ended that should not have.
    #[error("{0}")]
    Broken(String),
}

/// Says whether an exchange still goes by rules that this program knows.
///
/// # Errors
/// [`Failure::NewerRules`].
#[inline]
pub(crate) fn check_rules(exchange: &Exchange) -> Result<(), Failure> {
    match exchange.rules_version() {
        0..=RULES_VERSION => Ok(()),
        version => Err(Failure::NewerRules {
            version,
            known: RULES_VERSION,
        }),
    }
}

impl Failure {
    /// The code that the program exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Configuration(_) => Exit::Configuration,
            Failure::Clock(_) => Exit::ClockRefused,
            Failure::CannotCreate { source, .. } if source.kind() == ErrorKind::StorageFull => Exit::DiskFull,
            Failure::CannotCreate { .. } => Exit::CannotCreate,
            Failure::Journal(error) => exit_of_journal(error),
            Failure::DiskFull(_) => Exit::DiskFull,
            Failure::Divergence(_) | Failure::LockedOut { .. } => Exit::Divergence,
            Failure::NewerRules { .. } => Exit::NewerJournal,
            Failure::Quarantine(_) => Exit::JournalCorrupt,
            Failure::Broken(_) => Exit::Broken,
        }
    }

    /// Logs it and ends the process at once: what a thread does that can neither go on nor be repaired.
    pub fn end_process(&self) -> ! {
        tracing::error!(code = self.exit().code(), error = %self, "fatal");
        // Nobody reads standard error, perhaps: a panic would hide the code.
        let _ = writeln!(std::io::stderr(), "xq: {self}");
        std::process::exit(i32::from(self.exit().code()))
    }
}

fn exit_of_journal(error: &JournalError) -> Exit {
    match error {
        JournalError::Io { .. } | JournalError::Poisoned { .. } => Exit::DiskFailed,
        JournalError::NoSpace { .. } => Exit::DiskFull,
        JournalError::Corrupt { .. }
        | JournalError::Witnessed { .. }
        | JournalError::MissingSegment { .. }
        | JournalError::Misnamed { .. }
        | JournalError::Stray { .. }
        | JournalError::Foreign { .. }
        | JournalError::WrongSize { .. }
        | JournalError::NotCovered { .. }
        | JournalError::Unfinished { .. }
        | JournalError::Orphaned { .. }
        | JournalError::NotFound { .. } => Exit::JournalCorrupt,
        JournalError::NotEmpty { .. } => Exit::CannotCreate,
        JournalError::NewerVersion { .. } => Exit::NewerJournal,
        JournalError::Divergence { .. } | JournalError::OutOfOrder { .. } | JournalError::BadFrame { .. } => {
            Exit::Divergence
        }
        JournalError::Settings { .. } => Exit::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code has a row that says what the program says, and what to do; no other code has one.
    #[test]
    fn the_operations_page_knows_every_code() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
            let code: u8 = cells.next()?.parse().ok()?;
            Some((code, cells.next()?, cells.next()?, cells.next()))
        });
        let mut expected = Exit::ALL.iter();
        for (code, meaning, what_to_do, more) in rows {
            let (exit, about) = expected.next().expect("as many rows as codes");
            assert_eq!((code, meaning), (exit.code(), about.trim()));
            assert!(!what_to_do.is_empty() && more.is_none(), "three cells: {code}");
        }
        let missing: Vec<_> = expected.collect();
        assert!(
            missing.is_empty(),
            "docs/operations.md has no row for {missing:?}"
        );
    }
}
