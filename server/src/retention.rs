//! What is kept of journals and snapshots, and what is moved away: by age and by size, never what somebody still needs.
//!
//! The follower does it behind each snapshot, on its own thread. Segments are moved, never removed: what becomes of an
//! archive is its owner's to say.

use crate::exit::Failure;
use crate::recovery::{frame_of, lock_folder};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use xq_journal::{
    CommandReader, SealedSegment, SnapshotHead, Start, Storage, Verify, copy_whole, remove_file,
    sealed_segments,
};
use xq_protocol::{Nanos, Seq};

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Where segments go; none: they stay.
    pub archive: Option<PathBuf>,
    /// Segments stay until their next command came so long ago.
    pub keep: Duration,
    /// Bytes of all segments that are not written any more beyond which they do not; none: size is no reason.
    pub bytes_max: Option<u64>,
    /// So many snapshots stay, the newest.
    pub snapshots: usize,
    /// Older ones stay so long after their last command.
    pub keep_snapshots: Duration,
}

impl Default for Retention {
    /// As many snapshots as a start may need, and every segment where it is.
    fn default() -> Self {
        Retention {
            archive: None,
            keep: Duration::ZERO,
            bytes_max: None,
            snapshots: 2,
            keep_snapshots: Duration::ZERO,
        }
    }
}

/// What it tells to whoever watches.
#[derive(Debug, Default)]
pub struct RetentionWatch {
    /// Segments moved since the start.
    pub moved: AtomicU64,
    /// How often it could not go on.
    pub failed: AtomicU64,
    /// Bytes of segments that are to go and that the oldest snapshot still needs.
    pub held_by_snapshot: AtomicU64,
    /// Bytes of segments that are to go and that a `NAME.cursor` still needs.
    pub held_by_cursor: AtomicU64,
}

/// Who needs what lies behind which command.
struct Bounds {
    /// Behind the oldest snapshot that is kept.
    start: Start,
    /// The last command that no cursor needs any more.
    cursor: Option<(Seq, PathBuf)>,
}

/// Why it does not go on.
pub(crate) enum Stuck {
    /// It is tried again behind the next snapshot.
    Passing(Failure),
    /// The journals' folder could not be synced: nothing more may be told.
    Fatal(Failure),
}

impl<E: Into<Failure>> From<E> for Stuck {
    fn from(error: E) -> Stuck {
        Stuck::Passing(error.into())
    }
}

impl Retention {
    /// Which of these snapshots go: those behind so many newer ones, when they are old enough. The oldest comes first.
    pub(crate) fn surplus(&self, snapshots: &[SnapshotHead], now: Nanos) -> usize {
        let old = cutoff(now, self.keep_snapshots);
        let surplus = snapshots.len().saturating_sub(self.snapshots);
        let goes = |head: &&SnapshotHead| head.time_ns < old.0;
        snapshots.iter().take(surplus).take_while(goes).count()
    }

    /// How many of these segments are to go, needed or not: those that end before this command, and younger ones while all
    /// together take more than they may. The oldest comes first.
    fn due(&self, sealed: &[SealedSegment], young: Seq) -> usize {
        let mut left: u64 = sealed.iter().map(|segment| segment.bytes).sum();
        let goes = |segment: &&SealedSegment| {
            let too_much = self.bytes_max.is_some_and(|max| left > max);
            left = left.saturating_sub(segment.bytes);
            too_much || segment.last < young
        };
        sealed.iter().take_while(goes).count()
    }

