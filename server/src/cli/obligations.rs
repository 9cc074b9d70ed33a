//! `xq obligations`: how well market makers have met what is asked of them.

use super::at_rest::{Beside, Folder};
use super::{Ended, say};
use crate::obligations::{Obligations, Row, Terms};
use crate::recovery::frame_of;
use std::collections::BTreeMap;
use xq_protocol::text::Names;
use xq_protocol::{SeriesId, Symbol};

/// Tells for how much of continuous trading each market maker had both sides of a quote in the book, day by day; may run
/// beside the exchange.
///
/// The time begins when an account first quotes in a series. What an iceberg hides does not count.
#[derive(clap::Args)]
pub(super) struct ObligationsTask {
    #[command(flatten)]
    folder: Folder,
    /// Coupons that are asked for on each side.
    #[arg(long, default_value_t = 1)]
    qty: u64,
    /// How far apart ask and bid may be, of their mean, in basis points.
    #[arg(long, value_name = "BPS")]
    spread: u64,
    /// Print comma-separated values.
    #[arg(long)]
    csv: bool,
}

impl ObligationsTask {
    pub(super) fn run(self) -> Result<(), Ended> {
        let found = self.folder.open(Beside::Running)?;
        let mut events = found.events.reader()?;
        let mut names = Names::new();
        let terms = Terms {
            qty: self.qty,
            spread_bps: self.spread,
        };
        let mut measured = Obligations::behind(terms, &found.state.exchange);
        if let Some(start) = &found.start {
            say::beside(format_args!(
                "measured from command {} on: what comes before is archived",
                start.seq.next()
            ));
        }
        loop {
            let seq = events.cursor().seq;
            let Some(bytes) = events.next_event()? else { break };
            let frame = frame_of(bytes, seq)?;
            names.learn(&frame);
            if let Ok(event) = frame.event() {
                measured.follow(frame.header, &event);
            }
        }
        // Of a series that was drafted before the first event, the snapshot has the symbol.
        let views = found.state.exchange.each_series();
        let drafted: BTreeMap<SeriesId, Symbol> = views.map(|view| (view.series, view.symbol)).collect();
        self.head()?;
        measured.rows().iter().try_for_each(|row| {
            let symbol = drafted.get(&row.series);
            let symbol = symbol.map_or_else(|| names.series(row.series).to_string(), ToString::to_string);
            self.line(row, &symbol)
        })
    }

    fn head(&self) -> Result<(), Ended> {
        match self.csv {
            true => {
                say::line("date,account,series,symbol,seconds_open,seconds_met,share_percent,coupons_made")
            }
            false => say::line(format_args!(
                "{:<10} {:>8} {:<16} {:>12} {:>12} {:>8} {:>12}",
                "date", "account", "series", "open s", "met s", "share %", "made"
            )),
        }
    }

    fn line(&self, row: &Row, symbol: &str) -> Result<(), Ended> {
        let presence = row.presence;
        let seconds = |nanos: u64| format!("{}.{:03}", nanos / 1_000_000_000, nanos / 1_000_000 % 1_000);
        let (open, met) = (seconds(presence.open_ns), seconds(presence.met_ns));
        let share = match presence.open_ns {
            0 => "-".to_owned(),
            open => {
                let tenths = u128::from(presence.met_ns) * 1_000 / u128::from(open);
                format!("{}.{}", tenths / 10, tenths % 10)
            }
        };
        let (date, account, made) = (row.date.to_string(), row.account.to_string(), presence.made);
        match self.csv {
            true => say::line(format_args!(
                "{date},{account},{},{symbol},{open},{met},{share},{made}",
                row.series
            )),
            false => say::line(format_args!(
                "{date:<10} {account:>8} {symbol:<16} {open:>12} {met:>12} {share:>8} {made:>12}"
            )),
        }
    }
}
