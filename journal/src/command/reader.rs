//! The reader of the command journal: maps segments, walks frames, follows a live writer.
//!
//! # Cost
//! A frame is a slice of the mapping: no copy and no allocation. A segment is opened once. Checksum and chain
//! are verified once a batch, as the level asks.

use super::layout::{BATCH_HEADER, BatchHeader, HeaderState, SegmentHeader};
use crate::bytes::{narrow, wide};
use crate::frame::{COMMAND_FRAME_MAX, first_of, seq_of};
use crate::memory::Map;
use crate::names::{Kind, segment_name, survey};
use crate::storage::{Access, Storage};
use crate::{ChainHash, CommandStart, Error, JournalId, SegmentNumber, Seq};
use std::sync::Arc;

/// How much a reader checks beyond what keeps it within bounds and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Lengths, places and order only: for what this process has recovered or written itself.
    Order,
    /// The checksum of every batch too.
    Checksums,
    /// Checksums and the hash chain, from the start of the segment on that holds the first frame read.
    Chain,
}

/// Walks the commands from a sequence on.
#[derive(Debug)]
pub struct CommandReader {
    storage: Arc<dyn Storage>,
    verify: Verify,
    /// Number and first sequence of every segment known.
    index: Vec<(SegmentNumber, Seq)>,
    open: Option<OpenSegment>,
    next: Seq,
}

#[derive(Debug)]
struct OpenSegment {
    name: String,
    number: SegmentNumber,
    map: Map,
    block: usize,
    /// Start of the current batch's rest: the next frame, and the end of the frames.
    frame: usize,
    frames_end: usize,
    /// Start of the next batch.
    batch: usize,
    chain: ChainHash,
}

impl CommandReader {
    /// Opens a folder to read from its oldest command on, whichever that is.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Stray`].
    pub fn open_oldest(storage: Arc<dyn Storage>, verify: Verify) -> Result<Self, Error> {
        let mut reader = Self {
            storage,
            verify,
            index: Vec::new(),
            open: None,
            next: Seq(1),
        };
        reader.extend_index()?;
        reader.next = reader.oldest().unwrap_or(Seq(1));
        Ok(reader)
    }

    /// Opens a folder to read from the command `from` on (at least 1). The writer may be at work beside it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when `from` is before the first segment; [`Error::Io`], [`Error::Stray`].
    pub fn open(storage: Arc<dyn Storage>, verify: Verify, from: Seq) -> Result<Self, Error> {
        let mut reader = Self::open_oldest(storage, verify)?;
        reader.seek(from)?;
        Ok(reader)
    }

