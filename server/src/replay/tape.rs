//! What is played: LOBSTER's messages with the orders of which no arrival is told, prices in minor units.

use std::path::Path;
use xq_lobster::{DataError, Kind, Message, Unannounced, read_messages, read_snapshots, seeds};
use xq_protocol::{Price, Qty, Side};

use super::drive::Row;

/// LOBSTER's unit is a ten-thousandth of a dollar, ours a hundredth of the currency.
const LOBSTER_UNITS: i64 = 100;

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// No such file.
    #[error("{}: not found", .path.display())]
    Missing {
        /// The path looked for.
        path: std::path::PathBuf,
    },
    /// A file that cannot be read or is malformed, by its path and line.
    #[error(transparent)]
    Data(DataError),
    /// A price that the exchange cannot quote.
    #[error("{path}:{line}: the price {price} is not a whole number of cents above zero")]
    Price {
        /// The file.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Dollars × 10,000.
        price: i64,
    },
    /// A size that is none.
    #[error("{path}:{line}: a size of zero")]
    Size {
        /// The file.
        path: String,
        /// Line, from 1.
        line: usize,
    },
    /// No message at all.
    #[error("{path}: no messages")]
    Empty {
        /// The file.
        path: String,
    },
}

impl From<DataError> for TapeError {
    fn from(error: DataError) -> TapeError {
        match error {
            // Whose file it is depends on who plays it: not on the data folder of the tests.
            DataError::Missing { path } => TapeError::Missing { path },
            DataError::Unreadable { .. } | DataError::Malformed { .. } => TapeError::Data(error),
        }
    }
}

/// An order as the tape tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// LOBSTER's id.
    pub id: u64,
    /// Its side.
    pub side: Side,
    /// Its price.
    pub price: Price,
    /// How many.
    pub qty: Qty,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// An order rests of which no arrival is told.
    Seed(Told),
    /// A message: what happened, and to which order.
    Message(Kind, Told),
}

/// One thing to do, where it stands and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Line of the message, from 1; a seed has the line it comes before.
    pub line: usize,
    /// Nanoseconds after midnight.
    pub time_ns: u64,
    /// What to do.
    pub deed: Deed,
}

/// The whole tape.
#[derive(Clone, Debug)]
pub struct Tape {
    items: Vec<Item>,
    messages: usize,
}

impl Tape {
    /// Reads a message file, or its first `limit` messages.
    ///
    /// # Errors
    /// [`TapeError`], naming the file and the line.
    pub fn read(path: &Path, limit: Option<usize>) -> Result<Tape, TapeError> {
        let mut tape = Tape::of(&read_messages(path)?).map_err(|fault| fault.at(path))?;
        if let Some(limit) = limit {
            // Seeds are known from the whole file, so that a part of it is played as in the whole.
            tape.items.retain(|item| item.line <= limit);
            tape.messages = tape.messages.min(limit);
        }
        Ok(tape)
    }

    /// A tape of these messages: orders older than the first one rest before it, younger ones come just before the
    /// first that is told of them.
    fn of(messages: &[Message]) -> Result<Tape, Fault> {
        let first_ns = messages.first().ok_or(Fault::Empty)?.time_ns;
        let seeds = seeds(messages);
        let mut items = Vec::with_capacity(messages.len() + seeds.before.len() + seeds.late.len());
        for order in &seeds.before {
            items.push(Item {
                line: 1,
                time_ns: first_ns,
                deed: Deed::Seed(seed(order, 1)?),
            });
        }
        for (at, message) in messages.iter().enumerate() {
            let (line, time_ns) = (at + 1, message.time_ns);
            if let Some(order) = seeds.late.get(&at) {
                let deed = Deed::Seed(seed(order, line)?);
                items.push(Item { line, time_ns, deed });
            }
            let told = told(message, line)?;
            let deed = Deed::Message(message.kind, told);
            items.push(Item { line, time_ns, deed });
        }
        let messages = messages.len();
        Ok(Tape { items, messages })
    }

    /// What to do, in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
    /// How many messages, seeds not counted.
    pub fn messages(&self) -> usize {
        self.messages
    }

    fn told(&self) -> impl Iterator<Item = (&Deed, &Told)> {
        self.items.iter().map(|item| match &item.deed {
            Deed::Seed(told) | Deed::Message(_, told) => (&item.deed, told),
        })
    }
    /// The highest price at which anything rests.
    pub fn price_max(&self) -> Price {
        let resting = self
            .told()
            .filter(|(deed, _)| !matches!(deed, Deed::Message(Kind::ExecuteHidden, _)));
        resting.map(|(_, told)| told.price).max().unwrap_or_default()
    }
    /// At most so much money is ever wanted by buy orders: as if none were cancelled.
    pub fn money(&self) -> u64 {
        let bought = self.told().filter(|(deed, told)| match deed {
            Deed::Seed(_) | Deed::Message(Kind::Add, _) => told.side == Side::Buy,
            Deed::Message(Kind::Execute, _) => told.side == Side::Sell,
            Deed::Message(Kind::Reduce | Kind::Delete | Kind::ExecuteHidden, _) => false,
        });
        bought
            .map(|(_, told)| told.price.0.saturating_mul(told.qty.0.into()))
            .fold(0, u64::saturating_add)
    }
    /// At most so many units are ever offered by sell orders.
    pub fn units(&self) -> u64 {
        let sold = self.told().filter(|(deed, told)| match deed {
            Deed::Seed(_) | Deed::Message(Kind::Add, _) => told.side == Side::Sell,
            Deed::Message(Kind::Execute, _) => told.side == Side::Buy,
            Deed::Message(Kind::Reduce | Kind::Delete | Kind::ExecuteHidden, _) => false,
        });
        sold.map(|(_, told)| u64::from(told.qty.0))
            .fold(0, u64::saturating_add)
    }
}

