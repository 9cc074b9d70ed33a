//! The pipeline: rings, journaler, matcher, publisher, timer and the helpers of both journals, started and stopped.

use crate::clock::SteadyClock;
use crate::exit::Failure;
use crate::follower::{Followed, FollowerWatch, Following, Post};
use crate::hiccups;
use crate::ingress::Ingress;
use crate::journaler::Journaler;
use crate::matcher::{Matcher, Outlet, Watched};
use crate::progress::Durable;
use crate::publisher::{Bell, Publisher};
use crate::recovery::Recovered;
use crate::ring::{Gauges, command_ring, event_ring};
use crate::source::Source;
use crate::wait::{Layout, Waiter, Waker};
use crate::{keeper, lockout, priority, timer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use xq_engine::Exchange;
use xq_gateway::Durations;
use xq_journal::{
    CommandJournal, CommandTail, EventJournal, EventKeeper, EventPosition, SegmentPool, Storage,
};
use xq_protocol::{JournalId, Seq};

/// Segments of each journal for which a snapshot leaves room.
const SEGMENTS_SPARED: u64 = 4;

/// How the pipeline is laid out.
#[derive(Clone)]
pub struct PipelineConfig {
    /// Slots of the command ring: a power of two, at least 8,192.
    pub command_slots: usize,
    /// Slots of the event ring: a power of two, at least 1,024.
    pub event_slots: usize,
    /// How threads wait.
    pub layout: Layout,
    /// Cores of matcher, journaler and publisher under [`Layout::Pinned`]; the last three when none is given.
    pub cores: Option<[usize; 3]>,
    /// Real-time priority of the journaler under [`Layout::Shared`]; matcher and publisher have the one below. Those of
    /// [`Layout::Pinned`] need none: nobody else is on their cores.
    pub real_time_priority: Option<u8>,
    /// The clock by which commands come.
    pub clock: SteadyClock,
    /// How often the event journal is synced.
    pub event_sync_interval: Duration,
    /// Rung after each batch of events that may be told.
    pub bells: Vec<Bell>,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        PipelineConfig {
            command_slots: 16_384,
            event_slots: 8_192,
            layout: Layout::for_cores(cores),
            cores: None,
            real_time_priority: None,
            clock: SteadyClock::start(),
            event_sync_interval: Duration::from_millis(500),
            bells: Vec::new(),
        }
    }
}

impl PipelineConfig {
    /// Says whether the cores are there, before anything is done.
    ///
    /// # Errors
    /// [`Failure::Configuration`], naming the core.
    pub fn check(&self) -> Result<(), Failure> {
        cores(self).map(|_| ())
    }
}

/// The running pipeline. A thread of it that fails ends the process with its exit code. Its threads run until
/// [`Pipeline::stop`]; dropping it does not end them.
#[must_use = "its threads run until it is stopped"]
pub struct Pipeline {
    ingress: Ingress,
    gauges: Arc<Gauges>,
    durable: Durable,
    tail: Arc<CommandTail>,
    storage: Arc<dyn Storage>,
    position: Arc<EventPosition>,
    waited: Arc<AtomicU64>,
    commits: Arc<Durations>,
    watched: Arc<Watched>,
    pools: [Arc<SegmentPool>; 2],
    /// Says how far events are synced.
    synced: EventKeeper,
    timer: Option<Helper>,
    follower: Option<Helper>,
    keepers: Vec<Helper>,
    matcher: Stage<Exchange>,
    journaler: Stage<CommandJournal>,
    publisher: Stage<EventJournal>,
}

/// What a clean stop leaves behind, all of it synced.
pub struct Stopped {
    /// The command journal.
    pub commands: CommandJournal,
    /// The event journal.
    pub events: EventJournal,
    /// The exchange.
    pub exchange: Exchange,
}

/// A thread of the data path, and how it is told to end.
struct Stage<T> {
    halt: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<T>,
}

/// A thread beside the data path.
pub(crate) struct Helper {
    pub(crate) halt: Arc<AtomicBool>,
    pub(crate) thread: JoinHandle<()>,
}

