//! Snapshot files: sections of whatever owns the state, sealed. Which are kept is their owner's to say.

mod covered;
mod layout;
mod reader;
mod writer;

pub use covered::{begins_whole, covered_segments};
pub use layout::{SNAPSHOT_FORMAT, SnapshotHead};
pub use reader::{Snapshot, snapshots};
pub use writer::{Named, Room, SnapshotWriter, Written, remove_snapshot};
