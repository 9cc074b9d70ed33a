//! Aligned buffers and mapped segments: the only place of this room with `unsafe`.
//!
//! # The invariant
//!
//! A [`Map`] is shared between one writer and any number of readers, in one process or several. It stays
//! sound because bytes go one way:
//!
//! 1. Only the owner of a journal (command writer, event writer, recovery) stores into it, and only at or
//!    above the position it has published. The lock of the folder keeps a second owner out.
//! 2. A slice is taken ([`Map::bytes`]) only of what lies *below* the published position, or while nobody
//!    writes (recovery, which owns the folder). Bytes below that position never change again.
//! 3. The position itself is an atomic, stored with `Release` and read with `Acquire`.
//! 4. The few words that are stored below a published position (the epoch table of an event segment) are
//!    touched as atomics only, by [`Map::store_u32`] and [`Map::load_u32`].
//!    A tail in another process, which cannot see the position, loads all it reads as atomic words into memory of its own
//!    ([`Map::load_u64`], [`Map::copy_words`]) and believes its copy only once the copy's check holds.
//! 5. A segment's size never changes while it is mapped. A file cut from outside ends the process by SIGBUS,
//!    which is meant: nothing read after that could be trusted.
//!
//! Every call checks its range against the mapping, so that no offset read from a file can leave it.

#![allow(unsafe_code)]

use crate::bytes::wide;
use memmap2::{Advice, MmapRaw, UncheckedAdvice};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Size of a page and alignment of every buffer, bytes.
pub const PAGE: usize = 4096;

