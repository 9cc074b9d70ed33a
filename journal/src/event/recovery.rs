//! Recovery of the event journal: what is there is compared with what the commands give, the rest is made again.

use super::at_rest::EventsAtRest;
use super::hasher::EventHasher;
use super::keeper::EventPosition;
use super::layout::{
    EPOCH_COMMANDS, EventHeaderState, EventSegmentHeader, HEADER, records_at, slot_at, table_slots,
};
use super::reader::EventReader;
use super::scan::{EventScan, EventView, scan};
use super::writer::{EventJournal, Standing, first_header};
use crate::bytes::{short, u32_at, used_length, wide};
use crate::frame::cursor_of;
use crate::memory::{Map, PAGE};
use crate::names::{Kind, segment_name, survey};
use crate::pool::{Prepared, SegmentPool};
use crate::storage::{Access, Storage, StorageFile};
use crate::{ChainHash, Error, EventCursor, JournalId, SegmentNumber, Seq, Start, Witness};
use std::sync::Arc;

/// Sizes of an event journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Bytes of a segment: at least 32 KiB, at most 1 GiB, a multiple of 4,096. Fixed by a journal's first segment.
    pub segment_size: u64,
    /// Segments that the pool keeps ready.
    pub prepared_segments: usize,
    /// Where reading begins, when a snapshot covers what came before; what stands there is left alone.
    pub start: Option<Start>,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            prepared_segments: 2,
            start: None,
        }
    }
}

/// A segment as found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    number: SegmentNumber,
    file: Arc<dyn StorageFile>,
    pub(super) map: Arc<Map>,
}

/// An event journal as it was found.
#[derive(Debug)]
pub struct UnrecoveredEvents {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) settings: EventSettings,
    id: JournalId,
    pub(super) segments: Vec<Found>,
    released: Vec<String>,
    pub(super) scan: EventScan,
}

/// What was found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventReport {
    /// Last command whose events are whole, with all before it; 0 for none.
    pub last_seq: Seq,
    /// Event hash up to it.
    pub event_hash: ChainHash,
    /// Last command whose events survived anywhere, also behind a hole.
    pub surviving: Seq,
}

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRecovered {
    /// Events that were there and equal.
    pub compared: u64,
    /// Events that were missing and made again.
    pub appended: u64,
    /// What was there, could not be kept, and was removed to be made again.
    pub dropped: Option<EventsDropped>,
}

/// What recovery removed behind the whole part: what a crash had left half written, or a damaged place and all that
/// followed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsDropped {
    /// In the order of the files.
    pub ranges: Vec<DroppedRange>,
    /// First command whose events are made again.
    pub first: Seq,
    /// Last command whose events were found whole behind the place that was not: from the next start of an epoch or
    /// segment on. Where it is far behind the first, a damaged disk is likelier than a crash.
    pub last_whole: Option<Seq>,
}

/// Bytes of a segment that were removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRange {
    /// Segment file.
    pub file: String,
    /// First byte given up.
    pub offset: u64,
    /// Number of bytes, up to the last that was not zero.
    pub bytes: u64,
}

impl UnrecoveredEvents {
    /// Maps and reads the whole event journal of `id`. Changes nothing.
    ///
    /// # Errors
    /// What cannot be a crash's doing: a foreign, renamed, missing or truncated segment, a newer version, a checked
    /// epoch whose chain is wrong; [`Error::Io`].
    pub fn open(storage: Arc<dyn Storage>, settings: EventSettings, id: JournalId) -> Result<Self, Error> {
        Self::open_as(storage, settings, (id, Access::Mapped))
    }

    /// The journal that the event segments there belong to, by the first header that holds; none when no header does.
    /// For a first start that ended between its first event segment and its first command: its name is kept.
    ///
    /// # Errors
    /// [`Error::Stray`], [`Error::NewerVersion`], [`Error::Io`].
    pub fn begun_as(storage: &Arc<dyn Storage>) -> Result<Option<JournalId>, Error> {
        let names = storage
            .list()
            .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
        for number in survey(Kind::Event, SegmentNumber::FIRST, &names)?.segments {
            let name = segment_name(Kind::Event, number);
            let file = storage.open(&name, Access::ReadOnly);
            let map = file
                .and_then(|file| {
                    if file.size()? == 0 {
                        Ok(None)
                    } else {
                        file.map().map(Some)
                    }
                })
                .map_err(|e| Error::io(&name, "mapping", (0, Seq::ZERO), e))?;
            let Some(map) = map else { continue };
            let head = map.bytes(0..map.length().min(HEADER));
            if let EventHeaderState::Valid(header) = EventSegmentHeader::read(&name, head)? {
                return Ok(Some(header.id));
            }
        }
        Ok(None)
    }

