//! The writer of the event journal: appends to prefaulted mapped memory, publishes whole commands.
//!
//! # Cost
//! An event costs one copy into the map and one into the hasher's buffer, BLAKE3 over each 16 KiB gathered, and
//! CRC32C once a command. Nothing is allocated and, while the keeper runs ahead, no page faults.
//! `examples/journal_speed.rs` watches it.

use super::hasher::EventHasher;
use super::keeper::{EventKeeper, EventPosition, Live, LiveSegments};
use super::layout::{
    EpochRecord, EventSegmentHeader, ROOM, check_bytes, ends_epoch, epoch_of, records_at, slot_at,
    starts_epoch, table_slots,
};
use crate::bytes::{narrow, short, u64_at, wide};
use crate::checksum::{Crc32c, crc32c};
use crate::frame::{EVENT_FRAME_MAX, cursor_of, fault_of, is_last_event};
use crate::memory::Map;
use crate::pool::{Prepared, SegmentPool};
use crate::{ChainHash, Error, EventCursor, JournalId, SegmentNumber, Seq};
use std::sync::Arc;

/// The event journal, ready to be appended to by its one owner.
///
/// What it writes is a pure function of the events: no time, no batch, no pace shows in the bytes.
#[derive(Debug)]
pub struct EventJournal {
    id: JournalId,
    pool: Arc<SegmentPool>,
    live: Arc<LiveSegments>,
    position: Arc<EventPosition>,
    number: SegmentNumber,
    map: Arc<Map>,
    size: usize,
    offset: usize,
    first_epoch: u64,
    due: EventCursor,
    /// Where the open command's events begin in this segment.
    command_at: usize,
    /// Sum over the open command's events in the segments before, if it began there.
    carried: Option<Crc32c>,
    hasher: EventHasher,
    epoch_events: u64,
}

/// Where and how a writer goes on.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) offset: usize,
    pub(crate) due: Seq,
    pub(crate) hasher: EventHasher,
    pub(crate) epoch_events: u64,
}

impl EventJournal {
    /// Goes on in a segment whose header is valid.
    pub(crate) fn resume(
        id: JournalId,
        pool: Arc<SegmentPool>,
        segment: Prepared,
        header: &EventSegmentHeader,
        standing: Standing,
    ) -> Self {
        assert_eq!(
            (header.id, header.number),
            (id, segment.number),
            "a writer goes on in its own segment"
        );
        let map = segment.map.expect("event segments are mapped");
        let size = map.length();
        let Standing {
            offset,
            due,
            hasher,
            epoch_events,
        } = standing;
        let position = Arc::new(EventPosition::default());
        let live = Arc::new(LiveSegments::default());
        let journal = Self {
            id,
            pool,
            live,
            position,
            number: segment.number,
            map,
            size,
            offset,
            first_epoch: header.first_epoch(),
            due: EventCursor { seq: due, index: 0 },
            command_at: offset,
            carried: None,
            hasher,
            epoch_events,
        };
        journal.live.found_synced_to((segment.number.0 - 1) * wide(size));
        journal.show_keeper(segment.name, segment.file);
        journal.publish();
        journal
    }

