//! Bytes of a command segment: the header block and the batches after it.

use crate::bytes::{all_zero, array_at, narrow, put, short, u32_at, u64_at, wide};
use crate::checksum::{chain_after, chain_origin, crc32c};
use crate::{ChainHash, Error, JournalId, SegmentNumber, Seq};

/// Version of the format of command segments. It moves with every change of the bytes below.
pub const COMMAND_FORMAT: u32 = 1;

/// First bytes of a command segment.
const SEGMENT_MAGIC: [u8; 8] = *b"XQCMDSEG";
/// First bytes of a batch.
const BATCH_MAGIC: [u8; 4] = *b"XQB1";

/// The header block of a segment: one block, zeros after the fields.
///
/// ```text
///  0          8       12       16               32        40        48        56              88       92     block
///  ├──────────┼────────┼────────┼────────────────┼─────────┼─────────┼─────────┼───────────────┼────────┼────────┤
///  │ XQCMDSEG │ CRC32C │version │   journal id   │ segment │ segment │  first  │ chain carried │ block  │ zeros  │
///  │          │        │        │                │ number  │  size   │   seq   │      in       │  size  │        │
///           sum of everything from byte 12 to the end of the block ──────────────────────────────────────────────
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: JournalId,
    pub(crate) number: SegmentNumber,
    pub(crate) segment_size: u64,
    pub(crate) first_seq: Seq,
    pub(crate) chain: ChainHash,
    pub(crate) block: u32,
}

/// Smallest block, bytes: what disks have promised to write whole for ever.
pub(crate) const BLOCK_MIN: usize = 512;
/// Largest block, bytes.
pub(crate) const BLOCK_MAX: usize = 4096;

/// What the first block of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderState {
    /// Only zeros: prepared and not yet used.
    Blank,
    /// Neither zeros nor valid: torn, or damaged.
    Bad,
    /// Valid.
    Valid(SegmentHeader),
}

impl SegmentHeader {
    /// Writes the header into its block, which is zero.
    pub(crate) fn write(&self, block: &mut [u8]) {
        assert_eq!(
            wide(block.len()),
            u64::from(self.block),
            "the header fills one block"
        );
        put(block, 0, &SEGMENT_MAGIC);
        put(block, 12, &COMMAND_FORMAT.to_le_bytes());
        put(block, 16, &self.id.0);
        put(block, 32, &self.number.0.to_le_bytes());
        put(block, 40, &self.segment_size.to_le_bytes());
        put(block, 48, &self.first_seq.0.to_le_bytes());
        put(block, 56, &self.chain.0);
        put(block, 88, &self.block.to_le_bytes());
        let sum = crc32c(&block[12..]);
        put(block, 8, &sum.to_le_bytes());
    }

    /// Reads the header of a segment.
    ///
    /// # Errors
    /// [`Error::NewerVersion`]: told apart before the checksum, whose place a later version may have moved.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<HeaderState, Error> {
        let Some(head) = bytes.get(..BLOCK_MIN) else {
            return Ok(HeaderState::Bad);
        };
        if head[..8] != SEGMENT_MAGIC {
            return Ok(if all_zero(head) {
                HeaderState::Blank
            } else {
                HeaderState::Bad
            });
        }
        let version = u32_at(head, 12);
        if version > COMMAND_FORMAT {
            return Err(Error::NewerVersion {
                file: name.to_owned(),
                found: version,
                supported: COMMAND_FORMAT,
            });
        }
        let block = narrow(u64::from(u32_at(head, 88)));
        let valid = version == COMMAND_FORMAT
            && is_block_size(block)
            && bytes.len() >= block
            && crc32c(&bytes[12..block]) == u32_at(head, 8);
        if !valid {
            return Ok(HeaderState::Bad);
        }
        Ok(HeaderState::Valid(Self {
            id: JournalId(array_at(head, 16)),
            number: SegmentNumber(u64_at(head, 32)),
            segment_size: u64_at(head, 40),
            first_seq: Seq(u64_at(head, 48)),
            chain: ChainHash(array_at(head, 56)),
            block: u32_at(head, 88),
        }))
    }
}

/// Whether batches can be padded to this.
pub(crate) fn is_block_size(block: usize) -> bool {
    block.is_power_of_two() && (BLOCK_MIN..=BLOCK_MAX).contains(&block)
}

/// The chain before the first batch of a journal.
pub(crate) fn command_chain_origin(id: JournalId) -> ChainHash {
    chain_origin(b"XQCMDSEG", id)
}

