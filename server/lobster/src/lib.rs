//! LOBSTER's message and order-book files, and what must be known before the first message can be played.

#![deny(unsafe_code)]

mod file;

pub use file::{DataError, read};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xq_protocol::Side;

/// What a message says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A limit order rests (1).
    Add,
    /// It is lowered, and keeps its priority (2).
    Reduce,
    /// All that rests of it is cancelled (3).
    Delete,
    /// It trades, as the maker (4).
    Execute,
    /// A hidden order trades: the book does not change (5).
    ExecuteHidden,
}

/// One row of a message file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Nanoseconds after midnight.
    pub time_ns: u64,
    /// What happened.
    pub kind: Kind,
    /// The order it happened to.
    pub id: u64,
    /// Shares.
    pub size: u32,
    /// Dollars × 10,000.
    pub price: i64,
    /// Side of the resting order.
    pub side: Side,
}

/// One level as an order-book file shows it: price in dollars × 10,000, shares.
pub type Level = (i64, u64);

/// One row of an order-book file: the levels after the message of the same row, best first, empty ones left out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Sell levels.
    pub asks: Vec<Level>,
    /// Buy levels.
    pub bids: Vec<Level>,
}

/// An order that rested before the file tells of its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unannounced {
    /// LOBSTER's id.
    pub id: u64,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: i64,
    /// The sum of all that is later taken from it.
    pub size: u32,
}

/// The orders of which no arrival is told.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    /// Older than the first message: they rest before it, in order of their ids.
    pub before: Vec<Unannounced>,
    /// Younger, entered beyond the file's depth: each rests just before the message at its index.
    pub late: BTreeMap<usize, Unannounced>,
}

/// Reads a message file.
pub fn read_messages(path: &Path) -> Result<Vec<Message>, DataError> {
    read_lines(path, parse_message)
}

/// Reads an order-book file of any depth.
pub fn read_snapshots(path: &Path) -> Result<Vec<Snapshot>, DataError> {
    read_lines(path, parse_snapshot)
}

/// Finds the orders that are reduced, deleted or executed without having arrived.
pub fn seeds(messages: &[Message]) -> Seeds {
    let mut arrived = BTreeSet::new();
    let mut first_seen: BTreeMap<u64, (usize, Unannounced)> = BTreeMap::new();
    for (at, message) in messages.iter().enumerate() {
        let Message {
            id,
            side,
            price,
            size,
            ..
        } = *message;
        match message.kind {
            Kind::Add => {
                arrived.insert(id);
            }
            Kind::Reduce | Kind::Delete | Kind::Execute if !arrived.contains(&id) => {
                let unannounced = Unannounced {
                    id,
                    side,
                    price,
                    size: 0,
                };
                first_seen.entry(id).or_insert((at, unannounced)).1.size += size;
            }
            Kind::Reduce | Kind::Delete | Kind::Execute | Kind::ExecuteHidden => {}
        }
    }
    let first_id = messages
        .iter()
        .find(|message| message.kind == Kind::Add)
        .map_or(0, |message| message.id);
    let mut seeds = Seeds::default();
    for (id, (at, order)) in first_seen {
        if id < first_id {
            seeds.before.push(order);
        } else {
            seeds.late.insert(at, order);
        }
    }
    seeds
}

fn read_lines<T>(path: &Path, parse: fn(&str) -> Result<T, &'static str>) -> Result<Vec<T>, DataError> {
    let malformed = |line: usize, what| DataError::Malformed {
        path: path.to_owned(),
        line: line + 1,
        what,
    };
    let text = String::from_utf8(read(path)?).map_err(|_| malformed(0, "not text"))?;
    text.lines()
        .enumerate()
        .map(|(at, line)| parse(line).map_err(|what| malformed(at, what)))
        .collect()
}

fn parse_message(line: &str) -> Result<Message, &'static str> {
    let mut fields = line.trim().split(',');
    let mut next = || fields.next().ok_or("a message has six fields");
    let time_ns = parse_time(next()?)?;
    let kind = match next()? {
        "1" => Kind::Add,
        "2" => Kind::Reduce,
        "3" => Kind::Delete,
        "4" => Kind::Execute,
        "5" => Kind::ExecuteHidden,
        _ => return Err("a message type that these files do not have"),
    };
    let id = next()?.parse().map_err(|_| "an order id is a number")?;
    let size = next()?.parse().map_err(|_| "a size is a number")?;
    let price = next()?.parse().map_err(|_| "a price is a number")?;
    let side = match next()? {
        "1" => Side::Buy,
        "-1" => Side::Sell,
        _ => return Err("a direction is 1 or -1"),
    };
    Ok(Message {
        time_ns,
        kind,
        id,
        size,
        price,
        side,
    })
}

