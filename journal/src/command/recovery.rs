//! Recovery of the command journal: `UnrecoveredJournal` → `CommandJournal`.

use super::layout::{Shape, is_block_size};
use super::scan::{Cut, Expectation, Scan, Segment, Tail, View, scan};
use super::writer::CommandJournal;
use crate::bytes::{narrow, wide};
use crate::memory::{AlignedBuffer, Map, PAGE};
use crate::names::{Kind, segment_name, survey};
use crate::pool::{Prepared, SegmentPool};
use crate::storage::{Access, Storage, StorageFile};
use crate::{ChainHash, CommandStart, Error, JournalId, SegmentNumber, Seq, Witness};
use std::sync::Arc;

/// Sizes of a command journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// Bytes of a segment: at least 32 KiB, at most 1 GiB, a multiple of 4,096. Fixed by a journal's first
    /// segment; later values only matter to new journals.
    pub segment_size: u64,
    /// Bytes that batches are padded to: a power of two from 512 to 4,096. Fixed like the segment size.
    /// Below the disk's physical sector an acknowledged batch may share a sector with the one being written.
    pub block: usize,
    /// Most bytes of frames in one batch.
    pub batch_bytes: usize,
    /// Segments that the pool keeps ready.
    pub prepared_segments: usize,
    /// Where reading begins, when a snapshot covers what came before; what stands there is left alone.
    pub start: Option<CommandStart>,
    /// The journal it must be, when that is known.
    pub expected_id: Option<JournalId>,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            block: 4096,
            batch_bytes: 1 << 20,
            prepared_segments: 2,
            start: None,
            expected_id: None,
        }
    }
}

impl CommandSettings {
    fn check(&self) -> Result<(), Error> {
        let refuse = |what| Err(Error::Settings { what });
        if !is_block_size(self.block) {
            return refuse("block must be a power of two from 512 to 4096 bytes");
        }
        let whole = self.segment_size.is_multiple_of(wide(PAGE));
        if !whole || !(32 << 10..=1 << 30).contains(&self.segment_size) {
            return refuse("segment_size must be a multiple of 4096 from 32 KiB to 1 GiB");
        }
        if !(4 << 10..=64 << 20).contains(&self.batch_bytes) {
            return refuse("batch_bytes must lie between 4 KiB and 64 MiB");
        }
        Ok(())
    }

    /// The oldest segment that is read.
    fn first_segment(&self) -> SegmentNumber {
        self.start.map_or(SegmentNumber::FIRST, |start| start.segment)
    }
}

/// A segment file that nobody has looked into yet.
#[derive(Debug)]
pub struct UnrecoveredSegment {
    name: String,
    number: SegmentNumber,
    map: Map,
}

/// A command journal as it was found: it can be inspected, or recovered, and nothing else.
#[derive(Debug)]
pub struct UnrecoveredJournal {
    storage: Arc<dyn Storage>,
    settings: CommandSettings,
    segments: Vec<UnrecoveredSegment>,
    released: Vec<String>,
}

/// What recovery found, and what it gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReport {
    /// The journal's name; `None` while nothing was ever written.
    pub id: Option<JournalId>,
    /// Segments that hold commands.
    pub segments: Vec<Segment>,
    /// The last command, 0 when there is none. All up to it are durable.
    pub last_seq: Seq,
    /// Time in the last command's header, nanoseconds UTC; 0 when there is none.
    pub last_time_ns: u64,
    /// Chain value after the last batch.
    pub chain: ChainHash,
    /// What was, or would be, cut.
    pub cuts: Vec<Cut>,
}

impl CommandReport {
    fn of(scan: &Scan) -> Self {
        Self {
            id: scan.shape.map(|shape| shape.id),
            segments: scan.segments.clone(),
            last_seq: scan.last_seq,
            last_time_ns: scan.last_time_ns,
            chain: scan.chain,
            cuts: scan.cuts.clone(),
        }
    }
}

impl CommandReport {
    /// The files that hold the commands, and how many bytes of each do.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let file = |segment: &Segment| (segment_name(Kind::Command, segment.number), segment.end);
        self.segments.iter().map(file).collect()
    }
}

