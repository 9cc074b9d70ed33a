//! What the journals must show after all that dying: each acknowledged request once, told as it stands there, and the
//! same events when everything is executed again.

use super::record::{Answer, Digest, Record};
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use xq_engine::{Events, Exchange};
use xq_journal::{
    CommandReader, EventReader, EventSettings, FileStorage, Storage, UnrecoveredEvents, Verify,
};
use xq_protocol::{
    Event, EventFrame, Frame, Header, Liquidity, Message, RejectReason, Rejected, ReqSeq, Seq, SessionDown,
    SessionId, SessionUp, Traded,
};

/// What was found, all of it right.
pub struct Found {
    /// Commands.
    pub commands: u64,
    /// Events.
    pub events: u64,
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Messages told.
    pub told: u64,
    /// Messages told again.
    pub repeated: u64,
    /// Hash over all events, as the journal has it.
    pub event_hash: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found {
            commands,
            events,
            acknowledged,
            told,
            ..
        } = self;
        write!(
            f,
            "{commands} commands, {events} events; {acknowledged} acknowledged, {told} told, none lost or twice"
        )
    }
}

/// Reads the journals of a stopped exchange and compares them with what was told.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn check(journals: &Path, records: &[Record]) -> anyhow::Result<Found> {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open_to_read(journals)?);
    let settings = EventSettings {
        segment_size: 1 << 20,
        ..EventSettings::default()
    };
    let id = records[0].journal_id;
    let at_rest = UnrecoveredEvents::open_to_read(Arc::clone(&storage), settings, id)?;
    let last = at_rest.report().last_seq;
    let mut reader = CommandReader::open(storage, Verify::Chain, Seq(1))?;
    let mut again = Again {
        exchange: Exchange::new(),
        scratch: Events::new(),
        journal: at_rest.reader()?,
        events: 0,
    };
    let mut readers: Vec<Reader<'_>> = records.iter().map(Reader::new).collect();
    loop {
        let seq = reader.next_seq();
        let Some(bytes) = reader.next_command(last)? else {
            break;
        };
        let (command, _) = Frame::split(bytes)?;
        for event in again.execute(seq, &command)? {
            readers.iter_mut().try_for_each(|reader| reader.follow(event))?;
        }
        let outcome = is_outcome(again.scratch.frames());
        for reader in readers
            .iter_mut()
            .filter(|reader| reader.record.session == command.header.session)
        {
            reader.executed(command.header, outcome)?;
        }
    }
    ensure!(
        reader.next_seq() == last.next(),
        "the command journal ends before the events of command {last}"
    );
    ensure!(
        again.journal.next_event()?.is_none(),
        "the event journal has more than the commands give"
    );
    readers.iter().try_for_each(Reader::finish)?;
    again.exchange.check();
    assets_sum_to_zero(&again.exchange)?;
    let count = |of: fn(&Record) -> u64| records.iter().map(of).sum();
    Ok(Found {
        commands: last.0,
        events: again.events,
        acknowledged: count(|record| record.acknowledged() as u64),
        told: count(|record| record.told.len() as u64),
        repeated: count(|record| record.repetitions),
        event_hash: at_rest.report().event_hash.to_string(),
    })
}

/// A second execution beside the journal of the first.
struct Again {
    exchange: Exchange,
    scratch: Events,
    journal: EventReader,
    events: u64,
}

impl Again {
    /// Executes a command; its events, which the journal has byte for byte.
    fn execute(&mut self, seq: Seq, command: &Frame<'_>) -> anyhow::Result<&[EventFrame]> {
        self.exchange.apply(seq, command, &mut self.scratch);
        for event in self.scratch.frames() {
            let index = event.header().index;
            let journaled = self
                .journal
                .next_event()?
                .with_context(|| format!("event {seq}.{index} is missing"))?;
            ensure!(
                journaled == event.bytes(),
                "event {seq}.{index} is another one when it is executed again"
            );
            self.events += 1;
        }
        Ok(self.scratch.frames())
    }
}

/// One session's record beside the journal.
struct Reader<'a> {
    record: &'a Record,
    /// Messages that the journal gives so far.
    told: usize,
    /// The command that executed each request, 0 for none; by number.
    executed: BTreeMap<u64, u64>,
}

