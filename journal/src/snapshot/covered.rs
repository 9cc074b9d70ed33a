//! Which segments a snapshot makes dispensable.

use crate::command::layout::{BLOCK_MAX, HeaderState, SegmentHeader};
use crate::event::layout::{EventHeaderState, EventSegmentHeader, HEADER};
use crate::names::{Kind, segment_name, survey};
use crate::storage::{Access, Storage};
use crate::{Error, SegmentNumber, Seq, Start};

/// A segment that is not written any more: another was begun behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its file.
    pub name: String,
    /// The last command of which it holds anything.
    pub last: Seq,
    /// Its size, bytes.
    pub bytes: u64,
    kind: Kind,
    number: SegmentNumber,
}

impl SealedSegment {
    /// Whether it holds commands, and not events.
    #[must_use]
    pub fn is_of_commands(&self) -> bool {
        self.kind == Kind::Command
    }

    /// Whether nothing of it is read behind this snapshot.
    #[must_use]
    pub fn is_covered(&self, start: &Start) -> bool {
        let first = match self.kind {
            Kind::Command => start.commands.segment,
            Kind::Event => start.events.segment,
        };
        self.number < first
    }
}

/// The segments of both journals that are not written any more, by their last command, the oldest first.
///
/// # Errors
/// [`Error::Stray`], [`Error::Io`].
pub fn sealed_segments(storage: &dyn Storage) -> Result<Vec<SealedSegment>, Error> {
    let mut sealed = Vec::new();
    for kind in [Kind::Command, Kind::Event] {
        let names = storage
            .list()
            .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
        let segments = survey(kind, SegmentNumber::FIRST, &names)?.segments;
        for pair in segments.windows(2) {
            let Some(last) = last_before(storage, kind, pair[1])? else {
                break;
            };
            let name = segment_name(kind, pair[0]);
            let file = storage.open(&name, Access::ReadOnly);
            let size = file.and_then(|file| file.size());
            let bytes = size.map_err(|e| Error::io(&name, "asking for its size", (0, last), e))?;
            sealed.push(SealedSegment {
                name,
                last,
                bytes,
                kind,
                number: pair[0],
            });
        }
    }
    sealed.sort_by_key(|segment| segment.last);
    Ok(sealed)
}

/// Segments of both journals that hold nothing from command `before` on and that are not read behind this snapshot, the
/// oldest first.
///
/// # Errors
/// As [`sealed_segments`].
pub fn covered_segments(storage: &dyn Storage, start: &Start, before: Seq) -> Result<Vec<String>, Error> {
    let sealed = sealed_segments(storage)?.into_iter();
    let covered = sealed.filter(|segment| segment.is_covered(start) && segment.last < before);
    Ok(covered.map(|segment| segment.name).collect())
}

/// Whether both journals begin with their first segment: nothing is archived.
///
/// # Errors
/// [`Error::Stray`], [`Error::Io`].
pub fn begins_whole(storage: &dyn Storage) -> Result<bool, Error> {
    let names = storage
        .list()
        .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
    for kind in [Kind::Command, Kind::Event] {
        let segments = survey(kind, SegmentNumber::FIRST, &names)?.segments;
        if segments
            .first()
            .is_some_and(|first| *first != SegmentNumber::FIRST)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last command of which the segment before this one holds anything. A segment of events may begin inside a command:
/// the first events of that stand in the one before.
fn last_before(storage: &dyn Storage, kind: Kind, number: SegmentNumber) -> Result<Option<Seq>, Error> {
    let name = segment_name(kind, number);
    let file = storage.open(&name, Access::ReadOnly);
    let map = file
        .and_then(|file| file.map())
        .map_err(|e| Error::io(&name, "mapping", (0, Seq::ZERO), e))?;
    let length = map.length();
    Ok(match kind {
        Kind::Command => match SegmentHeader::read(&name, map.bytes(0..length.min(BLOCK_MAX)))? {
            HeaderState::Valid(header) => Some(Seq(header.first_seq.0.saturating_sub(1))),
            HeaderState::Blank | HeaderState::Bad => None,
        },
        Kind::Event => match EventSegmentHeader::read(&name, map.bytes(0..length.min(HEADER)))? {
            EventHeaderState::Valid(header) => {
                let inside = u64::from(header.first.index > 0);
                Some(Seq((header.first.seq.0 + inside).saturating_sub(1)))
            }
            EventHeaderState::Blank | EventHeaderState::Bad => None,
        },
    })
}
