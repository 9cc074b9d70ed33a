//! Segments prepared ahead by a helper thread, so that neither a full disk nor filling meets the hot path.

use crate::memory::{AlignedBuffer, Map};
use crate::names::{Kind, segment_name};
use crate::storage::{Storage, StorageFile};
use crate::{Error, SegmentNumber, Seq};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes written at a time when a segment is filled with zeros: little, because a commit that meets the disk
/// meanwhile waits for what is in front of it.
const FILL: usize = 128 << 10;
/// Bytes at the start of a mapped segment that are made writable when it is prepared, and how many at a time.
const PREFAULT: usize = 16 << 20;
const PREFAULT_PIECE: usize = 256 << 10;
/// Rest between two pieces of a segment: in it commits have the core and the disk.
const REST: Duration = Duration::from_micros(300);

/// A segment that stands under its final name and holds nothing but zeros.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) number: SegmentNumber,
    pub(crate) name: String,
    pub(crate) file: Arc<dyn StorageFile>,
    /// Mapped for writing, for event segments.
    pub(crate) map: Option<Arc<Map>>,
}

/// A file that was made, and its map where it is written through one.
type Made = (Arc<dyn StorageFile>, Option<Arc<Map>>);

/// What a call of [`SegmentPool::prepare`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// One more segment is ready.
    Prepared,
    /// There are as many as there should be.
    Enough,
}

/// Segments ready to be written, shared by the writer, which takes them, and a helper, which prepares them.
///
/// Why a crash here is safe: a segment is filled under a temporary name, synced, and only then given its
/// number; the folder is synced before the next is begun. So numbered files never have a gap, and one without a
/// header holds only zeros. A leftover temporary file is filled anew.
#[derive(Debug)]
pub struct SegmentPool {
    storage: Arc<dyn Storage>,
    kind: Kind,
    segment_size: u64,
    target: usize,
    ready: Mutex<VecDeque<Prepared>>,
    /// Held while a segment is prepared: preparations go one at a time, in the order of their numbers.
    making: Mutex<Making>,
    free: AtomicUsize,
    low_space: AtomicBool,
    taken_unprepared: AtomicU64,
}

#[derive(Debug)]
struct Making {
    next: SegmentNumber,
    released: Vec<String>,
    zeros: Option<AlignedBuffer>,
}