impl Pipeline {
    /// Starts all threads; the exchange goes on where recovery left it.
    ///
    /// # Errors
    /// When a thread cannot be started, or a core is not there.
    pub fn start(config: &PipelineConfig, recovered: Recovered) -> Result<Pipeline, Failure> {
        let [at_matcher, at_journaler, at_publisher] = places(config)?;
        let (producer, matcher_poller, journaler_poller) = command_ring(config.command_slots);
        let (event_producer, event_poller) = event_ring(config.event_slots);
        let last = recovered.commands.durable();
        let (gauges, durable) = (Arc::new(Gauges::default()), Durable::starting_at(last));
        let waiter = |place: &Place| Waiter::new(config.layout, place.waker.clone());
        let (position, storage) = (recovered.events.position(), recovered.storage);
        let (waited, commits): (Arc<AtomicU64>, Arc<Durations>) = Default::default();
        let (watched, tail): (Arc<Watched>, Arc<CommandTail>) = Default::default();
        let pools = [recovered.commands.pool(), recovered.events.pool()];
        let synced = recovered.events.keeper();
        let keepers = keeper::start(
            &recovered.commands,
            &recovered.events,
            &gauges,
            &watched,
            config.event_sync_interval,
        )?;

        let matcher = Matcher {
            exchange: recovered.exchange,
            events: recovered.scratch,
            poller: matcher_poller,
            out: Outlet::new(event_producer, at_publisher.waker.clone(), waiter(&at_matcher)),
            gauges: Arc::clone(&gauges),
            next: last.next(),
            durable: durable.clone(),
            waiter: waiter(&at_matcher),
            halt: Arc::clone(&at_matcher.halt),
            clock: config.clock,
            started: config.clock.now(),
            watched: Arc::clone(&watched),
            looks: 0,
        };
        let journaler = Journaler {
            journal: recovered.commands,
            poller: journaler_poller,
            gauges: Arc::clone(&gauges),
            durable: durable.clone(),
            tail: Arc::clone(&tail),
            matcher: at_matcher.waker.clone(),
            publisher: at_publisher.waker.clone(),
            commits: Arc::clone(&commits),
            waiter: waiter(&at_journaler),
            halt: Arc::clone(&at_journaler.halt),
        };
        let publisher = Publisher {
            journal: recovered.events,
            poller: event_poller,
            gauges: Arc::clone(&gauges),
            durable: durable.clone(),
            bells: config.bells.clone(),
            waiter: waiter(&at_publisher),
            halt: Arc::clone(&at_publisher.halt),
            waited: Arc::clone(&waited),
        };
        let (ring, to_journaler) = (Arc::clone(&gauges), at_journaler.waker.clone());
        let ingress = Ingress::new(producer, ring, config.command_slots, to_journaler);
        let (after_publisher, after_journaler) = (Arc::clone(&storage), Arc::clone(&storage));
        let publisher = start_stage(at_publisher, move || {
            publisher
                .run()
                .unwrap_or_else(|failure| lockout::end_process(&after_publisher, &failure))
        })?;
        let journaler = start_stage(at_journaler, move || {
            journaler
                .run()
                .unwrap_or_else(|failure| lockout::end_process(&after_journaler, &failure))
        })?;
        let matcher = start_stage(at_matcher, move || matcher.run())?;
        Ok(Pipeline {
            ingress,
            gauges,
            durable,
            tail,
            storage,
            position,
            waited,
            commits,
            watched,
            pools,
            synced,
            timer: None,
            follower: None,
            keepers,
            matcher,
            journaler,
            publisher,
        })
    }

    /// Lets time pass from here on, a Tick at each interval; without it, none passes by itself.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn tick_every(&mut self, interval: Duration, clock: SteadyClock) -> Result<(), Failure> {
        assert!(self.timer.is_none(), "one timer is enough");
        let (ingress, halt) = (self.ingress.clone(), Arc::new(AtomicBool::new(false)));
        let its_halt = Arc::clone(&halt);
        let thread = spawn("timer", None, move || {
            timer::run(ingress, clock, interval, &its_halt)
        })?;
        self.timer = Some(Helper { halt, thread });
        Ok(())
    }

    /// Counts from here on how much later than asked a thread wakes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn watch_hiccups(&mut self) -> Result<Arc<Durations>, Failure> {
        let (hiccups, halt) = (Arc::<Durations>::default(), Arc::new(AtomicBool::new(false)));
        let (its_hiccups, its_halt) = (Arc::clone(&hiccups), Arc::clone(&halt));
        let thread = spawn("hiccups", None, move || hiccups::run(&its_hiccups, &its_halt))?;
        self.keepers.push(Helper { halt, thread });
        Ok(hiccups)
    }

    /// A way in.
    pub fn ingress(&self) -> Ingress {
        self.ingress.clone()
    }

    /// A way out, from the journal's first event on.
    ///
    /// # Errors
    /// When the journal cannot be mapped.
    pub fn source(&self) -> Result<Source, Failure> {
        Source::open(&self.storage, &self.position, self.durable.clone())
    }

    /// The same, from behind what a snapshot covers.
    ///
    /// # Errors
    /// As [`Pipeline::source`].
    pub(crate) fn source_behind(&self, covered: Option<Seq>) -> Result<Source, Failure> {
        let mut source = self.source()?;
        if let Some(covered) = covered {
            source.skip_to(covered.next())?;
        }
        Ok(source)
    }

    /// Lets a follower execute the durable commands again, from the snapshot with which recovery began, take snapshots, and
    /// move away what is needed no more; what it tells.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn follow(
        &mut self,
        (id, base): (JournalId, Option<Seq>),
        following: Following,
    ) -> Result<Arc<FollowerWatch>, Failure> {
        assert!(self.follower.is_none(), "one follower is enough");
        let watch = Arc::<FollowerWatch>::default();
        let follower = Post::start(self.followed(id), base, following, Arc::clone(&watch))?;
        self.follower = Some(follower);
        Ok(watch)
    }

    fn followed(&self, id: JournalId) -> Followed {
        let segments: u64 = self.pools.iter().map(|pool| pool.segment_size()).sum();
        Followed {
            id,
            spare: segments.saturating_mul(SEGMENTS_SPARED),
            storage: Arc::clone(&self.storage),
            position: Arc::clone(&self.position),
            durable: self.durable.clone(),
            tail: Arc::clone(&self.tail),
            synced: self.synced.another(),
            gauges: Arc::clone(&self.gauges),
        }
    }

    /// How far commands are durable.
    pub fn durable(&self) -> Durable {
        self.durable.clone()
    }

    /// Commands taken, matched and journaled, in slots; and whether any are taken.
    pub fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.gauges)
    }

    /// How often the publisher had to wait for the disk, as it is counted.
    pub fn waits_for_disk(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.waited)
    }

    /// How long the commits of the command journal took.
    pub fn commits(&self) -> Arc<Durations> {
        Arc::clone(&self.commits)
    }

    /// What the matcher tells.
    pub fn watched(&self) -> Arc<Watched> {
        Arc::clone(&self.watched)
    }

    /// The segments made ready for commands, and for events.
    pub fn pools(&self) -> &[Arc<SegmentPool>; 2] {
        &self.pools
    }

    /// Takes nothing more, works off what was taken, syncs both journals.
    ///
    /// # Errors
    /// What the disk refused.
    pub fn stop(self) -> Result<Stopped, Failure> {
        for helper in [self.timer, self.follower].into_iter().flatten() {
            helper.end()?;
        }
        self.gauges.closed.store(true, Ordering::Release);
        // The journaler first: the matcher may wait for the publisher, who waits for what is durable.
        let commands = self.journaler.end()?;
        let exchange = self.matcher.end()?;
        let events = self.publisher.end()?;
        for keeper in self.keepers {
            keeper.end()?;
        }
        events.sync()?;
        Ok(Stopped {
            commands,
            events,
            exchange,
        })
    }
}

