//! Reconciliation: what a replay of the journal says must stand in PostgreSQL, beside what stands there.
//!
//! Rows are compared as the bytes of binary copies. A first pass compares sums of hashes over ranges of commands, so that
//! no more is kept than open orders and a sum a range; a second pass, only when sums differ, names every difference.

use crate::connect::Target;
use crate::cursor::Cursor;
use crate::encode::{COPY_HEADER, Kind, columns, split_row};
use crate::fold::place_of;
use crate::projection::{Context, Poison, Projected};
use crate::schema::SCHEMA;
use crate::sink::read_cursor;
use crate::table::{TABLES, Table};
use crate::trouble::{Trouble, told};
use postgres::{Client, IsolationLevel, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use xq_journal::{ChainHash, EventCursor, EventHasher};
use xq_protocol::{AssetId, DayRolled, Event, EventFrame, Frame, Message, OrderId, Place, Seq};

/// Commands that share a sum.
const RANGE: u64 = 1 << 16;
/// Commands after which appended rows are summed.
const SUM_EVERY: u64 = 1 << 10;
/// Bytes read from PostgreSQL at a time.
const PIECE: usize = 1 << 20;

/// Amounts by place, owner and asset.
type Balances = BTreeMap<(i16, u32, AssetId), i128>;

/// One place where PostgreSQL is not as the journal says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// The row's key: `seq=7, idx=0`.
    pub key: String,
    /// The column, or `row` for a row that is missing, superfluous or doubled.
    pub column: String,
    /// What a replay of the journal gives.
    pub journal: String,
    /// What stands there.
    pub database: String,
}

/// What a reconciliation found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far the database was.
    pub cursor: Cursor,
    /// Rows there, by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
    balances: Balances,
}

impl Report {
    /// Compares the balances with those of whoever keeps them besides: the engine that replayed.
    pub fn compare_balances(&mut self, ledger: impl Iterator<Item = (Place, AssetId, i128)>) {
        let mut engine = BTreeMap::new();
        for (place, asset, amount) in ledger {
            let (place, owner) = place_of(place);
            engine.insert((place, owner, asset), amount);
        }
        let keys: BTreeSet<_> = self.balances.keys().chain(engine.keys()).copied().collect();
        for key in keys {
            let of = |balances: &Balances| balances.get(&key).copied().unwrap_or(0);
            let (events, engine) = (of(&self.balances), of(&engine));
            if events != engine {
                self.differences.push(Difference {
                    table: "balances".to_owned(),
                    key: format!("place={}, owner={}, asset={}", key.0, key.1, key.2),
                    column: "the engine's ledger".to_owned(),
                    journal: engine.to_string(),
                    database: events.to_string(),
                });
            }
        }
    }
}

