//! `cargo xtask oracle`: random orders through every book beside the naive one, compared after every command; then
//! orders with further terms, and quotes, through the exchange beside the naive market.

mod market;
mod random;

use crate::books::{BookName, BookUnderTest};
use anyhow::{Context, ensure};
use random::{Command, RandomOrders};
use xq_engine::oracle::{Refusal, Resting, Trade};
use xq_protocol::Side;

/// How much, and from which seed.
#[derive(clap::Args)]
pub struct Args {
    /// Commands to play through each book.
    #[arg(long, default_value_t = 1_000_000)]
    commands: u64,
    /// Seed of the first command.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these books.
    #[arg(long, value_enum, num_args = 1..)]
    book: Vec<BookName>,
}

/// Commands between two comparisons of every order of both sides.
const WHOLE_EVERY: u64 = 64;
/// Commands on one series.
const SERIES_EVERY: u64 = 20_000;

/// What a run was made of, so that an empty success shows.
#[derive(Debug, Default)]
struct Tally {
    trades: usize,
    refusals: [usize; 4],
    resting_max: usize,
}

/// What a book answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Traded(Result<Vec<Trade>, Refusal>),
    Canceled(Result<Resting, Refusal>),
    Reduced(Result<u32, Refusal>),
}

/// Plays random orders through every book beside the naive one; fails at the first difference.
pub fn run(args: &Args) -> anyhow::Result<()> {
    for name in BookName::ALL {
        let wanted = args.book.is_empty() || args.book.contains(&name);
        if name == BookName::Oracle || !wanted {
            continue;
        }
        let tally =
            compare(name.open(random::DOMAIN).as_mut(), args.commands, args.seed).with_context(|| {
                format!(
                    "the {} differs from the naive one, seed {}",
                    name.text(),
                    args.seed
                )
            })?;
        let [duplicate, unknown, would_take, unfillable] = tally.refusals;
        println!(
            "ok   {}: {} commands of seed {} as the naive book, {} trades, at most {} resting; refused {duplicate} \
             duplicate ids, {unknown} unknown orders, {would_take} post-only, {unfillable} fill-or-kill",
            name.text(),
            args.commands,
            args.seed,
            tally.trades,
            tally.resting_max
        );
    }
    if args.book.is_empty() {
        let tally = market::compare(args.commands, args.seed)
            .with_context(|| format!("the exchange differs from the naive market, seed {}", args.seed))?;
        println!(
            "ok   exchange: {} commands of seed {} as the naive market, 0 laws broken; {} trades, {} icebergs refreshed, \
             {} stops set off, {} times a self-trade or a quote took an order away, {} quotes, {} refused",
            args.commands,
            args.seed,
            tally.trades,
            tally.refreshed,
            tally.triggered,
            tally.prevented,
            tally.quotes,
            tally.refused
        );
    }
    Ok(())
}

fn compare(book: &mut dyn BookUnderTest, commands: u64, seed: u64) -> anyhow::Result<Tally> {
    let mut naive = BookName::Oracle.open(random::DOMAIN);
    let mut orders = RandomOrders::new(seed);
    let mut tally = Tally::default();
    for number in 1..=commands {
        if number % SERIES_EVERY == 0 {
            naive.reset();
            book.reset();
        }
        let command = orders.next();
        let (expected, found) = (answer(naive.as_mut(), &command), answer(book, &command));
        ensure!(
            expected == found,
            "command {number} {command:?}: {found:?}, should be {expected:?}"
        );
        tally.count(&expected);
        for side in [Side::Buy, Side::Sell] {
            let (expected, found) = (naive.depth(side, 3), book.depth(side, 3));
            ensure!(
                expected == found,
                "after command {number} {command:?}: {side} shows {found:?} for {expected:?}"
            );
        }
        if number % WHOLE_EVERY == 0 || number == commands {
            let resting = whole(naive.as_ref(), book, number)?;
            tally.resting_max = tally.resting_max.max(resting.len());
            orders.learn(resting);
        }
    }
    Ok(tally)
}

