//! Copies of a journal's files in another folder: whole under their name and durable, or not there under it.

use crate::bytes::{narrow, wide};
use crate::names::{QUARANTINE, snapshot_seq};
use crate::storage::{Access, Storage, StorageFile};
use crate::{Error, Seq};
use std::io;
use std::sync::Arc;

/// Bytes copied, or compared, at a time.
const PIECE: usize = 1 << 20;
/// A folder with this file in it holds a copy that was begun and not finished.
const UNFINISHED: &str = "unfinished.txt";
const UNFINISHED_TEXT: &[u8] =
    b"A copy of a journal was begun here and not finished: nothing in this folder counts.\n";
const COPYING: &str = "copying-";

/// Copies the first `used` bytes of a file and makes the copy as long as the file is, with written zeros: a full disk is
/// met here. The original may be written meanwhile behind what is copied.
///
/// Why a crash here is safe: the copy gets its name once it is synced, and the folder is synced before this returns. What
/// is left under the other name is written anew.
///
/// # Errors
/// [`Error::Io`], [`Error::NoSpace`], naming the copy.
pub fn copy_file(from: &dyn Storage, to: &dyn Storage, name: &str, used: u64) -> Result<(), Error> {
    let temporary = format!("{COPYING}{name}");
    let copied = || -> io::Result<()> {
        let original = from.open(name, Access::ReadOnly)?;
        let length = original.size()?;
        let copy = to.create(&temporary, Access::Mapped)?;
        if length > 0 {
            fill(&*copy, original.map()?.bytes(0..narrow(used.min(length))), length)?;
        }
        copy.sync()?;
        to.rename(&temporary, name)?;
        to.sync_folder()
    };
    copied().map_err(|source| refused(to, name, source))
}

/// Writes these bytes, then zeros up to a length.
fn fill(copy: &dyn StorageFile, bytes: &[u8], length: u64) -> io::Result<()> {
    let mut at = 0;
    for piece in bytes.chunks(PIECE) {
        copy.write_at(at, piece)?;
        // Written as it comes: left to the sync at the end, all of it would stand before the journals' commits at once.
        copy.begin_writing(narrow(at)..narrow(at) + piece.len());
        at += wide(piece.len());
    }
    let zeros = vec![0; PIECE];
    while at < length {
        let count = zeros.len().min(narrow(length - at));
        copy.write_at(at, &zeros[..count])?;
        at += wide(count);
    }
    Ok(())
}

/// Moves a file to another folder. It may be interrupted anywhere and begun again.
///
/// Why a crash here is safe: the original goes only after the copy and its name are durable.
///
/// # Errors
/// As [`copy_whole`]; [`Error::Io`].
pub fn move_file(from: &dyn Storage, to: &dyn Storage, name: &str) -> Result<(), Error> {
    copy_whole(from, to, name)?;
    remove_file(from, name)
}

/// Removes a file for good.
///
/// # Errors
/// [`Error::Io`]: where the folder is the journals', its sync is not retried.
pub fn remove_file(storage: &dyn Storage, name: &str) -> Result<(), Error> {
    let gone = storage.remove(name).and_then(|()| storage.sync_folder());
    gone.map_err(|source| {
        let place = place_of(storage, name);
        Error::io(&place, "removing what was copied", (0, Seq::ZERO), source)
    })
}

/// Makes a durable copy of a file that is not written any more, under its own name. It may be interrupted anywhere and
/// begun again: a copy that is there already counts, when it is the same.
///
/// # Errors
/// [`Error::Corrupt`] when another file of this name is there; [`Error::Io`], [`Error::NoSpace`].
pub fn copy_whole(from: &dyn Storage, to: &dyn Storage, name: &str) -> Result<(), Error> {
    let there = to.list().map_err(|source| refused(to, name, source))?;
    if !there.iter().any(|other| other == name) {
        copy_file(from, to, name, u64::MAX)?;
    }
    let kept = || -> io::Result<bool> {
        let (original, copy) = (
            from.open(name, Access::ReadOnly)?,
            to.open(name, Access::ReadOnly)?,
        );
        if !are_equal(&*original, &*copy)? {
            return Ok(false);
        }
        // It may have come by another hand than this one, so that it is only in memory yet.
        copy.sync()?;
        to.sync_folder()?;
        Ok(true)
    };
    match kept().map_err(|source| refused(to, name, source))? {
        true => Ok(()),
        false => Err(Error::corrupt(
            &place_of(to, name),
            (0, Seq::ZERO),
            "it is another file than the one to be copied here: neither was touched",
        )),
    }
}

