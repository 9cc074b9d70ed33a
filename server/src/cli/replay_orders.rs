//! `xq replay-orders`: plays real orders, as LOBSTER's files tell of them, through a session of a running exchange.

use super::{Ended, say};
use crate::config::Config;
use crate::exit::Exit;
use crate::replay::{
    Keyring, Market, Outcome, Pace, ReplayError, Row, Stage, Tape, must_be_empty, open, play, read_rows,
    traders,
};
use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use xq_protocol::{AccountId, SeriesId};

/// Plays real orders through a session.
///
/// It opens the venue, drafts, covers and issues a fresh series, opens and funds two accounts, and acts for both from
/// one session. For all of that the configuration must have an operator, a bank, an issuer and two participants that
/// trade. What is left in the book at the end is cancelled.
#[derive(clap::Args)]
pub(super) struct ReplayOrders {
    /// LOBSTER message file.
    #[arg(value_name = "FILE")]
    messages: PathBuf,
    /// LOBSTER order-book file, level 1: best ask and bid must change as it says.
    #[arg(long, value_name = "FILE")]
    best: Option<PathBuf>,
    /// Configuration file of the exchange: who takes part, where it listens.
    #[arg(long, short, value_name = "FILE", default_value = "xq.toml")]
    config: PathBuf,
    /// Where the exchange listens, if not where its configuration says.
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<SocketAddr>,
    /// Folder of the keys, if it is not the configuration's.
    #[arg(long, value_name = "FOLDER")]
    keys: Option<PathBuf>,
    /// So many times as fast as it happened; as fast as the exchange answers when it is left out.
    #[arg(long, value_name = "TIMES")]
    speed: Option<f64>,
    /// Only the first messages.
    #[arg(long, value_name = "MESSAGES")]
    limit: Option<usize>,
    /// A series that is open and has an empty book, in place of a fresh one.
    #[arg(long, value_name = "NUMBER", requires = "buyer", requires = "seller")]
    series: Option<u32>,
    /// The account that buys; the configuration's first trading participant acts for it.
    #[arg(long, value_name = "NUMBER", requires = "series")]
    buyer: Option<u32>,
    /// The account that sells; its owner is another, and the same participant acts for it.
    #[arg(long, value_name = "NUMBER", requires = "series")]
    seller: Option<u32>,
    /// Print the counts as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What is told at the end.
#[derive(Debug, Serialize)]
struct Summary {
    series: u32,
    messages: usize,
    seeded: usize,
    commands: usize,
    executions: usize,
    filled: usize,
    not_at_head: usize,
    away_from_best: usize,
    crossed: usize,
    rows: usize,
    rows_equal: Option<usize>,
    rows_expected: Option<usize>,
    first_difference: Option<String>,
    seconds: f64,
    orders_a_second: f64,
}

impl ReplayOrders {
    pub(super) fn run(self) -> Result<(), Ended> {
        let pace = match self.speed {
            None => Pace::Fast,
            Some(speed) if speed.is_finite() && speed > 0.0 => Pace::Times(speed),
            Some(speed) => {
                let error = anyhow!("`--speed {speed}`: a number above zero is wanted");
                return Err(Ended::with(Exit::Usage, error));
            }
        };
        let tape = Tape::read(&self.messages, self.limit).map_err(ReplayError::from)?;
        let rows = self
            .best
            .as_deref()
            .map(read_rows)
            .transpose()
            .map_err(ReplayError::from)?;
        let config = Config::from_file(&self.config)?;
        let keyring = Keyring {
            config: &config,
            address: self.addr.unwrap_or(config.listen()),
            folder: self.keys.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Ended::with(Exit::CannotCreate, error))?;
        let bar = progress_bar(&tape);
        let outcome = runtime.block_on(async {
            let market = self.market(&keyring, &tape).await?;
            let Stage {
                series,
                buyer,
                seller,
            } = market.stage;
            let stage = format!("series {series}, account {buyer} buys, account {seller} sells");
            // Nobody reads it, perhaps: the replay does not depend on it.
            let _ = bar.suspend(|| writeln!(std::io::stderr(), "{stage}"));
            let mut progress = |played| show(&bar, played);
            let outcome = play(&market, &tape, pace, &mut progress).await?;
            Ok::<_, ReplayError>((market.stage, outcome))
        });
        bar.finish_and_clear();
        let (stage, outcome) = outcome?;
        let summary = Summary::of(&stage, &outcome, rows.as_deref(), self.limit.is_some());
        self.tell(&summary)?;
        summary.verdict()
    }

    async fn market(&self, keyring: &Keyring<'_>, tape: &Tape) -> Result<Market, ReplayError> {
        let given = self.series.zip(self.buyer).zip(self.seller);
        let Some(((series, buyer), seller)) = given else {
            return open(keyring, tape, &name_of(&self.messages)).await;
        };
        let (speaker, _) = traders(keyring)?;
        let client = keyring
            .client(speaker)
            .ok_or(ReplayError::Nobody("no participant that trades"))?;
        let (series, buyer, seller) = (SeriesId(series), AccountId(buyer), AccountId(seller));
        must_be_empty(keyring, &client, series).await?;
        let stage = Stage {
            series,
            buyer,
            seller,
        };
        Ok(Market { stage, client })
    }

