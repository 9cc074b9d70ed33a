//! `xq verify`: checksums, chain, every command executed again, every event compared, every asset summed.

use super::at_rest::{AtRest, Beside, Folder};
use super::serve::{progress_bar, show};
use super::{Ended, say};
use crate::busts::{self, Compared};
use crate::exit::{Exit, Failure};
use crate::lockout;
use crate::recovery::frame_of;
use crate::state::State;
use std::collections::BTreeMap;
use xq_engine::{Events, Exchange};
use xq_journal::{EventCursor, EventHasher, EventReader, Snapshot, snapshot_name};
use xq_protocol::{AssetId, BustTrade, Event, Message, Seq, TradeBusted};

/// Verifies the journals of a stopped exchange.
#[derive(clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    folder: Folder,
}

/// What executing again gave.
struct Executed {
    state: State,
    hasher: EventHasher,
    compared: u64,
    missing: u64,
    /// Snapshots that hold what executing again gave.
    snapshots: u64,
    /// Trades that were undone, each with the command that did it.
    undone: Vec<(Seq, BustTrade)>,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Ended> {
        let mut found = self.folder.open(Beside::Nobody)?;
        told_of_journals(&found)?;
        let executed = execute(&mut found)?;
        say::line(format_args!(
            "events         {} equal, {} to be made again at the next start",
            executed.compared, executed.missing
        ))?;
        say::line(format_args!("event hash     {}", executed.hasher.hash()))?;
        say::line(format_args!(
            "snapshots      {} hold the state",
            executed.snapshots
        ))?;
        trial_balance(&executed.state.exchange)?;
        if lockout::lift(&found.storage)? {
            say::line(format_args!("lock-out       lifted: it may serve again"))?;
        }
        undone_as_traded(&found, &executed.undone)
    }
}

fn told_of_journals(found: &AtRest) -> Result<(), Ended> {
    let commands = &found.commands;
    say::line(format_args!("journal        {}", found.id))?;
    let (last, segments) = (commands.last_seq, commands.segments.len());
    say::line(format_args!(
        "commands       {last} in {segments} segments; checksums and chain hold"
    ))?;
    say::line(format_args!("chain          {}", commands.chain))?;
    if let Some(start) = &found.start {
        say::line(format_args!(
            "snapshot       the oldest, which covers commands up to {}: those before are archived and not verified here",
            start.seq
        ))?;
    }
    for (seq, refused) in &found.snapshots {
        if let Some(error) = refused {
            say::line(format_args!(
                "unfit          {}: a start passes it over: {error}",
                snapshot_name(*seq)
            ))?;
        }
    }
    for cut in &commands.cuts {
        say::line(format_args!(
            "torn           {} at offset {}, {} bytes: a start will cut them; nobody was told of them",
            cut.file, cut.offset, cut.bytes
        ))?;
    }
    for range in found.events.unfit().map_or(Vec::new(), |unfit| unfit.ranges) {
        say::line(format_args!(
            "unfit          {} at offset {}, {} bytes: events torn or damaged; a start will make them again",
            range.file, range.offset, range.bytes
        ))?;
    }
    Ok(())
}

fn execute(found: &mut AtRest) -> Result<Executed, Ended> {
    let last = found.commands.last_seq;
    let bar = progress_bar("execute again");
    let mut commands = found.reader()?;
    let mut events = found.events.reader()?;
    let mut scratch = Events::new();
    let mut done = Executed {
        state: std::mem::take(&mut found.state),
        hasher: found.events.hasher(),
        compared: 0,
        missing: 0,
        // The one with which it begins is the state.
        snapshots: u64::from(found.start.is_some()),
        undone: Vec::new(),
    };
    let whole = found.snapshots.iter().filter(|(_, refused)| refused.is_none());
    let whole: Vec<Seq> = whole.map(|(seq, _)| *seq).collect();
    loop {
        let seq = commands.next_seq();
        let Some(bytes) = commands.next_command(last)? else {
            break;
        };
        done.state.apply(seq, &frame_of(bytes, seq)?, &mut scratch)?;
        done.state.watch(&scratch);
        for event in scratch.frames() {
            if event.header().template_id == TradeBusted::TEMPLATE
                && let Ok(Event::TradeBusted(busted)) = event.event()
            {
                done.undone.push((seq, busted.undoing()));
            }
            let place = events.cursor();
            if done.compare(&mut events, event.bytes())? == Met::Differs {
                return Err(differs(found, seq, place)?.into());
            }
        }
        if whole.contains(&seq) {
            done.meet(found, seq, &events)?;
        }
        if seq.0.is_multiple_of(1 << 14) {
            show(&bar, seq, last);
        }
    }
    bar.finish_and_clear();
    if events.next_event()?.is_some() {
        let failure = Failure::Divergence("events are left that no command caused".to_owned());
        return Err(failure.into());
    }
    Ok(done)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Equal,
    Missing,
    Differs,
}

