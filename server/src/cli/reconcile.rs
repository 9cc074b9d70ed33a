//! `xq reconcile`: every command executed again, and PostgreSQL compared with what follows.

use super::at_rest::{Beside, Folder};
use super::bridge::Database;
use super::serve::{progress_bar, show};
use super::{Ended, say};
use crate::exit::Exit;
use crate::recovery::frame_of;
use crate::state::State;
use xq_engine::Events;
use xq_protocol::Frame;
use xq_settlement_bridge::{Cursor, Poison, Trouble, reconcile};

/// Replays the journal and compares rows by hashes of ranges, balances by sums.
#[derive(clap::Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    folder: Folder,
}

impl Reconcile {
    pub(super) fn run(self) -> Result<(), Ended> {
        let target = self.database.target()?;
        let mut state = State::default();
        let mut report = reconcile::<Ended>(&target, |cursor, tell| {
            state = replay(&self.folder, cursor, tell)?;
            Ok(())
        })?;
        let ledger = state.exchange.balances();
        report.compare_balances(ledger.iter().map(|row| (row.place, row.asset, row.amount)));
        let cursor = report.cursor;
        say::line(format_args!("journal        {}", cursor.journal))?;
        say::line(format_args!("compared up to {}", cursor.position.cursor))?;
        say::line(format_args!("event hash     {}", cursor.position.chain))?;
        for (table, rows) in &report.rows {
            say::line(format_args!("rows           {rows:>12} {table}"))?;
        }
        for differs in &report.differences {
            say::line(format_args!(
                "differs        {} ({}) {}: journal {}, database {}",
                differs.table, differs.key, differs.column, differs.journal, differs.database
            ))?;
        }
        say::line(format_args!("differences    {}", report.differences.len()))?;
        match report.differences.len() {
            0 => Ok(()),
            count => {
                let error = anyhow::anyhow!("{count} differences between the journal and PostgreSQL");
                Err(Ended::with(Exit::Refused, error))
            }
        }
    }
}

/// Executes every command up to the database's cursor again. The journals are looked at after the database, so that they
/// have at least as much: both may be written meanwhile.
fn replay(
    folder: &Folder,
    cursor: &Cursor,
    tell: &mut dyn FnMut(&Frame<'_>) -> Result<(), Poison>,
) -> Result<State, Ended> {
    let mut found = folder.open(Beside::Running)?;
    if let Some(start) = found.start {
        let error = anyhow::anyhow!(
            "{}: commands up to {} are archived, and a comparison begins with the first: put the archived segments back into \
             a copy of the folder",
            found.storage.place(),
            start.seq
        );
        return Err(Ended::with(Exit::Refused, error));
    }
    if found.id != cursor.journal {
        let (database, folder) = (cursor.journal, found.id);
        return Err(Trouble::OtherJournal { database, folder }.into());
    }
    let bar = progress_bar("replay");
    let mut state = std::mem::take(&mut found.state);
    let (mut commands, mut scratch) = (found.reader()?, Events::new());
    let last = cursor.position.cursor.seq.min(found.commands.last_seq);
    loop {
        let seq = commands.next_seq();
        let Some(bytes) = commands.next_command(last)? else {
            break;
        };
        state.apply(seq, &frame_of(bytes, seq)?, &mut scratch)?;
        for event in scratch.frames() {
            let frame = event.frame().expect("the engine makes whole frames");
            tell(&frame).map_err(Trouble::from)?;
        }
        if seq.0.is_multiple_of(1 << 14) {
            show(&bar, seq, last);
        }
    }
    bar.finish_and_clear();
    Ok(state)
}
