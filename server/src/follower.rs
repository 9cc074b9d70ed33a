//! The follower: executes the durable commands again behind the matcher, compares what follows with the event journal, and
//! takes snapshots of its own state.
//!
//! It has its own exchange and the lowest priority; the matcher knows nothing of it. Where the two differ, the process
//! ends before anything more is told.

use crate::exit::Failure;
use crate::lockout;
use crate::pipeline::{Helper, spawn};
use crate::progress::Durable;
use crate::quarantine::Quarantine;
use crate::recovery::frame_of;
use crate::retention::{Retention, RetentionWatch, Stuck};
use crate::ring::Gauges;
use crate::state::State;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xq_engine::Events;
use xq_journal::{
    CommandTail, EPOCH_COMMANDS, Error, EventHasher, EventKeeper, EventPosition, EventReader, EventStart,
    Snapshot, SnapshotHead, SnapshotRoom, SnapshotWriter, Start, Storage, TailReader, remove_snapshot,
    snapshot_head, snapshots,
};
use xq_protocol::{JournalId, Nanos, Seq};

/// How long it sleeps when there is nothing to follow.
const REST: Duration = Duration::from_millis(5);
/// It rests so long for each MiB of a snapshot, so that commits have the disk and the matcher the memory: 200 MiB a second.
const REST_A_MIB: Duration = Duration::from_millis(5);
/// After a snapshot that could not be written, or after it could not go on, it tries again no sooner than this.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// When snapshots are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// After so many commands.
    pub commands: u64,
    /// After so long, if any command came.
    pub time: Duration,
}

/// What a follower is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// When snapshots are taken.
    pub cadence: Cadence,
    /// What is kept of them, and of the journals.
    pub retention: Retention,
}

/// What the follower tells to whoever watches.
#[derive(Debug, Default)]
pub struct FollowerWatch {
    /// The last command that it executed and, with all of its epoch, compared.
    pub compared: AtomicU64,
    /// The last command that it executed.
    pub executed: AtomicU64,
    /// The last command that the newest snapshot covers.
    pub snapshot_seq: AtomicU64,
    /// Its bytes.
    pub snapshot_bytes: AtomicU64,
    /// How long it took, microseconds.
    pub snapshot_us: AtomicU64,
    /// When its last command came, Unix seconds; without one, when the follower began.
    pub snapshot_at: AtomicU64,
    /// Whether one is being written.
    pub writing: AtomicBool,
    /// Snapshots that could not be written.
    pub failed: AtomicU64,
    /// Commands of the present beginning that it read from the disk: those that it had to catch up with.
    pub from_disk: AtomicU64,
    /// How often it could not go on, and had to begin again.
    pub restarts: AtomicU64,
    /// What is moved away, and what is not.
    pub retention: RetentionWatch,
}

/// What a follower reads.
pub(crate) struct Followed {
    pub(crate) id: JournalId,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) position: Arc<EventPosition>,
    pub(crate) durable: Durable,
    pub(crate) tail: Arc<CommandTail>,
    pub(crate) synced: EventKeeper,
    pub(crate) gauges: Arc<Gauges>,
    /// Room that a snapshot leaves to the journals, bytes.
    pub(crate) spare: u64,
}

/// Why it does not go on.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The exchange stops.
    Halted,
    /// Something it reads cannot be read: it begins again, later. Nobody else is concerned.
    Passing(Failure),
    /// Two executions differ, or the journals' folder could not be synced: nothing more may be told.
    Fatal(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        match failure {
            Failure::Divergence(_) => Ended::Fatal(failure),
            other => Ended::Passing(other),
        }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Passing(error.into())
    }
}

/// A follower's place in a process: what lasts when it begins again.
pub(crate) struct Post {
    pub(crate) followed: Followed,
    pub(crate) cadence: Cadence,
    pub(crate) retention: Retention,
    pub(crate) watch: Arc<FollowerWatch>,
    pub(crate) halt: Arc<AtomicBool>,
    /// Snapshots that can be used, by the last command that each covers, the oldest first: the one with which recovery
    /// began, and those that were taken, or met and found equal, since.
    pub(crate) good: Vec<Seq>,
}

/// Executes what was executed.
pub(crate) struct Follower<'a> {
    post: &'a mut Post,
    state: State,
    scratch: Events,
    hasher: EventHasher,
    commands: TailReader,
    events: EventReader,
    /// Snapshots that nobody has used and whose commands are still to come: each is compared when they have come.
    met: Vec<Seq>,
    /// The last command of the newest snapshot, and when the next may be taken at the earliest for its time.
    covered: Seq,
    due_at: Instant,
    /// Time in the header of the last command.
    time_ns: u64,
}

