//! The tail of the event journal: takes commands' events while another process appends them, each as soon as its check holds.
//!
//! The published position is the writer's own; who tails from another process believes nothing but the check behind
//! each command. Events follow only what is durable: what is taken here no power cut can undo, it can only make the
//! exchange write the same bytes again.
//!
//! # Cost
//! An event is copied once, word by word. One segment is mapped, two while a command reaches into the next; what was
//! passed is let go, so that memory does not grow with the journal.

use super::hasher::EventHasher;
use super::layout::{
    CHECK, EPOCH, EPOCH_COMMANDS, EventHeaderState, EventSegmentHeader, HEADER, ROOM, Record, ends_epoch,
    epoch_of, records_at, slot_at, table_slots,
};
use crate::bytes::{narrow, wide};
use crate::checksum::crc32c;
use crate::frame::{EVENT_FRAME_MAX, FRAME_HEADER, cursor_of, is_last_event};
use crate::memory::{AlignedBuffer, Map};
use crate::names::{Kind, segment_name, survey};
use crate::storage::{Access, Storage};
use crate::{ChainHash, Error, EventCursor, JournalId, SegmentNumber, Seq};
use std::collections::VecDeque;
use std::sync::Arc;

/// What is passed is let go in pieces of so many bytes.
const LET_GO: usize = 4 << 20;
/// Events of one command that are gathered without asking for memory again, bytes.
const GATHERED: usize = 256 << 10;

/// Walks the events, command by command.
#[derive(Debug)]
pub struct EventTail {
    storage: Arc<dyn Storage>,
    id: JournalId,
    /// The current segment, and the next while a command reaches into it.
    segments: VecDeque<Tailed>,
    /// The segment that is current, or will be as soon as it is there.
    number: SegmentNumber,
    offset: usize,
    let_go: usize,
    due: EventCursor,
    hasher: EventHasher,
    /// Events of the command that was taken last.
    gathered: AlignedBuffer,
    taken: usize,
    torn: bool,
}

#[derive(Debug)]
struct Tailed {
    name: String,
    map: Map,
    header: EventSegmentHeader,
}

/// A place among the mapped segments.
#[derive(Clone, Copy)]
struct Place {
    segment: usize,
    offset: usize,
}

/// The events of a command, copied, and where the next begins.
struct Gathered {
    length: usize,
    after: Place,
    /// The chain that the epoch's record has, where the command ends one.
    closes: Option<ChainHash>,
}

impl EventTail {
    /// Opens the journal of `id` behind the events of the command `after`; 0 is before the first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when that command's events are not there: its `first` and `last` say whether they are
    /// archived or not made yet. [`Error::Foreign`], [`Error::Corrupt`], [`Error::NewerVersion`], [`Error::Io`].
    pub fn open(storage: Arc<dyn Storage>, id: JournalId, after: Seq) -> Result<Self, Error> {
        let start = EventTail::reads_from(after);
        let mut tail = Self {
            hasher: EventHasher::new(id),
            storage,
            id,
            segments: VecDeque::with_capacity(2),
            number: SegmentNumber::FIRST,
            offset: 0,
            let_go: 0,
            due: EventCursor {
                seq: Seq(1),
                index: 0,
            },
            gathered: AlignedBuffer::new(GATHERED),
            taken: 0,
            torn: false,
        };
        tail.stand_before(start)?;
        while tail.due.seq <= after {
            if !tail.advance()? {
                return Err(tail.not_found(after));
            }
        }
        Ok(tail)
    }

    /// The first command that opening behind `after` reads, and so the first that must still be there: the hash is carried
    /// from the start of an epoch, where the chain is written down.
    #[must_use]
    pub fn reads_from(after: Seq) -> Seq {
        Seq(after.0 / EPOCH_COMMANDS * EPOCH_COMMANDS + 1)
    }