/// Compares every level and every order of both sides; tells which orders rest.
fn whole(naive: &dyn BookUnderTest, book: &dyn BookUnderTest, number: u64) -> anyhow::Result<Vec<u64>> {
    let mut resting = Vec::new();
    for side in [Side::Buy, Side::Sell] {
        let (expected, found) = (naive.depth(side, usize::MAX), book.depth(side, usize::MAX));
        ensure!(
            expected == found,
            "after command {number}: {side} levels {found:?} for {expected:?}"
        );
        let (expected, found) = (naive.queue(side, usize::MAX), book.queue(side, usize::MAX));
        let differs = expected
            .iter()
            .zip(&found)
            .find(|(expected, found)| expected != found);
        ensure!(
            expected == found,
            "after command {number}: {side} queue, first difference {differs:?}"
        );
        resting.extend(expected.iter().map(|order| order.id));
    }
    Ok(resting)
}

fn answer(book: &mut dyn BookUnderTest, command: &Command) -> Answer {
    match *command {
        Command::Limit(order) => Answer::Traded(book.limit(order)),
        Command::Cancel { id } => Answer::Canceled(book.cancel(id)),
        Command::Reduce { id, by } => Answer::Reduced(book.reduce(id, by)),
        Command::Replace { id, price, qty } => Answer::Traded(book.replace(id, price, qty)),
        Command::Requeue { id, price, qty } => Answer::Traded(book.requeue(id, price, qty)),
    }
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        let refusal = match answer {
            Answer::Traded(Ok(trades)) => {
                self.trades += trades.len();
                return;
            }
            Answer::Canceled(Ok(_)) | Answer::Reduced(Ok(_)) => return,
            Answer::Traded(Err(refusal)) | Answer::Canceled(Err(refusal)) | Answer::Reduced(Err(refusal)) => {
                refusal
            }
        };
        let place = match refusal {
            Refusal::DuplicateId => 0,
            Refusal::UnknownOrder => 1,
            Refusal::WouldTake => 2,
            Refusal::Unfillable => 3,
        };
        self.refusals[place] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_engine::oracle::{LimitOrder, Oracle};

    #[test]
    fn every_book_agrees_with_the_naive_one_and_everything_happens() {
        for name in BookName::ALL {
            let tally = compare(name.open(random::DOMAIN).as_mut(), 50_000, 7).expect("the books agree");
            assert!(tally.trades > 5_000 && tally.resting_max > 100, "{tally:?}");
            assert!(tally.refusals.iter().all(|count| *count > 100), "{tally:?}");
        }
    }

    /// A book with one fault: a replace at the same price never loses its place.
    struct Faulty(Oracle);

    impl BookUnderTest for Faulty {
        fn reset(&mut self) {
            BookUnderTest::reset(&mut self.0);
        }
        fn limit(&mut self, order: LimitOrder) -> Result<Vec<Trade>, Refusal> {
            self.0.limit(order)
        }
        fn cancel(&mut self, id: u64) -> Result<Resting, Refusal> {
            self.0.cancel(id)
        }
        fn reduce(&mut self, id: u64, by: u32) -> Result<u32, Refusal> {
            self.0.reduce(id, by)
        }
        fn replace(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
            self.0.replace(id, price, qty)
        }
        fn requeue(&mut self, id: u64, price: i64, qty: u32) -> Result<Vec<Trade>, Refusal> {
            self.0.replace(id, price, qty)
        }
        fn depth(&self, side: Side, count: usize) -> Vec<(i64, u64)> {
            self.0.depth(side, count)
        }
        fn queue(&self, side: Side, count: usize) -> Vec<Resting> {
            BookUnderTest::queue(&self.0, side, count)
        }
    }

    #[test]
    fn a_book_that_keeps_a_place_it_lost_is_found_out() {
        assert!(compare(&mut Faulty(Oracle::new()), 20_000, 7).is_err());
    }
}
