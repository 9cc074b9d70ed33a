//! The writer of a snapshot: sections as they come, one at a time in memory; a name only when all is on the disk.

use super::layout::{ALIGN, HEAD, SECTION_HEAD, SECTION_MAX, Seal, SectionHead, SnapshotHead};
use crate::bytes::{narrow, put, wide};
use crate::names::{SNAPSHOT_TEMPORARY, snapshot_name};
use crate::storage::{Access, Storage, StorageFile};
use crate::{Error, Seq};
use std::io;
use std::sync::Arc;

/// Room that there must be before a snapshot is begun, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How long the snapshot will be, about.
    pub expected: u64,
    /// What the journals are to find beside it: a snapshot must not be what ends their room.
    pub spare: u64,
}

/// A snapshot being written, under a temporary name.
///
/// Why a crash here is safe: the file gets its name once all of it is synced. A leftover under the temporary name is
/// written anew by the next.
#[derive(Debug)]
pub struct SnapshotWriter {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    head: SnapshotHead,
    hasher: blake3::Hasher,
    offset: u64,
    sections: u32,
    buffer: Vec<u8>,
}

/// A snapshot that has its name, which is not durable yet.
#[derive(Debug)]
#[must_use = "its name may be lost until the folder is synced"]
pub struct Named {
    storage: Arc<dyn Storage>,
    written: Written,
}

/// A snapshot that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its file.
    pub file: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Sections in it.
    pub sections: u32,
}

impl SnapshotWriter {
    /// Begins a snapshot of the state after `head.start.seq`, if there is room for it.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`]: nothing is left under a snapshot's name; the exchange may go on without it.
    pub fn begin(storage: Arc<dyn Storage>, head: SnapshotHead, room: Room) -> Result<Self, Error> {
        let there = storage.room();
        let there = there.map_err(|source| refused((0, head.start.seq), "asking for room", source))?;
        if there < room.expected.saturating_add(room.spare) {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(refused((room.expected, head.start.seq), "asking for room", full));
        }
        let created = storage.create(SNAPSHOT_TEMPORARY, Access::Mapped);
        let file = created.map_err(|source| refused((0, head.start.seq), "creating a snapshot", source))?;
        let mut writer = Self {
            storage,
            file,
            head,
            hasher: blake3::Hasher::new(),
            offset: 0,
            sections: 0,
            buffer: Vec::new(),
        };
        writer.append(&head.to_bytes())?;
        assert_eq!(writer.offset, wide(HEAD), "sections follow the header");
        Ok(writer)
    }

    /// Adds a section.
    ///
    /// # Errors
    /// As [`SnapshotWriter::begin`].
    ///
    /// # Panics
    /// When it is longer than 64 MiB.
    pub fn put(&mut self, kind: u32, bytes: &[u8]) -> Result<(), Error> {
        assert!(
            bytes.len() <= SECTION_MAX,
            "whoever owns the state knows the bound"
        );
        let head = SectionHead {
            kind,
            number: self.sections,
            length: wide(bytes.len()),
            offset: self.offset,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize((SECTION_HEAD + bytes.len()).next_multiple_of(ALIGN), 0);
        put(&mut buffer, SECTION_HEAD, bytes);
        head.seal(&mut buffer);
        self.append(&buffer)?;
        self.sections += 1;
        self.buffer = buffer;
        Ok(())
    }

    /// Seals it, makes its bytes durable, and gives it its name.
    ///
    /// # Errors
    /// As [`SnapshotWriter::begin`].
    pub fn finish(mut self) -> Result<Named, Error> {
        let seal = Seal {
            length: self.offset,
            sections: self.sections.into(),
            hash: self.hasher.finalize().into(),
        };
        self.append(&seal.to_bytes())?;
        let name = snapshot_name(self.head.start.seq);
        let named = self
            .file
            .sync()
            .and_then(|()| self.storage.rename(SNAPSHOT_TEMPORARY, &name));
        named.map_err(|source| self.refused("making a snapshot durable", source))?;
        let (bytes, sections) = (self.offset, self.sections);
        Ok(Named {
            storage: self.storage,
            written: Written {
                file: name,
                bytes,
                sections,
            },
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_at(self.offset, bytes);
        written.map_err(|source| self.refused("writing a snapshot", source))?;
        // Written as it comes: left to the sync at the end, all of it would stand before the journals' commits at once.
        let begin = narrow(self.offset);
        self.file.begin_writing(begin..begin + bytes.len());
        self.hasher.update(bytes);
        self.offset += wide(bytes.len());
        Ok(())
    }

    fn refused(&self, action: &'static str, source: io::Error) -> Error {
        // What was written only takes room from others; that this may fail too changes nothing.
        let _ = self.storage.remove(SNAPSHOT_TEMPORARY);
        refused((self.offset, self.head.start.seq), action, source)
    }
}

impl Named {
    /// Makes the name durable: only from here on the snapshot counts, and older ones may go.
    ///
    /// # Errors
    /// [`Error::Io`]: fatal. The folder is the journals', too, and its sync is not retried.
    pub fn make_durable(self) -> Result<Written, Error> {
        let synced = self.storage.sync_folder();
        synced.map_err(|source| {
            Error::io(self.storage.place(), "syncing the folder", (0, Seq::ZERO), source)
        })?;
        Ok(self.written)
    }
}

/// Removes the snapshot of a command.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_snapshot(storage: &dyn Storage, seq: Seq) -> Result<(), Error> {
    let name = snapshot_name(seq);
    let gone = storage.remove(&name);
    gone.map_err(|source| Error::io(&name, "removing an older snapshot", (0, seq), source))
}

fn refused((offset, seq): (u64, Seq), action: &'static str, source: io::Error) -> Error {
    Error::of_write(&snapshot_name(seq), action, (offset, seq), source)
}