    /// As [`UnrecoveredEvents::open`], for readers, who cannot recover: for `verify`, `dump`, `explain` beside a stopped exchange.
    ///
    /// # Errors
    /// As [`UnrecoveredEvents::open`].
    pub fn open_to_read(
        storage: Arc<dyn Storage>,
        settings: EventSettings,
        id: JournalId,
    ) -> Result<EventsAtRest, Error> {
        let found = Self::open_as(storage, settings, (id, Access::ReadOnly))?;
        let position = Arc::new(EventPosition::default());
        position.store(found.end_position());
        Ok(EventsAtRest::of(found, position))
    }

    fn open_as(
        storage: Arc<dyn Storage>,
        settings: EventSettings,
        (id, access): (JournalId, Access),
    ) -> Result<Self, Error> {
        let whole = settings.segment_size.is_multiple_of(wide(PAGE));
        if !whole || !(32 << 10..=1 << 30).contains(&settings.segment_size) {
            return Err(Error::Settings {
                what: "segment_size must be a multiple of 4096 from 32 KiB to 1 GiB",
            });
        }
        let names = storage
            .list()
            .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
        let folder = survey(Kind::Event, SegmentNumber::FIRST, &names)?;
        let mut segments = Vec::with_capacity(folder.segments.len());
        let first = first_segment(&settings);
        for number in folder.segments.into_iter().filter(|number| *number >= first) {
            let name = segment_name(Kind::Event, number);
            let io = |source| Error::io(&name, "mapping", (0, Seq::ZERO), source);
            let file = storage.open(&name, access).map_err(io)?;
            if file.size().map_err(io)? == 0 {
                return Err(Error::WrongSize {
                    file: name,
                    found: 0,
                    expected: settings.segment_size,
                });
            }
            let map = Arc::new(file.map().map_err(io)?);
            segments.push(Found {
                name,
                number,
                file: file.into(),
                map,
            });
        }
        let views: Vec<EventView<'_>> = segments
            .iter()
            .map(|found| EventView {
                name: &found.name,
                number: found.number,
                bytes: found.map.whole(),
            })
            .collect();
        let scan = scan(&views, id, (settings.segment_size, settings.start.as_ref()))?;
        Ok(Self {
            storage,
            settings,
            id,
            segments,
            released: folder.released,
            scan,
        })
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> EventReport {
        let EventScan {
            last_seq,
            surviving,
            hasher,
            ..
        } = &self.scan;
        EventReport {
            last_seq: *last_seq,
            event_hash: hasher.hash(),
            surviving: *surviving,
        }
    }

    /// The command that a surviving event proves to have been durable, for the recovery of the command journal.
    #[must_use]
    pub fn witness(&self) -> Option<Witness> {
        let seq = self.scan.surviving;
        (seq > Seq::ZERO).then_some(Witness {
            seq,
            what: "a surviving event",
        })
    }

    /// Removes what is torn and stands ready to compare and to append. Call it after the command journal was
    /// recovered with this journal's witness.
    ///
    /// Why a crash here is safe: only bytes behind the whole part change, and they only become zero or go, the
    /// last segment first; the next recovery finds the same whole part.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn recover(mut self) -> Result<EventRecovery, Error> {
        let size = self
            .segments
            .first()
            .map_or(self.settings.segment_size, |found| wide(found.map.length()));
        let kept = self.scan.end.map_or(0, |end| end.view + 1);
        let dropped = self.dropped();
        self.remove_after(kept)?;
        let next = SegmentNumber(first_segment(&self.settings).0 + wide(kept));
        let (storage, target) = (Arc::clone(&self.storage), self.settings.prepared_segments);
        let pool = Arc::new(SegmentPool::new(storage, Kind::Event, size, target, next));
        pool.adopt(Vec::new(), std::mem::take(&mut self.released));
        let position = self.end_position();
        let (segment, header, offset) = match self.scan.end {
            Some(end) => self.reopen_last(end.offset)?,
            None => self.begin(&pool)?,
        };
        let Self {
            storage,
            id,
            scan,
            settings,
            ..
        } = self;
        let (due, hasher, epoch_events) = (scan.last_seq.next(), scan.hasher, scan.epoch_events);
        let standing = Standing {
            offset,
            due,
            hasher,
            epoch_events,
        };
        let journal = EventJournal::resume(id, pool, segment, &header, standing);
        let told = Arc::new(EventPosition::default());
        told.store(position);
        let mut reader = EventReader::open(storage, told)?;
        if let Some(start) = settings.start {
            reader.seek(start.seq.next())?;
        }
        let last_seq = scan.last_seq;
        Ok(EventRecovery {
            journal,
            reader,
            start: settings.start,
            last_seq,
            done: EventRecovered {
                dropped,
                ..EventRecovered::default()
            },
        })
    }

