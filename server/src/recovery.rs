//! Recovery: both journals made whole, every command executed again, every event compared.

use crate::clock::{ClockLeap, SteadyClock};
use crate::exit::{Failure, check_rules};
use crate::known::Known;
use crate::lockout;
use crate::quarantine::Quarantine;
use crate::state::{self, Order, State, Wanted};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use xq_engine::{Events, Exchange};
use xq_gateway::{Begun, Tradings};
use xq_journal::{
    ChainHash, CommandJournal, CommandReader, CommandReport, CommandSettings, Error, EventJournal,
    EventRecovered, EventRecovery, EventSettings, FileStorage, Start, Storage, UnrecoveredEvents,
    UnrecoveredJournal, Verify, Witness, check_finished, snapshot_name, snapshots,
};
use xq_protocol::{Command, Frame, JournalId, Nanos, Seq};

/// Where the journals are and how large their parts are.
#[derive(Clone, Debug)]
pub struct Journals {
    /// The folder of both.
    pub folder: PathBuf,
    /// The command journal's sizes.
    pub commands: CommandSettings,
    /// The event journal's sizes.
    pub events: EventSettings,
}

/// What recovery found and did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command journal as it was found, and what was cut.
    pub commands: CommandReport,
    /// The last command that the snapshot covers with which recovery began; none when it began with the first command.
    pub snapshot: Option<Seq>,
    /// Events compared, and made again.
    pub events: EventRecovered,
    /// Hash over all events.
    pub event_hash: ChainHash,
    /// How long it took.
    pub took: Duration,
}

/// The exchange as the journals leave it, ready to go on.
pub struct Recovered {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) commands: CommandJournal,
    pub(crate) events: EventJournal,
    pub(crate) exchange: Exchange,
    pub(crate) scratch: Events,
    /// What the journal says of configuration, participants and keys.
    pub known: Known,
    /// What the doors know before the first event after the snapshot.
    pub(crate) begun: Begun,
    /// What trading came to.
    pub(crate) tradings: Tradings,
    /// What was found and done.
    pub report: Report,
}

impl Recovered {
    /// The journal's name.
    pub fn journal_id(&self) -> JournalId {
        self.commands.id()
    }

    /// The last command; zero when the journal is new.
    pub fn last_seq(&self) -> Seq {
        self.report.commands.last_seq
    }
}

/// Told, now and then, how many commands of how many were executed again.
pub type Progress<'a> = &'a mut dyn FnMut(Seq, Seq);

/// Makes both journals whole and executes all commands again, or those after the newest snapshot that can be used.
///
/// Why it may be killed at any step: the journals' own recoveries may be, and executing again only appends
/// events that the commands already there give.
///
/// # Errors
/// A folder in use or locked out, corrupt journals, a clock that cannot be right, two executions that differ.
pub fn recover(
    journals: &Journals,
    clock: &SteadyClock,
    leap: ClockLeap,
    progress: Progress<'_>,
) -> Result<Recovered, Failure> {
    let storage = lock_folder(&journals.folder)?;
    check_finished(&*storage)?;
    lockout::check(&storage)?;
    let recovered = recover_locked(&storage, journals, (clock, leap), progress);
    recovered.inspect_err(|failure| lockout::leave(&storage, failure))
}

fn recover_locked(
    storage: &Arc<dyn Storage>,
    journals: &Journals,
    (clock, leap): (&SteadyClock, ClockLeap),
    progress: Progress<'_>,
) -> Result<Recovered, Failure> {
    let started = Instant::now();
    let known_id = journals.commands.expected_id.or_else(|| journal_id_of(storage));
    let Behind {
        id,
        start,
        mut state,
        events,
        unused,
    } = behind(storage, journals, known_id)?;
    let settings = CommandSettings {
        start: start.map(|start| start.commands),
        ..journals.commands.clone()
    };
    let covered = [start.map(|start| start.seq), unused];
    let snapshots = covered.into_iter().flatten().map(|seq| Witness {
        seq,
        what: "a snapshot",
    });
    let witnesses: Vec<Witness> = events.witness().into_iter().chain(snapshots).collect();
    let unrecovered = UnrecoveredJournal::open(Arc::clone(storage), settings)?;
    let (commands, found) = unrecovered.recover(&witnesses, id)?;
    clock.check(Nanos(found.last_time_ns), leap)?;
    state.quarantine = Arc::new(Quarantine::read(storage, id)?);
    let begun = match start {
        Some(_) => state.begun(),
        None => Begun::default(),
    };
    let mut replay = Replay {
        state,
        scratch: Events::new(),
    };
    let covered = start.map_or(Seq::ZERO, |start| start.seq);
    let stretch = (covered.next(), found.last_seq);
    let (events, done) = replay.run(storage, stretch, events.recover()?, progress)?;
    check_rules(&replay.state.exchange)?;
    let report = Report {
        snapshot: start.map(|start| start.seq),
        commands: found,
        events: done,
        event_hash: events.event_hash(),
        took: started.elapsed(),
    };
    Ok(Recovered {
        storage: Arc::clone(storage),
        commands,
        events,
        exchange: replay.state.exchange,
        scratch: replay.scratch,
        known: replay.state.known,
        begun,
        tradings: replay.state.tradings,
        report,
    })
}