/// What is wrong with a line, before its file is known.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Price { line: usize, price: i64 },
    Size { line: usize },
    Empty,
}

impl Fault {
    fn at(self, path: &Path) -> TapeError {
        let path = path.display().to_string();
        match self {
            Fault::Price { line, price } => TapeError::Price { path, line, price },
            Fault::Size { line } => TapeError::Size { path, line },
            Fault::Empty => TapeError::Empty { path },
        }
    }
}

fn price_of(price: i64) -> Option<Price> {
    let cents = (price % LOBSTER_UNITS == 0).then_some(price / LOBSTER_UNITS)?;
    u64::try_from(cents).ok().filter(|cents| *cents > 0).map(Price)
}

fn seed(order: &Unannounced, line: usize) -> Result<Told, Fault> {
    let (id, side, raw) = (order.id, order.side, order.price);
    let price = price_of(raw).ok_or(Fault::Price { line, price: raw })?;
    let qty = Qty(order.size);
    Ok(Told { id, side, price, qty })
}

fn told(message: &Message, line: usize) -> Result<Told, Fault> {
    let (id, side, raw, qty) = (message.id, message.side, message.price, Qty(message.size));
    // A hidden execution changes nothing here, and happens between ticks too.
    let price = match (message.kind, price_of(raw)) {
        (_, Some(price)) => price,
        (Kind::ExecuteHidden, None) => Price::ZERO,
        (Kind::Add | Kind::Reduce | Kind::Delete | Kind::Execute, None) => {
            return Err(Fault::Price { line, price: raw });
        }
    };
    if qty.is_zero() {
        return Err(Fault::Size { line });
    }
    Ok(Told { id, side, price, qty })
}

/// Reads the rows of a level-1 order-book file.
///
/// # Errors
/// [`TapeError`], naming the file and the line.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, TapeError> {
    let snapshots = read_snapshots(path)?;
    let level = |line: usize, best: Option<&(i64, u64)>| match best {
        None => Ok(None),
        Some((price, qty)) => match price_of(*price) {
            Some(found) => Ok(Some((found, *qty))),
            None => Err(Fault::Price { line, price: *price }.at(path)),
        },
    };
    let row = |(at, snapshot): (usize, &xq_lobster::Snapshot)| {
        Ok(Row {
            ask: level(at + 1, snapshot.asks.first())?,
            bid: level(at + 1, snapshot.bids.first())?,
        })
    };
    snapshots.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, id: u64, price: i64, size: u32) -> Message {
        let (time_ns, side) = (5, Side::Sell);
        Message {
            time_ns,
            kind,
            id,
            size,
            price,
            side,
        }
    }

    #[test]
    fn seeds_come_before_what_is_told_of_them() {
        let messages = [
            message(Kind::Add, 50, 5_853_300, 10),
            message(Kind::Reduce, 60, 5_853_400, 1),
            message(Kind::Execute, 7, 5_853_200, 3),
            message(Kind::ExecuteHidden, 0, 5_853_250, 9),
        ];
        let tape = Tape::of(&messages).expect("it can be played");
        let seeds: Vec<_> = tape
            .items()
            .iter()
            .enumerate()
            .filter(|(_, i)| matches!(i.deed, Deed::Seed(_)))
            .collect();
        assert_eq!(
            seeds
                .iter()
                .map(|(at, item)| (*at, item.line))
                .collect::<Vec<_>>(),
            [(0, 1), (2, 2)]
        );
        assert_eq!((tape.messages(), tape.items().len()), (4, 6));
        assert_eq!((tape.price_max(), tape.units()), (Price(58_534), 14));
        assert_eq!(tape.money(), 3 * 58_532);
    }

    #[test]
    fn what_cannot_be_quoted_is_named_by_its_line() {
        let wrong = [message(Kind::Add, 1, 100, 1), message(Kind::Add, 2, 150, 1)];
        assert_eq!(Tape::of(&wrong).err(), Some(Fault::Price { line: 2, price: 150 }));
        assert_eq!(
            Tape::of(&[message(Kind::Add, 1, 100, 0)]).err(),
            Some(Fault::Size { line: 1 })
        );
        assert_eq!(Tape::of(&[]).err(), Some(Fault::Empty));
    }
}