/// Zeroed bytes whose address is a multiple of [`PAGE`], as direct writes want it.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the buffer owns its memory and hands out references by the usual rules of borrowing.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above; shared access goes through `Map`, whose invariant is stated at the top.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// Takes `length` zeroed bytes, at least one page.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let length = length.max(PAGE);
        let layout = Self::layout(length);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Self { start, length }
    }

    fn layout(length: usize) -> Layout {
        Layout::from_size_align(length, PAGE).expect("a segment is far smaller than the address space")
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.length)) }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` points to `length` initialised bytes owned by self.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and self is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.length)
    }
}

/// What keeps a map's memory alive.
enum Backing {
    File(MmapRaw),
    Memory(#[allow(dead_code)] Arc<AlignedBuffer>),
}

/// A whole segment in memory: a mapped file, or the memory of a simulated one.
pub struct Map {
    start: NonNull<u8>,
    length: usize,
    backing: Backing,
}

// SAFETY: the memory lives as long as the backing; access follows the invariant stated at the top.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} bytes)", self.length)
    }
}

impl Map {
    /// Maps a file for reading and writing, as far as it reaches now.
    ///
    /// # Errors
    /// Those of `mmap`; an empty file cannot be mapped.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Self::of_raw(MmapRaw::map_raw(file)?)
    }

    /// Maps a file for reading only: every store into it would end the process.
    ///
    /// # Errors
    /// Those of `mmap`; an empty file cannot be mapped.
    pub fn of_file_to_read(file: &File) -> io::Result<Self> {
        Self::of_raw(memmap2::MmapOptions::new().map_raw_read_only(file)?)
    }

    fn of_raw(raw: MmapRaw) -> io::Result<Self> {
        let start = NonNull::new(raw.as_mut_ptr()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            start,
            length: raw.len(),
            backing: Backing::File(raw),
        })
    }

    /// Shares the memory of a simulated file.
    #[must_use]
    pub fn of_memory(memory: Arc<AlignedBuffer>) -> Self {
        Self {
            start: memory.start,
            length: memory.length,
            backing: Backing::Memory(memory),
        }
    }

    /// The same map, ending earlier.
    pub(crate) fn shortened(mut self, length: usize) -> Self {
        assert!(length <= self.length, "a map cannot grow");
        self.length = length;
        self
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Bytes that nobody writes any more: see the invariant of the module.
    ///
    /// # Panics
    /// When the range leaves the map.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.check(&range);
        // SAFETY: the range was checked, and by rule 2 of the invariant nobody stores into it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// All bytes, for recovery and for sealed segments.
    pub(crate) fn whole(&self) -> &[u8] {
        self.bytes(0..self.length)
    }

    /// Stores bytes at or above the published position.
    pub(crate) fn write(&self, at: usize, from: &[u8]) {
        self.check(&(at..at + from.len()));
        // SAFETY: the range was checked; by rule 1 no slice of it exists, so the two cannot overlap.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.start.as_ptr().add(at), from.len()) }
    }

    /// Stores zeros at or above the published position, and only where something else stands, so that clean
    /// pages stay clean.
    pub(crate) fn clear(&self, range: Range<usize>) {
        self.check(&range);
        let mut at = range.start;
        while at < range.end {
            let end = (at + PAGE).min(range.end);
            if !crate::bytes::all_zero(self.bytes(at..end)) {
                // SAFETY: checked above; by rule 1 no slice of it exists beyond the statement before.
                unsafe { ptr::write_bytes(self.start.as_ptr().add(at), 0, end - at) }
            }
            at = end;
        }
    }

    /// Stores a word that readers may be looking at. `at` is a multiple of 4.
    pub(crate) fn store_u32(&self, at: usize, value: u32) {
        self.word(at).store(value.to_le(), Ordering::Release);
    }

    /// Loads a word that the writer may be storing. `at` is a multiple of 4.
    pub(crate) fn load_u32(&self, at: usize) -> u32 {
        u32::from_le(self.word(at).load(Ordering::Acquire))
    }

    /// Loads eight bytes that another process may be storing. `at` is a multiple of 8.
    pub(crate) fn load_u64(&self, at: usize) -> u64 {
        self.check(&(at..at + 8));
        assert!(at.is_multiple_of(8), "words of a map are aligned");
        // SAFETY: in range and aligned (maps start on a page); rule 4: what another process may store into is loaded
        // as atomic words.
        let word = unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) };
        u64::from_le(word.load(Ordering::Acquire))
    }

    /// Copies bytes that another process may be storing. Place and length are multiples of 8.
    pub(crate) fn copy_words(&self, at: usize, to: &mut [u8]) {
        assert!(to.len().is_multiple_of(8), "whole words are copied");
        for (place, word) in to.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *word = self.load_u64(at + 8 * place).to_le_bytes();
        }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        self.check(&(at..at + 4));
        assert!(at.is_multiple_of(4), "words of a map are aligned");
        // SAFETY: in range and aligned (maps start on a page); rule 4: such words are only touched atomically.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(at).cast()) }
    }

    /// Writes a range to the disk and waits for it.
    ///
    /// # Errors
    /// Those of `msync`. A failure is fatal: the pages may be clean now and lost.
    pub(crate) fn flush(&self, range: Range<usize>) -> io::Result<()> {
        self.check(&range);
        match &self.backing {
            Backing::File(raw) => raw.flush_range(range.start, range.len()),
            Backing::Memory(_) => Ok(()),
        }
    }

    /// Makes the pages of a range present and writable now, so that no store into them faults later.
    pub(crate) fn populate(&self, range: Range<usize>) {
        self.check(&range);
        if range.is_empty() || matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        if let Backing::File(raw) = &self.backing
            && raw
                .advise_range(Advice::PopulateWrite, range.start, range.len())
                .is_ok()
        {
            return;
        }
        for at in range.step_by(PAGE) {
            // SAFETY: in range. An atomic "or nothing" makes the page writable and cannot lose a store of the
            // writer that races with it.
            unsafe { AtomicU8::from_ptr(self.start.as_ptr().add(at)).fetch_or(0, Ordering::Relaxed) };
        }
    }

    /// Takes a range, whole pages of it, out of this mapping, so that writing it to the disk need not write-protect
    /// what is mapped here, which interrupts every core once a page. What was stored stays, in the page cache; the
    /// next access maps it again.
    pub(crate) fn let_go(&self, range: Range<usize>) {
        self.check(&range);
        if let Backing::File(raw) = &self.backing {
            // SAFETY: the mapping is shared with its file, so that its bytes are the same before and after. A hint
            // only: that it was refused changes nothing but speed.
            let _ =
                unsafe { raw.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
    }

    /// Tells the kernel that a read from start to end follows.
    pub(crate) fn will_read_in_order(&self) {
        if let Backing::File(raw) = &self.backing {
            // A hint only: that it was refused changes nothing but speed.
            let _ = raw.advise(Advice::Sequential);
        }
    }

    fn check(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "{range:?} leaves a map of {} bytes",
            wide(self.length)
        );
    }
}

/// A file offset of any segment is an index here.
const _: () = assert!(size_of::<usize>() == 8);
