//! Doors of the engine for scenarios: itself, rebuilt from its journal before every command, and from a snapshot and
//! what the journal has after it.

use std::collections::BTreeMap;
use xq_engine::{BadSnapshot, Events, Exchange, Restoring, SectionKind};
use xq_protocol::text::Door;
use xq_protocol::*;

/// The ledger as the events tell it: their transfers, replayed.
#[derive(Default)]
pub struct Shadow {
    balances: BTreeMap<(Place, AssetId), i128>,
}

impl Shadow {
    pub fn post(&mut self, event: &Event<'_>) {
        for line in event.transfers() {
            let amount = i128::from(line.amount.0);
            *self.balances.entry((line.debit, line.asset)).or_default() -= amount;
            *self.balances.entry((line.credit, line.asset)).or_default() += amount;
        }
    }

    /// The engine's balances are exactly what its events said.
    pub fn check(&self, exchange: &Exchange) {
        let told = self.balances.iter().filter(|(_, amount)| **amount != 0);
        let told: BTreeMap<_, _> = told.map(|(key, amount)| (*key, *amount)).collect();
        let kept = exchange.balances().into_iter();
        let kept: BTreeMap<_, _> = kept.map(|b| ((b.place, b.asset), b.amount)).collect();
        assert_eq!(told, kept, "what events told is not what the ledger holds");
    }
}

/// The engine with its journals: what was said and what followed, as bytes.
pub struct Engine {
    pub exchange: Exchange,
    pub shadow: Shadow,
    events: Option<Box<Events>>,
    seq: Seq,
    pub commands: Vec<u8>,
    pub told: Vec<u8>,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            exchange: Exchange::new(),
            shadow: Shadow::default(),
            events: None,
            seq: Seq::ZERO,
            commands: Vec::new(),
            told: Vec::new(),
        }
    }
}

impl Engine {
    /// Applies a command under the next sequence; whatever it is, something follows and the laws hold.
    pub fn apply(&mut self, command: &CommandFrame) -> &[EventFrame] {
        self.seq = self.seq.next();
        let mut command = *command;
        command.header_mut().seq = self.seq;
        self.commands.extend_from_slice(command.bytes());
        let frame = command.frame().expect("a door says frames");
        // Made when it is first needed: it is large, and a restart hands it on.
        let events = self.events.get_or_insert_default();
        self.exchange.apply(self.seq, &frame, events);
        let frames = events.frames();
        for (index, event) in (0..).zip(frames) {
            let header = event.header();
            assert_eq!(
                (header.seq, header.index),
                (self.seq, index),
                "events name their cause"
            );
            assert_eq!(header.is_last(), usize::from(index) + 1 == frames.len());
            let event_view = event.event().expect("the engine tells events");
            self.shadow.post(&event_view);
            self.told.extend_from_slice(event.bytes());
        }
        assert!(!frames.is_empty(), "every command has an event");
        frames
    }

    /// Checks the laws.
    pub fn check(&self) {
        self.exchange.check();
        self.shadow.check(&self.exchange);
    }

    /// An engine that has gone through the same commands, from their bytes alone.
    pub fn replayed(commands: &[u8]) -> Engine {
        Engine::default().replay(commands)
    }

    fn replay(mut self, commands: &[u8]) -> Engine {
        let mut rest = commands;
        while let Some(length) = Frame::peek_len(rest).expect("a recorded frame") {
            let (bytes, after) = rest.split_at(length);
            let mut command = CommandFrame::default();
            for (word, bytes) in command.words_mut().iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            self.apply(&command);
            rest = after;
        }
        self
    }
}

impl Door for Engine {
    fn submit(&mut self, _speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let events = self.apply(command).to_vec();
        self.check();
        events
    }
}

/// The engine, rebuilt from its journal before every command.
#[derive(Default)]
pub struct Restarting {
    pub engine: Engine,
}

impl Door for Restarting {
    fn submit(&mut self, speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let Engine {
            events,
            commands,
            told,
            ..
        } = std::mem::take(&mut self.engine);
        let fresh = Engine {
            events,
            ..Engine::default()
        };
        self.engine = fresh.replay(&commands);
        assert_eq!(self.engine.told, told, "a replay tells the same");
        self.engine.submit(speaker, command)
    }
}

/// Sections of a snapshot.
pub type Sections = Vec<(SectionKind, Vec<u8>)>;

/// The whole state.
pub fn saved(exchange: &Exchange) -> Sections {
    let mut sections = Vec::new();
    let put = &mut |kind, bytes: &[u8]| {
        sections.push((kind, bytes.to_vec()));
        Ok::<(), ()>(())
    };
    exchange.save(put).expect("a vector takes all");
    sections
}

/// The state from its sections.
pub fn restored(sections: &Sections) -> Result<Exchange, BadSnapshot> {
    let mut restoring = Restoring::new();
    for (kind, bytes) in sections {
        restoring.section(*kind, bytes)?;
    }
    restoring.finish()
}

/// The engine, rebuilt before every command from a snapshot and the commands after it, at most two.
#[derive(Default)]
pub struct FromSnapshot {
    pub engine: Engine,
    snapshot: Option<(Seq, Sections)>,
    /// Commands after the snapshot.
    tail: Vec<CommandFrame>,
}

impl FromSnapshot {
    fn restart(&mut self) {
        let Some((seq, sections)) = &self.snapshot else {
            return;
        };
        let mut exchange = restored(sections).expect("what was saved is a state");
        let events = self.engine.events.get_or_insert_default();
        for (place, command) in (1..).zip(&self.tail) {
            let frame = command.frame().expect("a door says frames");
            exchange.apply(Seq(seq.0 + place), &frame, events);
        }
        let (there, again) = (saved(&self.engine.exchange), saved(&exchange));
        let differs = there.iter().zip(&again).find(|(there, again)| there != again);
        assert!(differs.is_none(), "saved again it differs: {differs:?}");
        assert_eq!(there.len(), again.len(), "as many sections");
        self.engine.exchange = exchange;
    }
}

impl Door for FromSnapshot {
    fn submit(&mut self, speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        self.restart();
        let told = self.engine.submit(speaker, command);
        self.tail.push(*command);
        if self.tail.len() == 3 || self.snapshot.is_none() {
            let sections = saved(&self.engine.exchange);
            self.snapshot = (!sections.is_empty()).then_some((self.engine.seq, sections));
            self.tail.clear();
        }
        told
    }
}