    /// Position of the end of the whole part, counted over all segments.
    fn end_position(&self) -> u64 {
        let size = self.segments.first().map_or(0, |found| found.map.length());
        let before = first_segment(&self.settings).0 - SegmentNumber::FIRST.0;
        self.scan
            .end
            .map_or(0, |end| (before + wide(end.view)) * wide(size) + wide(end.offset))
    }

    /// What stands behind the whole part and is not zero.
    pub(super) fn dropped(&self) -> Option<EventsDropped> {
        let (first_view, end) = self.scan.end.map_or((0, 0), |end| (end.view, end.offset));
        let mut ranges = Vec::new();
        for (place, found) in self.segments.iter().enumerate().skip(first_view) {
            let offset = if place == first_view { end } else { 0 };
            let used = used_length(found.map.whole());
            if used > offset {
                ranges.push(DroppedRange {
                    file: found.name.clone(),
                    offset: wide(offset),
                    bytes: wide(used - offset),
                });
            }
        }
        let EventScan {
            last_seq, surviving, ..
        } = &self.scan;
        (!ranges.is_empty()).then(|| EventsDropped {
            ranges,
            first: last_seq.next(),
            last_whole: (surviving > last_seq).then_some(*surviving),
        })
    }

    fn remove_after(&mut self, kept: usize) -> Result<(), Error> {
        while self.segments.len() > kept {
            let found = self
                .segments
                .pop()
                .expect("the loop's condition says there is one");
            let gone = self
                .storage
                .remove(&found.name)
                .and_then(|()| self.storage.sync_folder());
            gone.map_err(|e| Error::io(&found.name, "removing a segment to make again", (0, Seq::ZERO), e))?;
        }
        Ok(())
    }

    /// Zeroes what is torn in the last segment, mends the epoch tables, and syncs all of it: what a process that was killed
    /// has written is whole in memory, and from here on counts as being on the disk.
    fn reopen_last(&mut self, offset: usize) -> Result<(Prepared, EventSegmentHeader, usize), Error> {
        let size = self.segments.first().map_or(0, |found| found.map.length());
        self.mend_tables(size);
        let last = self.segments.last().expect("the end lies in a segment");
        last.map.clear(offset..size);
        for found in &self.segments {
            let synced = found.file.sync_map(&found.map, 0..size);
            synced
                .map_err(|e| Error::io(&found.name, "syncing what was found", (0, self.scan.last_seq), e))?;
        }
        let last = self.segments.pop().expect("it was there just now");
        let EventHeaderState::Valid(header) = EventSegmentHeader::read(&last.name, last.map.whole())? else {
            unreachable!("the whole part ends in a segment whose header is valid")
        };
        let Found {
            name,
            number,
            file,
            map,
        } = last;
        Ok((
            Prepared {
                number,
                name,
                file,
                map: Some(map),
            },
            header,
            offset,
        ))
    }

    /// Epoch tables are covered by no checksum: they are made to say what was found.
    fn mend_tables(&self, size: usize) {
        let slots = table_slots(size);
        for (place, found) in self.segments.iter().enumerate() {
            let mut table = vec![0; slots];
            // Of the segment in which reading began, what stands before is not known and stays.
            let unread = self
                .settings
                .start
                .filter(|_| place == 0)
                .map_or(0, |start| start.events.offset);
            for (slot, offset) in table.iter_mut().enumerate() {
                let there = u32_at(found.map.whole(), slot_at(slot));
                if u64::from(there) < unread {
                    *offset = there;
                }
            }
            let of_segment = self.scan.epochs.iter().filter(|(view, _, _)| *view == place);
            of_segment.for_each(|(_, slot, offset)| table[*slot] = short(*offset));
            for (slot, offset) in table.into_iter().enumerate() {
                if u32_at(found.map.whole(), slot_at(slot)) != offset {
                    found.map.store_u32(slot_at(slot), offset);
                }
            }
            found.map.clear(slot_at(slots)..records_at(size));
        }
    }