/// Compares a database with a replay. `replay` is told how far the database is and hands over every event from the first up
/// to there, each time it is called: once, or twice when something differs.
///
/// # Errors
/// What PostgreSQL refuses; a database that is ahead of the journal; what the replay fails with.
pub fn reconcile<E: From<Trouble>>(
    target: &Target,
    mut replay: impl FnMut(&Cursor, &mut dyn FnMut(&Frame<'_>) -> Result<(), Poison>) -> Result<(), E>,
) -> Result<Report, E> {
    let mut client = target.connect()?;
    let mut there = There::open(&mut client)?;
    let cursor = there.cursor;
    let mut expected = Expected::new(cursor, None);
    replay(&cursor, &mut |frame| expected.event(frame))?;
    let (sums, balances) = expected.finish()?;
    let mut rows = Vec::new();
    let mut found = Sums::default();
    for table in Table::ALL {
        there.each_row(table, "", &mut |row| found.add(table, row))?;
        let in_table = found
            .sums
            .iter()
            .filter(|((place, _), _)| *place == table.place());
        rows.push((table.name(), in_table.map(|(_, sum)| sum.rows).sum()));
    }
    let suspect = sums.differing(&found);
    let mut differences = Vec::new();
    if !suspect.is_empty() {
        let mut expected = Expected::new(cursor, Some(suspect.clone()));
        replay(&cursor, &mut |frame| expected.event(frame))?;
        let (sums, _) = expected.finish()?;
        let mut found = Sums::keeping(suspect.clone());
        for (place, range) in suspect {
            let (table, low) = (Table::ALL[place], range * RANGE);
            let condition = match table {
                Table::Balances => String::new(),
                _others => format!("WHERE seq >= {low} AND seq < {}", low + RANGE),
            };
            there.each_row(table, &condition, &mut |row| found.add(table, row))?;
        }
        differences = compare(&sums.kept, &found.kept);
    }
    Ok(Report {
        cursor,
        rows,
        differences,
        balances,
    })
}

/// A database as it stands at one moment.
struct There<'a> {
    transaction: Transaction<'a>,
    cursor: Cursor,
}

impl<'a> There<'a> {
    fn open(client: &'a mut Client) -> Result<There<'a>, Trouble> {
        let said = |error: postgres::Error| told("reading the database", &error);
        client
            .batch_execute(&format!("SET search_path TO {SCHEMA}"))
            .map_err(said)?;
        let mut transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .map_err(said)?;
        let Some(cursor) = read_cursor(&mut transaction)? else {
            return Err(Trouble::Refused(
                "no bridge has written this database yet".to_owned(),
            ));
        };
        Ok(There { transaction, cursor })
    }

    fn each_row(
        &mut self,
        table: Table,
        condition: &str,
        tell: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Trouble> {
        let copy = format!(
            "COPY (SELECT {} FROM {} {condition}) TO STDOUT BINARY",
            table.column_list(),
            table.name()
        );
        let doing = || format!("reading {}", table.name());
        let mut reader = self
            .transaction
            .copy_out(&copy)
            .map_err(|error| told(&doing(), &error))?;
        let (mut bytes, mut piece, mut is_begun) = (Vec::new(), vec![0; PIECE], false);
        loop {
            let count = reader
                .read(&mut piece)
                .map_err(|error| Trouble::Weather(format!("{}: {error}", doing())))?;
            bytes.extend_from_slice(&piece[..count]);
            if !is_begun && bytes.len() >= COPY_HEADER.len() {
                bytes.drain(..COPY_HEADER.len());
                is_begun = true;
            }
            let mut rest = &bytes[..];
            while let Some((row, after)) = split_row(rest).filter(|_| is_begun) {
                tell(row);
                rest = after;
            }
            let left = rest.len();
            if count == 0 {
                return Ok(());
            }
            bytes.drain(..bytes.len() - left);
        }
    }
}

/// Rows and the sum of their hashes: equal for equal rows in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    rows: u64,
    hash: u128,
}

/// Table and range of commands.
type Bucket = (usize, u64);
/// Rows by table and key; more than one where they are doubled.
type Kept = BTreeMap<(usize, String), Vec<Vec<u8>>>;

/// Sums by table and range, and the rows of some of them.
#[derive(Debug)]
struct Sums {
    sums: BTreeMap<Bucket, Sum>,
    keep: BTreeSet<Bucket>,
    kept: Kept,
    /// Where each table has its sequence.
    seq_at: [Option<usize>; TABLES],
}

impl Default for Sums {
    fn default() -> Self {
        Sums::keeping(BTreeSet::new())
    }
}

impl Sums {
    fn keeping(keep: BTreeSet<Bucket>) -> Sums {
        Sums {
            sums: BTreeMap::new(),
            keep,
            kept: BTreeMap::new(),
            seq_at: Table::ALL.map(|table| table.columns().iter().position(|(name, _)| *name == "seq")),
        }
    }

    fn add(&mut self, table: Table, row: &[u8]) {
        let place = table.place();
        let values = columns(row);
        let seq = self.seq_at[place].and_then(|at| values.get(at).copied().flatten());
        let seq = seq
            .and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)))
            .unwrap_or(0);
        let bucket = (place, seq / RANGE);
        let hash = *blake3::hash(row).as_bytes();
        let sum = self.sums.entry(bucket).or_default();
        sum.rows += 1;
        sum.hash = sum
            .hash
            .wrapping_add(u128::from_le_bytes(*hash.first_chunk().expect("32 bytes")));
        if self.keep.contains(&bucket) {
            self.kept
                .entry((place, key_of(table, &values)))
                .or_default()
                .push(row.to_vec());
        }
    }

    fn differing(&self, other: &Sums) -> BTreeSet<Bucket> {
        let buckets = self.sums.keys().chain(other.sums.keys());
        buckets
            .filter(|bucket| self.sums.get(bucket) != other.sums.get(bucket))
            .copied()
            .collect()
    }
}

fn key_of(table: Table, values: &[Option<&[u8]>]) -> String {
    let named = table.columns().into_iter().zip(values);
    let parts = named.filter(|((name, _), _)| table.key().contains(name));
    let shown: Vec<String> = parts
        .map(|((name, kind), value)| format!("{name}={}", kind.show(*value)))
        .collect();
    shown.join(", ")
}

fn compare(journal: &Kept, database: &Kept) -> Vec<Difference> {
    let keys: BTreeSet<_> = journal.keys().chain(database.keys()).collect();
    let mut differences = Vec::new();
    for key in keys {
        let table = Table::ALL[key.0];
        let rows = |kept: &Kept| kept.get(key).cloned().unwrap_or_default();
        let (expected, found) = (rows(journal), rows(database));
        let mut tell = |column: &str, journal: String, database: String| {
            differences.push(Difference {
                table: table.name().to_owned(),
                key: key.1.clone(),
                column: column.to_owned(),
                journal,
                database,
            });
        };
        let ([expected], [found]) = (&expected[..], &found[..]) else {
            if expected != found {
                tell(
                    "row",
                    format!("{} of it", expected.len()),
                    format!("{} of it", found.len()),
                );
            }
            continue;
        };
        let (expected, found) = (columns(expected), columns(found));
        for (((name, kind), expected), found) in table.columns().into_iter().zip(expected).zip(found) {
            if expected != found {
                tell(name, Kind::show(kind, expected), Kind::show(kind, found));
            }
        }
    }
    differences
}