impl SegmentPool {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        kind: Kind,
        size: u64,
        target: usize,
        next: SegmentNumber,
    ) -> Self {
        Self {
            storage,
            kind,
            segment_size: size,
            target: target.max(1),
            ready: Mutex::new(VecDeque::with_capacity(target.max(1) + 64)),
            making: Mutex::new(Making {
                next,
                released: Vec::new(),
                zeros: None,
            }),
            free: AtomicUsize::new(0),
            low_space: AtomicBool::new(false),
            taken_unprepared: AtomicU64::new(0),
        }
    }

    /// Segments ready to be written. Below the watermark of the caller's choice, new orders should be refused.
    #[must_use]
    pub fn free_segments(&self) -> usize {
        self.free.load(Ordering::Acquire)
    }

    /// Bytes of a segment.
    #[must_use]
    pub fn segment_size(&self) -> u64 {
        self.segment_size
    }

    /// Whether the last attempt to prepare a segment met a full disk. Cleared by the next that succeeds.
    #[must_use]
    pub fn is_low_on_space(&self) -> bool {
        self.low_space.load(Ordering::Acquire)
    }

    /// How often the writer found nothing prepared and had to do it itself, stalling.
    #[must_use]
    pub fn taken_unprepared(&self) -> u64 {
        self.taken_unprepared.load(Ordering::Relaxed)
    }

    /// Prepares one segment if there are fewer than configured. Call it from a helper thread until it answers
    /// [`Preparation::Enough`], then again after a while.
    ///
    /// # Errors
    /// [`Error::NoSpace`] when the disk is full: try again later. Any other is fatal.
    pub fn prepare(&self) -> Result<Preparation, Error> {
        let mut making = lock(&self.making);
        if self.free_segments() >= self.target {
            return Ok(Preparation::Enough);
        }
        self.prepare_one(&mut making)?;
        Ok(Preparation::Prepared)
    }

    /// Gives the file of a segment that nobody needs any more (its contents are archived, and a snapshot
    /// covers them) back to be filled anew. Segments are released from the oldest on.
    ///
    /// # Errors
    /// Those of renaming it.
    pub fn release(&self, number: SegmentNumber) -> Result<(), Error> {
        let mut making = lock(&self.making);
        assert!(
            number < making.next,
            "only a segment that was written can be released"
        );
        let name = segment_name(self.kind, number);
        let free = self.kind.released_name(number);
        let moved = self
            .storage
            .rename(&name, &free)
            .and_then(|()| self.storage.sync_folder());
        moved.map_err(|source| Error::io(&name, "releasing", (0, Seq::ZERO), source))?;
        making.released.push(free);
        Ok(())
    }

    /// Takes up what an earlier run had prepared or released.
    pub(crate) fn adopt(&self, prepared: Vec<Prepared>, released: Vec<String>) {
        let mut making = lock(&self.making);
        making.released.extend(released);
        for segment in prepared {
            assert_eq!(
                segment.number, making.next,
                "prepared segments continue the journal"
            );
            making.next = segment.number.next();
            self.push(segment);
        }
    }

    /// The next segment, in the order of numbers. Never waits unless nothing was prepared.
    pub(crate) fn take(&self) -> Result<Prepared, Error> {
        if let Some(segment) = self.pop() {
            return Ok(segment);
        }
        self.taken_unprepared.fetch_add(1, Ordering::Relaxed);
        let mut making = lock(&self.making);
        // The helper may have finished one while we waited for it.
        if let Some(segment) = self.pop() {
            return Ok(segment);
        }
        self.prepare_one(&mut making)?;
        Ok(self.pop().expect("one was pushed, and there is one writer"))
    }

    fn pop(&self) -> Option<Prepared> {
        let segment = lock(&self.ready).pop_front()?;
        let before = self.free.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "the count of free segments follows the queue");
        Some(segment)
    }

    fn push(&self, segment: Prepared) {
        lock(&self.ready).push_back(segment);
        self.free.fetch_add(1, Ordering::AcqRel);
    }

    fn prepare_one(&self, making: &mut Making) -> Result<(), Error> {
        let number = making.next;
        let name = segment_name(self.kind, number);
        match self.make(making, &name) {
            Ok((file, map)) => {
                self.low_space.store(false, Ordering::Release);
                making.next = number.next();
                self.push(Prepared {
                    number,
                    name,
                    file,
                    map,
                });
                Ok(())
            }
            Err(source) if source.kind() == io::ErrorKind::StorageFull => {
                self.low_space.store(true, Ordering::Release);
                // What was written of it only takes room from others; that this may fail too changes nothing.
                let _ = self.storage.remove(self.kind.temporary_name());
                Err(Error::NoSpace {
                    file: name,
                    size: self.segment_size,
                    source,
                })
            }
            Err(source) => Err(Error::io(&name, "preparing", (0, Seq::ZERO), source)),
        }
    }

    fn make(&self, making: &mut Making, name: &str) -> io::Result<Made> {
        let temporary = self.kind.temporary_name();
        let file = match making.released.pop() {
            Some(released) => {
                self.storage.rename(&released, temporary)?;
                self.storage.open(temporary, self.kind.access())?
            }
            None => self.storage.create(temporary, self.kind.access())?,
        };
        match self.kind {
            Kind::Command => self.fill(&*file, making)?,
            Kind::Event => self.reserve_zeros(&*file)?,
        }
        file.sync()?;
        assert_eq!(
            file.size()?,
            self.segment_size,
            "a prepared segment has its full size"
        );
        self.storage.rename(temporary, name)?;
        self.storage.sync_folder()?;
        let map = match self.kind {
            Kind::Command => None,
            Kind::Event => Some(Arc::new(file.map()?)),
        };
        if let Some(map) = &map {
            for from in (0..map.length().min(PREFAULT)).step_by(PREFAULT_PIECE) {
                map.populate(from..map.length().min(from + PREFAULT_PIECE));
                self.rest();
            }
        }
        Ok((file.into(), map))
    }

    /// Writes zeros: room that is only reserved would make every later sync also write the file's metadata.
    fn fill(&self, file: &dyn StorageFile, making: &mut Making) -> io::Result<()> {
        let zeros = making.zeros.get_or_insert_with(|| AlignedBuffer::new(FILL));
        let mut at = 0;
        while at < self.segment_size {
            let length = crate::bytes::narrow((self.segment_size - at).min(crate::bytes::wide(FILL)));
            file.write_at(at, &zeros[..length])?;
            at += crate::bytes::wide(length);
            self.rest();
        }
        Ok(())
    }

    /// Rests while the writer has a segment to go on with.
    fn rest(&self) {
        if self.free_segments() > 0 {
            std::thread::sleep(REST);
        }
    }

    /// Reserves room, which reads as zeros; a file that was used before is cleared where it is not zero.
    fn reserve_zeros(&self, file: &dyn StorageFile) -> io::Result<()> {
        let used = file.size()? > 0;
        file.reserve(self.segment_size)?;
        if used {
            let map = file.map()?;
            map.clear(0..map.length());
            file.sync_map(&map, 0..map.length())?;
        }
        Ok(())
    }
}

/// A poisoned lock means that a thread died while it prepared; what it held is a queue and a counter, both
/// whole at every step, so going on is sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
