//! `xq reconcile`: every command executed again, and PostgreSQL compared with what follows.

use super::at_rest::{Beside, Folder};
use super::bridge::Database;
use super::serve::{progress_bar, show};
use super::{Ended, say};
use crate::exit::Exit;
use crate::recovery::frame_of;
use std::sync::Arc;
use xq_engine::{Events, Exchange};
use xq_journal::{CommandReader, Verify};
use xq_protocol::Seq;
use xq_settlement_bridge::{Trouble, reconcile};

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
        let found = self.folder.open(Beside::Running)?;
        let mut exchange = Exchange::new();
        let mut report = reconcile::<Ended>(&target, |upto, tell| {
            let bar = progress_bar("replay");
            let mut commands = CommandReader::open(Arc::clone(&found.storage), Verify::Order, Seq(1))?;
            let mut scratch = Events::new();
            exchange = Exchange::new();
            loop {
                let seq = commands.next_seq();
                let Some(bytes) = commands.next_command(upto.min(found.commands.last_seq))? else {
                    break;
                };
                exchange.apply(seq, &frame_of(bytes, seq)?, &mut scratch);
                for event in scratch.frames() {
                    let frame = event.frame().expect("the engine makes whole frames");
                    tell(&frame).map_err(Trouble::from)?;
                }
                if seq.0.is_multiple_of(1 << 14) {
                    show(&bar, seq, upto);
                }
            }
            bar.finish_and_clear();
            Ok(())
        })?;
        let ledger = exchange.balances();
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
