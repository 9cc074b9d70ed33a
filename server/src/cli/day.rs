//! `xq day`: a business day as a page for signing, and its tables as CSV files.

use super::bridge::Database;
use super::{Ended, say};
use crate::exit::{Exit, Failure};
use std::path::PathBuf;
use xq_protocol::Date;
use xq_settlement_bridge::Day;

/// Reads a business day from PostgreSQL; ends with an error when something in it does not add up.
#[derive(clap::Args)]
pub(super) struct DayTask {
    /// The day: 2026-01-31.
    date: String,
    #[command(flatten)]
    database: Database,
    /// Folder to write into; else `day-DATE`.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

impl DayTask {
    pub(super) fn run(self) -> Result<(), Ended> {
        let digits: String = self.date.split('-').collect();
        let date = digits.parse().map(Date).map_err(|_| {
            let error = anyhow::anyhow!("{}: a date is year, month and day, as in 2026-01-31", self.date);
            Ended::with(Exit::Usage, error)
        })?;
        let day = Day::read(&self.database.target()?, date)?;
        let folder = self
            .to
            .unwrap_or_else(|| PathBuf::from(format!("day-{}", self.date)));
        day.write(&folder).map_err(|source| Failure::CannotCreate {
            what: folder.display().to_string(),
            source,
        })?;
        let state = if day.is_closed { "closed" } else { "open" };
        say::line(format_args!(
            "day            {} ({state}), up to command {}",
            self.date, day.last_seq
        ))?;
        say::line(format_args!("chain head     {}", day.chain_head))?;
        say::line(format_args!(
            "written        {}",
            folder.join("day.html").display()
        ))?;
        for found in day.breaks() {
            say::line(format_args!("break          {}", found.join(": ")))?;
        }
        match day.breaks().len() {
            0 => Ok(()),
            count => Err(Ended::with(Exit::Refused, anyhow::anyhow!("{count} breaks"))),
        }
    }
}