    /// The sequence of the frame that [`CommandReader::next_command`] will return.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// The first sequence of the oldest segment there; none when the journal was never begun.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.index.first().map(|(_, first)| *first)
    }

    /// The journal that the oldest segment belongs to.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn id(&self) -> Result<Option<JournalId>, Error> {
        let Some((number, first)) = self.index.first() else {
            return Ok(None);
        };
        match self.map(&segment_name(Kind::Command, *number), *first)?.1 {
            HeaderState::Valid(header) => Ok(Some(header.id)),
            HeaderState::Blank | HeaderState::Bad => Ok(None),
        }
    }

    /// Goes to any sequence that is, or will be, in the journal.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is before the first segment; [`Error::Io`].
    pub fn seek(&mut self, to: Seq) -> Result<(), Error> {
        self.extend_index()?;
        let first = self.index.first().map_or(Seq(1), |(_, first)| *first);
        if to < first {
            let last = self.index.last().map_or(Seq::ZERO, |(_, first)| *first);
            return Err(Error::NotFound {
                seq: to,
                file: self.storage.place().to_owned(),
                first,
                last,
            });
        }
        self.open = None;
        self.next = to;
        Ok(())
    }

    /// Goes on to a sequence that is not before the next one: within the segment at hand where that holds it.
    ///
    /// # Errors
    /// Those of [`CommandReader::seek`].
    pub fn skip_to(&mut self, to: Seq) -> Result<(), Error> {
        if to == self.next {
            return Ok(());
        }
        let at_hand = self.open.as_ref().map(|open| open.number);
        self.extend_index()?;
        if to > self.next && at_hand.is_some() && self.segment_of(to).map(|(number, _)| number) == at_hand {
            self.next = to;
            return Ok(());
        }
        self.seek(to)
    }

    /// The segment that holds a durable command: where the journal is read from behind a snapshot of that command.
    ///
    /// # Errors
    /// [`Error::MissingSegment`] when it is not there any more; [`Error::Corrupt`], [`Error::Io`].
    pub fn start_of(&mut self, seq: Seq) -> Result<CommandStart, Error> {
        self.extend_index()?;
        let (segment, first_seq) = self.segment_of(seq).ok_or_else(|| missing(seq))?;
        let name = segment_name(Kind::Command, segment);
        match self.map(&name, seq)?.1 {
            HeaderState::Valid(header) => Ok(CommandStart {
                segment,
                first_seq,
                chain: header.chain,
            }),
            HeaderState::Blank | HeaderState::Bad => Err(no_header(&name, seq)),
        }
    }

    /// The segment known that holds, or will hold, this sequence, and its first one.
    fn segment_of(&self, seq: Seq) -> Option<(SegmentNumber, Seq)> {
        let after = self.index.partition_point(|(_, first)| *first <= seq);
        after.checked_sub(1).map(|place| self.index[place])
    }

    /// The next command's frame, if it is not beyond `durable`: the last sequence that the caller knows to be
    /// synced (the writer's, or the report's of recovery). `None` when it is.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the journal does not hold what it should; [`Error::Io`].
    pub fn next_command(&mut self, durable: Seq) -> Result<Option<&[u8]>, Error> {
        if self.next > durable {
            return Ok(None);
        }
        let seq = self.next;
        self.stand_before(seq)?;
        let open = self.open.as_mut().expect("stand_before opened a segment");
        let rest = open.map.bytes(open.frame..open.frames_end);
        let Some(frame) = first_of(rest, COMMAND_FRAME_MAX).filter(|frame| seq_of(frame) == seq) else {
            return Err(Error::corrupt(
                &open.name,
                (wide(open.frame), seq),
                "the frame of this sequence is not here",
            ));
        };
        open.frame += frame.len();
        self.next = seq.next();
        Ok(Some(frame))
    }

    /// Makes the frame of `seq`, which is durable, the current one.
    fn stand_before(&mut self, seq: Seq) -> Result<(), Error> {
        if self.open.is_none() {
            self.open_segment_of(seq)?;
        }
        loop {
            let open = self.open.as_mut().expect("a segment is open");
            if open.frame < open.frames_end {
                let rest = open.map.bytes(open.frame..open.frames_end);
                match first_of(rest, COMMAND_FRAME_MAX) {
                    Some(frame) if seq_of(frame) < seq => open.frame += frame.len(),
                    Some(_) | None => return Ok(()),
                }
            } else if !open.enter_batch(self.verify, seq)? {
                let (number, chain) = (open.number.next(), open.chain);
                let expected = (self.verify == Verify::Chain).then_some(chain);
                self.open_segment(number, expected, seq)?;
            }
        }
    }

    fn open_segment_of(&mut self, seq: Seq) -> Result<(), Error> {
        self.extend_index()?;
        let (number, _) = self.segment_of(seq).ok_or_else(|| missing(seq))?;
        self.open_segment(number, None, seq)
    }

    fn open_segment(
        &mut self,
        number: SegmentNumber,
        chain: Option<ChainHash>,
        seq: Seq,
    ) -> Result<(), Error> {
        let name = segment_name(Kind::Command, number);
        let (map, state) = self.map(&name, seq)?;
        let HeaderState::Valid(header) = state else {
            return Err(no_header(&name, seq));
        };
        let continues = chain.is_none_or(|chain| chain == header.chain && header.first_seq == seq);
        if header.number != number || !continues {
            return Err(Error::corrupt(
                &name,
                (0, seq),
                "the segment does not continue the one before",
            ));
        }
        let block = narrow(u64::from(header.block));
        let (frame, frames_end, batch) = (block, block, block);
        self.open = Some(OpenSegment {
            name,
            number,
            map,
            block,
            frame,
            frames_end,
            batch,
            chain: header.chain,
        });
        Ok(())
    }

    /// Reads the headers of segments that were begun since the last look.
    fn extend_index(&mut self) -> Result<(), Error> {
        let place = self.storage.place().to_owned();
        let names = self
            .storage
            .list()
            .map_err(|e| Error::io(&place, "listing", (0, Seq::ZERO), e))?;
        let known = self.index.last().map(|(number, _)| *number);
        let folder = survey(Kind::Command, SegmentNumber(0), &names)?;
        let after = known
            .map(SegmentNumber::next)
            .or_else(|| folder.segments.first().copied());
        for number in folder
            .segments
            .into_iter()
            .filter(|number| after.is_some_and(|after| *number >= after))
        {
            let name = segment_name(Kind::Command, number);
            let (_, state) = self.map(&name, Seq::ZERO)?;
            match state {
                HeaderState::Valid(header) => self.index.push((number, header.first_seq)),
                HeaderState::Blank | HeaderState::Bad => break,
            }
        }
        Ok(())
    }

    fn map(&self, name: &str, seq: Seq) -> Result<(Map, HeaderState), Error> {
        let file = self.storage.open(name, Access::ReadOnly);
        let map = file
            .and_then(|file| file.map())
            .map_err(|e| Error::io(name, "mapping", (0, seq), e))?;
        map.will_read_in_order();
        let state = SegmentHeader::read(name, map.bytes(0..map.length().min(super::layout::BLOCK_MAX)))?;
        Ok((map, state))
    }
}

