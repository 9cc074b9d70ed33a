//! Snapshot files: sections of whatever owns the state, sealed. Which are kept is their owner's to say.

mod covered;
mod layout;
mod reader;
mod writer;

pub use covered::{SealedSegment, begins_whole, covered_segments, sealed_segments};
pub use layout::{SNAPSHOT_FORMAT, SnapshotHead};
pub use reader::{Snapshot, snapshot_head, snapshots};
pub use writer::{Named, Room, SnapshotWriter, Written, remove_snapshot};
