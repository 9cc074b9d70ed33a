//! The publisher: event ring → event journal, never before the command is durable; then rings the doors' bells.
//!
//! # Cost
//! An event is copied once, from its slot into the mapped journal; nothing is allocated. Readers read the same pages.

use crate::exit::Failure;
use crate::progress::Durable;
use crate::ring::{EventRingPoller, Gauges};
use crate::wait::{PARK_MAX, Waiter};
use disruptor::Polling;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use xq_journal::{Error, EventJournal};
use xq_protocol::{Frame, Seq};

/// Most slots taken from the ring before they are given back to the matcher.
const LOOK_SLOTS: u64 = 512;

/// Called once after each batch of events that may be told.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// Owns the event journal. What it has appended may be told: readers follow the journal's own position.
pub(crate) struct Publisher {
    pub(crate) journal: EventJournal,
    pub(crate) poller: EventRingPoller,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) durable: Durable,
    pub(crate) bells: Vec<Bell>,
    pub(crate) waiter: Waiter,
    pub(crate) halt: Arc<AtomicBool>,
    /// How often it had to wait for the journaler.
    pub(crate) waited: Arc<AtomicU64>,
}

impl Publisher {
    /// Works until it is told to halt and the ring is empty; gives the journal back.
    ///
    /// # Errors
    /// What the disk refused: fatal, whoever called ends the process.
    pub(crate) fn run(mut self) -> Result<EventJournal, Failure> {
        self.waiter.settle();
        loop {
            if self.look()? {
                self.waiter.busy();
            } else if self.halt.load(Ordering::Acquire) {
                return Ok(self.journal);
            } else {
                self.waiter.idle();
            }
        }
    }

    /// Appends what lies in the ring, as it becomes durable; says whether there was anything.
    fn look(&mut self) -> Result<bool, Failure> {
        let mut slots = match self.poller.take(LOOK_SLOTS) {
            Ok(slots) => slots,
            Err(Polling::NoEvents | Polling::Shutdown) => return Ok(false),
        };
        let (mut durable, mut unrung) = (self.durable.seq(), 0_usize);
        for slot in &mut slots {
            let (event, _) = Frame::split(slot.bytes()).expect("the matcher writes whole events");
            let cause = event.header.seq;
            if cause > durable {
                ring(&self.bells, std::mem::take(&mut unrung));
                durable = wait_for(&self.durable, cause, &mut self.waiter, &self.waited);
            }
            while self.gauges.muted.load(Ordering::Acquire) {
                std::thread::park_timeout(PARK_MAX);
            }
            append(&mut self.journal, event.bytes(), &self.gauges.closed)?;
            unrung += 1;
        }
        drop(slots);
        ring(&self.bells, unrung);
        Ok(true)
    }
}

/// Rings, if there is news.
fn ring(bells: &[Bell], news: usize) {
    if news > 0 {
        bells.iter().for_each(|bell| bell());
    }
}

/// Waits until a command is durable: nobody learns of what a power cut could undo.
fn wait_for(durable: &Durable, cause: Seq, waiter: &mut Waiter, waited: &AtomicU64) -> Seq {
    if cfg!(feature = "mutant-tell-before-durable") {
        return cause;
    }
    waited.fetch_add(1, Ordering::Relaxed);
    loop {
        let seq = durable.seq();
        if seq >= cause {
            waiter.busy();
            return seq;
        }
        waiter.idle();
    }
}