/// A file that nobody writes meanwhile, copied to memory; at most 1 MiB of it, which is more than such files have.
///
/// # Errors
/// Those of the file system.
pub fn read_file(storage: &dyn Storage, name: &str) -> io::Result<Vec<u8>> {
    let file = storage.open(name, Access::ReadOnly)?;
    if file.size()? == 0 {
        return Ok(Vec::new());
    }
    let map = file.map()?;
    Ok(map.bytes(0..map.length().min(PIECE)).to_vec())
}

fn are_equal(one: &dyn StorageFile, other: &dyn StorageFile) -> io::Result<bool> {
    let length = one.size()?;
    if length != other.size()? || length == 0 {
        return Ok(length == other.size()?);
    }
    Ok(one.map()?.whole() == other.map()?.whole())
}

/// A folder that is being filled with a copy. Until it is finished nobody serves from it.
#[derive(Debug)]
pub struct Filling {
    storage: Arc<dyn Storage>,
}

impl Filling {
    /// Begins to fill a folder, which is empty or was begun to be filled and not finished: then what there is of that is
    /// removed first. Whoever calls keeps others from writing it.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]: nothing was changed; [`Error::Io`].
    pub fn begin(storage: Arc<dyn Storage>) -> Result<Filling, Error> {
        let names = storage
            .list()
            .map_err(|source| refused(&*storage, UNFINISHED, source))?;
        let was_begun = names.iter().any(|name| name == UNFINISHED);
        let is_left_over = |name: &String| name == UNFINISHED || is_of_a_journal(name);
        let is_free = names.is_empty() || was_begun && names.iter().all(is_left_over);
        if !is_free {
            return Err(Error::NotEmpty {
                folder: storage.place().to_owned(),
            });
        }
        let marked = || -> io::Result<()> {
            if !was_begun {
                let mark = storage.create(UNFINISHED, Access::Mapped)?;
                mark.write_at(0, UNFINISHED_TEXT)?;
                mark.sync()?;
                storage.sync_folder()?;
            }
            for name in names.iter().filter(|name| *name != UNFINISHED) {
                storage.remove(name)?;
            }
            storage.sync_folder()
        };
        marked().map_err(|source| refused(&*storage, UNFINISHED, source))?;
        Ok(Filling { storage })
    }

    /// The folder.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// All that belongs in it is there, durable and verified.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<(), Error> {
        let storage = &*self.storage;
        let finished = storage.remove(UNFINISHED).and_then(|()| storage.sync_folder());
        finished.map_err(|source| refused(storage, UNFINISHED, source))
    }
}

/// Refuses a folder with a copy that was begun and not finished.
///
/// # Errors
/// [`Error::Unfinished`], [`Error::Io`].
pub fn check_finished(storage: &dyn Storage) -> Result<(), Error> {
    let names = storage
        .list()
        .map_err(|source| refused(storage, UNFINISHED, source))?;
    match names.iter().any(|name| name == UNFINISHED) {
        true => Err(Error::Unfinished {
            folder: storage.place().to_owned(),
            file: UNFINISHED,
        }),
        false => Ok(()),
    }
}

/// Whether a copy makes files of such names.
fn is_of_a_journal(name: &str) -> bool {
    let name = name.strip_prefix(COPYING).unwrap_or(name);
    let is_segment = name.ends_with(".xqj") && (name.starts_with("command-") || name.starts_with("event-"));
    is_segment || snapshot_seq(name).is_some() || name == QUARANTINE
}

fn place_of(to: &dyn Storage, name: &str) -> String {
    format!("{}/{name}", to.place())
}

fn refused(to: &dyn Storage, name: &str, source: io::Error) -> Error {
    Error::of_write(&place_of(to, name), "copying", (0, Seq::ZERO), source)
}
