//! The two journals of the exchange: what was said (commands), and what followed (events).
//!
//! A journal is a folder of numbered segments. It knows of a frame only its length, its sequence, its time and
//! its index; never what it means. `docs/journal-format.md` has the bytes, and why a crash is safe at each step.

mod bytes;
mod checksum;
mod command;
mod copy;
mod error;
mod event;
mod file_storage;
pub mod frame;
mod memory;
mod names;
mod pool;
pub mod simulated;
mod snapshot;
mod storage;
mod unit;

pub use command::layout::COMMAND_FORMAT;
pub use command::reader::{CommandReader, Verify};
pub use command::recovery::{
    CommandReport, CommandSettings, UnrecoveredJournal, UnrecoveredSegment, inspect_image,
};
pub use command::scan::{Cut, Segment};
pub use command::tail::{CommandTail, Committed, TailReader};
pub use command::writer::{Append, CommandJournal, Written};
pub use copy::{Filling, check_finished, copy_file, copy_whole, move_file, read_file, remove_file};
pub use error::Error;
pub use event::at_rest::EventsAtRest;
pub use event::hasher::EventHasher;
pub use event::keeper::{Due, EventKeeper, EventPosition};
pub use event::layout::{EPOCH_COMMANDS, EVENT_FORMAT};
pub use event::reader::EventReader;
pub use event::recovery::{
    DroppedRange, EventRecovered, EventRecovery, EventReport, EventSettings, EventsDropped, UnrecoveredEvents,
};
pub use event::tail::EventTail;
pub use event::writer::EventJournal;
pub use file_storage::FileStorage;
pub use memory::{AlignedBuffer, Map, PAGE};
pub use names::{QUARANTINE, snapshot_name};
pub use pool::{Preparation, SegmentPool};
pub use simulated::SimulatedDisk;
pub use snapshot::{
    Named as SnapshotNamed, Room as SnapshotRoom, SNAPSHOT_FORMAT, SealedSegment, Snapshot, SnapshotHead,
    SnapshotWriter, Written as SnapshotWritten, begins_whole, covered_segments, remove_snapshot,
    sealed_segments, snapshot_head, snapshots,
};
pub use storage::{Access, Storage, StorageFile};
pub use unit::{ChainHash, CommandStart, EventCursor, EventStart, SegmentNumber, Start, Witness};
pub use xq_protocol::{JournalId, Seq};