    fn tell(&self, summary: &Summary) -> Result<(), Ended> {
        if self.json {
            let line = serde_json::to_string(summary).map_err(|error| Ended::with(Exit::Refused, error))?;
            say::line(line)
        } else {
            say::text(summary)
        }
    }
}

impl From<ReplayError> for Ended {
    fn from(error: ReplayError) -> Ended {
        let exit = match &error {
            ReplayError::Tape(_) => Exit::Usage,
            ReplayError::Nobody(_) => Exit::Configuration,
            ReplayError::Client { .. }
            | ReplayError::Refused { .. }
            | ReplayError::LineRefused { .. }
            | ReplayError::Drive(_)
            | ReplayError::NotEmpty { .. } => Exit::Refused,
        };
        Ended::with(exit, error)
    }
}

impl Summary {
    fn of(stage: &Stage, outcome: &Outcome, expected: Option<&[Row]>, is_part: bool) -> Summary {
        let (tally, found) = (outcome.tally, &outcome.rows);
        // A part of the messages gives the first part of the rows.
        let expected = expected.map(|rows| {
            if is_part {
                &rows[..rows.len().min(found.len())]
            } else {
                rows
            }
        });
        let differs = expected.map(|rows| {
            let longer = rows.len().max(found.len());
            (0..longer)
                .filter(|at| rows.get(*at) != found.get(*at))
                .collect::<Vec<_>>()
        });
        let equal = expected.zip(differs.as_ref()).map(|(rows, differs)| {
            rows.len()
                .saturating_sub(differs.iter().filter(|at| **at < rows.len()).count())
        });
        let first = differs.as_ref().and_then(|differs| differs.first());
        let seconds = outcome.took.as_secs_f64();
        let commands = f64::from(u32::try_from(tally.commands).unwrap_or(u32::MAX));
        Summary {
            series: stage.series.0,
            messages: tally.messages,
            seeded: tally.seeded,
            commands: tally.commands,
            executions: tally.executions,
            filled: tally.filled,
            not_at_head: tally.not_at_head,
            away_from_best: tally.away_from_best,
            crossed: tally.crossed,
            rows: found.len(),
            rows_equal: equal,
            rows_expected: expected.map(<[Row]>::len),
            first_difference: first.map(|at| {
                let row = |row: Option<&Row>| row.map_or("nothing".to_owned(), Row::to_string);
                let expected = expected.and_then(|rows| rows.get(*at));
                format!(
                    "row {}: {}, the file says {}",
                    at + 1,
                    row(found.get(*at)),
                    row(expected)
                )
            }),
            seconds,
            orders_a_second: if seconds > 0.0 {
                (commands / seconds).round()
            } else {
                0.0
            },
        }
    }

    fn verdict(&self) -> Result<(), Ended> {
        let wrong = match &self.first_difference {
            Some(difference) => difference.clone(),
            None if self.away_from_best > 0 => {
                format!("{} executions away from the best price", self.away_from_best)
            }
            None if self.crossed > 0 => format!("{} crossed states", self.crossed),
            None => return Ok(()),
        };
        Err(Ended::with(Exit::Refused, anyhow!("{wrong}")))
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "series       {}", self.series)?;
        writeln!(
            f,
            "played       {} messages, {} orders seeded, {} commands",
            self.messages, self.seeded, self.commands
        )?;
        writeln!(
            f,
            "executions   {} of {} as immediate-or-cancel orders that filled exactly that order",
            self.filled, self.executions
        )?;
        writeln!(
            f,
            "             {} not at the head of the queue: reduced; {} away from the best price",
            self.not_at_head, self.away_from_best
        )?;
        match (self.rows_equal, self.rows_expected) {
            (Some(equal), Some(expected)) => {
                writeln!(f, "best rows    {equal} of {expected} as the file says")?
            }
            (None, _) | (_, None) => writeln!(f, "best rows    {}", self.rows)?,
        }
        writeln!(
            f,
            "time         {:.2} s, {} orders/s, each durable before it is told",
            self.seconds, self.orders_a_second
        )
    }
}

/// The symbol's beginning: what stands before the first `_` of the file's name.
fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = stem
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .take(8)
        .collect();
    if name.is_empty() { "TAPE".to_owned() } else { name }
}

fn progress_bar(tape: &Tape) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(tape.messages()).unwrap_or(u64::MAX));
    let style = "replay {wide_bar} {human_pos}/{human_len} messages, {per_sec}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &ProgressBar, played: usize) {
    bar.set_position(u64::try_from(played).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Tally;
    use std::time::Duration;
    use xq_protocol::Price;

    #[test]
    fn a_series_is_called_as_its_file_begins() {
        let name = |path: &str| name_of(Path::new(path));
        assert_eq!(name("x/AAPL_2012-06-21_message_50.csv"), "AAPL");
        assert_eq!((name("_x.csv"), name("")), ("TAPE".to_owned(), "TAPE".to_owned()));
    }

    #[test]
    fn the_first_row_that_differs_is_told() {
        let row = |price| Row {
            ask: Some((Price(price), 5)),
            bid: None,
        };
        let outcome = Outcome {
            tally: Tally::default(),
            rows: vec![row(100), row(101)],
            took: Duration::from_secs(1),
        };
        let stage = Stage {
            series: SeriesId(1),
            buyer: AccountId(1),
            seller: AccountId(2),
        };
        let same = Summary::of(&stage, &outcome, Some(&[row(100), row(101)]), false);
        assert!(same.verdict().is_ok() && same.rows_equal == Some(2));
        let shorter = Summary::of(&stage, &outcome, Some(&[row(100), row(101), row(102)]), false);
        assert_eq!(shorter.rows_equal, Some(2));
        assert!(shorter.verdict().is_err(), "a row is missing");
        let part = Summary::of(&stage, &outcome, Some(&[row(100), row(101), row(102)]), true);
        assert!(part.verdict().is_ok());
        let other = Summary::of(&stage, &outcome, Some(&[row(100), row(7)]), false);
        let told = other.first_difference.expect("they differ");
        assert_eq!(
            told,
            "row 2: ask 101 × 5, no bid, the file says ask 7 × 5, no bid"
        );
    }
}
