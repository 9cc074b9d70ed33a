//! What runs beside the event writer: pages made writable ahead of it, finished pages synced behind it.

use crate::bytes::{narrow, wide};
use crate::memory::{Map, PAGE};
use crate::pool::{SegmentPool, lock};
use crate::storage::StorageFile;
use crate::{Error, Seq};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How far ahead of the writer pages are made writable, bytes: 30 ms of the fastest flow, so that a helper that
/// waits for a core does not make the writer fault.
const AHEAD: u64 = 16 << 20;
/// Bytes made writable, and bytes that begin to be written, at a time: either keeps a core, or the disk, for some
/// 100 µs, and a commit that comes meanwhile waits for it. What the kernel reads ahead at most (`read_ahead_kb`, 128
/// unless somebody changed it) is also how much of a file it keeps, and writes, in one piece.
const PIECE: u64 = 128 << 10;
/// What the page cache keeps together at most, bytes. Writing any part of such a block write-protects all of it, and
/// whoever stores into it next faults: so a block begins to be written when the writer has left all of it. Blocks are
/// those of the files where a segment's size is a multiple of one; else a few are written in two parts.
const BLOCK: u64 = 2 << 20;

/// Up to where the event journal is whole: a byte position counted over all segments, always at the end of a
/// command. The writer stores it, readers load it. It has two cache lines to itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct EventPosition(AtomicU64);

impl EventPosition {
    /// The position now; all bytes below it may be read.
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Publishes everything below `position`.
    pub(crate) fn store(&self, position: u64) {
        assert!(
            position >= self.0.load(Ordering::Relaxed),
            "what was published is not taken back"
        );
        self.0.store(position, Ordering::Release);
    }
}

/// A segment that is, or was lately, written.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) map: Arc<Map>,
    /// Position of its first byte.
    pub(crate) base: u64,
}

/// Segments with bytes that are not synced, oldest first.
#[derive(Debug, Default)]
pub(crate) struct LiveSegments {
    segments: Mutex<VecDeque<Live>>,
    synced: AtomicU64,
    /// Up to here pages have begun to be written.
    begun: AtomicU64,
    /// Held while syncing: two syncs of one range would each believe the other's errors. True after a sync that
    /// failed: the pages may be lost, and the next sync would not notice.
    failed: Mutex<bool>,
}

impl LiveSegments {
    /// Says that everything below a position is on the disk: a start has synced what it found.
    pub(crate) fn found_synced_to(&self, position: u64) {
        self.synced.store(position, Ordering::Release);
    }

    pub(crate) fn push(&self, live: Live) {
        let mut segments = lock(&self.segments);
        if segments.capacity() == 0 {
            segments.reserve(64);
        }
        segments.push_back(live);
    }

    /// Syncs all bytes below a position. The writer may go on above it meanwhile.
    pub(crate) fn sync_to(&self, position: u64) -> Result<(), Error> {
        let mut failed = lock(&self.failed);
        loop {
            let Some((name, file, map, base)) = self.oldest() else {
                return Ok(());
            };
            let from = self.synced.load(Ordering::Acquire).max(base);
            let end = base + wide(map.length());
            if *failed {
                return Err(Error::Poisoned {
                    file: name,
                    offset: from - base,
                    seq: Seq::ZERO,
                });
            }
            // A finished segment is synced whole: its epoch table changed after its first pages were synced.
            let sealed = position >= end;
            let (first, last) = if sealed { (base, end) } else { (from, position) };
            if first < last {
                let range = narrow(first - base)..narrow(last - base);
                let synced = file.sync_map(&map, range);
                *failed = synced.is_err();
                synced.map_err(|source| {
                    Error::io(&name, "syncing events", (first - base, Seq::ZERO), source)
                })?;
                self.synced.store(last, Ordering::Release);
            }
            if !sealed {
                return Ok(());
            }
            lock(&self.segments).pop_front();
        }
    }

