//! Which segments a snapshot makes dispensable.

use crate::command::layout::{BLOCK_MAX, HeaderState, SegmentHeader};
use crate::event::layout::{EventHeaderState, EventSegmentHeader, HEADER};
use crate::names::{Kind, segment_name, survey};
use crate::storage::{Access, Storage};
use crate::{Error, SegmentNumber, Seq, Start};

/// Segments of both journals that hold nothing from command `before` on and that are not read behind this snapshot, the
/// oldest first of each.
///
/// # Errors
/// [`Error::Stray`], [`Error::Io`].
pub fn covered_segments(storage: &dyn Storage, start: &Start, before: Seq) -> Result<Vec<String>, Error> {
    let mut covered = Vec::new();
    for (kind, first) in [
        (Kind::Command, start.commands.segment),
        (Kind::Event, start.events.segment),
    ] {
        let names = storage
            .list()
            .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
        let segments = survey(kind, SegmentNumber::FIRST, &names)?.segments;
        for pair in segments.windows(2).filter(|pair| pair[0] < first) {
            match last_before(storage, kind, pair[1])? {
                Some(last) if last < before => covered.push(segment_name(kind, pair[0])),
                Some(_) | None => break,
            }
        }
    }
    Ok(covered)
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
