//! The writer of the command journal: group commit into aligned blocks, one sync a batch.
//!
//! # Cost
//! An append copies the frame into the batch; a commit hashes it once (SHA-256), sums it once (CRC32C), writes
//! it once and syncs once. Nothing is allocated. `examples/journal_speed.rs` watches it.

use super::layout::{BATCH_HEADER, BatchHeader, Shape, command_chain_origin};
use super::tail::Committed;
use crate::bytes::{put, short, wide};
use crate::frame::{COMMAND_FRAME_MAX, SEQ_AT, announced_length, fault_of};
use crate::memory::AlignedBuffer;
use crate::pool::{Prepared, SegmentPool};
use crate::{ChainHash, Error, JournalId, SegmentNumber, Seq};
use std::sync::Arc;

/// What became of a frame handed to [`CommandJournal::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// It is in the open batch under this sequence; it is durable after the next commit.
    Taken(Seq),
    /// It was not taken: the batch is full. Commit, then append it again.
    BatchFull,
}

/// The command journal, ready to be written by its one owner.
///
/// Two rules make a crash safe at every step. A batch never shares a block with another, so writing one cannot
/// harm what was acknowledged. And nothing is written while a sync is in flight, so that at most the last batch
/// can be torn.
#[derive(Debug)]
pub struct CommandJournal {
    pool: Arc<SegmentPool>,
    shape: Shape,
    segment: Prepared,
    /// Where the next batch goes: 0 while the segment has no header yet.
    offset: u64,
    /// One block for a segment's header, then the batch.
    buffer: AlignedBuffer,
    payload: usize,
    count: u32,
    durable: Seq,
    /// Commands, and bytes of frames, of the last commit: they are in the buffer until the next frame comes.
    committed: (u32, usize),
    chain: ChainHash,
    failed: bool,
    written: Written,
}

/// What a writer has written since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Batches committed.
    pub commits: u64,
    /// Bytes of frames appended and committed.
    pub appended_bytes: u64,
    /// Bytes given to the disk: frames, batch headers, padding, segment headers.
    pub disk_bytes: u64,
}

impl CommandJournal {
    pub(crate) fn new(
        pool: Arc<SegmentPool>,
        shape: Shape,
        (segment, offset): (Prepared, u64),
        (durable, chain): (Seq, ChainHash),
        buffer: AlignedBuffer,
    ) -> Self {
        let chain = if durable == Seq::ZERO {
            command_chain_origin(shape.id)
        } else {
            chain
        };
        let written = Written::default();
        Self {
            pool,
            shape,
            segment,
            offset,
            buffer,
            payload: 0,
            count: 0,
            durable,
            committed: (0, 0),
            chain,
            failed: false,
            written,
        }
    }