    #[expect(clippy::type_complexity, reason = "taken apart at once by the one caller")]
    fn oldest(&self) -> Option<(String, Arc<dyn StorageFile>, Arc<Map>, u64)> {
        let segments = lock(&self.segments);
        let live = segments.front()?;
        Some((
            live.name.clone(),
            Arc::clone(&live.file),
            Arc::clone(&live.map),
            live.base,
        ))
    }

    /// Makes pages from `from` up to `to` writable, as far as they lie in segments being written.
    fn populate(&self, from: u64, to: u64) {
        self.each_part(from, to, |_, map, part| {
            let page = part.start / PAGE * PAGE;
            map.populate(page..part.end);
        });
    }

    /// Takes the pages from `from` up to `to` out of the writer's mapping, as far as they lie in segments being written.
    fn let_go(&self, from: u64, to: u64) {
        self.each_part(from, to, |_, map, part| map.let_go(part));
    }

    /// Begins to write the bytes from `from` up to `to`, as far as they lie in segments being written.
    fn begin_writing(&self, from: u64, to: u64) {
        self.each_part(from, to, |file, _, part| file.begin_writing(part));
    }

    fn each_part(&self, from: u64, to: u64, mut act: impl FnMut(&dyn StorageFile, &Map, Range<usize>)) {
        let parts: Vec<_> = lock(&self.segments)
            .iter()
            .map(|live| (Arc::clone(&live.file), Arc::clone(&live.map), live.base))
            .collect();
        for (file, map, base) in parts {
            let end = base + wide(map.length());
            let (first, last) = (from.clamp(base, end), to.clamp(base, end));
            if first < last {
                act(&*file, &map, narrow(first - base)..narrow(last - base));
            }
        }
    }
}

/// The helper of an event writer. One thread calls [`EventKeeper::keep`] every few milliseconds.
#[derive(Debug)]
pub struct EventKeeper {
    pool: Arc<SegmentPool>,
    position: Arc<EventPosition>,
    live: Arc<LiveSegments>,
    populated: u64,
    /// Up to here pages have been taken out of the writer's mapping.
    left: u64,
}

/// Whether a helper has more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The next piece, at once: it has fallen behind.
    Overdue,
    /// The next piece, after a short rest in which others have the core and the disk.
    More,
    /// Nothing for some milliseconds.
    Nothing,
}

impl EventKeeper {
    pub(crate) fn new(pool: Arc<SegmentPool>, position: Arc<EventPosition>, live: Arc<LiveSegments>) -> Self {
        // What recovery made again is written, too: only what was synced when the journal was opened need not be.
        let synced = live.synced.load(Ordering::Acquire) / BLOCK * BLOCK;
        live.begun.fetch_max(synced, Ordering::AcqRel);
        let block = position.load() / BLOCK * BLOCK;
        Self {
            pool,
            position,
            live,
            populated: block,
            left: synced,
        }
    }

    /// Makes the next pages writable, prepares a segment if one is wanting, and syncs the pages that the
    /// writer has left. The page it is in is left alone: a page under write-back stalls whoever stores into it.
    ///
    /// A full disk is no error here: it shows in [`SegmentPool::is_low_on_space`], and preparing is tried again
    /// at the next call.
    ///
    /// # Errors
    /// [`Error::Io`] of a sync, or of preparing: fatal.
    pub fn keep(&mut self) -> Result<(), Error> {
        for _ in 0..AHEAD / PIECE {
            if self.run_ahead() == Due::Nothing {
                break;
            }
        }
        match self.pool.prepare() {
            Ok(_) | Err(Error::NoSpace { .. }) => {}
            Err(other) => return Err(other),
        }
        self.sync()
    }

