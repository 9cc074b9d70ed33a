//! A market whose every event is at hand, the machine that tells of it, and one that listens through a bad line.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use xq_client::market::{Follower, Update};
use xq_gateway::{
    Again, Clock, Delays, EventSource, Inbound, Market, MarketBorders, MarketHub, MarketLimits, MarketStats,
    SubscriberId,
};
use xq_perf::flow::{FlowName, SplitMix64};
use xq_perf::venue::{Naming, VenueFlow};
use xq_protocol::*;
use zerocopy::IntoBytes;

/// The flows' one series.
pub const SERIES: SeriesId = SeriesId(1);
const KEY: Hash = Hash([1; 32]);

/// The events of a flow, and how the engine's book was after some of its commands.
pub struct Recorded {
    pub events: Vec<EventFrame>,
    /// Where the events of a command end, and the hash of the engine's book then.
    pub points: Vec<(usize, BookHash)>,
}

/// Runs a flow through an engine.
pub fn record(flow: FlowName, commands: usize, point_every: usize) -> Recorded {
    let flow = VenueFlow::build(&flow.build(commands), Naming::Exchange);
    let (mut exchange, mut scratch) = (xq_engine::Exchange::new(), xq_engine::Events::new());
    let mut recorded = Recorded {
        events: Vec::new(),
        points: Vec::new(),
    };
    let quiet = flow.opening.len() + flow.prefill.len();
    let frames = [&flow.opening, &flow.prefill, &flow.timed].map(|tape| tape.frames());
    for (at, frame) in frames.into_iter().flatten().enumerate() {
        exchange.apply(Seq(u64::try_from(at).expect("few") + 1), &frame, &mut scratch);
        recorded.events.extend_from_slice(scratch.frames());
        if at > quiet && at % point_every == 0 {
            recorded
                .points
                .push((recorded.events.len(), engine_hash(&exchange)));
        }
    }
    recorded
        .points
        .push((recorded.events.len(), engine_hash(&exchange)));
    recorded
}

/// The hash of the engine's own book.
pub fn engine_hash(exchange: &xq_engine::Exchange) -> BookHash {
    let side = |side| {
        let queue = exchange.queue(SERIES, side, usize::MAX);
        queue.into_iter().map(move |resting| RestingAdded {
            order: resting.order,
            price: resting.price,
            qty: resting.shown,
            side,
            reserved: Reserved::ZERO,
        })
    };
    book_hash(side(Side::Buy), side(Side::Sell))
}

struct Source {
    recorded: Arc<Recorded>,
    next: usize,
    until: Arc<AtomicUsize>,
}

impl EventSource for Source {
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        let until = self.until.load(Ordering::Relaxed);
        let new = &self.recorded.events[self.next..until];
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

#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Reads whole packets, copied to where they are aligned.
pub fn read(follower: &mut Follower, bytes: &[u8]) {
    let words: Vec<u64> = bytes
        .chunks(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("whole words")))
        .collect();
    let mut rest = words.as_bytes();
    while !rest.is_empty() {
        let (packet, after) = Packet::split(rest).expect("whole packets");
        follower.read(&packet).expect("the exchange tells messages");
        rest = after;
    }
}

/// The two machines and the line between them.
pub struct BadLine {
    pub hub: MarketHub,
    pub follower: Follower,
    pub stats: Arc<MarketStats>,
    id: SubscriberId,
    recorded: Arc<Recorded>,
    until: Arc<AtomicUsize>,
    clock: Arc<HandClock>,
    inbound: Inbound,
    draw: SplitMix64,
    /// Packets that were overtaken: they come later.
    late: Vec<Vec<u8>>,
    /// What streams carry, with a round's delay.
    streams: VecDeque<Vec<u8>>,
    /// Of a hundred datagrams so many are lost.
    pub loss: u32,
}

impl BadLine {
    pub fn new(recorded: &Arc<Recorded>, seed: u64, limits: MarketLimits) -> BadLine {
        let (until, clock): (Arc<AtomicUsize>, Arc<HandClock>) = Default::default();
        let stats: Arc<MarketStats> = Arc::default();
        let borders = MarketBorders {
            source: Box::new(Source {
                recorded: Arc::clone(recorded),
                next: 0,
                until: Arc::clone(&until),
            }),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            bell: Arc::default(),
            market: Market::new(limits),
            keys: vec![(KEY, ParticipantId(1))],
            journal_id: JournalId([7; 16]),
            delays: Arc::<Delays>::default(),
        };
        let mut hub = MarketHub::new(limits, borders, Arc::clone(&stats));
        let id = hub.open(KEY).expect("the key holds");
        BadLine {
            hub,
            follower: Follower::default(),
            stats,
            id,
            recorded: Arc::clone(recorded),
            until,
            clock,
            inbound: Inbound::new(0),
            draw: SplitMix64::new(seed),
            late: Vec::new(),
            streams: VecDeque::new(),
            loss: 10,
        }
    }

