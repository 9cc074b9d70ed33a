//! The journals of a folder, opened to be read.

use super::Ended;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::quarantine::Quarantine;
use crate::recovery::{journal_id_of, lock_folder};
use crate::state::{self, Found, Order, State, Wanted};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xq_journal::{
    CommandReader, CommandReport, CommandSettings, EventSettings, EventsAtRest, FileStorage, Start, Storage,
    UnrecoveredEvents, UnrecoveredJournal, Verify, Witness, begins_whole, check_finished,
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

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// With the first command or, where that is archived, behind the oldest snapshot that can be used.
    Beginning,
    /// Behind the newest of these snapshots that can be used; else as from the beginning.
    Newest(Wanted),
}

/// Both journals, as they lie there; nothing is changed.
pub(super) struct AtRest {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) id: JournalId,
    /// Behind which snapshot they are read, if any.
    pub(super) start: Option<Start>,
    /// The state that the snapshot covers, or before the first command.
    pub(super) state: State,
    /// The last command that each snapshot covers, and why it is refused, if it is; none looked at beside a running
    /// exchange.
    pub(super) snapshots: Vec<(Seq, Option<xq_journal::Error>)>,
    pub(super) commands: CommandReport,
    pub(super) events: EventsAtRest,
}

impl Folder {
    /// This folder; or else the one that the configuration names.
    pub(super) fn of(data: Option<PathBuf>, config: Option<PathBuf>) -> Folder {
        Folder { data, config }
    }

    pub(super) fn open(&self, beside: Beside) -> Result<AtRest, Ended> {
        AtRest::open(&self.path()?, beside, From::Beginning)
    }

    /// Where it is.
    pub(super) fn path(&self) -> Result<PathBuf, Ended> {
        match &self.data {
            Some(folder) => Ok(folder.clone()),
            None => Ok(Config::of_file(self.config.as_deref())?.journal.folder),
        }
    }
}

impl AtRest {
    pub(super) fn open(folder: &Path, beside: Beside, from: From) -> Result<AtRest, Ended> {
        let cannot = |source| {
            let what = format!("journal folder {}", folder.display());
            Failure::CannotCreate { what, source }
        };
        let reading = FileStorage::open_to_read(folder).map_err(cannot)?;
        let storage: Arc<dyn Storage> = match beside {
            Beside::Running => Arc::new(reading),
            Beside::Nobody => lock_folder(folder)?,
        };
        check_finished(&*storage)?;
        AtRest::of(storage, beside, from)
    }

    /// The same of a folder that is at hand, finished or not.
    pub(super) fn of(storage: Arc<dyn Storage>, beside: Beside, from: From) -> Result<AtRest, Ended> {
        let Some(id) = journal_id_of(&storage) else {
            if beside == Beside::Nobody {
                // Whatever is wrong with it is said by looking closer; when nothing is, there is nothing.
                UnrecoveredJournal::open(Arc::clone(&storage), CommandSettings::default())?.inspect(&[])?;
            }
            let error = anyhow::anyhow!("{}: no journal begins here", storage.place());
            return Err(Ended::with(Exit::JournalCorrupt, error));
        };
        let is_whole = begins_whole(&*storage)?;
        let found = match (from, is_whole) {
            (From::Beginning, true) => None,
            (From::Beginning, false) => behind(&storage, id, (Order::OldestFirst, Wanted::Any))?,
            (From::Newest(wanted), _) => behind(&storage, id, (Order::NewestFirst, wanted))?,
        };
        let (head, mut state, events) = match found {
            Some(found) => (Some(found.head), found.state, found.accepted),
            None if is_whole => (None, State::default(), events_behind(&storage, id, None)?),
            None => {
                let error = anyhow::anyhow!(
                    "{}: the beginning is archived, and no snapshot here reaches back so far, or none can be used: put the \
                     archived segments back into a copy of the folder",
                    storage.place()
                );
                return Err(Ended::with(Exit::Refused, error));
            }
        };
        state.quarantine = Arc::new(Quarantine::read(&storage, id)?);
        let start = head.map(|head| head.start);
        let settings = CommandSettings {
            start: start.map(|start| start.commands),
            ..CommandSettings::default()
        };
        let journal = UnrecoveredJournal::open(Arc::clone(&storage), settings)?;
        let report = events.report();
        let (commands, snapshots) = match beside {
            Beside::Running => (journal.inspect_beside_writer(report.last_seq)?, Vec::new()),
            Beside::Nobody => {
                let snapshots = state::examined(&storage, id)?;
                let witnesses = witnesses(report.surviving, &snapshots);
                (journal.inspect(&witnesses)?, snapshots)
            }
        };
        Ok(AtRest {
            storage,
            id,
            start,
            state,
            snapshots,
            commands,
            events,
        })
    }

    /// The first command that is read.
    pub(super) fn first(&self) -> Seq {
        self.start.map_or(Seq(1), |start| start.seq.next())
    }

    /// A reader of the commands, which were verified just now.
    pub(super) fn reader(&self) -> Result<CommandReader, Ended> {
        Ok(CommandReader::open(
            Arc::clone(&self.storage),
            Verify::Order,
            self.first(),
        )?)
    }
}

/// The first snapshot of these that can be used, and the events behind it.
pub(super) fn behind(
    storage: &Arc<dyn Storage>,
    id: JournalId,
    which: (Order, Wanted),
) -> Result<Option<Found<EventsAtRest>>, Ended> {
    let searched = state::usable(storage, id, which, |start| {
        UnrecoveredEvents::open_to_read(Arc::clone(storage), behind_this(Some(*start)), id)
            .map_err(Failure::from)
    })?;
    Ok(searched.found)
}

/// What proves commands to have been durable: events that survive, snapshots that are whole.
fn witnesses(surviving: Seq, snapshots: &[(Seq, Option<xq_journal::Error>)]) -> Vec<Witness> {
    let whole = snapshots.iter().filter(|(_, refused)| refused.is_none());
    let of_snapshots = whole.map(|(seq, _)| Witness {
        seq: *seq,
        what: "a snapshot",
    });
    let of_events = (surviving > Seq::ZERO).then_some(Witness {
        seq: surviving,
        what: "a surviving event",
    });
    of_events.into_iter().chain(of_snapshots).collect()
}

fn events_behind(
    storage: &Arc<dyn Storage>,
    id: JournalId,
    start: Option<Start>,
) -> Result<EventsAtRest, Ended> {
    Ok(UnrecoveredEvents::open_to_read(
        Arc::clone(storage),
        behind_this(start),
        id,
    )?)
}

fn behind_this(start: Option<Start>) -> EventSettings {
    EventSettings {
        start,
        ..EventSettings::default()
    }
}
