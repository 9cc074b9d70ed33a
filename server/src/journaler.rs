//! The journaler: command ring → command journal, one sync for everything that gathered while the last one ran.
//!
//! # Cost
//! A command is copied once, out of its slots into the batch, and once more, with an allocation a batch, where a follower
//! reads what is newest.

use crate::exit::Failure;
use crate::progress::Durable;
use crate::ring::{Assembler, CommandPoller, Gauges};
use crate::wait::{PARK_MAX, Waiter, Waker};
use disruptor::Polling;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use xq_gateway::Durations;
use xq_journal::{Append, CommandJournal, CommandTail, Error};
use xq_protocol::{Nanos, Seq};

/// Most slots taken from the ring before they are given back to the producers.
const LOOK_SLOTS: u64 = 2_048;

/// Owns the command journal.
pub(crate) struct Journaler {
    pub(crate) journal: CommandJournal,
    pub(crate) poller: CommandPoller,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) durable: Durable,
    /// Where the follower finds what was just committed.
    pub(crate) tail: Arc<CommandTail>,
    /// Wakes the matcher, whose work goes on while the disk syncs: nothing of it may be told before.
    pub(crate) matcher: Waker,
    /// Wakes the publisher, who waits for what is durable.
    pub(crate) publisher: Waker,
    /// How long the commits took, the disk's sync included.
    pub(crate) commits: Arc<Durations>,
    pub(crate) waiter: Waiter,
    pub(crate) halt: Arc<AtomicBool>,
}

/// What one look into the ring found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Nothing,
    Some,
}

impl Journaler {
    /// Works until it is told to halt and the ring is empty; gives the journal back, all of it durable.
    ///
    /// # Errors
    /// What the disk refused: fatal, whoever called ends the process.
    pub(crate) fn run(mut self) -> Result<CommandJournal, Failure> {
        self.waiter.settle();
        let mut assembler = Assembler::default();
        loop {
            while self.gather(&mut assembler)? == Look::Some {}
            if self.journal.pending() > 0 {
                self.commit()?;
                self.waiter.busy();
            } else if self.halt.load(Ordering::Acquire) {
                assert!(assembler.is_between_frames(), "a stopped ring holds whole frames");
                return Ok(self.journal);
            } else {
                self.waiter.idle();
            }
        }
    }

    /// Copies what lies in the ring into the open batch and gives the slots back.
    fn gather(&mut self, assembler: &mut Assembler) -> Result<Look, Failure> {
        let mut slots = match self.poller.take(LOOK_SLOTS) {
            Ok(slots) => slots,
            Err(Polling::NoEvents | Polling::Shutdown) => return Ok(Look::Nothing),
        };
        let mut count = 0;
        for slot in &mut slots {
            count += 1;
            let Some(frame) = assembler.take(slot) else {
                continue;
            };
            while !append(&mut self.journal, frame.bytes(), &self.halt)? {
                self.matcher.wake();
                let durable = commit(&mut self.journal, (&self.commits, &self.tail))?;
                self.durable.advance(durable);
                self.publisher.wake();
            }
        }
        drop(slots);
        let done = self.gauges.journaled.load(Ordering::Relaxed) + count;
        self.gauges.journaled.store(done, Ordering::Release);
        Ok(Look::Some)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.matcher.wake();
        let durable = commit(&mut self.journal, (&self.commits, &self.tail))?;
        self.durable.advance(durable);
        self.publisher.wake();
        Ok(())
    }
}

/// Makes the batch durable, counts how long that took, and leaves it where the follower finds it.
fn commit(journal: &mut CommandJournal, (commits, tail): (&Durations, &CommandTail)) -> Result<Seq, Failure> {
    let begun = Instant::now();
    let durable = journal.commit()?;
    commits.count(Nanos(
        u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
    ));
    tail.push(&journal.committed());
    Ok(durable)
}

/// Whether the batch took the frame; it is full otherwise. While the disk is full it waits for room:
/// the ring fills meanwhile, and the doors answer that the exchange is busy.
fn append(journal: &mut CommandJournal, frame: &[u8], halt: &AtomicBool) -> Result<bool, Failure> {
    loop {
        match journal.append(frame) {
            Ok(Append::Taken(_)) => return Ok(true),
            Ok(Append::BatchFull) => return Ok(false),
            Err(Error::NoSpace { .. }) if !halt.load(Ordering::Acquire) => {
                std::thread::park_timeout(PARK_MAX * 100)
            }
            Err(other) => return Err(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{RING_SLOTS_MIN, command_ring};
    use crate::timer::tick;
    use crate::wait::Layout;
    use xq_journal::{CommandSettings, SimulatedDisk, UnrecoveredJournal};
    use xq_protocol::JournalId;

    /// The ring's readers sleep longer than a batch takes: only the journaler knows when there is work for them.
    #[test]
    fn a_commit_wakes_the_matcher_and_the_publisher() {
        let settings = CommandSettings {
            segment_size: 64 << 10,
            ..CommandSettings::default()
        };
        let disk = SimulatedDisk::new(settings.segment_size, 1);
        let opened = UnrecoveredJournal::open(disk.storage(), settings).expect("nothing is there");
        let (journal, _) = opened.recover(&[], JournalId([1; 16])).expect("nothing is there");
        let (_, _, poller) = command_ring(RING_SLOTS_MIN);
        let (matcher, publisher) = (Waker::default(), Waker::default());
        let mut journaler = Journaler {
            journal,
            poller,
            gauges: Arc::default(),
            durable: Durable::starting_at(Seq(0)),
            tail: Arc::default(),
            matcher: matcher.clone(),
            publisher: publisher.clone(),
            commits: Arc::default(),
            waiter: Waiter::new(Layout::Shared, Waker::default()),
            halt: Arc::default(),
        };
        matcher.lie_down();
        publisher.lie_down();
        let taken = journaler.journal.append(tick(Nanos(1)).bytes());
        assert!(matches!(taken, Ok(Append::Taken(Seq(1)))), "{taken:?}");
        journaler.commit().expect("the disk is sound");
        assert_eq!(journaler.durable.seq(), Seq(1));
        assert!(!matcher.is_asleep() && !publisher.is_asleep());
    }
}
