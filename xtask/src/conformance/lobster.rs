//! Half an hour and a day of real orders: one step at a time (A), free running (B), whole aggressors (D).

use super::Count;
use crate::books::{BookName, BookUnderTest, Domain, ExchangeBook, replayed_hash};
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use xq_engine::oracle::{LimitOrder, Resting};
use xq_perf::lobster::{Kind, Level, Message, Snapshot, Unannounced, read_messages, read_snapshots, seeds};
use xq_protocol::{AssetId, Execution, Side, TimeInForce};

/// The messages that run free.
pub const AAPL_MESSAGES: &str = "lobster/AAPL_2012-06-21_34200000_36000000_message_50.csv";
/// Their best prices.
pub const AAPL_BEST: &str = "lobster/AAPL_2012-06-21_34200000_36000000_orderbook_1.csv";
const AAPL_10_MESSAGES: &str = "lobster/AAPL_2012-06-21_first998_message_10.csv";
const AAPL_10: &str = "lobster/AAPL_2012-06-21_first998_orderbook_10.csv";
const AMZN_MESSAGES: &str = "lobster/AMZN_2012-06-21_34200000_57600000_message_1.csv";
const AMZN_BEST: &str = "lobster/AMZN_2012-06-21_34200000_57600000_orderbook_1.csv";

/// Both stocks quote in cents.
const TICK: i64 = 100;
/// Whole aggressors there are, and how many of them must fill as they did.
const AGGRESSORS: usize = 1_648;
const AGGRESSORS_REQUIRED: usize = 1_640;

/// Check A: row *i* − 1 and message *i* give row *i*.
pub fn check_a(data: &Path, name: BookName) -> anyhow::Result<Vec<Count>> {
    let cases = [
        ("AMZN level 1", AMZN_MESSAGES, AMZN_BEST, 1, 57_514),
        ("AAPL level 10", AAPL_10_MESSAGES, AAPL_10, 10, 998),
    ];
    let mut counts = Vec::new();
    for (what, messages, rows, levels, steps) in cases {
        let messages = read_messages(&data.join(messages))?;
        let rows = read_snapshots(&data.join(rows))?;
        ensure!(
            messages.len() == rows.len(),
            "{what}: {} messages, {} rows",
            messages.len(),
            rows.len()
        );
        let quoted = rows
            .iter()
            .flat_map(|row| row.asks.iter().chain(&row.bids))
            .map(|level| level.0);
        let traded = messages
            .iter()
            .filter(|message| message.kind != Kind::ExecuteHidden);
        let mut book = name.open(Domain::spanning(
            quoted.chain(traded.map(|message| message.price)),
            TICK,
        ));
        let mut count = Count::new(format!("LOBSTER check A, {what}, steps"), steps);
        for (at, message) in messages.iter().enumerate().skip(1) {
            let outcome = step(book.as_mut(), levels, &rows[at - 1], message, &rows[at]);
            count.require(outcome.is_ok(), || {
                format!("row {}: {}", at + 1, outcome.err().unwrap_or_default())
            });
        }
        counts.push(count);
    }
    Ok(counts)
}

/// Seeds a fresh series with a row, plays the message, and compares what the book then shows with the next row.
fn step(
    book: &mut dyn BookUnderTest,
    levels: usize,
    before: &Snapshot,
    message: &Message,
    after: &Snapshot,
) -> Result<(), String> {
    book.reset();
    let seeded = seed(book, before)?;
    let at_level = seeded
        .iter()
        .find(|(side, price, _)| (*side, *price) == (message.side, message.price));
    let at_level = at_level
        .map(|(_, _, id)| *id)
        .ok_or("the message's level is not in the row before it");
    match message.kind {
        Kind::Add => {
            place(
                book,
                Unannounced {
                    id: 1,
                    side: message.side,
                    price: message.price,
                    size: message.size,
                },
            )?;
        }
        Kind::Reduce | Kind::Delete => {
            book.reduce(at_level?, message.size)
                .map_err(|refusal| format!("{refusal:?}"))?;
        }
        Kind::Execute => {
            let (id, side) = (1, message.side.opposite());
            let (tif, execution) = (TimeInForce::Ioc, Execution::Any);
            let order = LimitOrder {
                id,
                side,
                price: message.price,
                qty: message.size,
                tif,
                execution,
            };
            let trades = book.limit(order).map_err(|refusal| format!("{refusal:?}"))?;
            let maker = at_level?;
            if trades.len() != 1 || trades[0].maker != maker || trades[0].qty != message.size {
                return Err(format!("executed {trades:?}"));
            }
        }
        Kind::ExecuteHidden => {}
    }
    compare(book, levels, before, after)
}

/// Rests a row's levels, one order each; tells side, price and id of each.
fn seed(book: &mut dyn BookUnderTest, before: &Snapshot) -> Result<Vec<(Side, i64, u64)>, String> {
    let mut seeded = Vec::new();
    for (side, row) in [(Side::Sell, &before.asks), (Side::Buy, &before.bids)] {
        for ((price, size), at) in row.iter().zip(1..) {
            let id = at * 2 + u64::from(side.byte());
            let qty = u32::try_from(*size).map_err(|_| "a level of more than 2^32 shares")?;
            place(
                book,
                Unannounced {
                    id,
                    side,
                    price: *price,
                    size: qty,
                },
            )?;
            seeded.push((side, *price, id));
        }
    }
    Ok(seeded)
}