/// Seconds with a decimal fraction, as nanoseconds: the fraction is padded on the right. Digits beyond the ninth are
/// dropped: one row of the files carries the noise of a double there.
fn parse_time(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "a time is seconds with decimals";
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let decimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !decimal(fraction) || !decimal(seconds) {
        return Err(WRONG);
    }
    let seconds: u64 = seconds.parse().map_err(|_| WRONG)?;
    let nanos: u64 = format!("{fraction:0<9}")[..9].parse().map_err(|_| WRONG)?;
    seconds
        .checked_mul(1_000_000_000)
        .and_then(|whole| whole.checked_add(nanos))
        .ok_or(WRONG)
}

fn parse_snapshot(line: &str) -> Result<Snapshot, &'static str> {
    let numbers: Result<Vec<i64>, _> = line.trim().split(',').map(str::parse).collect();
    let numbers = numbers.map_err(|_| "an order book is rows of numbers")?;
    if numbers.len() % 4 != 0 {
        return Err("a level has four numbers");
    }
    let mut snapshot = Snapshot::default();
    for level in numbers.chunks_exact(4) {
        let size = |at: usize| u64::try_from(level[at]).map_err(|_| "a size is not negative");
        for (levels, price, size) in [
            (&mut snapshot.asks, level[0], size(1)?),
            (&mut snapshot.bids, level[2], size(3)?),
        ] {
            // An empty place holds a dummy price and nothing.
            if size > 0 {
                levels.push((price, size));
            }
        }
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_padded_on_the_right() {
        assert_eq!(parse_time("34200.00426064"), Ok(34_200_004_260_640));
        assert_eq!(parse_time("34200.1"), Ok(34_200_100_000_000));
        assert_eq!(parse_time("34200"), Ok(34_200_000_000_000));
        assert_eq!(parse_time("35821.088778456004"), Ok(35_821_088_778_456));
        for wrong in ["", ".5", "1.-5", "-1.0", "99999999999999999999", "18446744074.0"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_parse_and_wrong_ones_say_why() {
        let message = parse_message("34200.5,4,16113575,18,5853300,-1").expect("a row of the format");
        let expected = Message {
            time_ns: 34_200_500_000_000,
            kind: Kind::Execute,
            id: 16_113_575,
            size: 18,
            price: 5_853_300,
            side: Side::Sell,
        };
        assert_eq!(message, expected);
        assert_eq!(
            parse_message("1.0,7,0,0,-1,-1"),
            Err("a message type that these files do not have")
        );
        assert_eq!(parse_message("1.0,1,5"), Err("a message has six fields"));
        let snapshot =
            parse_snapshot("9999999999,0,5853300,18,9999999999,0,-9999999999,0").expect("two levels");
        assert_eq!(
            snapshot,
            Snapshot {
                asks: vec![],
                bids: vec![(5_853_300, 18)]
            }
        );
        assert_eq!(parse_snapshot("1,2,3"), Err("a level has four numbers"));
    }

    #[test]
    fn orders_without_an_arrival_are_seeds_of_what_is_taken_from_them() {
        let row = |kind, id, size| Message {
            time_ns: 0,
            kind,
            id,
            size,
            price: 100,
            side: Side::Buy,
        };
        let messages = [
            row(Kind::Add, 50, 10),
            row(Kind::Execute, 7, 3),
            row(Kind::Delete, 7, 4),
            row(Kind::Reduce, 60, 1),
            row(Kind::Delete, 50, 10),
            row(Kind::ExecuteHidden, 0, 9),
        ];
        let seeds = seeds(&messages);
        assert_eq!(
            seeds.before,
            [Unannounced {
                id: 7,
                side: Side::Buy,
                price: 100,
                size: 7
            }]
        );
        let late = Unannounced {
            id: 60,
            side: Side::Buy,
            price: 100,
            size: 1,
        };
        assert_eq!(seeds.late, BTreeMap::from([(3, late)]));
    }
}
