//! The bridge: reads events on one thread, writes them on another, and waits for better weather.

use crate::batch::Sealed;
use crate::connect::Target;
use crate::cursor::CursorFile;
use crate::progress::Progress;
use crate::projection::Poison;
use crate::projector::Projector;
use crate::schema::{self, REBUILT, SCHEMA};
use crate::sink::Sink;
use crate::trouble::Trouble;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use xq_journal::{ChainHash, EventHasher, EventTail, FileStorage, Storage, UnrecoveredEvents};
use xq_protocol::{JournalId, Seq};

/// The first wait after trouble that passes; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the cursor's file is written at most.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// So often the cursor may have been moved by somebody else before this bridge gives way: the transaction of one that
/// was killed may still end while the next begins.
const MOVED_MAX: u32 = 3;

/// What a bridge reads and writes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where PostgreSQL is.
    pub target: Target,
    /// Folder of the journals.
    pub folder: PathBuf,
    /// Rows a transaction holds when there are more than enough to write. While the sink is not busy it waits for none.
    pub rows_max: usize,
}

impl Settings {
    /// Rows a transaction holds, unless told otherwise: so many that most orders begin and end in one, and are written once.
    pub const ROWS: usize = 150_000;
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When it is asked to stop.
    Stopped,
    /// When all that is in the journal was written.
    CaughtUp,
}

/// What both threads see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) progress: Arc<Progress>,
    pub(crate) stop: Arc<AtomicBool>,
    /// The sink has ended.
    pub(crate) hung_up: AtomicBool,
    /// Batches handed over and not written.
    pub(crate) in_flight: AtomicUsize,
}

/// A bridge from one folder of journals to one database.
#[derive(Debug)]
pub struct Bridge {
    settings: Settings,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

/// Told of every batch that was committed.
pub type Observer<'a> = &'a mut dyn FnMut(&Sealed);

impl Bridge {
    /// A bridge that does nothing yet.
    pub fn new(settings: Settings) -> Bridge {
        Bridge {
            settings,
            progress: Arc::default(),
            stop: Arc::default(),
        }
    }

    /// What it counts.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Set it, and the bridge stops after the transaction in hand.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Writes every event, until it is done or someone must decide.
    ///
    /// # Errors
    /// What does not pass: poison, another journal or history, a database that is ahead, refusals of PostgreSQL.
    pub fn run(&self, until: Until, observe: Observer<'_>) -> Result<(), Trouble> {
        self.run_in(SCHEMA, until, observe)
    }

    /// Fills a fresh schema from the first event on and puts it in the old one's place.
    ///
    /// # Errors
    /// As [`Bridge::run`]; while a replication slot follows the database.
    pub fn rebuild(&self, observe: Observer<'_>) -> Result<(), Trouble> {
        let mut client = self.settings.target.connect()?;
        schema::begin_rebuild(&mut client)?;
        self.run_in(REBUILT, Until::CaughtUp, observe)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(Trouble::Refused(
                "stopped before the rebuild was done: nothing was swapped".to_owned(),
            ));
        }
        schema::swap(&mut client)
    }

