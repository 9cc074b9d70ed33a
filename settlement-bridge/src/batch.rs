//! A batch: the rows of some whole commands, each changed row once, ready to be copied.

use crate::cursor::Position;
use crate::encode::Beyond;
use crate::projection::{Context, Poison, Projected};
use crate::table::{TABLES, Table};
use xq_journal::EventCursor;
use xq_protocol::{DayRolled, Frame, Message, Nanos};

/// Rows being gathered.
#[derive(Debug)]
pub(crate) struct Batch {
    projected: Projected,
    from: Position,
    to: Position,
    first_at: Nanos,
    commands: u64,
    events: u64,
}

/// Changes of rows that are there already, by the table they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    Orders,
    Accounts,
    Series,
    Balances,
}

impl Changes {
    pub(crate) const ALL: [Changes; 4] = [
        Changes::Orders,
        Changes::Accounts,
        Changes::Series,
        Changes::Balances,
    ];
}

/// A batch that is ready: binary rows by table, and what it covers.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) tables: [Vec<u8>; TABLES],
    pub(crate) changes: [Vec<u8>; Changes::ALL.len()],
    /// The place it begins behind.
    pub from: Position,
    /// The last event it holds.
    pub to: Position,
    /// When its first command entered the exchange.
    pub first_at: Nanos,
    /// How many commands it holds.
    pub commands: u64,
    /// How many events.
    pub events: u64,
    /// How many rows it writes, changed ones included.
    pub rows: u64,
    /// How many trades are among them.
    pub trades: u64,
}

impl Batch {
    pub(crate) fn behind(from: Position) -> Batch {
        let context = Context {
            date: from.date,
            ..Context::default()
        };
        Batch {
            projected: Projected::new(context),
            from,
            to: from,
            first_at: Nanos::ZERO,
            commands: 0,
            events: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands == 0
    }

    pub(crate) fn rows(&self) -> usize {
        self.projected.appended + self.projected.fold.rows()
    }

    /// Adds a command's events, which lie back to back. `chain` tells the hash up to and with them.
    pub(crate) fn add(
        &mut self,
        events: &[u8],
        chain: impl FnOnce() -> xq_journal::ChainHash,
    ) -> Result<(), Poison> {
        let (mut rest, mut chain) = (events, Some(chain));
        while !rest.is_empty() {
            let (frame, after) = Frame::split(rest).map_err(|error| Poison {
                cursor: self.to.cursor,
                reason: format!("behind it: {error}"),
            })?;
            if frame.header.template_id == DayRolled::TEMPLATE
                && let Some(chain) = chain.take()
            {
                self.projected.context.chain = chain();
            }
            self.projected.add(&frame)?;
            if self.is_empty() && self.to.cursor == self.from.cursor {
                self.first_at = frame.header.time;
            }
            self.to.cursor = EventCursor {
                seq: frame.header.seq,
                index: frame.header.index,
            };
            self.to.at = frame.header.time;
            self.events += 1;
            rest = after;
        }
        self.to.date = self.projected.context.date;
        self.commands += 1;
        Ok(())
    }

    /// Encodes what was folded. `chain` is the hash up to and with the last event.
    pub(crate) fn seal(mut self, chain: xq_journal::ChainHash) -> Result<Sealed, Poison> {
        self.to.chain = chain;
        let rows = u64::try_from(self.rows()).expect("a batch is small");
        let cursor = self.to.cursor;
        let Projected {
            mut tables,
            fold,
            trades,
            ..
        } = self.projected;
        let beyond = |Beyond(what)| Poison {
            cursor,
            reason: format!("{what} is larger than its column can hold, there or shortly before"),
        };
        fold.encode_new(&mut tables).map_err(beyond)?;
        let mut changes = [const { Vec::new() }; Changes::ALL.len()];
        let [orders, accounts, series, balances] = &mut changes;
        for (order, change) in &fold.order_changes {
            change.encode(*order, orders).map_err(beyond)?;
        }
        for (account, change) in &fold.account_changes {
            change.encode(*account, accounts).map_err(beyond)?;
        }
        for (id, change) in &fold.series_changes {
            change.encode(*id, series).map_err(beyond)?;
        }
        fold.encode_balances(balances).map_err(beyond)?;
        Ok(Sealed {
            tables,
            changes,
            from: self.from,
            to: self.to,
            first_at: self.first_at,
            commands: self.commands,
            events: self.events,
            rows,
            trades,
        })
    }
}

impl Sealed {
    /// The rows of every table that is appended to, by where they are copied, as COPY takes them: for measuring what
    /// PostgreSQL alone takes.
    pub fn copies(&self) -> impl Iterator<Item = (String, &[u8])> {
        let filled = Table::ALL
            .into_iter()
            .zip(&self.tables)
            .filter(|(_, rows)| !rows.is_empty());
        let (first, last) = (self.from.cursor.seq.next(), self.to.cursor.seq);
        filled.map(move |(table, rows)| (table.target(first, last), &rows[..]))
    }
}