impl UnrecoveredJournal {
    /// Lists and maps the segments of a folder. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Settings`], [`Error::Stray`], [`Error::WrongSize`] for an empty file, or [`Error::Io`].
    pub fn open(storage: Arc<dyn Storage>, settings: CommandSettings) -> Result<Self, Error> {
        settings.check()?;
        let names = storage
            .list()
            .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
        let folder = survey(Kind::Command, SegmentNumber::FIRST, &names)?;
        let mut segments = Vec::with_capacity(folder.segments.len());
        let first = settings.first_segment();
        for number in folder.segments.into_iter().filter(|number| *number >= first) {
            let name = segment_name(Kind::Command, number);
            let io = |source| Error::io(&name, "mapping", (0, Seq::ZERO), source);
            let file = storage.open(&name, Access::ReadOnly).map_err(io)?;
            if file.size().map_err(io)? == 0 {
                return Err(Error::WrongSize {
                    file: name,
                    found: 0,
                    expected: settings.segment_size,
                });
            }
            let map = file.map().map_err(io)?;
            map.will_read_in_order();
            segments.push(UnrecoveredSegment { name, number, map });
        }
        Ok(Self {
            storage,
            settings,
            segments,
            released: folder.released,
        })
    }

    /// Verifies everything and says what [`UnrecoveredJournal::recover`] would do. Changes nothing.
    ///
    /// # Errors
    /// Everything that recovery refuses.
    pub fn inspect(&self, witnesses: &[Witness]) -> Result<CommandReport, Error> {
        self.scan(witnesses, Tail::AtRest)
            .map(|scan| CommandReport::of(&scan))
    }

    /// Verifies what is there while a writer may be at work, and reports commands up to `durable` only: the last that
    /// the caller knows to be synced. Nothing is said of what stands behind the last intact batch, and chain and
    /// segments are those that were seen, which may reach further. Changes nothing.
    ///
    /// # Errors
    /// Everything that recovery refuses of the intact part; [`Error::Witnessed`] when it ends before `durable`.
    pub fn inspect_beside_writer(&self, durable: Seq) -> Result<CommandReport, Error> {
        let witness = Witness {
            seq: durable,
            what: "an event",
        };
        let mut report = CommandReport::of(&self.scan(&[witness], Tail::Moving)?);
        assert!(report.last_seq >= durable, "the witness was heard");
        report.last_seq = durable;
        Ok(report)
    }

    /// Verifies everything, cuts a torn last batch if no witness names a command in it, and makes the journal
    /// ready to be written. A journal without a segment is begun under the name `fresh_id`.
    ///
    /// Why a crash here is safe: the only change is that bytes after the last intact batch become zero. Among
    /// them no batch is valid, and zeroing some of them makes none valid, so whoever recovers next decides the same.
    ///
    /// # Errors
    /// Everything that recovery refuses; [`Error::Io`] of cutting and of syncing.
    pub fn recover(
        self,
        witnesses: &[Witness],
        fresh_id: JournalId,
    ) -> Result<(CommandJournal, CommandReport), Error> {
        let scan = self.scan(witnesses, Tail::AtRest)?;
        for cut in &scan.cuts {
            self.erase(cut, scan.last_seq)?;
        }
        self.sync_found(&scan)?;
        let report = CommandReport::of(&scan);
        let fresh = Shape {
            id: self.settings.expected_id.unwrap_or(fresh_id),
            segment_size: self.settings.segment_size,
            block: self.settings.block,
        };
        let shape = scan.shape.filter(|_| !scan.segments.is_empty()).unwrap_or(fresh);
        let journal = self.into_writer(&scan, shape)?;
        assert_eq!(
            journal.durable(),
            report.last_seq,
            "the writer goes on where the journal ends"
        );
        Ok((journal, report))
    }

    fn scan(&self, witnesses: &[Witness], tail: Tail) -> Result<Scan, Error> {
        let views: Vec<View<'_>> = self
            .segments
            .iter()
            .map(|segment| View {
                name: &segment.name,
                number: segment.number,
                bytes: segment.map.whole(),
            })
            .collect();
        let expect = Expectation {
            id: self.settings.expected_id,
            first: self.settings.first_segment(),
            start: self.settings.start,
            fresh_size: self.settings.segment_size,
            witnesses,
            tail,
        };
        scan(&views, &expect)
    }

