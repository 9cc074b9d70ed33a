//! Which part of an event journal's bytes is whole: reads, decides, changes nothing.
//!
//! # Cost
//! One pass over the bytes: order, lengths and CRC32C on the caller's thread, the chain (BLAKE3) on
//! a second one, some epochs behind.

use super::hasher::EventHasher;
use super::layout::{
    EPOCH, EpochRecord, EventHeaderState, EventSegmentHeader, ROOM, Record, ends_epoch, epoch_of, records_at,
    slot_at, starts_epoch, table_slots,
};
use crate::bytes::{narrow, u32_at, wide};
use crate::checksum::Crc32c;
use crate::frame::{cursor_of, is_last_event};
use crate::names::{Kind, segment_name};
use crate::{ChainHash, Error, EventCursor, JournalId, SegmentNumber, Seq, Start};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Epochs that may wait for their hash.
const WAITING: usize = 64;

/// One segment file, as it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventView<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: SegmentNumber,
    pub(crate) bytes: &'a [u8],
}

/// A place among the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) view: usize,
    pub(crate) offset: usize,
}

/// The whole part of an event journal.
#[derive(Debug)]
pub(crate) struct EventScan {
    pub(crate) id: Option<JournalId>,
    /// Where the whole part ends; `None` when not even the first header is valid.
    pub(crate) end: Option<Place>,
    pub(crate) last_seq: Seq,
    pub(crate) hasher: EventHasher,
    pub(crate) epoch_events: u64,
    /// Slots of epoch tables as they should be: view, slot, offset of the epoch's first record.
    pub(crate) epochs: Vec<(usize, usize, usize)>,
    /// The last command with a whole, checked set of events anywhere, also behind a hole.
    pub(crate) surviving: Seq,
}

/// Reads the views of one journal.
pub(crate) struct Walker<'a> {
    views: &'a [EventView<'a>],
    headers: Vec<EventHeaderState>,
}

/// A command's events, checked.
#[derive(Clone, Copy, Debug)]
struct CheckedCommand {
    first: Place,
    events: u64,
    /// After its check and, where one is due, the epoch record.
    after: Place,
    epoch: Option<EpochRecord>,
}

/// The events of an epoch, or of the open one, on their way to the chain.
#[derive(Debug, Default)]
struct Epoch<'a> {
    /// Bytes of events, back to back in each.
    runs: Vec<&'a [u8]>,
    events: u64,
    closing: Option<Closing<'a>>,
}

/// What stands at the end of an epoch, and where.
#[derive(Debug)]
struct Closing<'a> {
    record: EpochRecord,
    file: &'a str,
    after: usize,
}