impl Post {
    /// Starts the thread. `base` is the snapshot with which recovery began: the follower begins with the same.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        followed: Followed,
        base: Option<Seq>,
        Following { cadence, retention }: Following,
        watch: Arc<FollowerWatch>,
    ) -> Result<Helper, Failure> {
        let halt = Arc::new(AtomicBool::new(false));
        let mut post = Post {
            followed,
            cadence,
            retention,
            watch,
            halt: Arc::clone(&halt),
            good: base.into_iter().collect(),
        };
        let thread = spawn("follower", None, move || {
            // The lowest there is, of this thread alone; where the system refuses, it only takes more than it should.
            let _ = rustix::process::nice(19);
            post.hold();
        })?;
        Ok(Helper { halt, thread })
    }

    /// Follows until the exchange stops.
    fn hold(&mut self) {
        loop {
            let ended = match Follower::open(self) {
                Ok(mut follower) => follower.run(),
                Err(ended) => ended,
            };
            match ended {
                Ended::Halted => return,
                Ended::Fatal(failure) => {
                    // The lock-out waits for the disk: until then nothing more is told.
                    self.followed.gauges.muted.store(true, Ordering::Release);
                    lockout::end_process(&self.followed.storage, &failure)
                }
                Ended::Passing(failure) => {
                    self.watch.restarts.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(error = %failure, "the follower cannot go on: it begins again in a minute");
                }
            }
            let again_at = Instant::now() + RETRY_AFTER;
            while Instant::now() < again_at {
                if self.is_halted() {
                    return;
                }
                std::thread::park_timeout(RETRY_AFTER);
            }
        }
    }

    fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Acquire)
    }

    fn go_on(&self) -> Result<(), Ended> {
        match self.is_halted() {
            true => Err(Ended::Halted),
            false => Ok(()),
        }
    }

    /// The newest good snapshot; one that cannot be used any more is good no longer.
    fn base(&mut self) -> Option<(SnapshotHead, State, u64)> {
        while let Some(seq) = self.good.last() {
            let opened = Snapshot::open(&*self.followed.storage, *seq, Some(self.followed.id));
            let restored = opened.map_err(|error| error.to_string()).and_then(|snapshot| {
                let state = State::restored(&snapshot).map_err(|unusable| unusable.to_string())?;
                Ok((*snapshot.head(), state, snapshot.size()))
            });
            match restored {
                Ok(found) => return Some(found),
                Err(error) => tracing::error!(seq = seq.0, error, "a snapshot cannot be used any more"),
            }
            self.good.pop();
        }
        None
    }

    /// Removes snapshots and moves segments that are needed no more. What cannot be done harms nothing: it is told, and
    /// tried again behind the next snapshot.
    fn tidy(&mut self) -> Result<(), Ended> {
        let now = crate::clock::wall_now();
        let tidied = self.keep_snapshots(now).and_then(|kept| match kept.as_slice() {
            // A start may need the older of two that are known to be good.
            [oldest, ..] if self.good.len() > 1 => {
                let storage = &self.followed.storage;
                let folder = (storage, Path::new(storage.place()));
                let watch = &self.watch.retention;
                self.retention
                    .run(folder, [oldest, &kept[kept.len() - 1]], (now, watch))
            }
            _ => Ok(()),
        });
        match tidied {
            Ok(()) => Ok(()),
            Err(Stuck::Passing(error)) => {
                self.watch.retention.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "what is needed no more stays where it is");
                Ok(())
            }
            Err(Stuck::Fatal(failure)) => Err(Ended::Fatal(failure)),
        }
    }

    /// Removes every snapshot but those that are to be kept and those whose commands are still to come; those kept, the
    /// oldest first. The newest good one is durable.
    fn keep_snapshots(&mut self, now: Nanos) -> Result<Vec<SnapshotHead>, Stuck> {
        let storage = &*self.followed.storage;
        let (first, newest) = (self.good[0], *self.good.last().expect("one was taken just now"));
        let there = snapshots(storage)?;
        // Older ones than this process has used were found good by those before it.
        let may_be_kept = |seq: &&Seq| **seq < first || self.good.contains(seq);
        let heads = there.iter().rev().filter(may_be_kept);
        let mut kept: Vec<SnapshotHead> = heads
            .filter_map(|seq| snapshot_head(storage, *seq).ok())
            .collect();
        kept.drain(..self.retention.surplus(&kept, now));
        let is_kept = |seq: &Seq| kept.iter().any(|head| head.start.seq == *seq);
        self.good.retain(is_kept);
        there
            .into_iter()
            .filter(|seq| *seq < newest && !is_kept(seq))
            .try_for_each(|old| remove_snapshot(storage, old))?;
        Ok(kept)
    }
}

