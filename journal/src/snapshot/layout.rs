//! Bytes of a snapshot: header, sections back to back, seal.

use crate::bytes::{array_at, put, u32_at, u64_at};
use crate::checksum::crc32c;
use crate::{ChainHash, CommandStart, Error, EventStart, JournalId, SegmentNumber, Seq, Start};

/// Version of the format of snapshots. It moves with every change of the bytes below, and of what sections hold.
pub const SNAPSHOT_FORMAT: u32 = 2;

const MAGIC: [u8; 8] = *b"XQSNAPSH";
const SECTION_MAGIC: [u8; 4] = *b"XQS1";
const SEAL_MAGIC: [u8; 8] = *b"XQSNSEAL";

/// Bytes of the header.
pub(crate) const HEAD: usize = 256;
/// Bytes of a section's header.
pub(crate) const SECTION_HEAD: usize = 32;
/// Sections are padded to a multiple of this.
pub(crate) const ALIGN: usize = 64;
/// Bytes of the seal.
pub(crate) const SEAL: usize = 64;
/// Longest section, bytes.
pub(crate) const SECTION_MAX: usize = 64 << 20;

/// What a snapshot says of itself.
///
/// ```text
///  0          8       12       16               32     40         48        56              88       96     104
///  ├──────────┼────────┼────────┼────────────────┼──────┼─────────┼─────────┼───────────────┼────────┼──────┼────
///  │ XQSNAPSH │ CRC32C │version │   journal id   │ last │ command │  first  │ chain carried │ event  │offset│ …
///  │          │        │        │                │ seq  │ segment │   seq   │      in       │segment │      │
///  104             136        144       256
///  ┼───────────────┼──────────┼─────────┤
///  │ chain after   │ time of  │  zeros  │   the sum is of everything from byte 12 to 256
///  │ closed epochs │ last seq │         │
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The journal.
    pub id: JournalId,
    /// The last command that the state covers, and where the journals go on.
    pub start: Start,
    /// Time in that command's header, nanoseconds UTC.
    pub time_ns: u64,
}

impl SnapshotHead {
    pub(crate) fn to_bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let Start {
            seq,
            commands,
            events,
        } = self.start;
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 12, &SNAPSHOT_FORMAT.to_le_bytes());
        put(&mut bytes, 16, &self.id.0);
        put(&mut bytes, 32, &seq.0.to_le_bytes());
        put(&mut bytes, 40, &commands.segment.0.to_le_bytes());
        put(&mut bytes, 48, &commands.first_seq.0.to_le_bytes());
        put(&mut bytes, 56, &commands.chain.0);
        put(&mut bytes, 88, &events.segment.0.to_le_bytes());
        put(&mut bytes, 96, &events.offset.to_le_bytes());
        put(&mut bytes, 104, &events.chain.0);
        put(&mut bytes, 136, &self.time_ns.to_le_bytes());
        let sum = crc32c(&bytes[12..]);
        put(&mut bytes, 8, &sum.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`Error::NewerVersion`], told apart before the checksum; [`Error::Corrupt`].
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let fault = |what| Error::corrupt(name, (0, Seq::ZERO), what);
        let head = bytes
            .get(..HEAD)
            .ok_or_else(|| fault("it is shorter than its header"))?;
        if head[..8] != MAGIC {
            return Err(fault("it does not begin as a snapshot"));
        }
        let version = u32_at(head, 12);
        if version > SNAPSHOT_FORMAT {
            return Err(Error::NewerVersion {
                file: name.to_owned(),
                found: version,
                supported: SNAPSHOT_FORMAT,
            });
        }
        if crc32c(&head[12..]) != u32_at(head, 8) {
            return Err(fault("the checksum of its header does not hold"));
        }
        if version != SNAPSHOT_FORMAT {
            return Err(fault("it is of an older format, which is not read any more"));
        }
        Ok(Self {
            id: JournalId(array_at(head, 16)),
            start: Start {
                seq: Seq(u64_at(head, 32)),
                commands: CommandStart {
                    segment: SegmentNumber(u64_at(head, 40)),
                    first_seq: Seq(u64_at(head, 48)),
                    chain: ChainHash(array_at(head, 56)),
                },
                events: EventStart {
                    segment: SegmentNumber(u64_at(head, 88)),
                    offset: u64_at(head, 96),
                    chain: ChainHash(array_at(head, 104)),
                },
            },
            time_ns: u64_at(head, 136),
        })
    }
}

/// The header of a section; its bytes follow, then zeros up to a multiple of 64.
///
/// ```text
///  0      4        8      12       16       24         32
///  ├──────┼────────┼──────┼────────┼────────┼──────────┼─────────┬─────────┐
///  │ XQS1 │ CRC32C │ kind │ number │ length │ place in │ bytes … │ padding │
///  │      │        │      │ from 0 │        │   file   │         │ zeros   │
///         sum of everything from byte 8 to the end of the padding ─────────
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SectionHead {
    pub(crate) kind: u32,
    pub(crate) number: u32,
    pub(crate) length: u64,
    pub(crate) offset: u64,
}

impl SectionHead {
    /// Writes the header of a section whose bytes and padding follow it in `section`.
    pub(crate) fn seal(self, section: &mut [u8]) {
        put(section, 0, &SECTION_MAGIC);
        put(section, 8, &self.kind.to_le_bytes());
        put(section, 12, &self.number.to_le_bytes());
        put(section, 16, &self.length.to_le_bytes());
        put(section, 24, &self.offset.to_le_bytes());
        let sum = crc32c(&section[8..]);
        put(section, 4, &sum.to_le_bytes());
    }

    /// What a header claims, whatever it is worth; none when it is no section's.
    pub(crate) fn claimed(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..SECTION_HEAD)?;
        (head[..4] == SECTION_MAGIC).then(|| Self {
            kind: u32_at(head, 8),
            number: u32_at(head, 12),
            length: u64_at(head, 16),
            offset: u64_at(head, 24),
        })
    }

    /// Whether the checksum of a section holds, padding included.
    pub(crate) fn is_intact(section: &[u8]) -> bool {
        crc32c(&section[8..]) == u32_at(section, 4)
    }
}

/// The last bytes of a snapshot: one without them was not finished.
///
/// ```text
///  0          8       12     16       24         32                             64
///  ├──────────┼────────┼──────┼────────┼──────────┼──────────────────────────────┤
///  │ XQSNSEAL │ CRC32C │ zero │ length │ sections │ BLAKE3 of all that is before │
///  │          │12 to 64│      │ before │          │ the seal                     │
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) length: u64,
    pub(crate) sections: u64,
    pub(crate) hash: [u8; 32],
}

impl Seal {
    pub(crate) fn to_bytes(self) -> [u8; SEAL] {
        let mut bytes = [0; SEAL];
        put(&mut bytes, 0, &SEAL_MAGIC);
        put(&mut bytes, 16, &self.length.to_le_bytes());
        put(&mut bytes, 24, &self.sections.to_le_bytes());
        put(&mut bytes, 32, &self.hash);
        let sum = crc32c(&bytes[12..]);
        put(&mut bytes, 8, &sum.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SEAL)?;
        let seal = Self {
            length: u64_at(bytes, 16),
            sections: u64_at(bytes, 24),
            hash: array_at(bytes, 32),
        };
        (seal.to_bytes() == bytes).then_some(seal)
    }
}