impl<'a> Reader<'a> {
    fn new(record: &'a Record) -> Reader<'a> {
        Reader {
            record,
            told: 0,
            executed: BTreeMap::new(),
        }
    }

    /// An event: whatever of it was told to the session was told so.
    fn follow(&mut self, event: &EventFrame) -> anyhow::Result<()> {
        let session = self.record.session;
        let (seq, index) = (event.header().seq, event.header().index);
        for message in messages(event, session)?.into_iter().flatten() {
            let digest = Digest::of(&message);
            if let Some(told) = self.record.told.get(self.told) {
                let number = self.told + 1;
                ensure!(
                    *told == digest,
                    "session {session}: message {number} was told otherwise than {seq}.{index}"
                );
            }
            self.told += 1;
        }
        Ok(())
    }

    fn executed(&mut self, command: &Header, is_outcome: Outcome) -> anyhow::Result<()> {
        let (session, number, seq) = (self.record.session, command.req_seq.0, command.seq.0);
        if number == 0 || is_outcome == Outcome::Nothing {
            return Ok(());
        }
        if let Some(first) = self.executed.insert(number, seq) {
            anyhow::bail!("session {session}: request {number} was executed twice, as {first} and {seq}");
        }
        Ok(())
    }

    /// Everything that was told and acknowledged is there.
    fn finish(&self) -> anyhow::Result<()> {
        let session = self.record.session;
        let told = self.record.told.len();
        ensure!(
            told <= self.told,
            "session {session}: {told} messages were told, the journal has {}",
            self.told
        );
        for (number, answer) in self.record.answers() {
            let executed = self.executed.get(&number).copied();
            let holds = match answer {
                Answer::Open => true,
                Answer::Executed(seq) => executed == Some(seq),
                Answer::NotApplied | Answer::Refused => executed.is_none(),
            };
            ensure!(
                holds,
                "session {session}: request {number} was answered {answer:?}, the journal has {executed:?}"
            );
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The request was executed or refused for good: this must happen once.
    Something,
    /// It was only said what had become of it before.
    Nothing,
}

fn is_outcome(events: &[EventFrame]) -> Outcome {
    let says_nothing_new = |event: &EventFrame| match event.event() {
        Ok(Event::RequestRepeated(_) | Event::NotApplied(_)) => true,
        Ok(Event::Rejected(rejected)) => {
            let stale = [RejectReason::StaleRequest, RejectReason::SessionNotEstablished];
            RejectReason::from_code(rejected.code).is_some_and(|reason| stale.contains(&reason))
        }
        Ok(_) | Err(_) => false,
    };
    match events.iter().all(says_nothing_new) {
        true => Outcome::Nothing,
        false => Outcome::Something,
    }
}

/// How an event is told to a session, none to three messages: the rule that the gateway follows, said again.
fn messages(event: &EventFrame, session: SessionId) -> anyhow::Result<[Option<EventFrame>; 3]> {
    let (header, view) = (event.header(), event.event()?);
    let audience = view.audience(header);
    let (spoke, concerned) = (header.session == session, audience.other == session);
    let told = Header {
        session,
        req_seq: if spoke { header.req_seq } else { ReqSeq::ZERO },
        ..*header
    };
    let side = |traded: &Traded, liquidity| EventFrame::new(told, &traded.executed(liquidity));
    Ok(match view {
        Event::SessionEstablished(_) | Event::SessionEnded(_) | Event::RequestRepeated(_) => [None; 3],
        Event::Rejected(rejected) if drives_session(rejected) => [None; 3],
        Event::Traded(traded) => [
            spoke.then(|| side(traded, Liquidity::Taker)),
            concerned.then(|| side(traded, Liquidity::Maker)),
            None,
        ],
        Event::TradeBusted(busted) => {
            let side = |liquidity| EventFrame::new(told, &busted.execution(liquidity));
            let made = audience.third == session;
            let mut copy = *event;
            *copy.header_mut() = told;
            [
                spoke.then_some(copy),
                concerned.then(|| side(Liquidity::Taker)),
                made.then(|| side(Liquidity::Maker)),
            ]
        }
        // Any other is told as it is; a new one that is not stands above.
        _ => {
            let mut copy = *event;
            *copy.header_mut() = told;
            [(spoke || concerned).then_some(copy), None, None]
        }
    })
}

fn drives_session(rejected: &Rejected) -> bool {
    [SessionUp::TEMPLATE, SessionDown::TEMPLATE]
        .map(u32::from)
        .contains(&rejected.template.0)
}

fn assets_sum_to_zero(exchange: &Exchange) -> anyhow::Result<()> {
    let mut sums = BTreeMap::new();
    for balance in exchange.balances() {
        *sums.entry(balance.asset).or_insert(0_i128) += balance.amount;
    }
    ensure!(!sums.is_empty(), "there are no balances");
    let uneven = sums.iter().find(|(_, sum)| **sum != 0);
    ensure!(uneven.is_none(), "an asset does not sum to zero: {uneven:?}");
    Ok(())
}
