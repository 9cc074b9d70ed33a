//! How many events a second market data encodes and sends to one subscriber, over QUIC on loopback.
//!
//! An engine makes the events of a flow of orders first. Then the thread of market data follows them all as fast as it
//! can, and a subscriber on another thread keeps the book. Its last book is compared with the engine's by hash. CPU time
//! is the market-data thread's own, so that the figure holds on a busy machine, too.

use anyhow::{Context, ensure};
use clap::Parser;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use xq_client::market::{MarketConfig as Subscriber, MarketData, Tally};
use xq_gateway::{
    Again, EventSource, Market, MarketBorders, MarketConfig, MarketDoor, MarketLimits, Transport,
    TrialAuthority,
};
use xq_perf::flow::FlowName;
use xq_perf::venue::{Naming, VenueFlow};
use xq_protocol::{
    BookHash, Event, EventFrame, Frame, JournalId, ParticipantId, Reserved, RestingAdded, Seq, SeriesId,
    Side, book_hash,
};
use xq_server::SteadyClock;

const SERIES: SeriesId = SeriesId(1);

#[derive(Parser)]
struct Arguments {
    /// Commands of the flow `mix1_10k`.
    #[arg(long, default_value_t = 1_000_000)]
    commands: usize,
}

/// All events, of which those before `opened` are there from the beginning.
struct Events {
    frames: Vec<EventFrame>,
    opened: usize,
    hash: BookHash,
}

fn events(commands: usize) -> Events {
    let flow = VenueFlow::build(&FlowName::Mix1At10k.build(commands), Naming::Exchange);
    let (mut exchange, mut scratch) = (xq_engine::Exchange::new(), xq_engine::Events::new());
    let (mut frames, mut seq) = (Vec::new(), Seq(0));
    let mut opened = 0;
    for tape in [&flow.opening, &flow.prefill, &flow.timed] {
        opened = if std::ptr::eq(tape, &flow.timed) {
            frames.len()
        } else {
            opened
        };
        for frame in tape.frames() {
            seq = seq.next();
            exchange.apply(seq, &frame, &mut scratch);
            frames.extend_from_slice(scratch.frames());
        }
    }
    let side = |side| {
        let queue = exchange.queue(SERIES, side, usize::MAX).into_iter();
        queue.map(move |order| RestingAdded {
            order: order.order,
            price: order.price,
            qty: order.shown,
            side,
            reserved: Reserved::ZERO,
        })
    };
    let hash = book_hash(side(Side::Buy), side(Side::Sell));
    Events { frames, opened, hash }
}

struct Source {
    events: Arc<Events>,
    next: usize,
    released: Arc<AtomicBool>,
}

impl EventSource for Source {
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        let end = match self.released.load(Ordering::Acquire) {
            true => self.events.frames.len(),
            false => self.events.opened,
        };
        let until = end.min(self.next + 4_096);
        let new = &self.events.frames[self.next..until];
        new.iter()
            .for_each(|event| visit(&event.frame().expect("a frame")));
        self.next = until;
        new.len()
    }
    fn read_from(&mut self, _: Seq, _: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again {
        Again::Gone
    }
    fn oldest(&mut self) -> Seq {
        Seq(1)
    }
    fn durable(&self) -> Seq {
        Seq::MAX
    }
}