impl Executed {
    /// What is there was hashed when its chain was verified: only what is missing is hashed here.
    fn compare(&mut self, events: &mut EventReader, again: &[u8]) -> Result<Met, Ended> {
        match events.next_event()? {
            None => {
                self.hasher.update(again);
                self.missing += 1;
                Ok(Met::Missing)
            }
            Some(there) if there == again => {
                self.compared += 1;
                Ok(Met::Equal)
            }
            Some(_) => Ok(Met::Differs),
        }
    }

    /// Compares the state, and where the events stand, with a snapshot of this command.
    fn meet(&mut self, found: &AtRest, seq: Seq, events: &EventReader) -> Result<(), Ended> {
        let snapshot = Snapshot::open(&*found.storage, seq, Some(found.id))?;
        let place = snapshot.head().start.events;
        // Events that are missing say nothing.
        let stands_elsewhere = events.start().is_some_and(|there| there != place);
        let difference = match stands_elsewhere {
            true => Some("the events of its last command end elsewhere".to_owned()),
            false => self.state.difference(&snapshot),
        };
        match difference {
            None => {
                self.snapshots += 1;
                Ok(())
            }
            Some(what) => {
                let name = snapshot.name();
                let what =
                    format!("{name} holds another state than executing the commands again gives: {what}");
                Err(Failure::Divergence(what).into())
            }
        }
    }
}

/// Says where two executions differ, with the hash of all events before.
fn differs(found: &AtRest, seq: Seq, place: EventCursor) -> Result<Failure, Ended> {
    let hasher = found
        .start
        .map(|start| EventHasher::from_chain(start.events.chain));
    let (mut before, mut hasher) = (
        found.events.reader()?,
        hasher.unwrap_or_else(|| EventHasher::new(found.id)),
    );
    while before.cursor() < place {
        let Some(event) = before.next_event()? else { break };
        hasher.update(event);
    }
    Ok(Failure::Divergence(format!(
        "command {seq} gives another event at {place} than the journal has; event hash before it {}",
        hasher.hash()
    )))
}

/// Compares every trade that was undone with its own event: two people of the house have vouched for it.
fn undone_as_traded(found: &AtRest, undone: &[(Seq, BustTrade)]) -> Result<(), Ended> {
    if undone.is_empty() {
        return Ok(());
    }
    let mut events = found.events.reader()?;
    let (mut equal, mut gone, mut differ) = (0_usize, 0_usize, Vec::new());
    for trade in undone {
        match busts::compare(&mut events, trade)? {
            Compared::Equal => equal += 1,
            Compared::Gone => gone += 1,
            Compared::Differs(what) => differ.push(what),
        }
    }
    say::line(format_args!(
        "undone         {equal} trades as they were traded, {gone} whose events are not here"
    ))?;
    match differ.is_empty() {
        true => Ok(()),
        false => Err(Ended::with(
            Exit::Refused,
            anyhow::anyhow!("{}", differ.join("; ")),
        )),
    }
}

/// Sums every asset over all places; each must come to zero.
fn trial_balance(exchange: &Exchange) -> Result<(), Ended> {
    let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
    for balance in exchange.balances() {
        *sums.entry(balance.asset).or_default() += balance.amount;
    }
    for (asset, sum) in &sums {
        say::line(format_args!("asset {:<12} sums to {sum}", asset.0))?;
    }
    if sums.values().any(|sum| *sum != 0) {
        let error = anyhow::anyhow!("an asset does not sum to zero");
        return Err(Ended::with(Exit::Divergence, error));
    }
    Ok(())
}
