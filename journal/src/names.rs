//! Names of the files in a journal's folder.

use crate::storage::Access;
use crate::{Error, SegmentNumber, Seq};

/// Ending of every file of a journal.
const ENDING: &str = ".xqj";

/// Which of the two journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Event,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Command => "command-",
            Self::Event => "event-",
        }
    }

    /// Name of the one segment being prepared.
    pub(crate) fn temporary_name(self) -> &'static str {
        match self {
            Self::Command => "preparing-command.tmp",
            Self::Event => "preparing-event.tmp",
        }
    }

    /// Name of a segment that was given back.
    pub(crate) fn released_name(self, number: SegmentNumber) -> String {
        format!("released-{}{number:010}.tmp", self.prefix(), number = number.0)
    }

    pub(crate) fn access(self) -> Access {
        match self {
            Self::Command => Access::Direct,
            Self::Event => Access::Mapped,
        }
    }
}

/// `command-0000000001.xqj`
pub(crate) fn segment_name(kind: Kind, number: SegmentNumber) -> String {
    format!("{}{:010}{ENDING}", kind.prefix(), number.0)
}

/// What stands in a folder, of one kind.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Numbers of the segments, ascending and without a gap.
    pub(crate) segments: Vec<SegmentNumber>,
    /// Released files that wait to be filled anew.
    pub(crate) released: Vec<String>,
}

/// Sorts out which files are segments, and refuses copies and gaps.
pub(crate) fn survey(kind: Kind, first: SegmentNumber, names: &[String]) -> Result<Folder, Error> {
    let mut folder = Folder::default();
    let released = format!("released-{}", kind.prefix());
    for name in names {
        if name.starts_with(&released) {
            folder.released.push(name.clone());
        }
        let Some(rest) = name.strip_prefix(kind.prefix()) else {
            continue;
        };
        let number = rest
            .strip_suffix(ENDING)
            .and_then(|digits| digits.parse().ok())
            .map(SegmentNumber);
        match number {
            Some(number) if *name == segment_name(kind, number) && number >= first => {
                folder.segments.push(number)
            }
            Some(_) | None => return Err(Error::Stray { file: name.clone() }),
        }
    }
    folder.segments.sort_unstable();
    folder.released.sort_unstable();
    Ok(folder)
}

/// The record, beside the journals, of commands that are set aside: what it says is the server's business.
pub const QUARANTINE: &str = "quarantine.jsonl";

/// Name of a snapshot being written.
pub(crate) const SNAPSHOT_TEMPORARY: &str = "preparing-snapshot.tmp";

/// The file of a snapshot: `snapshot-00000000000010000384.xqs`.
#[must_use]
pub fn snapshot_name(seq: Seq) -> String {
    format!("snapshot-{:020}.xqs", seq.0)
}

/// The command that a file covers, if it is a snapshot by its name.
pub(crate) fn snapshot_seq(name: &str) -> Option<Seq> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".xqs")?;
    let seq = Seq(digits.parse().ok()?);
    (snapshot_name(seq) == name).then_some(seq)
}
