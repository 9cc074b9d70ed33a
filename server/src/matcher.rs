//! The matcher: command ring → `Exchange::apply` → event ring.
//!
//! # Cost
//! A command of one slot is applied in place; its events are copied once into a batch and once into the ring. Nothing
//! is allocated. One look in eight reads the clock twice and stores how full the tables are: some 100 ns.

use crate::clock::SteadyClock;
use crate::exit::check_rules;
use crate::fills::Fills;
use crate::progress::Durable;
use crate::ring::{Assembler, CommandPoller, EventProducer, Gauges, Slot};
use crate::wait::{Waiter, Waker};
use disruptor::{Polling, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xq_engine::{Events, Exchange};
use xq_gateway::Durations;
use xq_protocol::{Nanos, Seq};

/// Most slots taken from the ring before they are given back to the producers.
const LOOK_SLOTS: u64 = 1_024;
/// Events that are published at once while more commands wait.
const BATCH_EVENTS: usize = 64;

/// One look into the ring in so many is timed, and tells how full the tables are.
const WATCHED_LOOKS: u64 = 8;

/// What the matcher tells to whoever watches.
#[derive(Debug, Default)]
pub struct Watched {
    /// From a command's coming until the matcher takes it, of the oldest in a look.
    pub ring: Durations,
    /// How long all commands of a look took, waits for room in the event ring included.
    pub batches: Durations,
    /// How full the tables are.
    pub fills: Fills,
}

/// Owns the exchange.
pub(crate) struct Matcher {
    pub(crate) exchange: Exchange,
    pub(crate) events: Events,
    pub(crate) poller: CommandPoller,
    pub(crate) out: Outlet,
    pub(crate) gauges: Arc<Gauges>,
    /// The next command's sequence: the journaler counts the same frames from the same start.
    pub(crate) next: Seq,
    /// How far commands are durable.
    pub(crate) durable: Durable,
    pub(crate) waiter: Waiter,
    pub(crate) halt: Arc<AtomicBool>,
    /// The clock by which commands come, and when it was started.
    pub(crate) clock: SteadyClock,
    pub(crate) started: Nanos,
    pub(crate) watched: Arc<Watched>,
    /// Looks that found something.
    pub(crate) looks: u64,
}

/// The way into the event ring: gathers a batch, publishes it, waits when the ring is full and never drops.
pub(crate) struct Outlet {
    producer: EventProducer,
    batch: Vec<Slot>,
    publisher: Waker,
    waiter: Waiter,
    /// Whether the publisher has not been woken since the last batch.
    unannounced: bool,
}

impl Matcher {
    /// Works until it is told to halt and the ring is empty; gives the exchange back.
    pub(crate) fn run(mut self) -> Exchange {
        self.waiter.settle();
        let mut assembler = Assembler::default();
        loop {
            if self.look(&mut assembler) {
                self.waiter.busy();
                continue;
            }
            self.out.flush();
            // The journaler wakes the publisher when a batch becomes durable: here it may have done so before.
            if self.out.unannounced && self.durable.seq().next() >= self.next {
                self.out.announce();
            }
            if self.halt.load(Ordering::Acquire) {
                assert!(assembler.is_between_frames(), "a stopped ring holds whole frames");
                return self.exchange;
            }
            self.waiter.idle();
        }
    }

    /// Applies what lies in the ring; says whether there was anything.
    fn look(&mut self, assembler: &mut Assembler) -> bool {
        let mut slots = match self.poller.take(LOOK_SLOTS) {
            Ok(slots) => slots,
            Err(Polling::NoEvents | Polling::Shutdown) => return false,
        };
        let watch = self.looks.is_multiple_of(WATCHED_LOOKS).then(|| self.clock.now());
        self.looks += 1;
        let (mut count, mut came) = (0, None);
        for slot in &mut slots {
            count += 1;
            let Some(frame) = assembler.take(slot) else {
                continue;
            };
            came.get_or_insert(frame.header.time);
            self.exchange.apply(self.next, &frame, &mut self.events);
            if let Err(failure) = check_rules(&self.exchange) {
                failure.end_process();
            }
            assert!(
                !self.events.frames().is_empty(),
                "every command has at least one event"
            );
            for event in self.events.frames() {
                self.out.push(event);
            }
            self.next = self.next.next();
        }
        drop(slots);
        let done = self.gauges.matched.load(Ordering::Relaxed) + count;
        self.gauges.matched.store(done, Ordering::Release);
        if let (Some(begun), Some(came)) = (watch, came) {
            let nanos = |from: Nanos, to: Nanos| Nanos(to.0.saturating_sub(from.0));
            // What came before this start says nothing of the ring.
            if came >= self.started {
                self.watched.ring.count(nanos(came, begun));
            }
            self.watched.batches.count(nanos(begun, self.clock.now()));
            self.watched.fills.store(&self.exchange.fills());
        }
        true
    }
}

impl Outlet {
    pub(crate) fn new(producer: EventProducer, publisher: Waker, waiter: Waiter) -> Outlet {
        Outlet {
            producer,
            batch: Vec::with_capacity(BATCH_EVENTS),
            publisher,
            waiter,
            unannounced: false,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, event: &xq_protocol::EventFrame) {
        let mut slot = Slot::default();
        slot.fill_event(event);
        self.batch.push(slot);
        if self.batch.len() == BATCH_EVENTS {
            self.flush();
        }
    }

    /// Publishes the batch. When the ring is full it waits: the publisher goes on as commands become durable, and
    /// the journaler never waits for the matcher, so this ends.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = &self.batch;
        while self
            .producer
            .try_batch_publish(batch.len(), |places| {
                places.zip(batch).for_each(|(place, slot)| *place = *slot)
            })
            .is_err()
        {
            self.publisher.wake();
            self.waiter.idle();
        }
        self.waiter.busy();
        self.batch.clear();
        self.unannounced = true;
    }

    fn announce(&mut self) {
        self.publisher.wake();
        self.unannounced = false;
    }
}
