//! The reader of the event journal: walks events up to the published position, beside the writer.
//!
//! # Cost
//! An event is a slice of the mapping. The published position is loaded only when the last one known is reached.
//! Segments are mapped once, when first reached. A seek reads at most one epoch: 1,024 commands.

use super::keeper::EventPosition;
use super::layout::{
    CHECK, EventHeaderState, EventSegmentHeader, HEADER, ROOM, Record, epoch_of, records_at, slot_at,
    table_slots,
};
use crate::bytes::{narrow, wide};
use crate::checksum::Crc32c;
use crate::frame::{cursor_of, is_last_event};
use crate::memory::Map;
use crate::names::{Kind, segment_name, survey};
use crate::storage::{Access, Storage};
use crate::{ChainHash, Error, EventCursor, EventStart, SegmentNumber, Seq};
use std::sync::Arc;

/// Walks the events.
#[derive(Debug)]
pub struct EventReader {
    storage: Arc<dyn Storage>,
    position: Arc<EventPosition>,
    /// The position as last loaded.
    limit: u64,
    segments: Vec<ReadSegment>,
    /// The oldest segment there was when the reader was opened: what came before is archived.
    oldest: SegmentNumber,
    /// Place in `segments` of the current one.
    current: usize,
    offset: usize,
    /// The event that comes next, once it is published.
    due: EventCursor,
    /// The last epoch that was passed, and where it ends.
    behind: Option<(Seq, EventStart)>,
}

#[derive(Debug)]
struct ReadSegment {
    name: String,
    map: Map,
    header: EventSegmentHeader,
}