/// Appends one event; while the disk is full it waits for room, unless the exchange is stopping: the matcher, who is
/// stopped before the publisher, may be waiting for it.
fn append(journal: &mut EventJournal, event: &[u8], closed: &AtomicBool) -> Result<(), Failure> {
    loop {
        match journal.append(event) {
            Ok(()) => return Ok(()),
            Err(Error::NoSpace { .. }) if !closed.load(Ordering::Acquire) => {
                std::thread::park_timeout(PARK_MAX * 100)
            }
            Err(other) => return Err(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::Outlet;
    use crate::ring::event_ring;
    use crate::wait::{Layout, Waker};
    use xq_journal::{EventReader, EventSettings, FileStorage, SimulatedDisk, Storage, UnrecoveredEvents};
    use xq_protocol::{Count, EventFrame, Header, JournalId, Nanos, TimeAdvanced};

    fn event(seq: u64) -> EventFrame {
        let header = Header {
            seq: Seq(seq),
            flags: Header::LAST,
            ..Header::default()
        };
        let body = TimeAdvanced {
            now: Nanos(seq),
            jobs: Count(0),
            open_orders: Count(0),
        };
        EventFrame::new(header, &body)
    }

    #[test]
    fn nothing_is_told_before_it_is_durable() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).expect("opens"));
        let settings = EventSettings {
            segment_size: 1 << 20,
            ..EventSettings::default()
        };
        let found = UnrecoveredEvents::open(Arc::clone(&storage), settings, JournalId([1; 16]));
        let recovery = found
            .and_then(UnrecoveredEvents::recover)
            .expect("nothing is there");
        let (journal, _) = recovery.finish().expect("nothing is there");
        let mut reader = EventReader::open(storage, journal.position()).expect("opens");
        let (producer, poller) = event_ring(1_024);
        let waiter = |waker: &Waker| Waiter::new(Layout::Shared, waker.clone());
        let waker = Waker::default();
        let (durable, rung) = (Durable::starting_at(Seq(1)), Arc::new(AtomicU64::new(0)));
        let (waited, halt) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let counted = Arc::clone(&rung);
        let bell: Bell = Arc::new(move || {
            counted.fetch_add(1, Ordering::AcqRel);
        });
        let publisher = Publisher {
            journal,
            poller,
            gauges: Arc::default(),
            durable: durable.clone(),
            bells: vec![bell],
            waiter: waiter(&waker),
            halt: Arc::clone(&halt),
            waited: Arc::clone(&waited),
        };
        let mut outlet = Outlet::new(producer, waker.clone(), waiter(&Waker::default()));
        (1..=3).for_each(|seq| outlet.push(&event(seq)));
        outlet.flush();
        let thread = std::thread::spawn(move || publisher.run());
        // It tells of the first, then has to wait for the second; a publisher that does not wait rings for all.
        let mut told = 0;
        while waited.load(Ordering::Acquire) == 0 && told < 3 {
            told += u64::from(reader.next_event().expect("reads").is_some());
        }
        while told < 1 {
            told += u64::from(reader.next_event().expect("reads").is_some());
        }
        assert!(
            reader.next_event().expect("reads").is_none(),
            "the second is not durable yet"
        );
        assert_eq!((told, rung.load(Ordering::Acquire)), (1, 1));
        durable.advance(Seq(3));
        while told < 3 {
            told += u64::from(reader.next_event().expect("reads").is_some());
        }
        halt.store(true, Ordering::Release);
        let ended = thread.join().expect("it ends").expect("it wrote");
        assert_eq!(ended.cursor().seq, Seq(4));
    }

    /// The matcher is stopped before the publisher, and may wait for it: nobody would end this wait for room.
    #[test]
    fn on_a_full_disk_a_stop_is_not_waited_for() {
        const SEGMENT: u64 = 32 << 10;
        let disk = SimulatedDisk::new(SEGMENT, 1);
        let settings = EventSettings {
            segment_size: SEGMENT,
            ..EventSettings::default()
        };
        let found = UnrecoveredEvents::open(disk.storage(), settings, JournalId([1; 16]));
        let recovery = found
            .and_then(UnrecoveredEvents::recover)
            .expect("nothing is there");
        let (journal, _) = recovery.finish().expect("nothing is there");
        let (producer, poller) = event_ring(1_024);
        let waiter = || Waiter::new(Layout::Shared, Waker::default());
        let publisher = Publisher {
            journal,
            poller,
            gauges: Arc::default(),
            durable: Durable::starting_at(Seq(1_000)),
            bells: Vec::new(),
            waiter: waiter(),
            halt: Arc::default(),
            waited: Arc::default(),
        };
        publisher.gauges.closed.store(true, Ordering::Release);
        let mut outlet = Outlet::new(producer, Waker::default(), waiter());
        (1..=1_000).for_each(|seq| outlet.push(&event(seq)));
        outlet.flush();
        let refused = publisher
            .run()
            .expect_err("a thousand events are more than a segment");
        assert_eq!(refused.exit(), crate::exit::Exit::DiskFull);
    }
}