/// Where recovery begins: behind a snapshot, or with nothing.
struct Behind {
    id: JournalId,
    start: Option<Start>,
    state: State,
    events: UnrecoveredEvents,
    /// The last command of the newest snapshot that is whole and cannot be used.
    unused: Option<Seq>,
}

/// Finds the newest snapshot that can be used, and opens the events from there on.
fn behind(
    storage: &Arc<dyn Storage>,
    journals: &Journals,
    known_id: Option<JournalId>,
) -> Result<Behind, Failure> {
    let open = |start: Option<Start>, id| {
        let settings = EventSettings {
            start,
            ..journals.events.clone()
        };
        UnrecoveredEvents::open(Arc::clone(storage), settings, id)
    };
    let mut unused = None;
    if let Some(id) = known_id {
        let all = (Order::NewestFirst, Wanted::Any);
        let searched = state::usable(storage, id, all, |start| Ok(open(Some(*start), id)?))?;
        unused = searched.unused;
        if let Some(found) = searched.found {
            return Ok(Behind {
                id,
                start: Some(found.head.start),
                state: found.state,
                events: found.accepted,
                unused,
            });
        }
    }
    let id = match known_id {
        Some(id) => id,
        None => {
            no_snapshots(storage)?;
            let unrecovered = UnrecoveredJournal::open(Arc::clone(storage), journals.commands.clone())?;
            name_of_begun(storage, &unrecovered)?
        }
    };
    Ok(Behind {
        id,
        start: None,
        state: State::default(),
        events: open(None, id)?,
        unused,
    })
}

/// Refuses to give a journal a name beside snapshots: there was one before, whose commands are gone.
fn no_snapshots(storage: &Arc<dyn Storage>) -> Result<(), Failure> {
    match snapshots(&**storage)?.first() {
        Some(newest) => Err(Error::Orphaned {
            file: format!("{}/{}", storage.place(), snapshot_name(*newest)),
        }
        .into()),
        None => Ok(()),
    }
}

struct Replay {
    state: State,
    scratch: Events,
}

/// Bytes of events that go to be compared in one piece.
const PIECE: usize = 64 << 10;
/// Pieces that may wait to be compared.
const PIECES_WAITING: usize = 32;

impl Replay {
    /// Executes every command again; a second thread hands the events to the event journal, which compares or appends
    /// them: half of the work, and memory that the engine does not touch.
    fn run(
        &mut self,
        storage: &Arc<dyn Storage>,
        (first, last): (Seq, Seq),
        events: EventRecovery,
        progress: Progress<'_>,
    ) -> Result<(EventJournal, EventRecovered), Failure> {
        // Recovery has verified checksums and chain just now.
        let reader = CommandReader::open(Arc::clone(storage), Verify::Order, first)?;
        let (pieces, waiting) = sync_channel(PIECES_WAITING);
        std::thread::scope(|scope| {
            let comparing = scope.spawn(move || compare(events, &waiting));
            let executed = self.execute(reader, last, pieces, progress);
            let compared = comparing.join().expect("comparing ends with a verdict");
            match executed {
                // What is compared ends where executing did.
                Err(failure @ Failure::NewerRules { .. }) => Err(failure),
                // Where executions differ is said before what came of going on.
                executed => {
                    let compared = compared?;
                    executed.map(|()| compared)
                }
            }
        })
    }