    /// Zeroes what was cut, and syncs.
    fn erase(&self, cut: &Cut, last: Seq) -> Result<(), Error> {
        let io = |source| {
            Error::io(
                &cut.file,
                "erasing a torn batch",
                (cut.offset, last.next()),
                source,
            )
        };
        let file = self.storage.open(&cut.file, Access::Direct).map_err(io)?;
        // The cut begins at a block boundary and is followed by zeros, so that it may be rounded up to what any
        // device takes.
        let end = (cut.offset + cut.bytes).next_multiple_of(wide(PAGE));
        let zeros = AlignedBuffer::new(1 << 20);
        let mut at = cut.offset;
        while at < end {
            let length = narrow(end - at).min(zeros.len());
            file.write_at(at, &zeros[..length]).map_err(io)?;
            at += wide(length);
        }
        file.sync().map_err(io)
    }

    /// Syncs what was found. A process that was killed between a write and its sync leaves an intact batch that only
    /// the page cache has, and from here on it is called durable. It is the last batch, since one is synced before
    /// the next is written.
    fn sync_found(&self, scan: &Scan) -> Result<(), Error> {
        let Some(last) = scan.segments.last() else {
            return Ok(());
        };
        let name = segment_name(Kind::Command, last.number);
        let file = self.storage.open(&name, Access::Direct);
        file.and_then(|file| file.sync()).map_err(|e| {
            Error::io(
                &name,
                "syncing what was found",
                (last.end, last.last_seq.next()),
                e,
            )
        })
    }

    fn into_writer(self, scan: &Scan, shape: Shape) -> Result<CommandJournal, Error> {
        let used = scan.segments.len();
        let next = SegmentNumber(self.settings.first_segment().0 + wide(used));
        let (storage, target) = (self.storage, self.settings.prepared_segments);
        let pool = SegmentPool::new(
            Arc::clone(&storage),
            Kind::Command,
            shape.segment_size,
            target,
            next,
        );
        let open = |name: &str| -> Result<Arc<dyn StorageFile>, Error> {
            let file = storage.open(name, Access::Direct);
            Ok(file
                .map_err(|e| Error::io(name, "opening", (0, Seq::ZERO), e))?
                .into())
        };
        let mut prepared = Vec::new();
        for segment in self.segments.iter().skip(used) {
            let file = open(&segment.name)?;
            prepared.push(Prepared {
                number: segment.number,
                name: segment.name.clone(),
                file,
                map: None,
            });
        }
        pool.adopt(prepared, self.released);
        let current = match scan.segments.last() {
            Some(last) => {
                let name = segment_name(Kind::Command, last.number);
                let file = open(&name)?;
                (
                    Prepared {
                        number: last.number,
                        name,
                        file,
                        map: None,
                    },
                    last.end,
                )
            }
            None => (pool.take()?, 0),
        };
        let buffer =
            AlignedBuffer::new(shape.block + self.settings.batch_bytes.next_multiple_of(PAGE) + PAGE);
        Ok(CommandJournal::new(
            Arc::new(pool),
            shape,
            current,
            (scan.last_seq, scan.chain),
            buffer,
        ))
    }
}

/// Judges the bytes of one segment alone, as recovery would: for tests that damage thousands of copies, and for
/// looking at a file that stands outside its folder.
///
/// # Errors
/// Everything that recovery refuses.
pub fn inspect_image(image: &[u8], number: u64, witnesses: &[Witness]) -> Result<CommandReport, Error> {
    let number = SegmentNumber(number);
    let name = segment_name(Kind::Command, number);
    let view = View {
        name: &name,
        number,
        bytes: image,
    };
    let expect = Expectation {
        id: None,
        first: number,
        start: None,
        fresh_size: wide(image.len()),
        witnesses,
        tail: Tail::AtRest,
    };
    scan(&[view], &expect).map(|scan| CommandReport::of(&scan))
}
