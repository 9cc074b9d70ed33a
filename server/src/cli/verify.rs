//! `xq verify`: checksums, chain, every command executed again, every event compared, every asset summed.

use super::Ended;
use super::at_rest::{AtRest, Beside, Folder};
use super::serve::{progress_bar, show};
use crate::exit::{Exit, Failure};
use crate::lockout;
use crate::recovery::frame_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use xq_engine::{Events, Exchange};
use xq_journal::{CommandReader, EventHasher, EventReader, Verify as Level};
use xq_protocol::{AssetId, Seq};

/// Verifies the journals of a stopped exchange.
#[derive(clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    folder: Folder,
}

/// What executing again gave.
struct Executed {
    exchange: Exchange,
    hasher: EventHasher,
    compared: u64,
    missing: u64,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Ended> {
        let found = self.folder.open(Beside::Nobody)?;
        let commands = &found.commands;
        println!("journal        {}", found.id);
        println!(
            "commands       {} in {} segments; checksums and chain hold",
            commands.last_seq,
            commands.segments.len()
        );
        println!("chain          {}", commands.chain);
        for cut in &commands.cuts {
            println!(
                "torn           {} at offset {}, {} bytes: a start will cut them; nobody was told of them",
                cut.file, cut.offset, cut.bytes
            );
        }
        let executed = execute(&found)?;
        println!(
            "events         {} equal, {} to be made again at the next start",
            executed.compared, executed.missing
        );
        println!("event hash     {}", executed.hasher.hash());
        trial_balance(&executed.exchange)?;
        if lockout::lift(&found.storage)? {
            println!("lock-out       lifted: it may serve again");
        }
        Ok(())
    }
}

fn execute(found: &AtRest) -> Result<Executed, Ended> {
    let last = found.commands.last_seq;
    let bar = progress_bar("execute again");
    let mut commands = CommandReader::open(Arc::clone(&found.storage), Level::Order, Seq(1))?;
    let mut events = found.events.reader()?;
    let mut scratch = Events::new();
    let mut done = Executed {
        exchange: Exchange::new(),
        hasher: EventHasher::new(found.id),
        compared: 0,
        missing: 0,
    };
    loop {
        let seq = commands.next_seq();
        let Some(bytes) = commands.next_command(last)? else {
            break;
        };
        done.exchange.apply(seq, &frame_of(bytes, seq)?, &mut scratch);
        for event in scratch.frames() {
            done.compare(&mut events, event.bytes(), seq)?;
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

impl Executed {
    fn compare(&mut self, events: &mut EventReader, again: &[u8], seq: Seq) -> Result<(), Ended> {
        self.hasher.update(again);
        let place = events.cursor();
        match events.next_event()? {
            None => self.missing += 1,
            Some(there) if there == again => self.compared += 1,
            Some(_) => {
                let failure = Failure::Divergence(format!(
                    "command {seq} gives another event at {place} than the journal has; event hash so far {}",
                    self.hasher.hash()
                ));
                return Err(failure.into());
            }
        }
        Ok(())
    }
}

/// Sums every asset over all places; each must come to zero.
fn trial_balance(exchange: &Exchange) -> Result<(), Ended> {
    let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
    for balance in exchange.balances() {
        *sums.entry(balance.asset).or_default() += balance.amount;
    }
    for (asset, sum) in &sums {
        println!("asset {:<12} sums to {sum}", asset.0);
    }
    if sums.values().any(|sum| *sum != 0) {
        let error = anyhow::anyhow!("an asset does not sum to zero");
        return Err(Ended::with(Exit::Divergence, error));
    }
    Ok(())
}
