//! `xq backup` and `xq restore`: the newest snapshot and both journals behind it, copied whole and verified.

use super::at_rest::{AtRest, Beside, Folder, From};
use super::{Ended, say};
use crate::exit::Exit;
use crate::lockout;
use crate::recovery::lock_folder;
use crate::state::Wanted;
use std::path::PathBuf;
use std::sync::Arc;
use xq_journal::{Filling, QUARANTINE, copy_file};

/// Copies the newest snapshot and what both journals have after it; may run beside the exchange.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// Where to: a folder that is empty, or is not there yet.
    to: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// Puts a backup into the folder of the journals, which must be empty.
#[derive(clap::Args)]
pub(super) struct Restore {
    /// The backup.
    from: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Ended> {
        let from = self.folder.path()?;
        let filling = Filling::begin(lock_folder(&self.to)?)?;
        loop {
            let found = AtRest::open(&from, Beside::Running, From::Newest(Wanted::Any))?;
            lockout::check(&found.storage)?;
            if copy_all(&found, &filling)? == Copied::All {
                // It may have diverged while it was copied.
                lockout::check(&found.storage)?;
                return finish("backup", &found, filling);
            }
        }
    }
}

/// Whether everything was there to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    All,
    /// The snapshot was replaced by newer ones meanwhile; nothing was copied.
    Nothing,
}

impl Restore {
    pub(super) fn run(self) -> Result<(), Ended> {
        let to = self.folder.path()?;
        // The backup is verified before anything is made of it.
        let found = AtRest::open(&self.from, Beside::Running, From::Newest(Wanted::Any))?;
        lockout::check(&found.storage)?;
        let filling = Filling::begin(lock_folder(&to)?)?;
        if copy_all(&found, &filling)? == Copied::Nothing {
            let error = anyhow::anyhow!("{}: the snapshot went while it was copied", self.from.display());
            return Err(Ended::with(Exit::JournalCorrupt, error));
        }
        finish("restored", &found, filling)
    }
}

/// Copies what was verified: of a segment that is being written, as much as was whole. The snapshot first: the running
/// exchange keeps only the newest two.
fn copy_all(found: &AtRest, filling: &Filling) -> Result<Copied, Ended> {
    let (from, to) = (&*found.storage, &**filling.storage());
    if let Some((name, used)) = found.start.map(|start| start.file()) {
        let copied = copy_file(from, to, &name, used);
        let is_there = from.list().is_ok_and(|names| names.contains(&name));
        if copied.is_err() && !is_there {
            return Ok(Copied::Nothing);
        }
        copied?;
    }
    if from
        .list()
        .is_ok_and(|names| names.iter().any(|name| name == QUARANTINE))
    {
        copy_file(from, to, QUARANTINE, u64::MAX)?;
    }
    let segments = found.commands.files().into_iter().chain(found.events.files());
    for (name, used) in segments {
        copy_file(from, to, &name, used)?;
    }
    Ok(Copied::All)
}

/// Verifies the copy, lets it count, and tells of it.
fn finish(what: &str, found: &AtRest, filling: Filling) -> Result<(), Ended> {
    let storage = Arc::clone(filling.storage());
    let copy = AtRest::of(storage, Beside::Running, From::Newest(Wanted::Any))?;
    let same = (copy.id, copy.start, copy.events.report().event_hash)
        == (found.id, found.start, found.events.report().event_hash);
    let place = copy.storage.place().to_owned();
    if !same || copy.commands.last_seq < found.commands.last_seq {
        let error = anyhow::anyhow!("{place}: the copy is not what was copied");
        return Err(Ended::with(Exit::JournalCorrupt, error));
    }
    filling.finish()?;
    let covered = found
        .start
        .map_or_else(|| "none".to_owned(), |start| start.seq.to_string());
    say::line(format_args!("{what:<14} {place}"))?;
    say::line(format_args!("snapshot       {covered}"))?;
    say::line(format_args!("commands       up to {}", copy.commands.last_seq))?;
    say::line(format_args!("event hash     {}", copy.events.report().event_hash))
}