    /// The exchange goes on to this event.
    pub fn advance(&mut self, until: usize) {
        self.until.store(until, Ordering::Relaxed);
        self.clock.0.fetch_add(50_000_000, Ordering::Relaxed);
        self.carry(|hub, send| {
            hub.poll(send);
        });
        if self.draw.below(4) == 0 {
            self.carry(|hub, send| hub.tick(send));
        }
        self.streams();
    }

    /// Carries datagrams: some are lost, some overtaken.
    fn carry(&mut self, tell: impl FnOnce(&mut MarketHub, &mut dyn FnMut(SubscriberId, &bytes::Bytes))) {
        let (draw, follower, late, loss) = (&mut self.draw, &mut self.follower, &mut self.late, self.loss);
        tell(&mut self.hub, &mut |_, packet| {
            if draw.below(100) < loss {
                return;
            }
            if draw.below(100) < 3 {
                return late.push(packet.to_vec());
            }
            read(follower, packet);
            if draw.below(100) < 30 && !late.is_empty() {
                let overtaken = late.swap_remove(draw.index(late.len()));
                read(follower, &overtaken);
            }
        });
    }

    /// Carries requests one way, and what streams told the other: all of it, a round later.
    pub fn streams(&mut self) {
        for _ in 0..self.streams.len() {
            let bytes = self.streams.pop_front().expect("counted");
            read(&mut self.follower, &bytes);
        }
        self.follower.retry();
        for piece in self.follower.take_requests().chunks(4_096) {
            self.inbound.spare()[..piece.len()].copy_from_slice(piece);
            self.inbound.filled(piece.len());
            self.hub.received(self.id, &mut self.inbound);
        }
        let subscriber = self.hub.subscriber(self.id).expect("it is there");
        let answers = subscriber.answers.take();
        assert_eq!(answers.closing, None);
        self.streams.push_back(answers.bytes.to_vec());
        while let Some(snapshot) = self.hub.take_snapshot(self.id) {
            self.hub.snapshot_written();
            self.streams.push_back(snapshot.to_vec());
        }
    }

    /// Rounds without news until the follower is where the exchange is.
    pub fn catch_up(&mut self) {
        for _ in 0..1_000 {
            if self.follower.next(SERIES) == Some(self.hub.market().next(SERIES))
                && self.follower.book(SERIES).is_some()
            {
                return;
            }
            self.clock.0.fetch_add(1_000_000_000, Ordering::Relaxed);
            self.carry(|hub, send| hub.tick(send));
            self.streams();
        }
        panic!("it does not catch up: {:?}", self.follower.tally());
    }

    /// Takes what was heard; says how many hashes were compared on the way.
    pub fn heard(&mut self) -> usize {
        let mut compared = 0;
        while let Some(update) = self.follower.next_update() {
            match update {
                Update::Checked(_, Some(_)) => compared += 1,
                Update::Refused { template, reason } => panic!("{template} was refused: {reason:?}"),
                Update::Valid(_)
                | Update::Invalid(_)
                | Update::Changed { .. }
                | Update::Phase(..)
                | Update::Series(..)
                | Update::Levels(..)
                | Update::Checked(_, None) => {}
            }
        }
        compared
    }

    /// Goes through all events, and compares with the engine's book at each of its points that a draw chooses, and at
    /// the end.
    pub fn run(&mut self) -> usize {
        let recorded = Arc::clone(&self.recorded);
        self.follower.subscribe(SERIES);
        let (mut at, mut compared) = (0, 0);
        for (place, (end, hash)) in recorded.points.iter().enumerate() {
            while at < *end {
                let step = 1 + self.draw.index(3_000);
                at = end_of_command(&recorded.events, (at + step).min(*end));
                self.advance(at);
                if self.draw.below(3) == 0 {
                    self.follower.check(SERIES);
                }
            }
            if self.draw.below(3) == 0 || place + 1 == recorded.points.len() {
                self.catch_up();
                let book = self.follower.book(SERIES).expect("it has caught up");
                assert_eq!(book.hash(), *hash, "the engine's book after event {end}");
                compared += 1;
            }
            compared += self.heard();
        }
        compared
    }
}

/// The place after the last event of the command that the event before `at` belongs to.
fn end_of_command(events: &[EventFrame], at: usize) -> usize {
    let last = events[at - 1..].iter().position(|event| event.header().is_last());
    at + last.expect("every command has a last event")
}