/// Nanoseconds that the threads of this name have run.
fn cpu_ns(name: &str) -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        let is_it = std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        if is_it {
            let text = std::fs::read_to_string(path.join("schedstat"))?;
            sum += text.split(' ').next().context("schedstat")?.parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// The part of the work that is no socket: following and packing, on this thread.
fn encode_only(events: &Events) -> anyhow::Result<()> {
    let mut market = Market::new(MarketLimits::default());
    let visit = |market: &mut Market, frames: &[EventFrame]| {
        let mut packets = 0;
        for batch in frames.chunks(4_096) {
            for frame in batch {
                let frame = frame.frame().expect("a frame");
                let event: Event<'_> = frame.event().expect("an event");
                market.visit(frame.header, &event);
            }
            packets += market.take_packets(xq_protocol::Nanos(1)).len();
        }
        packets
    };
    visit(&mut market, &events.frames[..events.opened]);
    let timed = &events.frames[events.opened..];
    let cpu = cpu_ns("market_speed")?;
    let packets = visit(&mut market, timed);
    let cpu = cpu_ns("market_speed")? - cpu;
    let each = Duration::from_nanos(cpu).as_secs_f64() * 1e9 / f64::from(u32::try_from(timed.len())?);
    println!(
        "following and packing alone: {} events, {packets} packets, CPU {each:.0} ns an event",
        timed.len()
    );
    Ok(())
}

/// What a subscriber needs to come in, and lets the timed events go.
struct Venue {
    door: MarketDoor,
    subscriber: Subscriber,
    released: Arc<AtomicBool>,
    bell: Arc<Notify>,
    _folder: tempfile::TempDir,
}

fn open(events: &Arc<Events>) -> anyhow::Result<Venue> {
    let folder = tempfile::tempdir()?;
    let authority = TrialAuthority::create(folder.path())?;
    let server = authority.server("server", &["localhost"])?;
    let key = authority.client("subscriber")?;
    let limits = MarketLimits::default();
    let (released, bell): (Arc<AtomicBool>, Arc<Notify>) = Default::default();
    let borders = MarketBorders {
        source: Box::new(Source {
            events: Arc::clone(events),
            next: 0,
            released: Arc::clone(&released),
        }),
        clock: Arc::new(SteadyClock::start()),
        bell: Arc::clone(&bell),
        market: Market::new(limits),
        keys: vec![(key.fingerprint, ParticipantId(1))],
        journal_id: JournalId([1; 16]),
        delays: Arc::default(),
    };
    // The path is known: large payloads, of which each holds several packets.
    let mtu = Some(6_500);
    let config = MarketConfig {
        listen: "127.0.0.1:0".parse()?,
        cert: server.cert,
        key: server.key,
        client_ca: authority.cert(),
        limits,
        transport: Transport {
            mtu,
            ..Transport::default()
        },
    };
    let door = MarketDoor::start(config, move || borders)?;
    let subscriber = Subscriber {
        addr: door.address(),
        server_name: "localhost".to_owned(),
        ca: authority.cert(),
        cert: key.cert,
        key: key.key,
        mtu,
    };
    Ok(Venue {
        door,
        subscriber,
        released,
        bell,
        _folder: folder,
    })
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let events = Arc::new(events(arguments.commands));
    encode_only(&events)?;
    let venue = open(&events)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&venue, &events))
}

async fn measure(venue: &Venue, events: &Events) -> anyhow::Result<()> {
    let timed = events.frames.len() - events.opened;
    let mut market = MarketData::connect(&venue.subscriber).await?;
    market.subscribe(SERIES);
    while market.book(SERIES).is_none() {
        market.next().await?;
    }
    let stats = Arc::clone(venue.door.stats());
    let (before, cpu) = (market.tally(), cpu_ns("xq-market")?);
    let (goal, datagrams) = (stats.events.get() + u64::try_from(timed)?, stats.datagrams.get());
    let started = Instant::now();
    venue.released.store(true, Ordering::Release);
    venue.bell.notify_one();
    let counted = Arc::clone(&stats);
    let sent = std::thread::spawn(move || {
        while counted.events.get() < goal {
            std::thread::sleep(Duration::from_micros(200));
        }
        started.elapsed()
    });
    while market.book(SERIES).is_none_or(|book| book.hash() != events.hash) {
        for _ in 0..512 {
            match tokio::time::timeout(Duration::from_millis(20), market.next()).await {
                Ok(update) => drop(update?),
                Err(_) => break,
            }
        }
        let is_late = started.elapsed() > Duration::from_secs(120);
        ensure!(!is_late, "it does not catch up: {:?}", market.tally());
    }
    let (whole, cpu) = (started.elapsed(), cpu_ns("xq-market")? - cpu);
    let sent = sent.join().map_err(|_| anyhow::anyhow!("the watcher ended"))?;
    let datagrams = stats.datagrams.get() - datagrams;
    report(timed, (sent, whole), (cpu, datagrams), (before, market.tally()));
    market.close().await;
    Ok(())
}

fn report(
    events: usize,
    (sent, whole): (Duration, Duration),
    (cpu, datagrams): (u64, u64),
    (before, after): (Tally, Tally),
) {
    let count = f64::from(u32::try_from(events).unwrap_or(u32::MAX));
    let cpu_each = Duration::from_nanos(cpu).as_secs_f64() * 1e9 / count;
    println!(
        "followed, encoded and handed to one subscriber: {events} events in {:.3} s, {:.2} M/s; {datagrams} datagrams",
        sent.as_secs_f64(),
        count / sent.as_secs_f64() / 1e6
    );
    println!(
        "subscriber's book is the engine's after {:.3} s, {:.2} M/s; gaps {}, repairs {}, snapshots {}",
        whole.as_secs_f64(),
        count / whole.as_secs_f64() / 1e6,
        after.gaps - before.gaps,
        after.repairs - before.repairs,
        after.snapshots - before.snapshots
    );
    println!(
        "CPU of the thread, repairs and snapshots included: {cpu_each:.0} ns an event, {:.2} M events/s a core",
        1e3 / cpu_each
    );
}