    /// The journal's name.
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.shape.id
    }

    /// The last command that survives a power cut.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.durable
    }

    /// The sequence the next appended frame gets.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        Seq(self.durable.0 + u64::from(self.count) + 1)
    }

    /// Chain value after the last durable batch.
    #[must_use]
    pub fn chain(&self) -> ChainHash {
        self.chain
    }

    /// Commands in the open batch.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.count
    }

    /// Segment being written, and the offset in it where the next batch goes, bytes.
    #[must_use]
    pub fn position(&self) -> (SegmentNumber, u64) {
        (self.segment.number, self.offset)
    }

    /// The segments prepared ahead; a helper thread keeps it filled.
    #[must_use]
    pub fn pool(&self) -> Arc<SegmentPool> {
        Arc::clone(&self.pool)
    }

    /// What the last commit made durable; nothing, once more was appended.
    #[must_use]
    pub fn committed(&self) -> Committed<'_> {
        let (count, payload) = if self.count == 0 { self.committed } else { (0, 0) };
        let begins = self.shape.block + BATCH_HEADER;
        Committed {
            first: Seq(self.durable.0 + 1 - u64::from(count)),
            last: self.durable,
            frames: &self.buffer[begins..begins + payload],
        }
    }

    /// What was written since the journal was opened.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }

    /// Copies a frame into the open batch and numbers it.
    ///
    /// # Errors
    /// [`Error::BadFrame`]: nothing was taken. [`Error::NoSpace`] when a segment was needed, none was prepared
    /// and the disk is full: nothing was taken, the journal is whole. [`Error::Poisoned`], [`Error::Io`]: fatal.
    pub fn append(&mut self, frame: &[u8]) -> Result<Append, Error> {
        if self.failed {
            return Err(self.poisoned());
        }
        if let Some(what) = fault_of(frame, COMMAND_FRAME_MAX) {
            return Err(Error::BadFrame {
                what,
                length: frame.len(),
                seq: Seq(self.next_seq().0 - 1),
            });
        }
        if !self.fits(frame.len()) {
            if self.count > 0 {
                return Ok(Append::BatchFull);
            }
            // An empty batch takes any frame, so it is the segment that is full.
            self.segment = self.pool.take()?;
            self.offset = 0;
            assert!(self.fits(frame.len()), "a fresh segment holds the longest frame");
        }
        let at = self.shape.block + BATCH_HEADER + self.payload;
        let seq = self.next_seq();
        put(&mut self.buffer, at, frame);
        put(&mut self.buffer, at + SEQ_AT, &seq.0.to_le_bytes());
        self.payload += frame.len();
        self.count += 1;
        Ok(Append::Taken(seq))
    }

    /// Whether the open batch, with this many more bytes, fits the buffer and the segment.
    fn fits(&self, more: usize) -> bool {
        let padded = (BATCH_HEADER + self.payload + more).next_multiple_of(self.shape.block);
        let room = self.shape.segment_size - self.batch_offset();
        self.shape.block + padded <= self.buffer.len() && wide(padded) <= room
    }

    /// Where the open batch goes: after the header block, if that goes with it.
    fn batch_offset(&self) -> u64 {
        self.offset.max(wide(self.shape.block))
    }

    /// Writes the open batch, syncs once, and returns the last durable sequence. An empty batch costs nothing.
    ///
    /// Why a crash here is safe: before the sync returns nobody was told of these commands; a write that was
    /// torn fails its checksum and is cut. A new segment's header goes out in the same write as its first
    /// batch, so neither is acknowledged without the other.
    ///
    /// # Errors
    /// [`Error::Io`] of the write or the sync: fatal and never retried, since the kernel may have dropped the
    /// pages; from then on every call answers [`Error::Poisoned`]. Recovery decides what survived.
    pub fn commit(&mut self) -> Result<Seq, Error> {
        if self.failed {
            return Err(self.poisoned());
        }
        if self.count == 0 {
            return Ok(self.durable);
        }
        let block = self.shape.block;
        let (first_seq, last) = (self.durable.next(), Seq(self.next_seq().0 - 1));
        let end = block + (BATCH_HEADER + self.payload).next_multiple_of(block);
        self.buffer[block + BATCH_HEADER + self.payload..end].fill(0);
        let header = BatchHeader {
            segment: self.segment.number,
            offset: self.batch_offset(),
            first_seq,
            count: self.count,
            payload: short(self.payload),
            chain: ChainHash::default(),
        };
        if cfg!(feature = "mutant-swap-records") {
            self.swap_first_two(first_seq);
        }
        let chain = header.seal(&mut self.buffer[block..end], self.chain);
        let start = if self.offset == 0 { 0 } else { block };
        if start == 0 {
            let opening = self.shape.header(self.segment.number, first_seq, self.chain);
            self.buffer[..block].fill(0);
            opening.write(&mut self.buffer[..block]);
        }
        self.write_and_sync(start, end)?;
        assert!(last > self.durable, "a commit acknowledges something");
        self.offset += wide(end - start);
        assert!(
            self.offset <= self.shape.segment_size,
            "a batch stays within its segment"
        );
        self.chain = chain;
        self.durable = last;
        self.written.commits += 1;
        self.written.appended_bytes += wide(self.payload);
        self.written.disk_bytes += wide(end - start);
        self.committed = (self.count, self.payload);
        (self.payload, self.count) = (0, 0);
        Ok(last)
    }

    fn write_and_sync(&mut self, start: usize, end: usize) -> Result<(), Error> {
        let written = self.segment.file.write_at(self.offset, &self.buffer[start..end]);
        if let Err(source) = written {
            return Err(self.fail("writing a batch", source));
        }
        if cfg!(feature = "mutant-skip-sync") {
            return Ok(());
        }
        self.segment
            .file
            .sync()
            .map_err(|source| self.fail("syncing a batch", source))
    }

    /// What the mutant `mutant-swap-records` does: the first two commands change places, not numbers.
    fn swap_first_two(&mut self, first_seq: Seq) {
        let start = self.shape.block + BATCH_HEADER;
        let frames = &mut self.buffer[start..start + self.payload];
        let one = announced_length(frames);
        if one < frames.len() {
            let two = announced_length(&frames[one..]);
            frames[..one + two].rotate_left(one);
            put(frames, SEQ_AT, &first_seq.0.to_le_bytes());
            put(frames, two + SEQ_AT, &first_seq.next().0.to_le_bytes());
        }
    }

    fn fail(&mut self, action: &'static str, source: std::io::Error) -> Error {
        self.failed = true;
        Error::io(
            &self.segment.name,
            action,
            (self.offset, self.durable.next()),
            source,
        )
    }

    fn poisoned(&self) -> Error {
        let (file, offset, seq) = (self.segment.name.clone(), self.offset, self.durable.next());
        Error::Poisoned { file, offset, seq }
    }
}

/// The longest frame fits the smallest buffer that the settings allow.
const _: () = assert!(BATCH_HEADER + COMMAND_FRAME_MAX <= 4096);
