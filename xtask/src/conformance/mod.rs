//! `cargo xtask conformance`: other people's tests and real orders, each check through every book, with its counts.

mod drive;
mod flows;
mod lobster;
mod orderbook;

use crate::books::BookName;
use anyhow::{Context, bail};
use std::path::Path;

/// What to check; everything when nothing is named.
#[derive(clap::Args)]
pub struct Args {
    /// Only these checks.
    #[arg(long, value_enum, num_args = 1..)]
    only: Vec<Check>,
    /// Only through these books.
    #[arg(long, value_enum, num_args = 1..)]
    book: Vec<BookName>,
}

/// The checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    /// The 35 unit scenarios of three engines.
    Scenarios,
    /// The 34 hand-made edge cases of the public harness.
    EdgeCases,
    /// Its ten workloads, byte for byte.
    Workloads,
    /// Real orders, one step at a time.
    LobsterA,
    /// Real orders, free running (B), and whole aggressors on the way (D).
    LobsterB,
    /// The exchange after real orders: trial balance, laws, replay.
    Ledger,
    /// Real orders through a session over QUIC; then trial balance and replay of what was journaled.
    Drive,
    /// The flows are the pinned ones.
    Flows,
}

/// What one check counted.
pub struct Count {
    /// What was counted.
    what: String,
    /// How many were right.
    right: usize,
    /// Of how many.
    of: usize,
    /// How many there have to be: a check that lost its data has not passed.
    total: usize,
    /// How many have to be.
    required: usize,
    /// The first that was wrong.
    first_wrong: Option<String>,
}

impl Count {
    fn new(what: impl Into<String>, total: usize) -> Count {
        Count {
            what: what.into(),
            right: 0,
            of: 0,
            total,
            required: 0,
            first_wrong: None,
        }
    }

    /// Counts one that has to be right.
    fn require(&mut self, right: bool, wrong: impl FnOnce() -> String) {
        self.required += 1;
        self.allow(right, wrong);
    }

    /// Counts one that may be wrong; the caller says how many have to be right.
    fn allow(&mut self, right: bool, wrong: impl FnOnce() -> String) {
        self.of += 1;
        if right {
            self.right += 1;
        } else if self.first_wrong.is_none() {
            self.first_wrong = Some(wrong());
        }
    }

    fn passed(&self) -> bool {
        self.of == self.total && self.right >= self.required
    }

    fn print(&self, book: &str) {
        let verdict = if self.passed() { "ok  " } else { "FAIL" };
        println!(
            "{verdict} {book:<10} {:>6} of {:<6} {}",
            self.right, self.of, self.what
        );
        if !self.passed() {
            let wrong = self.first_wrong.as_deref().unwrap_or("none");
            println!(
                "     {} of {} required; the first wrong one: {wrong}",
                self.required, self.total
            );
        }
    }
}

/// Runs the checks and prints them; fails when one of them does.
pub fn run(args: &Args) -> anyhow::Result<()> {
    use clap::ValueEnum;
    let data = xq_perf::data::data_folder()?;
    let (mut checks, mut failed) = (0, 0);
    for check in Check::value_variants() {
        if !args.only.is_empty() && !args.only.contains(check) {
            continue;
        }
        for (book, count) in play(*check, &data, &args.book).with_context(|| format!("{check:?}"))? {
            count.print(book);
            checks += 1;
            failed += usize::from(!count.passed());
        }
    }
    if failed > 0 {
        bail!("{failed} of {checks} checks failed");
    }
    println!("{checks} checks passed");
    Ok(())
}

/// Plays one check, through every book wanted if it is about books.
fn play(check: Check, data: &Path, wanted: &[BookName]) -> anyhow::Result<Vec<(&'static str, Count)>> {
    let through_books = |play: fn(&Path, BookName) -> anyhow::Result<Vec<Count>>| {
        let mut counts = Vec::new();
        for book in BookName::ALL {
            if wanted.is_empty() || wanted.contains(&book) {
                counts.extend(play(data, book)?.into_iter().map(|count| (book.text(), count)));
            }
        }
        Ok(counts)
    };
    match check {
        Check::Scenarios => through_books(orderbook::scenarios),
        Check::EdgeCases => through_books(orderbook::edge_cases),
        Check::Workloads => through_books(orderbook::workloads),
        Check::LobsterA => through_books(lobster::check_a),
        Check::LobsterB => through_books(lobster::check_b_and_d),
        Check::Ledger if !wanted.is_empty() && !wanted.contains(&BookName::Exchange) => Ok(Vec::new()),
        Check::Ledger => Ok(lobster::ledger(data)?
            .into_iter()
            .map(|count| (BookName::Exchange.text(), count))
            .collect()),
        Check::Drive => Ok(drive::drive(data)?
            .into_iter()
            .map(|count| ("over QUIC", count))
            .collect()),
        Check::Flows => Ok(flows::pinned(data)?
            .into_iter()
            .map(|count| ("", count))
            .collect()),
    }
}
