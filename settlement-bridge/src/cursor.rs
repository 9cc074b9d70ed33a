//! How far the events have come: the cursor in the database, and a file that tells the journal's keepers of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use xq_journal::{ChainHash, EventCursor};
use xq_protocol::{Date, JournalId, Nanos, Seq};

/// A place behind whole commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last event.
    pub cursor: EventCursor,
    /// Hash of all events up to there.
    pub chain: ChainHash,
    /// When that command entered the exchange.
    pub at: Nanos,
    /// The business day it belongs to.
    pub date: Date,
}

/// What the database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which journal its rows are from.
    pub journal: JournalId,
    /// How far.
    pub position: Position,
}

/// A file beside the journals that names the last command whose events are safe elsewhere and not read again: what comes
/// after it is not archived.
#[derive(Clone, Debug)]
pub struct CursorFile(PathBuf);

impl CursorFile {
    /// The bridge's in a folder of journals.
    pub fn in_folder(folder: &Path) -> CursorFile {
        CursorFile(folder.join("settlement.cursor"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Says so: durable when it returns, and whoever reads it meanwhile reads the old or the new number.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, seq: Seq) -> io::Result<()> {
        let draft = self.0.with_extension("cursor-draft");
        let mut file = File::create(&draft)?;
        writeln!(file, "{seq}")?;
        file.sync_all()?;
        fs::rename(&draft, &self.0)?;
        match self.0.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// What it says, when it is there.
    ///
    /// # Errors
    /// Those of the file system; a file without a number.
    pub fn read(&self) -> io::Result<Option<Seq>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => match text.trim().parse() {
                Ok(seq) => Ok(Some(Seq(seq))),
                Err(_) => Err(io::Error::other("it holds no number of a command")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_was_written_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = CursorFile::in_folder(folder.path());
        assert_eq!(file.read().expect("readable"), None);
        for seq in [7, 1_000_000] {
            file.write(Seq(seq)).expect("writable");
            assert_eq!(file.read().expect("readable"), Some(Seq(seq)));
        }
        fs::write(file.path(), "seven").expect("writable");
        assert!(file.read().is_err());
    }
}