impl<T> Stage<T> {
    /// Lets it work off what there is, then ends it.
    fn end(self) -> Result<T, Failure> {
        self.halt.store(true, Ordering::Release);
        self.waker.wake();
        self.thread
            .join()
            .map_err(|_| Failure::Broken("a thread of the pipeline panicked".to_owned()))
    }
}

impl Helper {
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.halt.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread
            .join()
            .map_err(|_| Failure::Broken("a helper thread panicked".to_owned()))
    }
}

/// Where and how a thread of the data path runs, and how it is woken and told to end.
struct Place {
    name: &'static str,
    core: Option<core_affinity::CoreId>,
    /// Real-time priority: none where the thread has a core of its own.
    priority: Option<u8>,
    halt: Arc<AtomicBool>,
    waker: Waker,
}

/// The places of matcher, journaler and publisher.
fn places(config: &PipelineConfig) -> Result<[Place; 3], Failure> {
    let shared = config.layout == Layout::Shared;
    let first = config.real_time_priority.filter(|_| shared);
    let second = first.map(|priority| priority - 1);
    let place = |(name, priority, core)| Place {
        name,
        core,
        priority,
        halt: Arc::default(),
        waker: Waker::default(),
    };
    let [matcher, journaler, publisher] = cores(config)?;
    Ok([
        place(("matcher", second, matcher)),
        place(("journaler", first, journaler)),
        place(("publisher", second, publisher)),
    ])
}

fn start_stage<T: Send + 'static>(
    place: Place,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Stage<T>, Failure> {
    let thread = spawn(place.name, place.core, work)?;
    if let Some(priority) = place.priority
        && let Err(reason) = priority::raise(&thread, priority)
    {
        tracing::warn!(
            thread = place.name,
            priority,
            reason,
            "no real-time priority: the limit is RLIMIT_RTPRIO"
        );
    }
    let (halt, waker) = (place.halt, place.waker);
    Ok(Stage { halt, waker, thread })
}

/// Starts a thread that ends the process when it panics: without it the others would wait for ever.
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    core: Option<core_affinity::CoreId>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let body = move || {
        let _abort = AbortOnPanic;
        // The rings were built before: pinning the builder first would make the ring's crate panic.
        if let Some(core) = core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(thread = name, core = core.id, "cannot be pinned");
        }
        work()
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|source| Failure::CannotCreate {
        what: format!("thread {name}"),
        source,
    })
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// The cores of matcher, journaler and publisher; none where threads share them.
fn cores(config: &PipelineConfig) -> Result<[Option<core_affinity::CoreId>; 3], Failure> {
    if config.layout == Layout::Shared {
        return Ok([None; 3]);
    }
    let there = core_affinity::get_core_ids().unwrap_or_default();
    let refuse =
        |core: usize| Failure::Configuration(format!("`threads.cores` = {core}: there is no such core"));
    match config.cores {
        Some(wanted) => {
            let mut cores = [None; 3];
            for (place, id) in cores.iter_mut().zip(wanted) {
                *place = Some(
                    *there
                        .iter()
                        .find(|core| core.id == id)
                        .ok_or_else(|| refuse(id))?,
                );
            }
            Ok(cores)
        }
        None => {
            let mut last = there.iter().rev().copied();
            Ok(std::array::from_fn(|_| last.next()))
        }
    }
}
