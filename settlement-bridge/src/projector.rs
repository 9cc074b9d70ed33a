//! The projector: reads the tail of the event journal and gathers batches for as long as the sink is busy.

use crate::batch::{Batch, Sealed};
use crate::bridge::{Shared, Until};
use crate::cursor::Position;
use crate::trouble::Trouble;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use xq_journal::{Error as JournalError, EventTail, Storage};
use xq_protocol::{JournalId, Seq};

/// How long it rests when there is nothing to read.
const REST: Duration = Duration::from_millis(1);
/// So often the cursor moves when events give no rows.
const IDLE_COMMIT: Duration = Duration::from_secs(1);
/// After so long without an event the files are opened anew: an exchange that starts may have made some of them again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Reads events behind a position.
pub(crate) struct Projector {
    storage: Arc<dyn Storage>,
    id: JournalId,
    tail: EventTail,
    position: Position,
    rows_max: usize,
    until: Until,
}

impl Projector {
    /// Stands behind a position, whose hash the journal must have, too.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        id: JournalId,
        position: Position,
        (rows_max, until): (usize, Until),
    ) -> Result<Projector, Trouble> {
        let tail = open_behind(&storage, id, &position)?;
        Ok(Projector {
            storage,
            id,
            tail,
            position,
            rows_max,
            until,
        })
    }

    /// Hands over batches until the other side hangs up, or all is done.
    pub(crate) fn run(mut self, to: &SyncSender<Sealed>, shared: &Shared) -> Result<(), Trouble> {
        let mut batch = Batch::behind(self.position);
        let (mut idle_since, mut written) = (Instant::now(), Instant::now());
        while !shared.stop.load(Ordering::Relaxed) && !shared.hung_up.load(Ordering::Acquire) {
            let read = self.fill(&mut batch)?;
            shared.progress.seen(Seq(self.tail.next_seq().0 - 1));
            let sink_waits = shared.in_flight.load(Ordering::Acquire) == 0;
            // Time that passes gives no row: it is written along, or once a second.
            let wanted = batch.rows() > 0 || written.elapsed() > IDLE_COMMIT || self.until == Until::CaughtUp;
            if !batch.is_empty() && wanted && (sink_waits || batch.rows() >= self.rows_max) {
                let sealed = batch.seal(self.tail.hash())?;
                self.position = sealed.to;
                shared.in_flight.fetch_add(1, Ordering::AcqRel);
                if to.send(sealed).is_err() {
                    return Ok(());
                }
                batch = Batch::behind(self.position);
                written = Instant::now();
                continue;
            }
            if read > 0 {
                idle_since = Instant::now();
                continue;
            }
            if batch.rows() == 0 {
                shared.progress.at_the_end(sink_waits, self.tail.is_torn());
                if self.until == Until::CaughtUp && batch.is_empty() {
                    return Ok(());
                }
                if batch.is_empty() && idle_since.elapsed() > REOPEN_AFTER {
                    self.tail = open_behind(&self.storage, self.id, &self.position)?;
                    idle_since = Instant::now();
                }
            }
            std::thread::park_timeout(REST);
        }
        Ok(())
    }

    /// Reads what there is, until the batch is full; how many commands that were.
    fn fill(&mut self, batch: &mut Batch) -> Result<u64, Trouble> {
        let mut read = 0;
        while batch.rows() < self.rows_max && self.tail.advance()? {
            let tail = &self.tail;
            batch.add(tail.command(), || tail.hash())?;
            read += 1;
        }
        Ok(read)
    }
}

/// Opens the journal behind a position, and compares its hash there.
pub(crate) fn open_behind(
    storage: &Arc<dyn Storage>,
    id: JournalId,
    position: &Position,
) -> Result<EventTail, Trouble> {
    let database = position.cursor;
    let tail = match EventTail::open(Arc::clone(storage), id, database.seq) {
        Ok(tail) => tail,
        Err(JournalError::NotFound { first, last, .. }) => {
            return Err(if first > database.seq {
                Trouble::Archived {
                    database,
                    journal: first,
                }
            } else {
                Trouble::Ahead {
                    database,
                    journal: last,
                }
            });
        }
        Err(other) => return Err(other.into()),
    };
    if tail.hash() != position.chain {
        return Err(Trouble::OtherHistory(database));
    }
    Ok(tail)
}