/// Reads all segments.
///
/// # Errors
/// What cannot be a crash's doing: [`Error::Foreign`], [`Error::Misnamed`], [`Error::MissingSegment`],
/// [`Error::NewerVersion`], [`Error::WrongSize`], and [`Error::Corrupt`] for a checked epoch whose chain is wrong.
pub(crate) fn scan(
    views: &[EventView<'_>],
    id: JournalId,
    (fresh_size, start): (u64, Option<&Start>),
) -> Result<EventScan, Error> {
    let walker = Walker {
        views,
        headers: check_headers(views, id, (fresh_size, start))?,
    };
    let begins = walker.begins(start)?;
    let mut scan = EventScan {
        id: None,
        end: None,
        last_seq: start.map_or(Seq::ZERO, |start| start.seq),
        hasher: start.map_or_else(
            || EventHasher::new(id),
            |start| EventHasher::from_chain(start.events.chain),
        ),
        epoch_events: 0,
        epochs: Vec::new(),
        surviving: Seq::ZERO,
    };
    if let Some(EventHeaderState::Valid(header)) = walker.headers.first() {
        let first = EventCursor {
            seq: Seq(1),
            index: 0,
        };
        if start.is_none() && (header.first, header.chain) != (first, scan.hasher.chain()) {
            let what = "its header does not begin a journal";
            return Err(Error::corrupt(views[0].name, (0, Seq(1)), what));
        }
        scan.id = Some(header.id);
        let (epochs, waiting) = sync_channel(WAITING);
        let hasher = scan.hasher.clone();
        let (walked, hashed) = std::thread::scope(|scope| {
            let hashing = scope.spawn(move || hash(hasher, &waiting));
            let walked = scan.walk(&walker, begins, epochs);
            (walked, hashing.join())
        });
        // What the chain says is said of an earlier place than where the walk went on to.
        scan.hasher = hashed.expect("hashing ends with a verdict")?;
        walked?;
    }
    scan.surviving = walker.surviving_after(scan.end).max(scan.last_seq);
    Ok(scan)
}

fn check_headers(
    views: &[EventView<'_>],
    expected: JournalId,
    (fresh_size, start): (u64, Option<&Start>),
) -> Result<Vec<EventHeaderState>, Error> {
    let mut headers = Vec::with_capacity(views.len());
    let mut size = None;
    for view in views {
        let state = EventSegmentHeader::read(view.name, view.bytes)?;
        if let EventHeaderState::Valid(header) = state {
            let (file, seq) = (view.name.to_owned(), header.first.seq);
            if header.id != expected {
                return Err(Error::Foreign {
                    file,
                    found: header.id,
                    expected,
                    seq,
                });
            }
            if header.number != view.number {
                return Err(Error::Misnamed {
                    file,
                    found: header.number,
                    named: view.number,
                    seq,
                });
            }
            size.get_or_insert(header.segment_size);
        }
        headers.push(state);
    }
    let size = size.unwrap_or(fresh_size);
    let mut due = start.map_or(SegmentNumber::FIRST, |start| start.events.segment);
    for view in views {
        if view.number != due {
            let file = segment_name(Kind::Event, due);
            return Err(Error::MissingSegment {
                file,
                number: due,
                seq: Seq::ZERO,
            });
        }
        if wide(view.bytes.len()) != size {
            return Err(Error::WrongSize {
                file: view.name.to_owned(),
                found: wide(view.bytes.len()),
                expected: size,
            });
        }
        due = due.next();
    }
    Ok(headers)
}

/// Hashes epochs as they come and compares the chain where one is closed; the open one's hasher is left.
fn hash(mut hasher: EventHasher, epochs: &Receiver<Epoch<'_>>) -> Result<EventHasher, Error> {
    for epoch in epochs {
        epoch.runs.iter().for_each(|run| hasher.add_run(run));
        let Some(Closing { record, file, after }) = epoch.closing else {
            continue;
        };
        let there = (hasher.close_epoch(), epoch.events);
        if (record.chain, record.events) != there {
            let what = format!(
                "the epoch's chain is {}, its events give {}",
                record.chain, there.0
            );
            return Err(Error::corrupt(file, (wide(after), record.last_seq), what));
        }
    }
    Ok(hasher)
}

impl EventScan {
    /// Goes through all commands whose check holds, from where reading begins, and hands their epochs on to be
    /// hashed.
    fn walk<'a>(
        &mut self,
        walker: &Walker<'a>,
        begins: Place,
        epochs: SyncSender<Epoch<'a>>,
    ) -> Result<(), Error> {
        let mut chain = self.hasher.chain();
        let mut epoch = Epoch::default();
        let mut at = begins;
        loop {
            let (seq, before) = (self.last_seq.next(), epoch.runs.len());
            let Some(command) = walker.command(at, seq, &mut epoch.runs) else {
                epoch.runs.truncate(before);
                break;
            };
            walker.check_chain(&command, (seq, chain))?;
            self.note_epoch(walker, &command, seq);
            epoch.events += command.events;
            (self.last_seq, at) = (seq, command.after);
            if let Some(record) = command.epoch {
                chain = record.chain;
                epoch.closing = Some(Closing {
                    record,
                    file: walker.views[at.view].name,
                    after: at.offset,
                });
                if epochs.send(std::mem::take(&mut epoch)).is_err() {
                    // The chain was found broken: what follows does not matter.
                    return Ok(());
                }
            }
        }
        (self.epoch_events, self.end) = (epoch.events, Some(at));
        // Refused only when the chain was found broken, which is then the verdict.
        let _ = epochs.send(epoch);
        Ok(())
    }

    /// Notes where an epoch starts, for the table of its segment.
    fn note_epoch(&mut self, walker: &Walker<'_>, command: &CheckedCommand, seq: Seq) {
        let first = command.first;
        if starts_epoch(seq)
            && let EventHeaderState::Valid(header) = walker.headers[first.view]
        {
            let slot = narrow(epoch_of(seq) - header.first_epoch());
            self.epochs.push((first.view, slot, first.offset));
        }
    }
}

impl<'a> Walker<'a> {
    /// Where reading begins: at the first record, or behind the epoch that a snapshot names, which must stand there.
    fn begins(&self, start: Option<&Start>) -> Result<Place, Error> {
        let Some(start) = start else {
            let size = self.views.first().map_or(0, |view| view.bytes.len());
            return Ok(Place {
                view: 0,
                offset: records_at(size),
            });
        };
        let offset = narrow(start.events.offset);
        let closing = self.views.first().and_then(|view| {
            let at = offset.checked_sub(EPOCH)?;
            Record::read(view.bytes.get(at..offset)?)
        });
        let is_valid = matches!(self.headers.first(), Some(EventHeaderState::Valid(_)));
        match closing {
            Some(Record::Epoch(epoch))
                if is_valid && (epoch.last_seq, epoch.chain) == (start.seq, start.events.chain) =>
            {
                Ok(Place { view: 0, offset })
            }
            Some(_) | None => Err(Error::NotCovered {
                file: segment_name(Kind::Event, start.events.segment),
                offset: start.events.offset,
                seq: start.seq,
            }),
        }
    }

    /// The record at a place and the place after it; goes to the next segment where one is full.
    fn record(&self, at: Place) -> Option<(Record<'a>, Place)> {
        let bytes = self.views.get(at.view)?.bytes;
        let record = Record::read(bytes.get(at.offset..)?)?;
        Some((
            record,
            Place {
                view: at.view,
                offset: at.offset + record.length(),
            },
        ))
    }

    /// Where the event `due` is written: here, or at the start of the next segment.
    fn place_of_event(&self, at: Place, due: EventCursor) -> Option<Place> {
        let size = self.views.get(at.view)?.bytes.len();
        if size.checked_sub(at.offset)? >= ROOM {
            return Some(at);
        }
        match self.headers.get(at.view + 1)? {
            EventHeaderState::Valid(header) if header.first == due => Some(Place {
                view: at.view + 1,
                offset: records_at(size),
            }),
            EventHeaderState::Valid(_) | EventHeaderState::Blank | EventHeaderState::Bad => None,
        }
    }

    /// The command `seq` at a place, if all its events, its check and the epoch record due are whole; its events'
    /// bytes are added to `runs`.
    fn command(&self, at: Place, seq: Seq, runs: &mut Vec<&'a [u8]>) -> Option<CheckedCommand> {
        let first = self.place_of_event(at, EventCursor { seq, index: 0 })?;
        let (sum, events, at) = self.events(first, seq, runs)?;
        let (Record::Check(check), mut after) = self.record(at)? else {
            return None;
        };
        if check != sum {
            return None;
        }
        let mut epoch = None;
        if ends_epoch(seq) {
            let (Record::Epoch(record), next) = self.record(after)? else {
                return None;
            };
            if record.last_seq != seq {
                return None;
            }
            (epoch, after) = (Some(record), next);
        }
        Some(CheckedCommand {
            first,
            events,
            after,
            epoch,
        })
    }

    /// The events of a command that begins at a place: their sum, their number, and the place after them.
    fn events(&self, first: Place, seq: Seq, runs: &mut Vec<&'a [u8]>) -> Option<(u32, u64, Place)> {
        let (mut sum, mut due) = (Crc32c::new(), EventCursor { seq, index: 0 });
        let (mut begins, mut at) = (first, first);
        let mut add = |from: Place, to: Place| {
            let run = &self.views[from.view].bytes[from.offset..to.offset];
            sum.update(run);
            runs.push(run);
        };
        loop {
            let place = self.place_of_event(at, due)?;
            if place.view != begins.view {
                add(begins, at);
                begins = place;
            }
            let (Record::Event(frame), next) = self.record(place)? else {
                return None;
            };
            if cursor_of(frame) != due {
                return None;
            }
            at = next;
            if is_last_event(frame) {
                break;
            }
            due.index = due.index.checked_add(1)?;
        }
        add(begins, at);
        Some((sum.value(), u64::from(due.index) + 1, at))
    }

    /// Segments that begin within or before a command carry the chain of the epochs closed before it.
    fn check_chain(&self, command: &CheckedCommand, (seq, chain): (Seq, ChainHash)) -> Result<(), Error> {
        for view in command.first.view..=command.after.view {
            let begins_here =
                view > command.first.view || command.first.offset == records_at(self.views[view].bytes.len());
            if let EventHeaderState::Valid(header) = self.headers[view]
                && begins_here
                && header.chain != chain
            {
                let what = "the chain in its header does not continue the segment before";
                return Err(Error::corrupt(self.views[view].name, (0, seq), what));
            }
        }
        Ok(())
    }

    /// The last command that can be read whole behind the end: pages reach the disk in any order, so one that is
    /// missing says nothing of those after it. Only starts of epochs and segments can be found without reading
    /// what is before them. A torn page makes no false witness: order, lengths and the check must all agree.
    fn surviving_after(&self, end: Option<Place>) -> Seq {
        let (mut surviving, mut runs) = (Seq::ZERO, Vec::new());
        let mut reached = end;
        for view in end.map_or(0, |end| end.view)..self.views.len() {
            let EventHeaderState::Valid(header) = self.headers[view] else {
                continue;
            };
            for (mut seq, mut at) in self.starts(view, &header) {
                if reached.is_some_and(|reached| at < reached) {
                    continue;
                }
                while let Some(command) = self.command(at, seq, &mut runs) {
                    runs.clear();
                    surviving = surviving.max(seq);
                    at = command.after;
                    seq = seq.next();
                }
                reached = Some(at);
            }
        }
        surviving
    }

    /// Places in a segment where a known command should begin.
    fn starts(&self, view: usize, header: &EventSegmentHeader) -> Vec<(Seq, Place)> {
        let bytes = self.views[view].bytes;
        let mut starts = Vec::new();
        if header.first.index == 0 {
            starts.push((
                header.first.seq,
                Place {
                    view,
                    offset: records_at(bytes.len()),
                },
            ));
        }
        for slot in 0..table_slots(bytes.len()) {
            let offset = narrow(u64::from(u32_at(bytes, slot_at(slot))));
            let epoch = header.first_epoch().checked_add(wide(slot));
            let seq = epoch
                .and_then(|epoch| epoch.checked_mul(1024)?.checked_add(1))
                .map(Seq);
            if let Some(seq) = seq
                && (records_at(bytes.len())..bytes.len()).contains(&offset)
                && offset.is_multiple_of(8)
            {
                starts.push((seq, Place { view, offset }));
            }
        }
        starts
    }
}