    /// The part of [`EventKeeper::keep`] that never waits for the disk: makes a piece of the pages ahead writable and
    /// begins to write a piece of the finished ones. Written as they come, in pieces with rests between them, they
    /// leave the disk to the command journal; gathered for half a second they keep its syncs waiting for tens of
    /// milliseconds.
    pub fn run_ahead(&mut self) -> Due {
        let position = self.position.load();
        let (ahead, finished) = (position + AHEAD, position / BLOCK * BLOCK);
        let from = self.populated.max(position);
        if from + PIECE <= ahead {
            self.live.populate(from, from + PIECE);
            self.populated = from + PIECE;
        }
        if self.left < finished {
            self.live.let_go(self.left, finished);
            self.left = finished;
        }
        let mut begun = self.begun();
        if begun < self.left {
            let to = self.left.min(begun + PIECE);
            self.live.begin_writing(begun, to);
            self.live.begun.store(to, Ordering::Release);
            begun = to;
        }
        if self.populated + AHEAD / 2 < ahead || begun + BLOCK < self.left {
            Due::Overdue
        } else if self.populated + PIECE <= ahead || begun < self.left {
            Due::More
        } else {
            Due::Nothing
        }
    }

    /// The last part of [`EventKeeper::keep`]: syncs what has begun to be written since the last time or, when the
    /// writer is so slow that nothing has, the pages that it has left.
    ///
    /// # Errors
    /// [`Error::Io`]: fatal.
    pub fn sync(&self) -> Result<(), Error> {
        let (position, begun) = (self.position.load(), self.begun());
        if begun > self.synced() {
            return self.live.sync_to(begun);
        }
        // A whole block that has not begun to be written is waited for: all of it at once would keep commits waiting.
        if position / BLOCK * BLOCK <= begun {
            self.live.sync_to(position / wide(PAGE) * wide(PAGE))?;
        }
        Ok(())
    }

    /// Position up to which pages have begun to be written.
    fn begun(&self) -> u64 {
        self.live.begun.load(Ordering::Acquire)
    }

    /// Another helper of the same writer.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(
            Arc::clone(&self.pool),
            Arc::clone(&self.position),
            Arc::clone(&self.live),
        )
    }

    /// Position up to which all events are on the disk, bytes over all segments.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.live.synced.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Kind;
    use crate::storage::Access;
    use crate::{SegmentNumber, SimulatedDisk};

    const SEGMENT: u64 = 16 << 20;

    /// A keeper beside a writer who has come so far in the first segment.
    fn keeper(position: u64) -> EventKeeper {
        let storage = SimulatedDisk::new(SEGMENT, 1).storage();
        let file = storage.create("events", Access::Mapped).expect("an empty disk");
        file.reserve(SEGMENT).expect("room");
        let live = LiveSegments::default();
        live.push(Live {
            name: "events".to_owned(),
            map: Arc::new(file.map().expect("it is mapped")),
            file: file.into(),
            base: 0,
        });
        let written = EventPosition::default();
        written.store(position);
        let pool = SegmentPool::new(storage, Kind::Event, SEGMENT, 1, SegmentNumber::FIRST);
        EventKeeper::new(Arc::new(pool), Arc::new(written), Arc::new(live))
    }

    #[test]
    fn a_sync_covers_only_what_has_begun_to_be_written() {
        let mut keeper = keeper(5 * BLOCK + 100);
        keeper.sync().expect("it syncs");
        assert_eq!(keeper.synced(), 0, "whole blocks wait to be begun");
        for pieces in 1..=3 {
            assert_ne!(keeper.run_ahead(), Due::Nothing);
            keeper.sync().expect("it syncs");
            assert_eq!(keeper.synced(), pieces * PIECE);
        }
        while keeper.run_ahead() != Due::Nothing {}
        keeper.sync().expect("it syncs");
        assert_eq!(keeper.synced(), 5 * BLOCK);
    }

    #[test]
    fn a_slow_writer_is_synced_page_by_page() {
        let mut keeper = keeper(wide(PAGE) * 3 + 100);
        while keeper.run_ahead() != Due::Nothing {}
        keeper.sync().expect("it syncs");
        assert_eq!(keeper.synced(), wide(PAGE) * 3);
    }

    #[test]
    fn who_has_fallen_behind_does_not_rest() {
        let mut behind = keeper(5 * BLOCK);
        assert_eq!(behind.run_ahead(), Due::Overdue);
        let mut rounds = 0;
        while behind.run_ahead() != Due::Nothing {
            rounds += 1;
        }
        assert!(rounds >= 5 * BLOCK / PIECE - 2, "{rounds}");
    }
}
