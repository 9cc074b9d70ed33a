//! The newest durable commands in memory, for one reader right behind the writer. It would read them from the disk
//! otherwise, since direct writes leave nothing in the page cache.

use super::reader::{CommandReader, Verify};
use crate::frame::{COMMAND_FRAME_MAX, first_of, seq_of};
use crate::storage::Storage;
use crate::{CommandStart, Error, Seq};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Most bytes of commands that a [`CommandTail`] keeps for a reader that lags, if nothing else is asked for.
const BYTES_MAX: usize = 256 << 20;
/// Most batches that wait for the reader.
const BATCHES_MAX: usize = 65_536;
/// Most buffers that wait to be used again; a reader that lags leaves more, which are freed.
const BUFFERS_MAX: usize = 64;

/// What a commit made durable, as long as the writer takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<'a> {
    /// Its first command.
    pub first: Seq,
    /// Its last command, the one before the first where nothing was committed yet.
    pub last: Seq,
    /// All of them, one behind the other.
    pub frames: &'a [u8],
}

/// Commands that were committed together.
#[derive(Debug)]
struct Batch {
    first: Seq,
    last: Seq,
    frames: Vec<u8>,
}

/// Batches on their way from the writer to one reader, and their buffers on the way back. What comes while it is full is
/// left out: the reader finds that on the disk.
///
/// # Cost
/// While somebody follows, a copy a batch, and an allocation where the reader lags further than ever before; otherwise
/// one load.
#[derive(Debug)]
pub struct CommandTail {
    batches: ArrayQueue<Batch>,
    buffers: ArrayQueue<Vec<u8>>,
    bytes: AtomicUsize,
    bytes_max: usize,
    followed: AtomicBool,
}

impl Default for CommandTail {
    fn default() -> Self {
        Self::of(BYTES_MAX)
    }
}

impl CommandTail {
    /// A tail of so many bytes at the most.
    #[must_use]
    pub fn of(bytes_max: usize) -> Self {
        Self {
            batches: ArrayQueue::new(BATCHES_MAX),
            buffers: ArrayQueue::new(BUFFERS_MAX),
            bytes: AtomicUsize::new(0),
            bytes_max,
            followed: AtomicBool::new(false),
        }
    }

    /// From here on batches are kept.
    fn follow(&self) {
        self.followed.store(true, Ordering::Relaxed);
    }

    /// Keeps a copy of what was just committed, if somebody follows and there is room. To be called before anybody learns
    /// that it is durable: whoever knows that, and finds nothing here, looks on the disk.
    pub fn push(&self, committed: &Committed<'_>) {
        let length = committed.frames.len();
        let is_wanted = self.followed.load(Ordering::Relaxed) && length > 0;
        if !is_wanted || self.bytes.load(Ordering::Relaxed) + length > self.bytes_max {
            return;
        }
        let mut frames = self.buffers.pop().unwrap_or_default();
        frames.extend_from_slice(committed.frames);
        let batch = Batch {
            first: committed.first,
            last: committed.last,
            frames,
        };
        self.bytes.fetch_add(length, Ordering::Relaxed);
        if let Err(left_out) = self.batches.push(batch) {
            self.take_back(left_out);
        }
    }

    /// Its buffer is used again.
    fn take_back(&self, batch: Batch) {
        let mut frames = batch.frames;
        self.bytes.fetch_sub(frames.len(), Ordering::Relaxed);
        frames.clear();
        // One too many is freed.
        drop(self.buffers.push(frames));
    }
}

/// Walks the commands from a sequence on: in memory where they are there, in the journal otherwise.
#[derive(Debug)]
pub struct TailReader {
    tail: Arc<CommandTail>,
    reader: CommandReader,
    /// The batch that holds the next command, or begins behind it.
    batch: Option<Batch>,
    /// Where the next command begins in it.
    at: usize,
    next: Seq,
    from_disk: u64,
}

impl TailReader {
    /// Reads from the command `from` on (at least 1), beside the writer that fills the tail.
    ///
    /// # Errors
    /// Those of [`CommandReader::open`].
    pub fn open(storage: Arc<dyn Storage>, tail: Arc<CommandTail>, from: Seq) -> Result<Self, Error> {
        let reader = CommandReader::open(storage, Verify::Order, from)?;
        tail.follow();
        Ok(Self {
            tail,
            reader,
            batch: None,
            at: 0,
            next: from,
            from_disk: 0,
        })
    }

    /// The sequence of the frame that [`TailReader::next_command`] will return.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// Commands that were not in memory any more.
    #[must_use]
    pub fn from_disk(&self) -> u64 {
        self.from_disk
    }

    /// See [`CommandReader::start_of`].
    ///
    /// # Errors
    /// The same.
    pub fn start_of(&mut self, seq: Seq) -> Result<CommandStart, Error> {
        self.reader.start_of(seq)
    }

    /// The next command's frame, if it is not beyond `durable`.
    ///
    /// # Errors
    /// Those of [`CommandReader::next_command`].
    pub fn next_command(&mut self, durable: Seq) -> Result<Option<&[u8]>, Error> {
        let seq = self.next;
        if seq > durable {
            return Ok(None);
        }
        if let Some(length) = self.find_in_memory(seq) {
            self.next = seq.next();
            let begins = self.at;
            self.at += length;
            let batch = self.batch.as_ref().expect("it was found just now");
            return Ok(Some(&batch.frames[begins..begins + length]));
        }
        self.reader.skip_to(seq)?;
        let found = self.reader.next_command(durable)?;
        self.next = seq.next();
        self.from_disk += 1;
        Ok(found)
    }

    /// Stands before this command, if it is in memory: its length then.
    fn find_in_memory(&mut self, seq: Seq) -> Option<usize> {
        while self.batch.as_ref().is_none_or(|batch| batch.last < seq) {
            if let Some(done) = self.batch.take() {
                self.tail.take_back(done);
            }
            self.batch = Some(self.tail.batches.pop()?);
            self.at = 0;
        }
        let batch = self.batch.as_ref().expect("one was found");
        if batch.first > seq {
            return None;
        }
        loop {
            let frame = first_of(&batch.frames[self.at..], COMMAND_FRAME_MAX)?;
            if seq_of(frame) == seq {
                return Some(frame.len());
            }
            self.at += frame.len();
        }
    }
}
