//! Bytes of an event segment: header, epoch table, and records back to back.

use crate::bytes::{all_zero, array_at, put, u16_at, u32_at, u64_at};
use crate::checksum::{chain_origin, crc32c};
use crate::frame::{EVENT_FRAME_MAX, first_of};
use crate::{ChainHash, Error, EventCursor, JournalId, SegmentNumber, Seq};

/// Version of the format of event segments. It moves with every change of the bytes below.
pub const EVENT_FORMAT: u32 = 2;
/// Commands in an epoch: commands 1 to 1,024 are the first.
pub const EPOCH_COMMANDS: u64 = 1024;

/// First bytes of an event segment.
const SEGMENT_MAGIC: [u8; 8] = *b"XQEVTSEG";

/// Bytes of the header's fields; the epoch table follows.
pub(crate) const HEADER: usize = 128;

/// The header of an event segment.
///
/// ```text
///  0          8       12       16               32        40        48      56      58   64              96     128
///  ├──────────┼────────┼────────┼────────────────┼─────────┼─────────┼───────┼───────┼────┼───────────────┼──────┤
///  │ XQEVTSEG │ CRC32C │version │   journal id   │ segment │ segment │ first │ first │zero│ chain after   │zeros │
///  │          │        │        │                │ number  │  size   │  seq  │ index │    │ closed epochs │      │
///           sum of bytes 12 to 128 ────────────────────────────────────────────────────────────────────────────────
///  128: epoch table, u32 each: offset of the first record of each epoch that starts in this segment, 0 for none
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventSegmentHeader {
    pub(crate) id: JournalId,
    pub(crate) number: SegmentNumber,
    pub(crate) segment_size: u64,
    pub(crate) first: EventCursor,
    pub(crate) chain: ChainHash,
}

/// What the start of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventHeaderState {
    /// Zeros: prepared, not used, or not yet on the disk.
    Blank,
    /// Torn or damaged: the events are made again from here.
    Bad,
    /// Valid.
    Valid(EventSegmentHeader),
}

impl EventSegmentHeader {
    /// The header as bytes.
    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        put(&mut bytes, 0, &SEGMENT_MAGIC);
        put(&mut bytes, 12, &EVENT_FORMAT.to_le_bytes());
        put(&mut bytes, 16, &self.id.0);
        put(&mut bytes, 32, &self.number.0.to_le_bytes());
        put(&mut bytes, 40, &self.segment_size.to_le_bytes());
        put(&mut bytes, 48, &self.first.seq.0.to_le_bytes());
        put(&mut bytes, 56, &self.first.index.to_le_bytes());
        put(&mut bytes, 64, &self.chain.0);
        let sum = crc32c(&bytes[12..]);
        put(&mut bytes, 8, &sum.to_le_bytes());
        bytes
    }

    /// Reads the header of a segment.
    ///
    /// # Errors
    /// [`Error::NewerVersion`], told apart before the checksum.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<EventHeaderState, Error> {
        let Some(head) = bytes.get(..HEADER) else {
            return Ok(EventHeaderState::Bad);
        };
        if head[..8] != SEGMENT_MAGIC {
            return Ok(if all_zero(head) {
                EventHeaderState::Blank
            } else {
                EventHeaderState::Bad
            });
        }
        let version = u32_at(head, 12);
        if version > EVENT_FORMAT {
            return Err(Error::NewerVersion {
                file: name.to_owned(),
                found: version,
                supported: EVENT_FORMAT,
            });
        }
        if version != EVENT_FORMAT || crc32c(&head[12..]) != u32_at(head, 8) {
            return Ok(EventHeaderState::Bad);
        }
        Ok(EventHeaderState::Valid(Self {
            id: JournalId(array_at(head, 16)),
            number: SegmentNumber(u64_at(head, 32)),
            segment_size: u64_at(head, 40),
            first: EventCursor {
                seq: Seq(u64_at(head, 48)),
                index: u16_at(head, 56),
            },
            chain: ChainHash(array_at(head, 64)),
        }))
    }

    /// The epoch, counted from 0, that the first slot of the table is for: the first to start in this segment.
    pub(crate) fn first_epoch(&self) -> u64 {
        let before = self.first.seq.0.saturating_sub(1);
        if self.first.index == 0 {
            before.div_ceil(EPOCH_COMMANDS)
        } else {
            before / EPOCH_COMMANDS + 1
        }
    }
}

/// The epoch that a command belongs to, counted from 0.
pub(crate) fn epoch_of(seq: Seq) -> u64 {
    seq.0.saturating_sub(1) / EPOCH_COMMANDS
}

/// Whether a command is the first of its epoch.
pub(crate) fn starts_epoch(seq: Seq) -> bool {
    seq.0 % EPOCH_COMMANDS == 1
}