fn missing(seq: Seq) -> Error {
    let number = SegmentNumber::FIRST;
    let file = segment_name(Kind::Command, number);
    Error::MissingSegment { file, number, seq }
}

fn no_header(name: &str, seq: Seq) -> Error {
    let what = "the segment that should hold this sequence has no header";
    Error::corrupt(name, (0, seq), what)
}

impl OpenSegment {
    /// Goes to the next batch that may hold `seq`; `false` when the segment holds no further batch.
    fn enter_batch(&mut self, verify: Verify, seq: Seq) -> Result<bool, Error> {
        let at = self.batch;
        // Only what was durable before may be looked at: the header first, then as much as it announces.
        let head = self
            .map
            .bytes(at.min(self.map.length())..(at + BATCH_HEADER).min(self.map.length()));
        let Some(header) =
            BatchHeader::claimed(head).filter(|h| h.segment == self.number && h.offset == wide(at))
        else {
            return Ok(false);
        };
        let fault = |what| Error::corrupt(&self.name, (wide(at), seq), what);
        if header.first_seq > seq || self.map.length() < at + header.padded(self.block) {
            return Err(fault("the batch here is not the one that should follow"));
        }
        let rest = self.map.bytes(at..at + header.padded(self.block));
        if verify != Verify::Order && BatchHeader::intact(rest, self.block).is_none() {
            return Err(fault("the checksum of the batch does not hold"));
        }
        if verify == Verify::Chain && !header.follows(rest, self.chain) {
            return Err(fault("the chain does not continue from the batch before"));
        }
        self.chain = header.chain;
        self.batch = at + header.padded(self.block);
        let begins = at + BATCH_HEADER;
        let holds = header.last_seq().is_some_and(|last| last >= seq);
        self.frames_end = begins + narrow(u64::from(header.payload));
        self.frame = if holds { begins } else { self.frames_end };
        Ok(true)
    }
}