/// What a replay gives, summed as it comes.
struct Expected {
    cursor: Cursor,
    projected: Projected,
    hasher: EventHasher,
    /// Events of the command in hand.
    command: Vec<EventFrame>,
    sums: Sums,
    commands: u64,
    /// Where the replay stood at the cursor.
    at_cursor: Option<ChainHash>,
}

impl Expected {
    fn new(cursor: Cursor, keep: Option<BTreeSet<Bucket>>) -> Expected {
        Expected {
            cursor,
            projected: Projected::new(Context::default()),
            hasher: EventHasher::new(cursor.journal),
            command: Vec::new(),
            sums: Sums::keeping(keep.unwrap_or_default()),
            commands: 0,
            at_cursor: None,
        }
    }

    fn event(&mut self, frame: &Frame<'_>) -> Result<(), Poison> {
        self.hasher.update(frame.bytes());
        let cursor = EventCursor {
            seq: frame.header.seq,
            index: frame.header.index,
        };
        let copy = EventFrame::copy_of(frame).ok_or_else(|| Poison {
            cursor,
            reason: "it is longer than an event may be".to_owned(),
        })?;
        self.command.push(copy);
        if !frame.header.is_last() {
            return Ok(());
        }
        if self
            .command
            .iter()
            .any(|event| event.header().template_id == DayRolled::TEMPLATE)
        {
            self.projected.context.chain = self.hasher.hash();
        }
        let mut ended: Vec<OrderId> = Vec::new();
        for event in std::mem::take(&mut self.command) {
            let event = event.frame().map_err(|error| Poison {
                cursor,
                reason: error.to_string(),
            })?;
            self.projected.add(&event)?;
            match event.event() {
                Ok(Event::Traded(e)) => ended.extend([e.maker_order, e.taker_order]),
                Ok(Event::OrderCanceled(e)) => ended.push(e.order),
                Ok(_others) => {}
                Err(_) => {}
            }
        }
        self.end_orders(&ended, cursor)?;
        if cursor == self.cursor.position.cursor {
            self.at_cursor = Some(self.hasher.hash());
        }
        self.commands += 1;
        if self.commands.is_multiple_of(SUM_EVERY) {
            self.sum_appended();
        }
        Ok(())
    }

    /// Orders at their end change no more: their rows are summed, and forgotten.
    fn end_orders(&mut self, ended: &[OrderId], cursor: EventCursor) -> Result<(), Poison> {
        let to = &mut self.projected.tables[Table::Orders.place()];
        let width = Table::Orders.columns().len();
        for order in ended {
            if let Some(order) = self.projected.fold.take_ended(*order) {
                order.encode(to, width).map_err(|beyond| Poison {
                    cursor,
                    reason: format!("{} is larger than its column can hold", beyond.0),
                })?;
            }
        }
        Ok(())
    }

    fn sum_appended(&mut self) {
        for table in Table::ALL {
            let rows = std::mem::take(&mut self.projected.tables[table.place()]);
            let mut rest = &rows[..];
            while let Some((row, after)) = split_row(rest) {
                self.sums.add(table, row);
                rest = after;
            }
        }
    }

    fn finish(mut self) -> Result<(Sums, Balances), Trouble> {
        let position = self.cursor.position;
        let origin = position.cursor.seq == Seq::ZERO;
        match self.at_cursor {
            Some(hash) if hash == position.chain => {}
            Some(_) => return Err(Trouble::OtherHistory(position.cursor)),
            None if origin => {}
            None => {
                return Err(Trouble::Ahead {
                    database: position.cursor,
                    journal: Seq(self.commands),
                });
            }
        }
        let beyond = |beyond: crate::encode::Beyond| Poison {
            cursor: position.cursor,
            reason: format!("{} is larger than its column can hold", beyond.0),
        };
        self.projected
            .fold
            .encode_new(&mut self.projected.tables)
            .map_err(beyond)?;
        let balances = Table::Balances.place();
        self.projected
            .fold
            .encode_balances(&mut self.projected.tables[balances])
            .map_err(beyond)?;
        self.sum_appended();
        let balances = self.projected.fold.balances.iter();
        Ok((
            self.sums,
            balances.map(|(key, (amount, _))| (*key, *amount)).collect(),
        ))
    }
}
