//! The few words the journals speak in, besides the sequence: identity, place, hash, witness.

use crate::names::snapshot_name;
use std::fmt;
use xq_protocol::Seq;

/// Number of a segment, counted from 1 and continued without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The first segment of a journal.
    pub const FIRST: Self = Self(1);

    /// The one after this.
    ///
    /// # Panics
    /// At `u64::MAX`, which no journal reaches.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^64 segments are never written"))
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A value of a chain, SHA-256 or BLAKE3: it stands for everything before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainHash(pub [u8; 32]);

/// A place in the event journal: the event `index` of the command `seq`. (0, 0) is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCursor {
    /// The command that caused the event.
    pub seq: Seq,
    /// The event's place among that command's events, from 0.
    pub index: u16,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.seq, self.index)
    }
}

/// Something outside the command journal that names a command which therefore must be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The latest command it proves.
    pub seq: Seq,
    /// What it is, for the message: "a surviving event", "a snapshot", "the durable mark".
    pub what: &'static str,
}

/// Where the command journal is read from when what came before is covered by a snapshot: the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandStart {
    /// The segment.
    pub segment: SegmentNumber,
    /// Its first sequence, at most one past the snapshot's.
    pub first_seq: Seq,
    /// The chain that it carries in.
    pub chain: ChainHash,
}

/// Where the event journal is read from when what came before is covered by a snapshot: behind the record that closes
/// the epoch of the snapshot's last command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStart {
    /// The segment.
    pub segment: SegmentNumber,
    /// The place in it, bytes.
    pub offset: u64,
    /// The chain after that epoch.
    pub chain: ChainHash,
}

/// Where both journals are read from behind a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The last command that the snapshot covers, the last of an epoch.
    pub seq: Seq,
    /// In the command journal.
    pub commands: CommandStart,
    /// In the event journal.
    pub events: EventStart,
}

impl Start {
    /// The file of the snapshot, all of which counts.
    #[must_use]
    pub fn file(&self) -> (String, u64) {
        (snapshot_name(self.seq), u64::MAX)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
