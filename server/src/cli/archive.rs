//! `xq journal`, and of it `archive`: segments that no start needs any more, moved to another folder.

use super::at_rest::{Folder, behind};
use super::moment::Moment;
use super::quarantine::{SetAside, Try};
use super::{Ended, say};
use crate::exit::Exit;
use crate::lockout;
use crate::recovery::journal_id_of;
use crate::retention::{archive_folder, cannot, lowest_cursor};
use crate::state::{Order, Wanted};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xq_journal::{FileStorage, Start, Storage, check_finished, covered_segments, move_file, snapshots};
use xq_protocol::Seq;

/// What is done with journals.
#[derive(clap::Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Moves segments that both snapshots cover to another folder; may run beside the exchange.
    Archive(Archive),
    /// Sets aside a command that ends every start, signed by two operators; the exchange is stopped.
    Quarantine(SetAside),
    /// Executes the commands up to one, as a start would, and ends: says whether a start gets past it.
    Try(Try),
}

#[derive(clap::Args)]
struct Archive {
    /// Only what lies before this command, or before this instant (2026-01-02T03:04:05Z).
    #[arg(long, value_name = "SEQ|TIME")]
    before: Moment,
    /// Where to.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

impl Journal {
    pub(super) fn run(self) -> Result<(), Ended> {
        match self.task {
            Task::Archive(task) => task.run(),
            Task::Quarantine(task) => task.run(),
            Task::Try(task) => task.run(),
        }
    }
}

impl Archive {
    fn run(self) -> Result<(), Ended> {
        let from = self.folder.path()?;
        // Beside the exchange, which never comes back to a segment that both snapshots cover.
        let reading = FileStorage::open_to_read(&from).map_err(|source| cannot(&from, source))?;
        let storage: Arc<dyn Storage> = Arc::new(reading);
        check_finished(&*storage)?;
        lockout::check(&storage)?;
        let older = older_snapshot(&storage)?;
        let before = self.before.seq(&storage)?;
        let (bound, holder) = bound(&from, older.seq)?;
        if before > bound.next() {
            let error = anyhow::anyhow!(
                "{holder} needs what comes after command {bound}: archive before {} at the most",
                bound.next()
            );
            return Err(Ended::with(Exit::Refused, error));
        }
        let to = archive_folder(&from, &self.to)?;
        let mut moved = 0_usize;
        for name in covered_segments(&*storage, &older, before)? {
            move_file(&*storage, &*to, &name)?;
            moved += 1;
        }
        say::line(format_args!("archived       {moved} segments, to {}", to.place()))?;
        say::line(format_args!(
            "left           from command {} on",
            older.commands.first_seq
        ))
    }
}

/// Where a start goes on behind the older of the two newest snapshots that can be used.
fn older_snapshot(storage: &Arc<dyn Storage>) -> Result<Start, Ended> {
    loop {
        let there = snapshots(&**storage)?;
        if let Some(older) = older_usable(storage)? {
            return Ok(older);
        }
        // The running exchange may have taken another and removed one meanwhile.
        if snapshots(&**storage)? == there {
            let error = anyhow::anyhow!(
                "{} snapshots are there, and fewer than two can be used: nothing is archived before there are two",
                there.len()
            );
            return Err(Ended::with(Exit::Refused, error));
        }
    }
}

fn older_usable(storage: &Arc<dyn Storage>) -> Result<Option<Start>, Ended> {
    let Some(id) = journal_id_of(storage) else {
        return Ok(None);
    };
    let newest = |wanted| behind(storage, id, (Order::NewestFirst, wanted));
    let newer = newest(Wanted::Any)?.map(|newer| newer.head.start.seq);
    let Some(newer) = newer else {
        return Ok(None);
    };
    let older = newest(Wanted::UpTo(Seq(newer.0 - 1)))?;
    Ok(older.map(|older| older.head.start))
}

/// The last command that nobody needs any more, and who needs the next: the older snapshot, or a bridge, which says in
/// `NAME.cursor` the last command whose events it needs no more.
fn bound(folder: &Path, covered: Seq) -> Result<(Seq, String), Ended> {
    match lowest_cursor(folder) {
        Ok(Some((seq, path))) if seq < covered => Ok((seq, path.display().to_string())),
        Ok(_) => Ok((covered, "the older snapshot".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Ended::with(Exit::Refused, error)),
        Err(error) => Err(cannot(folder, error).into()),
    }
}