    fn execute(
        &mut self,
        mut reader: CommandReader,
        last: Seq,
        pieces: SyncSender<Vec<u8>>,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        // A little more than a piece, so that the command that fills it seldom makes it grow.
        let room = PIECE + (8 << 10);
        let mut piece = Vec::with_capacity(room);
        loop {
            let seq = reader.next_seq();
            let Some(bytes) = reader.next_command(last)? else {
                break;
            };
            let frame = frame_of(bytes, seq)?;
            self.state.apply(seq, &frame, &mut self.scratch)?;
            for event in self.scratch.frames() {
                piece.extend_from_slice(event.bytes());
            }
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(room));
                if pieces.send(full).is_err() {
                    // Comparing has ended with an error, which is the verdict.
                    return Ok(());
                }
            }
            if seq.0.is_multiple_of(1 << 16) {
                progress(seq, last);
            }
        }
        // Refused only when comparing has ended with an error.
        let _ = pieces.send(piece);
        progress(last, last);
        Ok(())
    }
}

/// Hands events, which come back to back, to the event journal.
fn compare(
    mut events: EventRecovery,
    pieces: &Receiver<Vec<u8>>,
) -> Result<(EventJournal, EventRecovered), Failure> {
    for piece in pieces {
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            let length = Frame::peek_len(rest).ok().flatten();
            let (event, after) = rest.split_at(length.expect("the exchange writes whole events"));
            events.feed(event)?;
            rest = after;
        }
    }
    Ok(events.finish()?)
}

/// A journaled frame, viewed.
///
/// # Errors
/// [`Failure::Divergence`] when a door of another build let in what this one cannot read.
pub fn frame_of(bytes: &[u8], seq: Seq) -> Result<Frame<'_>, Failure> {
    let frame =
        Frame::split(bytes).map_err(|e| Failure::Divergence(format!("command {seq} is no frame: {e}")))?;
    Ok(frame.0)
}

/// Opens the folder and locks it against other processes.
///
/// # Errors
/// [`Failure::CannotCreate`], naming the folder.
pub fn lock_folder(folder: &Path) -> Result<Arc<dyn Storage>, Failure> {
    match FileStorage::open(folder) {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(source) if source.kind() == std::io::ErrorKind::WouldBlock => Err(Failure::CannotCreate {
            what: format!("journal folder {} is in use by another process", folder.display()),
            source,
        }),
        Err(source) => Err(Failure::CannotCreate {
            what: format!("journal folder {}", folder.display()),
            source,
        }),
    }
}

/// The identity of the journal there, by its first command or, where that is archived, by the oldest segment there is;
/// none when there is none that can be read. Whatever is wrong with the journal then is for its recovery to say.
pub fn journal_id_of(storage: &Arc<dyn Storage>) -> Option<JournalId> {
    let mut reader = CommandReader::open_oldest(Arc::clone(storage), Verify::Order).ok()?;
    if reader.next_seq() > Seq(1) {
        return reader.id().ok()?;
    }
    let bytes = reader.next_command(Seq(1)).ok()??;
    let (frame, _) = Frame::split(bytes).ok()?;
    match frame.command() {
        Ok(Command::Genesis(genesis)) => Some(genesis.journal_id),
        Ok(_) | Err(_) => None,
    }
}

/// The name of a journal without a first command: the one that a start gave it which ended before its Genesis was
/// durable, else a new one. Drawing another would make the segments of that start another journal's, for ever.
fn name_of_begun(storage: &Arc<dyn Storage>, commands: &UnrecoveredJournal) -> Result<JournalId, Failure> {
    // What is wrong with an unreadable journal is said before its events seem to be another journal's.
    let found = commands.inspect(&[])?;
    match found.id {
        Some(id) => Ok(id),
        None => UnrecoveredEvents::begun_as(storage)?.map_or_else(draw_id, Ok),
    }
}

fn draw_id() -> Result<JournalId, Failure> {
    let mut bytes = [0_u8; 16];
    let mut drawn = 0;
    while drawn < bytes.len() {
        let got = rustix::rand::getrandom(&mut bytes[drawn..], rustix::rand::GetRandomFlags::empty());
        drawn += got.map_err(|e| Failure::CannotCreate {
            what: "drawing the journal's identity".to_owned(),
            source: e.into(),
        })?;
    }
    Ok(JournalId(bytes))
}