/// Whether a command is the last of its epoch.
pub(crate) fn ends_epoch(seq: Seq) -> bool {
    seq.0.is_multiple_of(EPOCH_COMMANDS)
}

/// The chain before the first event.
pub(crate) fn event_chain_origin(id: JournalId) -> ChainHash {
    chain_origin(b"XQEVTSEG", id)
}

/// Slots of the epoch table of a segment: as many epochs as could start in it, each of 1,024 commands with one
/// event of 40 bytes and a check of 8.
pub(crate) fn table_slots(segment_size: usize) -> usize {
    segment_size / (1024 * (40 + CHECK)) + 1
}

/// Offset of a slot of the epoch table.
pub(crate) fn slot_at(slot: usize) -> usize {
    HEADER + 4 * slot
}

/// Offset of the first record of a segment.
pub(crate) fn records_at(segment_size: usize) -> usize {
    (HEADER + 4 * table_slots(segment_size)).next_multiple_of(64)
}

/// Bytes of a command check.
pub(crate) const CHECK: usize = 8;
/// Bytes of an epoch record.
pub(crate) const EPOCH: usize = 64;
/// A segment takes no further event once less than this is left: the longest event, its check and an epoch
/// record always fit behind each other, so that what closes a command stands in the segment of its last event.
pub(crate) const ROOM: usize = EVENT_FRAME_MAX + CHECK + EPOCH;

const CHECK_TAG: u16 = 0xFFFE;
const EPOCH_TAG: u16 = 0xFFFF;

/// The check that follows the last event of every command.
///
/// ```text
///  0        2        4            8
///  ├────────┼────────┼────────────┤
///  │ 0xFFFE │  zero  │   CRC32C   │   of all event bytes of this command
/// ```
///
/// The tag stands where a frame has the length of its body, which is at most 88.
pub(crate) fn check_bytes(sum: u32) -> [u8; CHECK] {
    let mut bytes = [0; CHECK];
    put(&mut bytes, 0, &CHECK_TAG.to_le_bytes());
    put(&mut bytes, 4, &sum.to_le_bytes());
    bytes
}

/// The record that follows the check of every 1,024th command.
///
/// ```text
///  0        2        4            8           16          24          32                                 64
///  ├────────┼────────┼────────────┼───────────┼───────────┼───────────┼───────────────────────────────────┤
///  │ 0xFFFF │  zero  │   CRC32C   │ first seq │ last seq  │  events   │ chain = BLAKE3(key = chain        │
///  │        │        │ of 8 to 64 │           │           │ in epoch  │ before, all events of the epoch)  │
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochRecord {
    pub(crate) last_seq: Seq,
    pub(crate) events: u64,
    pub(crate) chain: ChainHash,
}

impl EpochRecord {
    pub(crate) fn to_bytes(self) -> [u8; EPOCH] {
        assert!(
            ends_epoch(self.last_seq),
            "an epoch ends after every 1,024th command"
        );
        let mut bytes = [0; EPOCH];
        put(&mut bytes, 0, &EPOCH_TAG.to_le_bytes());
        put(
            &mut bytes,
            8,
            &(self.last_seq.0 - (EPOCH_COMMANDS - 1)).to_le_bytes(),
        );
        put(&mut bytes, 16, &self.last_seq.0.to_le_bytes());
        put(&mut bytes, 24, &self.events.to_le_bytes());
        put(&mut bytes, 32, &self.chain.0);
        let sum = crc32c(&bytes[8..]);
        put(&mut bytes, 4, &sum.to_le_bytes());
        bytes
    }
}

/// One record of an event segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record<'a> {
    /// A frame.
    Event(&'a [u8]),
    /// The checksum of the command before.
    Check(u32),
    /// The end of an epoch, its own checksum verified.
    Epoch(EpochRecord),
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`; `None` for zeros and for what is no record.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..CHECK)?;
        match u16_at(head, 0) {
            CHECK_TAG => (u16_at(head, 2) == 0).then(|| Self::Check(u32_at(head, 4))),
            EPOCH_TAG => Self::read_epoch(bytes.get(..EPOCH)?),
            _ if u64_at(head, 0) == 0 => None,
            _ => first_of(bytes, EVENT_FRAME_MAX).map(Self::Event),
        }
    }

    fn read_epoch(bytes: &[u8]) -> Option<Self> {
        let last_seq = Seq(u64_at(bytes, 16));
        let record = EpochRecord {
            last_seq,
            events: u64_at(bytes, 24),
            chain: ChainHash(array_at(bytes, 32)),
        };
        (ends_epoch(last_seq) && last_seq.0 > 0 && record.to_bytes() == bytes).then_some(Self::Epoch(record))
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Event(frame) => frame.len(),
            Self::Check(_) => CHECK,
            Self::Epoch(_) => EPOCH,
        }
    }
}