    /// Moves what is to go and what nobody needs, of two different snapshots that are kept the oldest and the newest.
    ///
    /// # Errors
    /// [`Stuck`]: what was moved until then stays moved.
    pub(crate) fn run(
        &self,
        (storage, folder): (&Arc<dyn Storage>, &Path),
        [oldest, newest]: [&SnapshotHead; 2],
        (now, watch): (Nanos, &RetentionWatch),
    ) -> Result<(), Stuck> {
        let Some(archive) = &self.archive else {
            return Ok(());
        };
        let sealed = sealed_segments(&**storage)?;
        let durable = newest.start.seq;
        let young = first_young(storage, (&sealed, durable), cutoff(now, self.keep))?;
        let count = self.due(&sealed, young);
        let bounds = Bounds {
            start: oldest.start,
            cursor: lowest_cursor(folder).map_err(|source| cannot(folder, source))?,
        };
        let (held, free) = bounds.divide(&sealed[..count]);
        watch.held_by_snapshot.store(held[0], Ordering::Relaxed);
        watch.held_by_cursor.store(held[1], Ordering::Relaxed);
        if held[1] > 0
            && let Some((seq, path)) = &bounds.cursor
        {
            tracing::warn!(cursor = %path.display(), seq = seq.0, bytes = held[1], "segments stay for a cursor");
        }
        if free.is_empty() {
            return Ok(());
        }
        let to = archive_folder(folder, archive)?;
        for segment in &free {
            copy_whole(&**storage, &*to, &segment.name)?;
            remove_file(&**storage, &segment.name).map_err(|error| Stuck::Fatal(error.into()))?;
            watch.moved.fetch_add(1, Ordering::Relaxed);
        }
        tracing::info!(segments = free.len(), to = to.place(), "segments were archived");
        Ok(())
    }
}

impl Bounds {
    /// Bytes that a snapshot and that a cursor hold back, and the segments that nobody does.
    fn divide<'a>(&self, due: &'a [SealedSegment]) -> ([u64; 2], Vec<&'a SealedSegment>) {
        let (mut held, mut free) = ([0; 2], Vec::new());
        for segment in due {
            let past_cursor = self.cursor.as_ref().is_some_and(|(seq, _)| segment.last > *seq);
            match (segment.is_covered(&self.start), past_cursor) {
                (true, false) => free.push(segment),
                (true, true) => held[1] += segment.bytes,
                (false, _) => held[0] += segment.bytes,
            }
        }
        (held, free)
    }
}

fn cutoff(now: Nanos, keep: Duration) -> Nanos {
    Nanos(
        now.0
            .saturating_sub(u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX)),
    )
}

/// What ends before this command is old: each segment whose next command came so long ago, as far as commands are known to
/// be durable.
fn first_young(
    storage: &Arc<dyn Storage>,
    (sealed, durable): (&[SealedSegment], Seq),
    old: Nanos,
) -> Result<Seq, Failure> {
    let mut young = Seq(1);
    let of_commands = |segment: &&SealedSegment| segment.is_of_commands() && segment.last < durable;
    for segment in sealed.iter().filter(of_commands) {
        let next = segment.last.next();
        let mut reader = CommandReader::open(Arc::clone(storage), Verify::Order, next)?;
        let Some(bytes) = reader.next_command(next)? else {
            break;
        };
        if frame_of(bytes, next)?.header.time >= old {
            break;
        }
        young = next;
    }
    Ok(young)
}

/// The lowest command that a `NAME.cursor` of the folder names: the last one whose events its owner needs no more.
///
/// # Errors
/// `InvalidData`, naming the file, for one that holds no number; those of the file system.
pub(crate) fn lowest_cursor(folder: &Path) -> io::Result<Option<(Seq, PathBuf)>> {
    let mut lowest: Option<(Seq, PathBuf)> = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "cursor") {
            continue;
        }
        let seq = std::fs::read_to_string(&path)?.trim().parse().map(Seq);
        let seq = seq.map_err(|_| {
            let what = format!("{}: no number of a command", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        if lowest.as_ref().is_none_or(|(least, _)| seq < *least) {
            lowest = Some((seq, path));
        }
    }
    Ok(lowest)
}

/// The folder that segments are moved to, locked: never the one that they are in.
///
/// # Errors
/// [`Failure::CannotCreate`], naming it.
pub(crate) fn archive_folder(from: &Path, to: &Path) -> Result<Arc<dyn Storage>, Failure> {
    let made = std::fs::create_dir_all(to).and_then(|()| Ok((from.metadata()?, to.metadata()?)));
    let (one, other) = made.map_err(|source| cannot(to, source))?;
    if (one.dev(), one.ino()) == (other.dev(), other.ino()) {
        return Err(cannot(
            to,
            io::Error::other("it is the folder of the journals itself"),
        ));
    }
    lock_folder(to)
}

pub(crate) fn cannot(path: &Path, source: io::Error) -> Failure {
    Failure::CannotCreate {
        what: path.display().to_string(),
        source,
    }
}