impl<'a> Follower<'a> {
    /// A follower that stands behind the newest good snapshot, or before the first command.
    pub(crate) fn open(post: &'a mut Post) -> Result<Follower<'a>, Ended> {
        let (start, mut state, taken, bytes) = match post.base() {
            Some((head, state, bytes)) => (Some(head.start), state, head.time_ns, bytes),
            None => (None, State::default(), crate::clock::wall_now().0, 0),
        };
        let (followed, watch) = (&post.followed, &post.watch);
        let storage = &followed.storage;
        state.quarantine = Arc::new(Quarantine::read(storage, followed.id)?);
        let covered = start.map_or(Seq::ZERO, |start| start.seq);
        let commands = TailReader::open(Arc::clone(storage), Arc::clone(&followed.tail), covered.next())?;
        let mut events = EventReader::open(Arc::clone(storage), Arc::clone(&followed.position))?;
        if start.is_some() {
            events.seek(covered.next())?;
        }
        let met = snapshots(&**storage)?;
        for (shown, value) in [
            (&watch.snapshot_seq, covered.0),
            (&watch.snapshot_at, taken / 1_000_000_000),
            (&watch.snapshot_bytes, bytes),
            (&watch.executed, covered.0),
            (&watch.compared, covered.0),
        ] {
            shown.store(value, Ordering::Relaxed);
        }
        Ok(Follower {
            hasher: start.map_or_else(
                || EventHasher::new(followed.id),
                |start| EventHasher::from_chain(start.events.chain),
            ),
            met: met.into_iter().filter(|seq| *seq > covered).collect(),
            due_at: Instant::now() + post.cadence.time,
            post,
            state,
            scratch: Events::new(),
            commands,
            events,
            covered,
            time_ns: 0,
        })
    }

    fn run(&mut self) -> Ended {
        loop {
            if self.post.is_halted() {
                return Ended::Halted;
            }
            match self.follow_epoch() {
                Ok(Step::Done) => {}
                Ok(Step::Nothing) => std::thread::park_timeout(REST),
                Err(ended) => return ended,
            }
        }
    }

    /// Executes commands up to the end of an epoch, as far as they are durable, and compares the epoch when it is whole.
    pub(crate) fn follow_epoch(&mut self) -> Result<Step, Ended> {
        let from = self.commands.next_seq();
        let durable = self.post.followed.durable.seq();
        loop {
            let seq = self.commands.next_seq();
            let Some(bytes) = self.commands.next_command(durable)? else {
                break;
            };
            let frame = frame_of(bytes, seq)?;
            self.time_ns = frame.header.time.0;
            self.state.apply(seq, &frame, &mut self.scratch)?;
            self.state.watch(&self.scratch);
            for event in self.scratch.frames() {
                hash(&mut self.hasher, event.bytes());
            }
            self.post.watch.executed.store(seq.0, Ordering::Relaxed);
            if seq.0.is_multiple_of(EPOCH_COMMANDS) {
                self.end_epoch(seq)?;
                break;
            }
        }
        let from_disk = self.commands.from_disk();
        self.post.watch.from_disk.store(from_disk, Ordering::Relaxed);
        match self.commands.next_seq() > from {
            true => Ok(Step::Done),
            false => Ok(Step::Nothing),
        }
    }

    /// Waits until the epoch's events are there, compares their chain, and takes a snapshot when one is due.
    fn end_epoch(&mut self, last: Seq) -> Result<(), Ended> {
        let there = self.epoch_there(last)?;
        let here = self.hasher.chain();
        if there.chain != here {
            return Err(Ended::from(Failure::Divergence(format!(
                "the events of commands {} to {last} are others when they are executed again: chain {} in the journal, \
                 {here} by the follower",
                last.0 - (EPOCH_COMMANDS - 1),
                there.chain
            ))));
        }
        self.post.watch.compared.store(last.0, Ordering::Relaxed);
        if self.met.contains(&last) {
            self.meet(last)?;
        }
        let is_due = last.0 - self.covered.0 >= self.post.cadence.commands || Instant::now() >= self.due_at;
        match is_due && self.covered < last {
            true => self.snapshot(last, there),
            false => Ok(()),
        }
    }

    /// Compares the state with a snapshot that is there and that nobody has used. One that is damaged says nothing.
    fn meet(&mut self, seq: Seq) -> Result<(), Ended> {
        let followed = &self.post.followed;
        let snapshot = match Snapshot::open(&*followed.storage, seq, Some(followed.id)) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(seq = seq.0, %error, "a snapshot is of no use");
                return Ok(());
            }
        };
        match self.state.difference(&snapshot) {
            Some(what) => Err(Ended::from(Failure::Divergence(format!(
                "{} holds another state than executing the commands again gives: {what}",
                snapshot.name()
            )))),
            None => {
                self.covered = seq;
                self.due_at = Instant::now() + self.post.cadence.time;
                self.post.good.push(seq);
                self.taken(seq, snapshot.size());
                Ok(())
            }
        }
    }

    /// Where the journal stands behind this epoch.
    fn epoch_there(&mut self, last: Seq) -> Result<EventStart, Ended> {
        loop {
            while self.events.cursor().seq <= last && self.events.next_event()?.is_some() {}
            if self.events.cursor().seq > last {
                let start = self.events.start();
                return Ok(start.expect("an epoch is published with the record that closes it"));
            }
            self.post.go_on()?;
            std::thread::park_timeout(REST);
        }
    }

    /// Takes a snapshot. One that cannot be written harms nothing: it is told, and tried again later.
    fn snapshot(&mut self, seq: Seq, events: EventStart) -> Result<(), Ended> {
        let begun = Instant::now();
        self.post.watch.writing.store(true, Ordering::Relaxed);
        let written = self.write(seq, events);
        self.post.watch.writing.store(false, Ordering::Relaxed);
        match written {
            Ok(bytes) => {
                let took = begun.elapsed();
                self.covered = seq;
                self.due_at = Instant::now() + self.post.cadence.time;
                self.post.good.push(seq);
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.post.watch.snapshot_us.store(took_us, Ordering::Relaxed);
                self.taken(seq, bytes);
                tracing::info!(seq = seq.0, bytes, took_ms = took_us / 1_000, "snapshot taken");
                self.post.tidy()
            }
            Err(Ended::Passing(error)) => {
                self.post.watch.failed.fetch_add(1, Ordering::Relaxed);
                // By count it would be due again at once.
                self.covered = seq;
                self.due_at = Instant::now() + RETRY_AFTER.min(self.post.cadence.time);
                tracing::error!(seq = seq.0, %error, "no snapshot was taken: those before stay");
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    /// Shows a snapshot that is there now.
    fn taken(&self, seq: Seq, bytes: u64) {
        let watch = &self.post.watch;
        watch.snapshot_bytes.store(bytes, Ordering::Relaxed);
        // By the time of its last command, as after a start.
        watch
            .snapshot_at
            .store(self.time_ns / 1_000_000_000, Ordering::Relaxed);
        watch.snapshot_seq.store(seq.0, Ordering::Release);
    }

    fn write(&mut self, seq: Seq, events: EventStart) -> Result<u64, Ended> {
        let commands = self.commands.start_of(seq)?;
        let (followed, watch) = (&self.post.followed, &self.post.watch);
        let head = SnapshotHead {
            id: followed.id,
            start: Start {
                seq,
                commands,
                events,
            },
            time_ns: self.time_ns,
        };
        let before = watch.snapshot_bytes.load(Ordering::Relaxed);
        let room = SnapshotRoom {
            expected: self.state.exchange.snapshot_bytes().max(before),
            spare: followed.spare,
        };
        let mut writer = SnapshotWriter::begin(Arc::clone(&followed.storage), head, room)?;
        self.state.save(&mut |kind, bytes| {
            writer.put(kind, bytes)?;
            self.rest(bytes.len())
        })?;
        // It counts only when the events that it covers are on the disk.
        let end = self.events.position_of(&events);
        while followed.synced.synced() < end {
            self.post.go_on()?;
            std::thread::park_timeout(REST);
        }
        let named = writer.finish()?;
        // The folder is the journals', too: what is not durable of its names concerns everyone.
        let written = named.make_durable().map_err(|error| Ended::Fatal(error.into()))?;
        Ok(written.bytes)
    }

    fn rest(&self, bytes: usize) -> Result<(), Ended> {
        self.post.go_on()?;
        let mebibytes = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        std::thread::park_timeout(REST_A_MIB * mebibytes);
        Ok(())
    }
}

/// Whether there was anything to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Nothing,
}

/// Hashes what was executed here; the mutant `mutant-follower-differs` has one bit of it otherwise.
fn hash(hasher: &mut EventHasher, event: &[u8]) {
    if cfg!(feature = "mutant-follower-differs") {
        let mut other = event.to_vec();
        other[16] ^= 1;
        return hasher.update(&other);
    }
    hasher.update(event);
}