    /// The command whose events come next.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.due.seq
    }

    /// Hash of all events before the next command, from the journal's first on.
    #[must_use]
    pub fn hash(&self) -> ChainHash {
        self.hasher.hash()
    }

    /// Whether something stands where the next command's events should that is not whole: they are being written, or a
    /// power cut tore them and the exchange has not made them again yet.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// All events of the command that was taken last, back to back and aligned to eight bytes.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        &self.gathered[..self.taken]
    }

    /// Takes the next command's events, and says whether they are whole.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an epoch's chain is another than its events give; [`Error::Foreign`], [`Error::Io`].
    pub fn advance(&mut self) -> Result<bool, Error> {
        self.taken = 0;
        let Some(gathered) = self.gather()? else {
            return Ok(false);
        };
        self.torn = false;
        let events = &self.gathered[..gathered.length];
        self.hasher.add_run(events);
        if let Some(written) = gathered.closes
            && self.hasher.close_epoch() != written
        {
            let segment = &self.segments[gathered.after.segment];
            let what = "the chain of the epoch that ends here is not that of its events";
            return Err(Error::corrupt(
                &segment.name,
                (wide(self.offset), self.due.seq),
                what,
            ));
        }
        self.go_to(gathered.after);
        self.due = EventCursor {
            seq: self.due.seq.next(),
            index: 0,
        };
        self.taken = gathered.length;
        Ok(true)
    }

    fn go_to(&mut self, place: Place) {
        if place.segment > 0 {
            self.segments.drain(..place.segment);
            self.number = SegmentNumber(self.number.0 + wide(place.segment));
            self.let_go = 0;
        }
        self.offset = place.offset;
        if self.offset - self.let_go > LET_GO {
            self.segments[0].map.let_go(self.let_go..self.offset);
            self.let_go = self.offset;
        }
    }

    /// Copies the next command's events, when all of them are there and their check holds.
    fn gather(&mut self) -> Result<Option<Gathered>, Error> {
        let mut place = Place {
            segment: 0,
            offset: self.offset,
        };
        let (mut length, mut due) = (0, self.due);
        self.torn = false;
        loop {
            if !self.is_mapped(place.segment)? {
                return Ok(None);
            }
            // What a new journal has not begun yet begins behind its header.
            place.offset = place
                .offset
                .max(records_at(self.segments[place.segment].map.length()));
            if self.segments[place.segment].map.length() - place.offset < ROOM {
                place = Place {
                    segment: place.segment + 1,
                    offset: 0,
                };
                continue;
            }
            let Some(taken) = self.copy_event(place, length, due) else {
                return Ok(None);
            };
            let is_last = is_last_event(&self.gathered[length..length + taken]);
            length += taken;
            place.offset += taken;
            if is_last {
                return Ok(self.closed(length, place));
            }
            due.index = due.index.wrapping_add(1);
        }
    }

    /// Copies the event that should stand at a place behind what is gathered, and tells its length; none when it does not.
    fn copy_event(&mut self, place: Place, at: usize, due: EventCursor) -> Option<usize> {
        let map = &self.segments[place.segment].map;
        let head = map.load_u64(place.offset);
        let length = FRAME_HEADER + usize::from(u16::try_from(head & 0xFFFF).ok()?);
        self.torn |= head != 0;
        if head == 0 || length > EVENT_FRAME_MAX || !length.is_multiple_of(8) {
            return None;
        }
        if self.gathered.len() < at + length {
            let mut larger = AlignedBuffer::new(2 * self.gathered.len());
            larger[..at].copy_from_slice(&self.gathered[..at]);
            self.gathered = larger;
        }
        let frame = &mut self.gathered[at..at + length];
        map.copy_words(place.offset, frame);
        (cursor_of(frame) == due).then_some(length)
    }

    /// What closes a command, and where it ends; none when its check does not hold, or is not there yet.
    fn closed(&self, length: usize, place: Place) -> Option<Gathered> {
        let Tailed { map, .. } = &self.segments[place.segment];
        let mut closing = [0; CHECK + EPOCH];
        map.copy_words(place.offset, &mut closing);
        let (check, epoch) = closing.split_at(CHECK);
        let Some(Record::Check(sum)) = Record::read(check) else {
            return None;
        };
        if sum != crc32c(&self.gathered[..length]) {
            return None;
        }
        let mut after = Place {
            offset: place.offset + CHECK,
            ..place
        };
        let mut closes = None;
        if ends_epoch(self.due.seq) {
            let Some(Record::Epoch(record)) = Record::read(epoch) else {
                return None;
            };
            closes = Some(record.chain);
            after.offset += EPOCH;
        }
        Some(Gathered {
            length,
            after,
            closes,
        })
    }

    /// Stands before the first command of an epoch, with the chain up to there.
    fn stand_before(&mut self, start: Seq) -> Result<(), Error> {
        let numbers = self.numbers()?;
        let (mut low, mut high) = (0, numbers.len());
        let wanted = EventCursor { seq: start, index: 0 };
        // The last segment that begins at or before it.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.map_segment(numbers[middle])? {
                Some(segment) if segment.header.first <= wanted => low = middle + 1,
                Some(_) | None => high = middle,
            }
        }
        let Some(place) = low.checked_sub(1) else {
            if start == Seq(1) && numbers.first().is_none_or(|first| *first == SegmentNumber::FIRST) {
                return Ok(());
            }
            if let Some(oldest) = numbers.first() {
                self.number = *oldest;
                self.is_mapped(0)?;
            }
            return Err(self.not_found(Seq(start.0.saturating_sub(1))));
        };
        self.number = numbers[place];
        if !self.is_mapped(0)? {
            return Err(self.not_found(start));
        }
        self.stand_in_segment(start)
    }

    fn stand_in_segment(&mut self, start: Seq) -> Result<(), Error> {
        let Tailed { map, header, .. } = &self.segments[0];
        let size = map.length();
        let wanted = EventCursor { seq: start, index: 0 };
        if header.first == wanted {
            (self.offset, self.due) = (records_at(size), wanted);
            self.hasher = EventHasher::from_chain(header.chain);
            return Ok(());
        }
        let slot = epoch_of(start).checked_sub(header.first_epoch()).map(narrow);
        if let Some(slot) = slot.filter(|slot| *slot < table_slots(size)) {
            let offset = narrow(u64::from(map.load_u32(slot_at(slot))));
            if let Some(chain) = self.chain_before(offset, start) {
                (self.offset, self.due) = (offset, wanted);
                self.hasher = EventHasher::from_chain(chain);
                return Ok(());
            }
        }
        self.walk_to(start)
    }

    /// The chain that the record before an offset closes, when the epoch that ends there is the one before `start`.
    fn chain_before(&self, offset: usize, start: Seq) -> Option<ChainHash> {
        let map = &self.segments[0].map;
        let at = offset
            .checked_sub(EPOCH)
            .filter(|at| *at >= records_at(map.length()) && at.is_multiple_of(8))?;
        let mut bytes = [0; EPOCH];
        (at + EPOCH <= map.length()).then(|| map.copy_words(at, &mut bytes))?;
        match Record::read(&bytes)? {
            Record::Epoch(record) if record.last_seq.next() == start => Some(record.chain),
            Record::Epoch(_) | Record::Event(_) | Record::Check(_) => None,
        }
    }

    /// Where the table has no entry, which is a hint only, or the epoch begins with the next segment: reads on until it
    /// has begun. Only the record that closes the epoch before is believed.
    fn walk_to(&mut self, start: Seq) -> Result<(), Error> {
        let size = self.segments[0].map.length();
        let mut offset = records_at(size);
        let mut bytes = [0; EVENT_FRAME_MAX];
        while size - offset >= CHECK {
            let read = bytes.len().min(size - offset);
            self.segments[0].map.copy_words(offset, &mut bytes[..read]);
            let Some(record) = Record::read(&bytes[..read]) else {
                break;
            };
            offset += record.length();
            if let Record::Epoch(epoch) = record
                && epoch.last_seq.next() == start
            {
                self.offset = offset;
                self.due = EventCursor { seq: start, index: 0 };
                self.hasher = EventHasher::from_chain(epoch.chain);
                return Ok(());
            }
        }
        Err(self.not_found(start))
    }

    fn numbers(&self) -> Result<Vec<SegmentNumber>, Error> {
        let names = self
            .storage
            .list()
            .map_err(|e| Error::io(self.storage.place(), "listing", (0, self.due.seq), e))?;
        Ok(survey(Kind::Event, SegmentNumber::FIRST, &names)?.segments)
    }

    /// Whether the segment so many after the current one is mapped, now that it was tried.
    fn is_mapped(&mut self, place: usize) -> Result<bool, Error> {
        while self.segments.len() <= place {
            let number = SegmentNumber(self.number.0 + wide(self.segments.len()));
            let Some(segment) = self.map_segment(number)? else {
                return Ok(false);
            };
            self.segments.push_back(segment);
        }
        Ok(true)
    }

    /// Maps a segment; none when it is not there or not begun yet.
    fn map_segment(&self, number: SegmentNumber) -> Result<Option<Tailed>, Error> {
        let name = segment_name(Kind::Event, number);
        let io = |source| Error::io(&name, "mapping", (0, self.due.seq), source);
        let map = match self.storage.open(&name, Access::ReadOnly) {
            Ok(file) if file.size().map_err(io)? < wide(HEADER + ROOM) => return Ok(None),
            Ok(file) => file.map().map_err(io)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut head = [0; HEADER];
        map.copy_words(0, &mut head);
        match EventSegmentHeader::read(&name, &head)? {
            EventHeaderState::Valid(header) if header.id != self.id => Err(Error::Foreign {
                file: name,
                found: header.id,
                expected: self.id,
                seq: header.first.seq,
            }),
            EventHeaderState::Valid(header) if header.number != number => Err(Error::Misnamed {
                file: name,
                found: header.number,
                named: number,
                seq: header.first.seq,
            }),
            EventHeaderState::Valid(header) => Ok(Some(Tailed { name, map, header })),
            EventHeaderState::Blank | EventHeaderState::Bad => Ok(None),
        }
    }

    fn not_found(&self, seq: Seq) -> Error {
        let first = self
            .segments
            .front()
            .map_or(Seq(1), |segment| segment.header.first.seq);
        Error::NotFound {
            seq,
            file: self.storage.place().to_owned(),
            first,
            last: Seq(self.due.seq.0.saturating_sub(1)),
        }
    }
}