    fn begin(&self, pool: &SegmentPool) -> Result<(Prepared, EventSegmentHeader, usize), Error> {
        let segment = pool.take()?;
        let map = segment.map.as_ref().expect("event segments are mapped");
        let first = (
            EventCursor {
                seq: Seq(1),
                index: 0,
            },
            self.scan.hasher.chain(),
        );
        let header = first_header(self.id, segment.number, map.length(), first);
        map.write(0, &header.to_bytes());
        let offset = records_at(map.length());
        Ok((segment, header, offset))
    }
}

/// The oldest segment that is read.
fn first_segment(settings: &EventSettings) -> SegmentNumber {
    settings
        .start
        .map_or(SegmentNumber::FIRST, |start| start.events.segment)
}

/// An event journal that is being compared with the events of a replay, and then made whole.
#[derive(Debug)]
pub struct EventRecovery {
    journal: EventJournal,
    /// Reads what was there.
    reader: EventReader,
    start: Option<Start>,
    last_seq: Seq,
    done: EventRecovered,
}

impl EventRecovery {
    /// The first command that replay has to feed when [`EventRecovery::skip_closed_epochs`] is used: the first of
    /// the last epoch that is not closed.
    #[must_use]
    pub fn resume_seq(&self) -> Seq {
        Seq(self.last_seq.0 / EPOCH_COMMANDS * EPOCH_COMMANDS + 1)
    }

    /// Leaves the closed epochs uncompared (their checksums and chain were verified when the journal was opened):
    /// the next event fed is the first of [`EventRecovery::resume_seq`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`].
    pub fn skip_closed_epochs(&mut self) -> Result<(), Error> {
        self.reader.seek(self.resume_seq())
    }

    /// Takes the next regenerated event: compares it if it is there, appends it if not.
    ///
    /// # Errors
    /// [`Error::Divergence`] where it differs from the one there, whose check held: fatal, two executions of the same
    /// commands differ. What [`EventJournal::append`] refuses.
    pub fn feed(&mut self, frame: &[u8]) -> Result<(), Error> {
        let (number, offset) = self.reader.place();
        match self.reader.next_event()? {
            None => {
                self.journal.append(frame)?;
                self.done.appended += 1;
                Ok(())
            }
            Some(there) if there == frame => {
                self.done.compared += 1;
                Ok(())
            }
            Some(there) => {
                let (cursor, there) = (cursor_of(there), there.to_vec());
                let [journaled, regenerated] = self.hashes(cursor, [&there, frame])?;
                let file = segment_name(Kind::Event, number);
                Err(Error::Divergence {
                    file,
                    offset,
                    cursor,
                    journaled,
                    regenerated,
                })
            }
        }
    }

    /// Event hashes up to a place with one or another event there.
    fn hashes(&self, cursor: EventCursor, ends: [&[u8]; 2]) -> Result<[ChainHash; 2], Error> {
        let (mut reader, mut hasher) = (self.reader.again()?, EventHasher::new(self.journal.id()));
        if let Some(start) = self.start {
            reader.seek(start.seq.next())?;
            hasher = EventHasher::from_chain(start.events.chain);
        }
        while let Some(frame) = reader.next_event()? {
            if cursor_of(frame) == cursor {
                break;
            }
            hasher.update(frame);
        }
        Ok(ends.map(|end| {
            let mut hasher = hasher.clone();
            hasher.add_run(end);
            hasher.hash()
        }))
    }

    /// Ends recovery: everything that was there has been compared.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when events are left that no command fed.
    pub fn finish(mut self) -> Result<(EventJournal, EventRecovered), Error> {
        let (number, offset) = self.reader.place();
        if let Some(frame) = self.reader.next_event()? {
            let at = (offset, cursor_of(frame).seq);
            let file = segment_name(Kind::Event, number);
            return Err(Error::corrupt(
                &file,
                at,
                "events are left that no command of the replay caused",
            ));
        }
        Ok((self.journal, self.done))
    }
}
