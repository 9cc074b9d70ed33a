//! What can go wrong at the border to the disk, each with its place.

use crate::{ChainHash, EventCursor, JournalId, SegmentNumber, Seq, Witness};
use std::io;
use thiserror::Error;

/// A failure of a journal. Whatever a failed write or sync leaves behind is decided by recovery alone:
/// nothing here may be retried on the same writer.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("{file}: {action} at offset {offset} failed, next seq {seq}: {source}")]
    Io {
        /// File, or folder, it happened to.
        file: String,
        /// What was tried.
        action: &'static str,
        /// Byte offset in the file.
        offset: u64,
        /// The first sequence not known to be durable, 0 where none is concerned.
        seq: Seq,
        /// The cause.
        source: io::Error,
    },
    /// The disk has no room for another file; nothing is damaged, and it may be tried again.
    #[error("{file}: no space left for {size} bytes: {source}")]
    NoSpace {
        /// The file that could not be made.
        file: String,
        /// Its size in bytes, or how much of it was written.
        size: u64,
        /// The cause.
        source: io::Error,
    },
    /// The writer failed before and takes nothing more.
    #[error(
        "{file}: offset {offset}: the journal failed at seq {seq} and must be recovered before it takes more"
    )]
    Poisoned {
        /// Segment that was being written.
        file: String,
        /// Where.
        offset: u64,
        /// First sequence that was not acknowledged.
        seq: Seq,
    },
    /// The caller handed over bytes that are no frame. Nothing was taken.
    #[error("not a frame of the journal: {what} ({length} bytes, after seq {seq})")]
    BadFrame {
        /// What is wrong.
        what: &'static str,
        /// Bytes handed over.
        length: usize,
        /// The last sequence taken before.
        seq: Seq,
    },
    /// Bytes that were once valid are not, and something later is: never cut, always a stop.
    #[error("{file}: corrupt at offset {offset}, seq {seq}: {what}")]
    Corrupt {
        /// Segment file.
        file: String,
        /// Byte offset in it.
        offset: u64,
        /// The sequence expected there.
        seq: Seq,
        /// What is wrong.
        what: String,
    },
    /// The journal ends before something that a witness saw.
    #[error(
        "{file}: the journal ends at offset {offset} with seq {last}, but {} names seq {}: nothing is cut",
        witness.what, witness.seq
    )]
    Witnessed {
        /// Last segment with data.
        file: String,
        /// Where it ends, or where the bad batch begins.
        offset: u64,
        /// Last sequence that is intact.
        last: Seq,
        /// Who knows better.
        witness: Witness,
    },
    /// A snapshot covers more than the event journal holds: one from before it is to be used.
    #[error("{file}: the events of command {seq}, which the snapshot covers, do not end at offset {offset}")]
    NotCovered {
        /// Event segment.
        file: String,
        /// Where the record that closes the snapshot's epoch should end.
        offset: u64,
        /// The snapshot's last command.
        seq: Seq,
    },
    /// A copy was begun here and not finished.
    #[error(
        "{folder}: {file} says that a copy was begun here and not finished: copy it again, or take another folder"
    )]
    Unfinished {
        /// The folder.
        folder: String,
        /// The file that says so.
        file: &'static str,
    },
    /// A folder that is to be filled holds something.
    #[error("{folder}: it is not empty: nothing was written")]
    NotEmpty {
        /// The folder.
        folder: String,
    },
    /// A snapshot stands beside no journal that it could belong to.
    #[error(
        "{file}: a snapshot is here, and no command of the journal that it belongs to: no other is begun beside it"
    )]
    Orphaned {
        /// The snapshot.
        file: String,
    },
    /// A segment is not there.
    #[error("{file}: segment {number} is missing between its neighbours (after seq {seq})")]
    MissingSegment {
        /// The file that should be there.
        file: String,
        /// Its number.
        number: SegmentNumber,
        /// Last sequence known before the gap, 0 when not read yet.
        seq: Seq,
    },
    /// A segment's header names another number than its file name: renamed or copied.
    #[error(
        "{file}: holds segment {found} under the name of {named} (renamed or duplicated), first seq {seq}"
    )]
    Misnamed {
        /// The file.
        file: String,
        /// Number by its header.
        found: SegmentNumber,
        /// Number by its name.
        named: SegmentNumber,
        /// First sequence by its header.
        seq: Seq,
    },
    /// A file that claims by its name to belong to the journal but is none of its files.
    #[error("{file}: is no file of this journal; a copy or a leftover must not stand among its segments")]
    Stray {
        /// The file.
        file: String,
    },
    /// A segment of another journal.
    #[error("{file}: belongs to journal {found}, not to {expected} (first seq {seq})")]
    Foreign {
        /// The file.
        file: String,
        /// The journal it belongs to.
        found: JournalId,
        /// The journal being opened.
        expected: JournalId,
        /// First sequence by its header.
        seq: Seq,
    },
    /// Written by a later version of this program.
    #[error("{file}: has format version {found}; this program reads up to {supported}")]
    NewerVersion {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// A segment file is shorter or longer than the journal's segments are.
    #[error("{file}: has {found} bytes where a segment has {expected} (truncated or extended)")]
    WrongSize {
        /// The file.
        file: String,
        /// Its size in bytes.
        found: u64,
        /// A segment's size in bytes.
        expected: u64,
    },
    /// Two executions of the same commands produced different events.
    #[error(
        "{file}: events diverge at {cursor}, offset {offset}: journaled {journaled}, regenerated {regenerated}"
    )]
    Divergence {
        /// Event segment.
        file: String,
        /// Offset of the differing event.
        offset: u64,
        /// The differing event.
        cursor: EventCursor,
        /// Event hash up to and with it, as journaled.
        journaled: ChainHash,
        /// Event hash up to and with it, as regenerated.
        regenerated: ChainHash,
    },
    /// An event came out of its order. Nothing was taken.
    #[error("event {found} came where {expected} was expected")]
    OutOfOrder {
        /// The event handed over.
        found: EventCursor,
        /// The one that was due.
        expected: EventCursor,
    },
    /// A sequence was asked for that is not in the journal.
    #[error("seq {seq} is not in the journal in {file}, which holds {first} to {last}")]
    NotFound {
        /// Asked for.
        seq: Seq,
        /// The folder.
        file: String,
        /// First sequence there is.
        first: Seq,
        /// Last sequence there is.
        last: Seq,
    },
    /// Sizes that cannot work together.
    #[error("journal settings: {what}")]
    Settings {
        /// The culprit.
        what: &'static str,
    },
}

impl Error {
    /// Bytes at (offset, expected seq) of a file that cannot be cut.
    pub(crate) fn corrupt(file: &str, at: (u64, Seq), what: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset: at.0,
            seq: at.1,
            what: what.into(),
        }
    }

    /// A write that the operating system refused: for want of room, or otherwise.
    pub(crate) fn of_write(file: &str, action: &'static str, at: (u64, Seq), source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::NoSpace {
                file: file.to_owned(),
                size: at.0,
                source,
            },
            // The kinds of errors are the system's.
            _ => Self::io(file, action, at, source),
        }
    }

    /// Wraps a refusal of the operating system.
    pub(crate) fn io(file: &str, action: &'static str, at: (u64, Seq), source: io::Error) -> Self {
        let (offset, seq) = at;
        Self::Io {
            file: file.to_owned(),
            action,
            offset,
            seq,
            source,
        }
    }
}