    fn run_in(&self, schema: &str, until: Until, observe: Observer<'_>) -> Result<(), Trouble> {
        let (mut wait, mut moved, mut rows_max) = (WAIT_MIN, 0, self.settings.rows_max.max(1));
        loop {
            let before = self.progress.read().committed;
            let ended = self.once(schema, (rows_max, until), observe);
            self.progress.connected(false);
            let Err(trouble) = ended else {
                return Ok(());
            };
            let went_on = self.progress.read().committed > before;
            if went_on {
                (wait, moved) = (WAIT_MIN, 0);
            }
            // One command a transaction, so that all before the culprit is written and the culprit has a name.
            if matches!(&trouble, Trouble::Poison(_) | Trouble::Unfit(_)) && rows_max > 1 {
                tracing::error!(%trouble, "an event cannot be written; writing up to it");
                rows_max = 1;
                continue;
            }
            let gives_way = matches!(&trouble, Trouble::Moved(_)) && moved < MOVED_MAX;
            if !gives_way && !trouble.passes() {
                return Err(trouble);
            }
            moved += u32::from(gives_way);
            self.progress.retried();
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(%trouble, wait_ms, "not written; trying again");
            self.rest(wait);
            wait = (wait * 2).min(WAIT_MAX);
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn rest(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Connects and writes until something happens.
    fn once(
        &self,
        schema: &str,
        (rows_max, until): (usize, Until),
        observe: Observer<'_>,
    ) -> Result<(), Trouble> {
        let (storage, id, origin) = open_journal(&self.settings.folder)?;
        let mut sink = Sink::open(&self.settings.target, schema, (id, origin))?;
        let position = sink.position();
        let projector = Projector::open(storage, id, position, (rows_max, until))?;
        let mut teller =
            (schema == SCHEMA).then(|| Teller::new(CursorFile::in_folder(&self.settings.folder)));
        if let Some(teller) = &mut teller {
            teller.tell(position.cursor.seq)?;
        }
        self.progress.began_at(position.cursor.seq, position.at);
        self.progress.connected(true);
        let shared = Shared {
            progress: self.progress(),
            stop: self.stop(),
            ..Shared::default()
        };
        let (to, batches) = sync_channel(1);
        std::thread::scope(|scope| {
            let reading = std::thread::Builder::new()
                .name("projector".to_owned())
                .spawn_scoped(scope, || {
                    let to = to;
                    projector.run(&to, &shared)
                })
                .map_err(|error| Trouble::Weather(format!("starting a thread: {error}")))?;
            let written = write_all(&mut sink, &batches, (&shared, &mut teller, rows_max), observe);
            shared.hung_up.store(true, Ordering::Release);
            drop(batches);
            reading.thread().unpark();
            let read = reading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            written.and(read)
        })?;
        match teller {
            Some(teller) => teller.end(),
            None => Ok(()),
        }
    }
}

/// What PostgreSQL does not take is poison with a name, once commands come one by one.
fn named(trouble: Trouble, batch: &Sealed, rows_max: usize) -> Trouble {
    match trouble {
        Trouble::Unfit(reason) if rows_max == 1 => Poison {
            cursor: batch.to.cursor,
            reason,
        }
        .into(),
        other => other,
    }
}

fn write_all(
    sink: &mut Sink,
    batches: &Receiver<Sealed>,
    (shared, teller, rows_max): (&Shared, &mut Option<Teller>, usize),
    observe: Observer<'_>,
) -> Result<(), Trouble> {
    for batch in batches {
        sink.write(&batch)
            .map_err(|trouble| named(trouble, &batch, rows_max))?;
        shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        shared.progress.committed(&batch);
        observe(&batch);
        if let Some(teller) = teller {
            teller.tell_now_and_then(batch.to.cursor.seq)?;
        }
    }
    Ok(())
}

/// The journal of a folder: where its files are, its name, and the hash before its first event.
pub(crate) fn open_journal(
    folder: &std::path::Path,
) -> Result<(Arc<dyn Storage>, JournalId, ChainHash), Trouble> {
    let cannot =
        |error: std::io::Error| Trouble::Refused(format!("journal folder {}: {error}", folder.display()));
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open_to_read(folder).map_err(cannot)?);
    let Some(id) = UnrecoveredEvents::begun_as(&storage)? else {
        return Err(Trouble::Weather(format!(
            "{}: no event journal begins here yet",
            folder.display()
        )));
    };
    let origin = EventHasher::new(id).hash();
    Ok((storage, id, origin))
}

/// Tells the journal's keepers how far the database is.
struct Teller {
    file: CursorFile,
    told: Seq,
    due: Seq,
    last: Instant,
}

impl Teller {
    fn new(file: CursorFile) -> Teller {
        Teller {
            file,
            told: Seq::ZERO,
            due: Seq::ZERO,
            last: Instant::now(),
        }
    }

    fn tell(&mut self, seq: Seq) -> Result<(), Trouble> {
        // The next start reads more than what comes after it.
        let written = self.file.write(Seq(EventTail::reads_from(seq).0 - 1));
        written.map_err(|error| Trouble::Refused(format!("{}: {error}", self.file.path().display())))?;
        (self.told, self.due, self.last) = (seq, seq, Instant::now());
        Ok(())
    }

    fn tell_now_and_then(&mut self, seq: Seq) -> Result<(), Trouble> {
        self.due = seq;
        if self.last.elapsed() < TELL_EVERY {
            Ok(())
        } else {
            self.tell(seq)
        }
    }

    fn end(mut self) -> Result<(), Trouble> {
        if self.due == self.told {
            Ok(())
        } else {
            self.tell(self.due)
        }
    }
}