    /// The journal's name.
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.id
    }

    /// The event that is due next: all before it were appended.
    #[must_use]
    pub fn cursor(&self) -> EventCursor {
        self.due
    }

    /// Hash over all events appended: equal for equal event sequences, see [`EventHasher`].
    #[must_use]
    pub fn event_hash(&self) -> ChainHash {
        self.hasher.hash()
    }

    /// How far readers may read: give it to every [`crate::EventReader`] of this process.
    #[must_use]
    pub fn position(&self) -> Arc<EventPosition> {
        Arc::clone(&self.position)
    }

    /// The segments prepared ahead.
    #[must_use]
    pub fn pool(&self) -> Arc<SegmentPool> {
        Arc::clone(&self.pool)
    }

    /// The helper that prepares pages and segments ahead and syncs behind; one, for one helper thread.
    #[must_use]
    pub fn keeper(&self) -> EventKeeper {
        EventKeeper::new(
            Arc::clone(&self.pool),
            Arc::clone(&self.position),
            Arc::clone(&self.live),
        )
    }

    /// Appends the next event. Readers see it with the last event of its command.
    ///
    /// Why a crash here is safe: events are derived. Whatever part of them reaches the disk, recovery keeps the
    /// commands whose checks hold, compares them and makes the rest again.
    ///
    /// # Errors
    /// [`Error::BadFrame`], [`Error::OutOfOrder`]: nothing was taken. [`Error::NoSpace`] and [`Error::Io`] when a
    /// segment was needed and could not be prepared: nothing was taken.
    pub fn append(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.check(frame)?;
        if self.size - self.offset < ROOM {
            self.begin_segment()?;
        }
        if self.due.index == 0 {
            self.command_at = self.offset;
            if starts_epoch(self.due.seq) {
                self.note_epoch();
            }
        }
        self.map.write(self.offset, frame);
        self.offset += frame.len();
        self.hasher.add_run(frame);
        self.epoch_events += 1;
        if is_last_event(frame) {
            self.close_command();
        } else {
            self.due.index += 1;
        }
        Ok(())
    }

    /// Syncs everything published, and waits: for a clean stop. On the way use the keeper, which leaves the page
    /// being written alone; syncing that one too would stall the next append until the disk has answered.
    ///
    /// # Errors
    /// [`Error::Io`]: fatal.
    pub fn sync(&self) -> Result<(), Error> {
        self.live.sync_to(self.position.load())
    }

    fn check(&self, frame: &[u8]) -> Result<(), Error> {
        let fault = fault_of(frame, EVENT_FRAME_MAX)
            .or_else(|| (u64_at(frame, 0) == 0).then_some("its first eight bytes are zero"));
        if let Some(what) = fault {
            return Err(Error::BadFrame {
                what,
                length: frame.len(),
                seq: self.due.seq,
            });
        }
        let found = cursor_of(frame);
        if found != self.due {
            return Err(Error::OutOfOrder {
                found,
                expected: self.due,
            });
        }
        if found.index == u16::MAX && !is_last_event(frame) {
            let what = "a command cannot have more than 65,536 events";
            return Err(Error::BadFrame {
                what,
                length: frame.len(),
                seq: self.due.seq,
            });
        }
        Ok(())
    }

    /// Switches to the next segment. Where that happens depends on the events before and the segment size alone.
    fn begin_segment(&mut self) -> Result<(), Error> {
        let next = self.pool.take()?;
        assert_eq!(next.number, self.number.next(), "segments follow each other");
        if self.due.index > 0 {
            let part = self.map.bytes(self.command_at..self.offset);
            self.carried.get_or_insert_with(Crc32c::new).update(part);
        }
        let header = first_header(self.id, next.number, self.size, (self.due, self.hasher.chain()));
        let map = next.map.expect("event segments are mapped");
        assert_eq!(map.length(), self.size, "all segments of a journal have one size");
        map.write(0, &header.to_bytes());
        self.number = next.number;
        self.map = map;
        self.offset = records_at(self.size);
        self.command_at = self.offset;
        self.first_epoch = header.first_epoch();
        self.show_keeper(next.name, next.file);
        Ok(())
    }

    /// Enters the epoch that starts here into the segment's table, for seeking.
    fn note_epoch(&mut self) {
        let slot = narrow(epoch_of(self.due.seq) - self.first_epoch);
        assert!(
            slot < table_slots(self.size),
            "no more epochs start in a segment than its table has slots"
        );
        self.map.store_u32(slot_at(slot), short(self.offset));
    }

    fn close_command(&mut self) {
        let events = self.map.bytes(self.command_at..self.offset);
        let sum = match self.carried.take() {
            None => crc32c(events),
            Some(mut carried) => {
                carried.update(events);
                carried.value()
            }
        };
        self.put(&check_bytes(sum));
        if ends_epoch(self.due.seq) {
            let (last_seq, events) = (self.due.seq, self.epoch_events);
            let chain = self.hasher.close_epoch();
            self.put(
                &EpochRecord {
                    last_seq,
                    events,
                    chain,
                }
                .to_bytes(),
            );
            self.epoch_events = 0;
        }
        self.due = EventCursor {
            seq: self.due.seq.next(),
            index: 0,
        };
        self.publish();
    }

    fn put(&mut self, record: &[u8]) {
        self.map.write(self.offset, record);
        self.offset += record.len();
        assert!(
            self.offset <= self.size,
            "what closes a command fits behind its last event"
        );
    }

    fn publish(&self) {
        let base = (self.number.0 - 1) * wide(self.size);
        self.position.store(base + wide(self.offset));
    }

    fn show_keeper(&self, name: String, file: Arc<dyn crate::StorageFile>) {
        let base = (self.number.0 - 1) * wide(self.size);
        self.live.push(Live {
            name,
            file,
            map: Arc::clone(&self.map),
            base,
        });
    }
}

/// The header of a segment that begins with the event `first`.
pub(crate) fn first_header(
    id: JournalId,
    number: SegmentNumber,
    size: usize,
    (first, chain): (EventCursor, ChainHash),
) -> EventSegmentHeader {
    EventSegmentHeader {
        id,
        number,
        segment_size: wide(size),
        first,
        chain,
    }
}