impl EventReader {
    /// Opens the journal before its first event, or the first that was not archived. `position` comes from the writer of this process, or from
    /// [`crate::EventsAtRest`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(storage: Arc<dyn Storage>, position: Arc<EventPosition>) -> Result<Self, Error> {
        let due = EventCursor {
            seq: Seq(1),
            index: 0,
        };
        let oldest = oldest_of(&*storage)?;
        Ok(Self {
            storage,
            position,
            limit: 0,
            oldest,
            segments: Vec::with_capacity(64),
            current: 0,
            offset: 0,
            due,
            behind: None,
        })
    }

    /// The event that [`EventReader::next_event`] will return, as soon as it is published.
    #[must_use]
    pub fn cursor(&self) -> EventCursor {
        self.due
    }

    /// The next event, or `None` when all that is published was read.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`], [`Error::MissingSegment`].
    pub fn next_event(&mut self) -> Result<Option<&[u8]>, Error> {
        loop {
            if !self.is_published()? {
                return Ok(None);
            }
            let segment = &self.segments[self.current];
            let size = segment.map.length();
            let end = size.min(narrow(self.limit - self.base(self.current)));
            let record = Record::read(segment.map.bytes(self.offset..end));
            let at = (wide(self.offset), self.due.seq);
            match record {
                Some(Record::Event(frame)) if cursor_of(frame) == self.due => {
                    let length = frame.len();
                    self.due = after(self.due, is_last_event(frame));
                    let start = self.offset;
                    self.offset += length;
                    return Ok(Some(self.segments[self.current].map.bytes(start..start + length)));
                }
                Some(Record::Event(_)) | None => {
                    return Err(Error::corrupt(
                        &segment.name,
                        at,
                        "the event that should stand here does not",
                    ));
                }
                Some(closing @ Record::Check(_)) => self.offset += closing.length(),
                Some(closing @ Record::Epoch(epoch)) => {
                    self.offset += closing.length();
                    self.behind = Some((epoch.last_seq, self.here(epoch.chain)));
                }
            }
        }
    }

    /// Compares the events of the command that comes next with its check; the reader stays where it is. Recovery has found
    /// them whole, but what is read long after may have been damaged since.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they do not match or are not all there; [`Error::NotFound`] when nothing is published;
    /// [`Error::Io`], [`Error::MissingSegment`].
    pub fn verify_command(&mut self) -> Result<(), Error> {
        let here = (self.current, self.offset, self.due, self.behind);
        let verified = self.check_command();
        (self.current, self.offset, self.due, self.behind) = here;
        verified
    }

    fn check_command(&mut self) -> Result<(), Error> {
        let (seq, mut sum) = (self.due.seq, Crc32c::new());
        while self.due.seq == seq {
            match self.next_event()? {
                Some(event) => sum.update(event),
                None => break,
            }
        }
        let Some(segment) = self.segments.get(self.current) else {
            return Err(self.not_found(seq));
        };
        let closing = Record::read(segment.map.bytes(self.offset..segment.map.length()));
        match closing {
            Some(Record::Check(check)) if self.due.seq > seq && check == sum.value() => Ok(()),
            Some(Record::Event(_) | Record::Check(_) | Record::Epoch(_)) | None => Err(Error::corrupt(
                &segment.name,
                (wide(self.offset), seq),
                "the events of the command do not match their check",
            )),
        }
    }

    /// Goes to the first event of a command, backwards or forwards. A command that is not published yet is
    /// accepted if it is the next one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it lies beyond the next one to be published; [`Error::Corrupt`], [`Error::Io`].
    pub fn seek(&mut self, to: Seq) -> Result<(), Error> {
        self.limit = self.position.load();
        self.map_up_to_limit()?;
        let start = EventCursor { seq: to, index: 0 };
        let after = self
            .segments
            .partition_point(|segment| segment.header.first <= start);
        let Some(place) = after.checked_sub(1) else {
            if !self.segments.is_empty() {
                return Err(self.not_found(to));
            }
            // Nothing is published: the first event is the next.
            (self.current, self.offset, self.due) = (
                0,
                0,
                EventCursor {
                    seq: Seq(1),
                    index: 0,
                },
            );
            return if to == Seq(1) {
                Ok(())
            } else {
                Err(self.not_found(to))
            };
        };
        self.stand_before(place, to);
        while self.due < start {
            if self.next_event()?.is_none() {
                return Err(self.not_found(to));
            }
        }
        Ok(())
    }

    /// Stands at the nearest known place at or before a command: the start of its epoch, or of the segment.
    fn stand_before(&mut self, place: usize, to: Seq) {
        let segment = &self.segments[place];
        let size = segment.map.length();
        (self.current, self.offset, self.due) = (place, records_at(size), segment.header.first);
        let slot = epoch_of(to).checked_sub(segment.header.first_epoch()).map(narrow);
        let Some(slot) = slot.filter(|slot| *slot < table_slots(size)) else {
            return;
        };
        let offset = narrow(u64::from(segment.map.load_u32(slot_at(slot))));
        let due = EventCursor {
            seq: Seq(epoch_of(to) * super::layout::EPOCH_COMMANDS + 1),
            index: 0,
        };
        let published = narrow((self.limit - self.base(place)).min(wide(size)));
        // The table is a hint that recovery mends; what it points to has to be the event it promises.
        if (records_at(size)..published).contains(&offset)
            && let Some(Record::Event(frame)) = Record::read(segment.map.bytes(offset..published))
            && cursor_of(frame) == due
        {
            (self.offset, self.due) = (offset, due);
        }
    }

    /// Whether there is a record to read; goes to the next segment where the current one is full.
    fn is_published(&mut self) -> Result<bool, Error> {
        if self.segments.is_empty() {
            self.limit = self.position.load();
            if self.limit == 0 {
                return Ok(false);
            }
            self.map_or_start_over()?;
            self.stand_first();
        }
        let size = self.segments[self.current].map.length();
        if self.at() >= self.limit {
            self.limit = self.position.load();
            if self.at() >= self.limit {
                return Ok(false);
            }
        }
        // Between events only: what closes a command always stands behind its last event.
        let full = size - self.offset < ROOM && self.at_event();
        if full {
            if self.base(self.current + 1) >= self.limit {
                return Ok(false);
            }
            if self.current + 1 == self.segments.len() {
                self.map_next()?;
            }
            self.current += 1;
            self.offset = records_at(size);
        }
        Ok(true)
    }

    /// Whether an event, not what closes a command, is due at the current place.
    fn at_event(&self) -> bool {
        let segment = &self.segments[self.current];
        let size = segment.map.length();
        let end = narrow((self.limit - self.base(self.current)).min(wide(size)));
        !matches!(
            Record::read(segment.map.bytes(self.offset..end)),
            Some(Record::Check(_) | Record::Epoch(_))
        )
    }

    fn at(&self) -> u64 {
        self.base(self.current) + wide(self.offset)
    }

    /// Position of the first byte of the segment at this place among those mapped, or after them.
    fn base(&self, place: usize) -> u64 {
        let size = self.segments.first().map_or(0, |segment| segment.map.length());
        (self.oldest.0 - SegmentNumber::FIRST.0 + wide(place)) * wide(size)
    }

    fn map_up_to_limit(&mut self) -> Result<(), Error> {
        while self.limit > 0 && (self.segments.is_empty() || self.base(self.segments.len()) < self.limit) {
            self.map_or_start_over()?;
        }
        Ok(())
    }

    /// Where the journal is read from behind the epoch that was read last: none but between two epochs.
    #[must_use]
    pub fn start(&self) -> Option<EventStart> {
        if let Some((last, start)) = self.behind
            && last.next() == self.due.seq
            && self.due.index == 0
        {
            return Some(start);
        }
        // The last event was read, and what closes its command was not passed yet.
        let segment = self.segments.get(self.current)?;
        let check = self.offset + CHECK;
        let published = narrow((self.limit - self.base(self.current)).min(wide(segment.map.length())));
        let closing = Record::read(segment.map.bytes(check.min(published)..published))?;
        match closing {
            Record::Epoch(epoch) if epoch.last_seq.next() == self.due.seq && self.due.index == 0 => {
                Some(EventStart {
                    offset: wide(check + closing.length()),
                    ..self.here(epoch.chain)
                })
            }
            Record::Epoch(_) | Record::Event(_) | Record::Check(_) => None,
        }
    }

    fn here(&self, chain: ChainHash) -> EventStart {
        let (segment, offset) = self.place();
        EventStart {
            segment,
            offset,
            chain,
        }
    }

    /// The first command all of whose events are there: those before it are archived.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`].
    pub fn oldest(&mut self) -> Result<Seq, Error> {
        self.limit = self.position.load();
        self.map_up_to_limit()?;
        Ok(self.segments.first().map_or(Seq(1), |segment| {
            let EventCursor { seq, index } = segment.header.first;
            if index == 0 { seq } else { seq.next() }
        }))
    }

    /// Position of a place behind an epoch, as the keeper counts what is synced.
    #[must_use]
    pub fn position_of(&self, start: &EventStart) -> u64 {
        let size = self.segments.first().map_or(0, |segment| segment.map.length());
        (start.segment.0 - SegmentNumber::FIRST.0) * wide(size) + start.offset
    }

    /// Another reader of the same journal, which stands before its first event.
    pub(crate) fn again(&self) -> Result<Self, Error> {
        Self::open(Arc::clone(&self.storage), Arc::clone(&self.position))
    }

    /// Maps the next segment or, where that and all before it were archived meanwhile, begins anew with the oldest there
    /// is: for whoever goes anywhere. Who reads on must not pass what it has not read.
    fn map_or_start_over(&mut self) -> Result<(), Error> {
        let Err(refused) = self.map_next() else {
            return Ok(());
        };
        let is_gone =
            matches!(&refused, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        let oldest = oldest_of(&*self.storage)?;
        if !is_gone || oldest.0 <= self.oldest.0 + wide(self.segments.len()) {
            return Err(refused);
        }
        self.segments.clear();
        self.oldest = oldest;
        self.map_next()?;
        self.stand_first();
        Ok(())
    }

    /// Stands before the first event of the oldest segment.
    fn stand_first(&mut self) {
        let first = &self.segments[0];
        (self.current, self.offset, self.due) = (0, records_at(first.map.length()), first.header.first);
    }

    /// Maps the segment after the last one mapped, whose header is published.
    fn map_next(&mut self) -> Result<(), Error> {
        let number = SegmentNumber(self.oldest.0 + wide(self.segments.len()));
        let name = segment_name(Kind::Event, number);
        let file = self.storage.open(&name, Access::ReadOnly);
        let map = file
            .and_then(|file| file.map())
            .map_err(|e| Error::io(&name, "mapping", (0, self.due.seq), e))?;
        if map.length() < HEADER {
            return Err(Error::corrupt(
                &name,
                (0, self.due.seq),
                "it is shorter than a header",
            ));
        }
        match EventSegmentHeader::read(&name, map.bytes(0..HEADER))? {
            EventHeaderState::Valid(header) if header.number == number => {
                self.segments.push(ReadSegment { name, map, header });
                Ok(())
            }
            EventHeaderState::Valid(_) | EventHeaderState::Blank | EventHeaderState::Bad => {
                Err(Error::corrupt(
                    &name,
                    (0, self.due.seq),
                    "the segment that should follow has another header",
                ))
            }
        }
    }

    fn not_found(&self, seq: Seq) -> Error {
        let last = Seq(self.due.seq.0.saturating_sub(1));
        Error::NotFound {
            seq,
            file: self.storage.place().to_owned(),
            first: self
                .segments
                .first()
                .map_or(Seq(1), |segment| segment.header.first.seq),
            last,
        }
    }

    /// Segment and offset of the next record, for messages.
    pub(crate) fn place(&self) -> (SegmentNumber, u64) {
        (
            SegmentNumber(self.oldest.0 + wide(self.current)),
            wide(self.offset),
        )
    }
}

/// The oldest segment from which on none is missing.
fn oldest_of(storage: &dyn Storage) -> Result<SegmentNumber, Error> {
    let names = storage
        .list()
        .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
    let folder = survey(Kind::Event, SegmentNumber::FIRST, &names)?;
    Ok(folder.segments.first().copied().unwrap_or(SegmentNumber::FIRST))
}

fn after(cursor: EventCursor, last: bool) -> EventCursor {
    if last {
        EventCursor {
            seq: cursor.seq.next(),
            index: 0,
        }
    } else {
        EventCursor {
            seq: cursor.seq,
            index: cursor.index.wrapping_add(1),
        }
    }
}