/// Bytes of a batch's header.
pub(crate) const BATCH_HEADER: usize = 72;

/// The header of a batch; the frames follow it, then zeros up to the block.
///
/// ```text
///  0      4        8         16        24        32       36         40              72
///  ├──────┼────────┼─────────┼─────────┼─────────┼────────┼──────────┼───────────────┼────────┬───────┬─────────┐
///  │ XQB1 │ CRC32C │ segment │ offset  │  first  │ count  │ bytes of │ chain         │ frame  │ frame │ padding │
///  │      │        │ number  │ in file │   seq   │        │ frames   │               │        │ …     │ zeros   │
///         sum of everything from byte 8 to the end of the padding ───────────────────────────────────────────────
///                  chain = SHA-256(chain before ‖ bytes 8 to 40 ‖ frames)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) segment: SegmentNumber,
    pub(crate) offset: u64,
    pub(crate) first_seq: Seq,
    pub(crate) count: u32,
    pub(crate) payload: u32,
    pub(crate) chain: ChainHash,
}

impl BatchHeader {
    /// Completes a batch whose frames stand after the space for the header: fields, chain, checksum.
    /// `bytes` is the whole padded batch, its padding zero. Returns the chain after it.
    pub(crate) fn seal(mut self, bytes: &mut [u8], before: ChainHash) -> ChainHash {
        put(bytes, 0, &BATCH_MAGIC);
        put(bytes, 8, &self.segment.0.to_le_bytes());
        put(bytes, 16, &self.offset.to_le_bytes());
        put(bytes, 24, &self.first_seq.0.to_le_bytes());
        put(bytes, 32, &self.count.to_le_bytes());
        put(bytes, 36, &self.payload.to_le_bytes());
        self.chain = chain_after(before, [&bytes[8..40], self.frames(bytes)]);
        put(bytes, 40, &self.chain.0);
        let sum = crc32c(&bytes[8..]);
        put(bytes, 4, &sum.to_le_bytes());
        self.chain
    }

    /// The fields, whatever they are worth: for the readers, and for reports of torn batches.
    pub(crate) fn claimed(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..BATCH_HEADER)?;
        (head[..4] == BATCH_MAGIC).then(|| Self {
            segment: SegmentNumber(u64_at(head, 8)),
            offset: u64_at(head, 16),
            first_seq: Seq(u64_at(head, 24)),
            count: u32_at(head, 32),
            payload: u32_at(head, 36),
            chain: ChainHash(array_at(head, 40)),
        })
    }

    /// A batch at the start of `bytes` whose checksum holds. Whether it belongs there is for the caller to ask.
    pub(crate) fn intact(bytes: &[u8], block: usize) -> Option<Self> {
        let header = Self::claimed(bytes)?;
        let padded = bytes.get(..header.padded(block))?;
        if header.count == 0 || header.payload == 0 {
            return None;
        }
        (crc32c(&padded[8..]) == u32_at(padded, 4)).then_some(header)
    }

    /// Length of the batch on disk, bytes.
    pub(crate) fn padded(&self, block: usize) -> usize {
        (BATCH_HEADER + narrow(u64::from(self.payload))).next_multiple_of(block)
    }

    /// The frames of the batch that starts `bytes`.
    pub(crate) fn frames<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[BATCH_HEADER..BATCH_HEADER + narrow(u64::from(self.payload))]
    }

    /// Whether the chain in the header follows from the one before.
    pub(crate) fn follows(&self, bytes: &[u8], before: ChainHash) -> bool {
        chain_after(before, [&bytes[8..40], self.frames(bytes)]) == self.chain
    }

    /// The last sequence of the batch; `None` when the claimed numbers overflow.
    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.first_seq
            .0
            .checked_add(u64::from(self.count))?
            .checked_sub(1)
            .map(Seq)
    }
}

/// Sizes and identity of a journal, as its first header fixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) id: JournalId,
    pub(crate) segment_size: u64,
    pub(crate) block: usize,
}

impl Shape {
    /// The header a segment gets when its first batch is written.
    pub(crate) fn header(&self, number: SegmentNumber, first_seq: Seq, chain: ChainHash) -> SegmentHeader {
        let (id, segment_size, block) = (self.id, self.segment_size, short(self.block));
        SegmentHeader {
            id,
            number,
            segment_size,
            first_seq,
            chain,
            block,
        }
    }
}
