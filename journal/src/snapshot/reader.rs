//! The reader of a snapshot: everything is verified before anything of it is handed out.
//!
//! # Cost
//! One pass over the mapped file: CRC32C of each section, BLAKE3 of all.

use super::layout::{ALIGN, HEAD, SEAL, SECTION_HEAD, SECTION_MAX, Seal, SectionHead, SnapshotHead};
use crate::bytes::{all_zero, narrow, wide};
use crate::memory::Map;
use crate::names::{snapshot_name, snapshot_seq};
use crate::storage::{Access, Storage};
use crate::{Error, JournalId, Seq};
use std::ops::Range;

/// The snapshots of a folder by the commands they cover, the newest first: their names only, nothing is read.
///
/// # Errors
/// [`Error::Io`].
pub fn snapshots(storage: &dyn Storage) -> Result<Vec<Seq>, Error> {
    let names = storage
        .list()
        .map_err(|e| Error::io(storage.place(), "listing", (0, Seq::ZERO), e))?;
    let mut found: Vec<Seq> = names.iter().filter_map(|name| snapshot_seq(name)).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

/// What a snapshot says of itself, whatever the rest of it is worth.
///
/// # Errors
/// Those of [`Snapshot::open`], as far as its header shows them.
pub fn snapshot_head(storage: &dyn Storage, seq: Seq) -> Result<SnapshotHead, Error> {
    let name = snapshot_name(seq);
    let io = |source| Error::io(&name, "opening a snapshot", (0, seq), source);
    let file = storage.open(&name, Access::ReadOnly).map_err(io)?;
    let map = file.map().map_err(io)?;
    SnapshotHead::read(&name, map.bytes(0..map.length().min(HEAD)))
}

/// A snapshot all of whose bytes were verified.
#[derive(Debug)]
pub struct Snapshot {
    name: String,
    map: Map,
    head: SnapshotHead,
    sections: Vec<(u32, Range<usize>)>,
}

impl Snapshot {
    /// Opens the snapshot of a command and verifies all of it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is truncated or damaged anywhere, or names another command than its file does;
    /// [`Error::Foreign`], [`Error::NewerVersion`], [`Error::Io`].
    pub fn open(storage: &dyn Storage, seq: Seq, id: Option<JournalId>) -> Result<Snapshot, Error> {
        let name = snapshot_name(seq);
        let io = |source| Error::io(&name, "opening a snapshot", (0, seq), source);
        let file = storage.open(&name, Access::ReadOnly).map_err(io)?;
        if file.size().map_err(io)? < wide(HEAD + SEAL) {
            return Err(Error::corrupt(&name, (0, seq), "it is shorter than its header"));
        }
        let map = file.map().map_err(io)?;
        map.will_read_in_order();
        let bytes = map.whole();
        let head = SnapshotHead::read(&name, bytes)?;
        if let Some(expected) = id.filter(|id| *id != head.id) {
            return Err(Error::Foreign {
                file: name,
                found: head.id,
                expected,
                seq,
            });
        }
        if head.start.seq != seq {
            let what = format!("it covers command {}", head.start.seq);
            return Err(Error::corrupt(&name, (32, seq), what));
        }
        let sections = sections_of(&name, seq, bytes)?;
        Ok(Snapshot {
            name,
            map,
            head,
            sections,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// Its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        wide(self.map.length())
    }

    /// Its sections in order: kind and bytes.
    pub fn sections(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let whole = self.map.whole();
        self.sections
            .iter()
            .map(move |(kind, range)| (*kind, &whole[range.clone()]))
    }
}

/// Verifies seal, hash and every section.
fn sections_of(name: &str, seq: Seq, bytes: &[u8]) -> Result<Vec<(u32, Range<usize>)>, Error> {
    let fault = |at: usize, what: &str| Error::corrupt(name, (wide(at), seq), what);
    let end = bytes.len() - SEAL;
    let Some(seal) = Seal::read(&bytes[end..]).filter(|seal| seal.length == wide(end)) else {
        return Err(fault(
            end,
            "it does not end with its seal: truncated, or never finished",
        ));
    };
    let mut sections = Vec::new();
    let mut at = HEAD;
    while at < end {
        let Some(head) = SectionHead::claimed(&bytes[at..end]) else {
            return Err(fault(at, "no section begins here"));
        };
        let length = narrow(head.length.min(wide(SECTION_MAX) + 1));
        let whole = (SECTION_HEAD + length).next_multiple_of(ALIGN);
        let follows = head.offset == wide(at) && wide(sections.len()) == u64::from(head.number);
        let Some(section) = bytes[..end]
            .get(at..at + whole)
            .filter(|_| follows && length <= SECTION_MAX)
        else {
            return Err(fault(
                at,
                "the section here is longer than what is left, or another",
            ));
        };
        if !SectionHead::is_intact(section) || !all_zero(&section[SECTION_HEAD + length..]) {
            return Err(fault(at, "the checksum of the section does not hold"));
        }
        sections.push((head.kind, at + SECTION_HEAD..at + SECTION_HEAD + length));
        at += whole;
    }
    let hash: [u8; 32] = blake3::hash(&bytes[..end]).into();
    if hash != seal.hash || wide(sections.len()) != seal.sections {
        return Err(fault(end, "the hash of the whole does not hold"));
    }
    Ok(sections)
}
