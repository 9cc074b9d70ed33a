//! The journals of a folder, opened to be read.

use super::Ended;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::recovery::{journal_id_of, lock_folder};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xq_journal::{
    CommandReport, CommandSettings, EventSettings, EventsAtRest, FileStorage, Storage, UnrecoveredEvents,
    UnrecoveredJournal, Witness,
};
use xq_protocol::{JournalId, Seq};

/// Which folder.
#[derive(clap::Args)]
pub(super) struct Folder {
    /// Folder of the journals; else the configuration's.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Configuration file that names the folder.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Whether a running exchange may go on writing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// It may: what it writes from now on is not seen, nor is a command whose events are not there yet. Events follow
    /// only what is durable, so that nothing is shown that a power cut could undo.
    Running,
    /// The folder is locked: nobody writes.
    Nobody,
}

/// Both journals, as they lie there; nothing is changed.
pub(super) struct AtRest {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) id: JournalId,
    pub(super) commands: CommandReport,
    pub(super) events: EventsAtRest,
}

impl Folder {
    /// This folder; or else the one that the configuration names.
    pub(super) fn of(data: Option<PathBuf>, config: Option<PathBuf>) -> Folder {
        Folder { data, config }
    }

    pub(super) fn open(&self, beside: Beside) -> Result<AtRest, Ended> {
        let folder = match &self.data {
            Some(folder) => folder.clone(),
            None => Config::of_file(self.config.as_deref())?.journal.folder,
        };
        AtRest::open(&folder, beside)
    }
}

impl AtRest {
    fn open(folder: &Path, beside: Beside) -> Result<AtRest, Ended> {
        let cannot = |source| {
            let what = format!("journal folder {}", folder.display());
            Failure::CannotCreate { what, source }
        };
        let reading = FileStorage::open_to_read(folder).map_err(cannot)?;
        let storage: Arc<dyn Storage> = match beside {
            Beside::Running => Arc::new(reading),
            Beside::Nobody => lock_folder(folder)?,
        };
        let Some(id) = journal_id_of(&storage) else {
            if beside == Beside::Nobody {
                // Whatever is wrong with it is said by looking closer; when nothing is, there is nothing.
                UnrecoveredJournal::open(Arc::clone(&storage), CommandSettings::default())?.inspect(&[])?;
            }
            let error = anyhow::anyhow!("{}: no journal begins here", folder.display());
            return Err(Ended::with(Exit::JournalCorrupt, error));
        };
        let events = UnrecoveredEvents::open_to_read(Arc::clone(&storage), EventSettings::default(), id)?;
        let journal = UnrecoveredJournal::open(Arc::clone(&storage), CommandSettings::default())?;
        let report = events.report();
        let witness = (report.surviving > Seq::ZERO).then_some(Witness {
            seq: report.surviving,
            what: "a surviving event",
        });
        let commands = match beside {
            Beside::Running => journal.inspect_beside_writer(report.last_seq)?,
            Beside::Nobody => journal.inspect(witness.as_slice())?,
        };
        Ok(AtRest {
            storage,
            id,
            commands,
            events,
        })
    }
}