fn compare(
    book: &dyn BookUnderTest,
    levels: usize,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<(), String> {
    let sides = [
        (Side::Sell, &before.asks, &after.asks),
        (Side::Buy, &before.bids, &after.bids),
    ];
    for (side, before, after) in sides {
        let shown = book.depth(side, levels);
        // A level that was emptied reveals one at depth K which no row before it has shown.
        let revealed = shown.len() < before.len() && before.len() == levels;
        let known = if revealed { levels - 1 } else { levels };
        let expected: &[Level] = &after[..after.len().min(known)];
        if shown != expected {
            return Err(format!("{side} shows {shown:?}, the row {expected:?}"));
        }
    }
    Ok(())
}

/// Rests an order that LOBSTER says rests: it must not trade.
fn place(book: &mut dyn BookUnderTest, order: Unannounced) -> Result<(), String> {
    let Unannounced {
        id,
        side,
        price,
        size: qty,
    } = order;
    let (tif, execution) = (TimeInForce::Gtc, Execution::Any);
    match book.limit(LimitOrder {
        id,
        side,
        price,
        qty,
        tif,
        execution,
    }) {
        Ok(trades) if trades.is_empty() => Ok(()),
        Ok(trades) => Err(format!("resting {order:?} traded {trades:?}")),
        Err(refusal) => Err(format!("resting {order:?} was refused: {refusal:?}")),
    }
}

/// What check B counts.
struct FreeRun {
    seeded_before: usize,
    seeded_late: usize,
    /// Best ask and bid, at every change and every hidden execution.
    emitted: Vec<Snapshot>,
    uncrossed: Count,
    deletions: Count,
    executions: Count,
    aggressors: Count,
}

/// Checks B and D: the messages run free from their seeds.
pub fn check_b_and_d(data: &Path, name: BookName) -> anyhow::Result<Vec<Count>> {
    let messages = read_messages(&data.join(AAPL_MESSAGES))?;
    let rows = read_snapshots(&data.join(AAPL_BEST))?;
    let prices = messages
        .iter()
        .filter(|message| message.kind != Kind::ExecuteHidden);
    let domain = Domain::spanning(prices.map(|message| message.price), TICK);
    let (mut book, mut scratch) = (name.open(domain), name.open(domain));
    let run = run_free(&messages, book.as_mut(), scratch.as_mut())?;
    let what = format!(
        "LOBSTER check B, rows ({} seeded before, {} late)",
        run.seeded_before, run.seeded_late
    );
    let mut best = Count::new(what, 14_205);
    for at in 0..rows.len().max(run.emitted.len()) {
        let (emitted, row) = (run.emitted.get(at), rows.get(at));
        best.require(emitted == row, || {
            format!("row {}: {emitted:?} for {row:?}", at + 1)
        });
    }
    let mut aggressors = run.aggressors;
    aggressors.required = AGGRESSORS_REQUIRED;
    let seeded = (run.seeded_before, run.seeded_late);
    ensure!(
        seeded == (36, 14) && aggressors.of == AGGRESSORS,
        "{seeded:?} seeded, {} aggressors",
        aggressors.of
    );
    Ok(vec![
        best,
        run.uncrossed,
        run.deletions,
        run.executions,
        aggressors,
    ])
}

/// What a whole exchange owes after check B: every asset sums to zero, every law holds, and the same commands give a
/// fresh exchange the same events.
pub fn ledger(data: &Path) -> anyhow::Result<Vec<Count>> {
    let messages = read_messages(&data.join(AAPL_MESSAGES))?;
    let prices = messages
        .iter()
        .filter(|message| message.kind != Kind::ExecuteHidden);
    let domain = Domain::spanning(prices.map(|message| message.price), TICK);
    let (mut book, mut scratch) = (ExchangeBook::hashed(domain), ExchangeBook::new(domain));
    run_free(&messages, &mut book, &mut scratch)?;
    book.exchange().check();
    let balances = book.exchange().balances();
    let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
    for balance in &balances {
        *sums.entry(balance.asset).or_default() += balance.amount;
    }
    let what = format!("assets that sum to zero over {} balances", balances.len());
    let mut zero = Count::new(what, 2);
    for (asset, sum) in sums {
        zero.require(sum == 0, || format!("asset {asset} sums to {sum}"));
    }
    let (tape, hash) = book.record();
    let mut replayed = Count::new(
        format!("replay of {} commands with the same events", tape.len()),
        1,
    );
    let again = replayed_hash(tape);
    replayed.require(hash == Some(again), || hex::encode(again));
    println!("     SHA-256 of all events {}", hex::encode(again));
    Ok(vec![zero, replayed])
}

fn run_free(
    messages: &[Message],
    book: &mut dyn BookUnderTest,
    scratch: &mut dyn BookUnderTest,
) -> anyhow::Result<FreeRun> {
    let seeds = seeds(messages);
    let mut run = FreeRun {
        seeded_before: seeds.before.len(),
        seeded_late: seeds.late.len(),
        emitted: Vec::new(),
        uncrossed: Count::new("LOBSTER check B, states not crossed", 42_203),
        deletions: Count::new("LOBSTER check B, deletions of what remains", 18_495),
        executions: Count::new("LOBSTER check B, executions at the best price", 2_079),
        aggressors: Count::new("LOBSTER check D, whole aggressors", AGGRESSORS),
    };
    for order in &seeds.before {
        place(book, *order).map_err(anyhow::Error::msg)?;
    }
    let mut shown = best(book);
    for (at, message) in messages.iter().enumerate() {
        if let Some(order) = seeds.late.get(&at) {
            place(book, *order).map_err(anyhow::Error::msg)?;
        }
        if starts_aggressor(messages, at) {
            run.try_aggressor(&messages[at..], book, scratch);
        }
        run.play(book, message)
            .with_context(|| format!("message {}", at + 1))?;
        let now = best(book);
        let crossed = now
            .asks
            .first()
            .zip(now.bids.first())
            .is_some_and(|(ask, bid)| bid.0 >= ask.0);
        run.uncrossed
            .require(!crossed, || format!("after message {}: {now:?}", at + 1));
        if now != shown || message.kind == Kind::ExecuteHidden {
            run.emitted.push(now.clone());
            shown = now;
        }
    }
    Ok(run)
}

fn best(book: &dyn BookUnderTest) -> Snapshot {
    Snapshot {
        asks: book.depth(Side::Sell, 1),
        bids: book.depth(Side::Buy, 1),
    }
}

/// Whether a message and its neighbour are executions of one aggressor.
fn same_aggressor(one: &Message, other: &Message) -> bool {
    let both = one.kind == Kind::Execute && other.kind == Kind::Execute;
    both && one.time_ns == other.time_ns && one.side == other.side
}

/// Whether an execution begins an aggressor: hidden executions in between do not part one.
fn starts_aggressor(messages: &[Message], at: usize) -> bool {
    let mut before = messages[..at]
        .iter()
        .rev()
        .filter(|message| message.kind != Kind::ExecuteHidden);
    let goes_on = before
        .next()
        .is_some_and(|before| same_aggressor(before, &messages[at]));
    messages[at].kind == Kind::Execute && !goes_on
}

impl FreeRun {
    fn play(&mut self, book: &mut dyn BookUnderTest, message: &Message) -> anyhow::Result<()> {
        let Message {
            id,
            side,
            price,
            size,
            ..
        } = *message;
        match message.kind {
            Kind::Add => place(
                book,
                Unannounced {
                    id,
                    side,
                    price,
                    size,
                },
            )
            .map_err(anyhow::Error::msg)?,
            Kind::Delete => {
                let canceled = book.cancel(id);
                let whole = canceled.is_ok_and(|order| order.qty == size);
                self.deletions
                    .require(whole, || format!("{message:?}: {canceled:?}"));
            }
            Kind::Reduce => {
                let fell = book.reduce(id, size);
                ensure!(fell == Ok(size), "{message:?} fell by {fell:?}");
            }
            Kind::Execute => {
                let best = book.depth(side, 1).first().map(|level| level.0);
                self.executions
                    .require(best == Some(price), || format!("{message:?}: best is {best:?}"));
                let fell = book.reduce(id, size);
                ensure!(fell == Ok(size), "{message:?} fell by {fell:?}");
            }
            Kind::ExecuteHidden => {}
        }
        Ok(())
    }

    /// Check D: on a copy of the side, one IOC of all that was executed fills what was executed.
    fn try_aggressor(&mut self, rest: &[Message], book: &dyn BookUnderTest, scratch: &mut dyn BookUnderTest) {
        let same = rest
            .iter()
            .take_while(|message| same_aggressor(&rest[0], message));
        let group: Vec<&Message> = same.collect();
        let last = group.last().expect("an execution starts the group");
        scratch.reset();
        for Resting { id, side, price, qty } in book.queue(last.side, usize::MAX) {
            place(
                scratch,
                Unannounced {
                    id,
                    side,
                    price,
                    size: qty,
                },
            )
            .expect("one side of a book cannot trade");
        }
        let expected: Vec<_> = group
            .iter()
            .map(|message| (message.id, message.price, message.size))
            .collect();
        let qty = expected.iter().map(|fill| fill.2).sum();
        let (tif, execution) = (TimeInForce::Ioc, Execution::Any);
        let order = LimitOrder {
            id: 0,
            side: last.side.opposite(),
            price: last.price,
            qty,
            tif,
            execution,
        };
        let fills: Option<Vec<_>> = scratch.limit(order).ok().map(|trades| {
            trades
                .iter()
                .map(|trade| (trade.maker, trade.price, trade.qty))
                .collect()
        });
        self.aggressors.allow(fills.as_ref() == Some(&expected), || {
            format!("{expected:?}: {fills:?}")
        });
    }
}
