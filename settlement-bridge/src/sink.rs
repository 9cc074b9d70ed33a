//! The sink: a batch and the cursor in one transaction, so that every event is there exactly once.
//!
//! # Cost
//! New rows are copied, changed ones are copied into temporary tables and applied by one statement each. A transaction
//! is about a dozen round trips, whatever it holds.

use crate::batch::{Changes, Sealed};
use crate::connect::Target;
use crate::cursor::{Cursor, Position};
use crate::encode::{COPY_HEADER, COPY_TRAILER};
use crate::schema::{self, CHANNEL};
use crate::table::{PARTITION, Table};
use crate::trouble::{Trouble, told};
use postgres::{Client, GenericClient, Row, Transaction};
use std::io::Write;
use std::time::{Duration, SystemTime};
use xq_journal::{ChainHash, EventCursor};
use xq_protocol::{Date, JournalId, Nanos, Seq};

/// Rows go out in pieces of so many bytes: PostgreSQL takes in a piece while the next one comes, and neither side holds all
/// of them twice.
const PIECE: usize = 64 << 10;

/// What the session keeps for changes; nested loops, since the statistics of a table that is filled anew each time
/// mislead the planner into reading all orders.
const STAGING: &str = "
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET synchronous_commit = on;
    CREATE TEMP TABLE order_changes (order_id bigint, leaves bigint, state text, reason text, limit_price bigint,
        cl_ord_id bytea, total bigint, less bigint, filled bigint, amount bigint, fees bigint, changed_seq bigint)
        ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE account_changes (account bigint, open_orders_max numeric, order_qty_max numeric,
        order_notional_max numeric, open_notional_max numeric, position_max numeric, daily_max numeric,
        changed_seq bigint) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE series_changes (series bigint, state text, phase text, terms_hash bytea, escrow bigint,
        outstanding bigint, changed_seq bigint) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE balance_changes (place smallint, owner bigint, asset bigint, amount bigint, changed_seq bigint)
        ON COMMIT DELETE ROWS;";

impl Changes {
    fn staged(self) -> &'static str {
        match self {
            Changes::Orders => "order_changes",
            Changes::Accounts => "account_changes",
            Changes::Series => "series_changes",
            Changes::Balances => "balance_changes",
        }
    }

    /// Applies what is staged: as many rows change as were staged, or the tables are not as the bridge left them.
    fn apply(self) -> &'static str {
        match self {
            Changes::Orders => {
                "UPDATE orders o SET leaves = coalesce(c.leaves, o.leaves), state = coalesce(c.state, o.state), \
                 reason = coalesce(c.reason, o.reason), limit_price = coalesce(c.limit_price, o.limit_price), \
                 cl_ord_id = coalesce(c.cl_ord_id, o.cl_ord_id), qty = coalesce(c.total, o.qty) - c.less, \
                 filled = o.filled + c.filled, filled_amount = o.filled_amount + c.amount, fees = o.fees + c.fees, \
                 changed_seq = c.changed_seq FROM order_changes c WHERE o.order_id = c.order_id"
            }
            Changes::Accounts => {
                "UPDATE accounts a SET open_orders_max = coalesce(c.open_orders_max, a.open_orders_max), \
                 order_qty_max = coalesce(c.order_qty_max, a.order_qty_max), \
                 order_notional_max = coalesce(c.order_notional_max, a.order_notional_max), \
                 open_notional_max = coalesce(c.open_notional_max, a.open_notional_max), \
                 position_max = coalesce(c.position_max, a.position_max), \
                 daily_max = coalesce(c.daily_max, a.daily_max), changed_seq = c.changed_seq \
                 FROM account_changes c WHERE a.account = c.account"
            }
            Changes::Series => {
                "UPDATE series s SET state = CASE WHEN s.state = 'registered' THEN s.state ELSE coalesce(c.state, s.state) END, \
                 phase = coalesce(c.phase, s.phase), terms_hash = coalesce(c.terms_hash, s.terms_hash), \
                 escrow = coalesce(c.escrow, s.escrow), outstanding = coalesce(c.outstanding, s.outstanding), \
                 changed_seq = c.changed_seq FROM series_changes c WHERE s.series = c.series"
            }
            Changes::Balances => {
                "INSERT INTO balances AS b (place, owner, asset, amount, changed_seq) SELECT * FROM balance_changes \
                 ON CONFLICT (place, owner, asset) DO UPDATE SET amount = b.amount + excluded.amount, \
                 changed_seq = excluded.changed_seq"
            }
        }
    }
}

/// A connection that writes.
pub(crate) struct Sink {
    client: Client,
    cursor: Cursor,
    /// Partitions are there for all commands below this.
    partitioned_to: u64,
}

impl Sink {
    /// Connects, makes the schema fit, and reads the cursor; begins a new database for `journal`.
    pub(crate) fn open(
        target: &Target,
        schema: &str,
        journal: (JournalId, ChainHash),
    ) -> Result<Sink, Trouble> {
        let mut client = target.connect()?;
        schema::prepare(&mut client, schema)?;
        client
            .batch_execute(STAGING)
            .map_err(|error| told("preparing the session", &error))?;
        let cursor = match read_cursor(&mut client)? {
            Some(cursor) => cursor,
            None => begin(&mut client, journal)?,
        };
        if cursor.journal != journal.0 {
            return Err(Trouble::OtherJournal {
                database: cursor.journal,
                folder: journal.0,
            });
        }
        Ok(Sink {
            client,
            cursor,
            partitioned_to: 0,
        })
    }

    /// How far the database is.
    pub(crate) fn position(&self) -> Position {
        self.cursor.position
    }

    /// Writes a batch.
    ///
    /// Why it may be killed at any step: rows and cursor are one transaction; the next bridge reads the cursor first.
    pub(crate) fn write(&mut self, batch: &Sealed) -> Result<(), Trouble> {
        let (from, to) = (batch.from.cursor.seq, batch.to.cursor.seq);
        assert_eq!(batch.from, self.cursor.position, "batches follow each other");
        if to.0 >= self.partitioned_to {
            schema::partition(&mut self.client, from.next(), to)?;
            self.partitioned_to = (to.0 / PARTITION + 2) * PARTITION;
        }
        let doing = format!("writing commands {} to {to}", from.next());
        self.in_transaction(batch, &doing)?;
        self.cursor.position = batch.to;
        Ok(())
    }

    fn in_transaction(&mut self, batch: &Sealed, doing: &str) -> Result<(), Trouble> {
        let from = batch.from.cursor.seq;
        let said = |error: postgres::Error| told(doing, &error);
        let mut transaction = self.client.transaction().map_err(said)?;
        for (table, rows) in Table::ALL.into_iter().zip(&batch.tables) {
            if !rows.is_empty() {
                let target = table.target(from.next(), batch.to.cursor.seq);
                let copy = format!("COPY {target} ({}) FROM STDIN BINARY", table.column_list());
                copy_in(&mut transaction, &copy, rows, doing)?;
            }
        }
        for (changes, rows) in Changes::ALL.into_iter().zip(&batch.changes) {
            if rows.is_empty() {
                continue;
            }
            let staged = changes.staged();
            let copied = copy_in(
                &mut transaction,
                &format!("COPY {staged} FROM STDIN BINARY"),
                rows,
                doing,
            )?;
            let applied = transaction.execute(changes.apply(), &[]).map_err(said)?;
            if applied != copied {
                return Err(Trouble::Refused(format!(
                    "{doing}: {copied} rows change by {staged}, {applied} of them are there: the tables were changed by hand \
                     (`xq reconcile` names where, `xq bridge --rebuild` fills them anew)"
                )));
            }
        }
        if swap_cursor(&mut transaction, &self.cursor, &batch.to).map_err(said)? != 1 {
            return Err(Trouble::Moved(from));
        }
        let committed = batch.to.cursor.seq.to_string();
        transaction
            .execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &committed])
            .map_err(said)?;
        transaction.commit().map_err(said)
    }
}

fn copy_in(transaction: &mut Transaction<'_>, copy: &str, rows: &[u8], doing: &str) -> Result<u64, Trouble> {
    let mut writer = transaction.copy_in(copy).map_err(|error| told(doing, &error))?;
    writer.write_all(COPY_HEADER)?;
    for piece in rows.chunks(PIECE) {
        writer.write_all(piece)?;
    }
    writer.write_all(COPY_TRAILER)?;
    writer.finish().map_err(|error| told(doing, &error))
}

/// Moves the cursor from where this bridge left it, and nowhere else; how many rows that moved.
fn swap_cursor(
    transaction: &mut Transaction<'_>,
    from: &Cursor,
    to: &Position,
) -> Result<u64, postgres::Error> {
    transaction.execute(
        "UPDATE bridge_cursor SET seq = $1, idx = $2, chain = $3, at = $4, at_ns = $5, business_date = $6::text::date \
         WHERE journal_id = $7 AND seq = $8 AND idx = $9 AND chain = $10",
        &[
            &signed(to.cursor.seq.0),
            &i32::from(to.cursor.index),
            &&to.chain.0[..],
            &(SystemTime::UNIX_EPOCH + Duration::from_micros(to.at.0 / 1_000)),
            &signed(to.at.0),
            &iso(to.date),
            &&from.journal.0[..],
            &signed(from.position.cursor.seq.0),
            &i32::from(from.position.cursor.index),
            &&from.position.chain.0[..],
        ],
    )
}

/// Reads how far a database is; none when it was never written.
pub(crate) fn read_cursor(client: &mut impl GenericClient) -> Result<Option<Cursor>, Trouble> {
    let ask = "SELECT journal_id, seq, idx, chain, coalesce(at_ns, 0), to_char(business_date, 'YYYYMMDD') FROM bridge_cursor";
    let row = client
        .query_opt(ask, &[])
        .map_err(|error| told("reading the cursor", &error))?;
    row.map(|row| cursor_of(&row)).transpose()
}

fn cursor_of(row: &Row) -> Result<Cursor, Trouble> {
    let wrong = || Trouble::Refused("the cursor's row is not one that a bridge wrote".to_owned());
    let journal: Vec<u8> = row.get(0);
    let chain: Vec<u8> = row.get(3);
    let date: Option<String> = row.get(5);
    let number = |place: usize| u64::try_from(row.get::<_, i64>(place)).map_err(|_| wrong());
    Ok(Cursor {
        journal: JournalId(journal.try_into().map_err(|_| wrong())?),
        position: Position {
            cursor: EventCursor {
                seq: Seq(number(1)?),
                index: u16::try_from(row.get::<_, i32>(2)).map_err(|_| wrong())?,
            },
            chain: ChainHash(chain.try_into().map_err(|_| wrong())?),
            at: Nanos(number(4)?),
            date: Date(date.map_or(Ok(0), |date| date.parse()).map_err(|_| wrong())?),
        },
    })
}

/// The first cursor of a database, before the first event.
fn begin(client: &mut Client, (journal, chain): (JournalId, ChainHash)) -> Result<Cursor, Trouble> {
    client
        .execute(
            "INSERT INTO bridge_cursor (journal_id, seq, idx, chain) VALUES ($1, 0, 0, $2)",
            &[&&journal.0[..], &&chain.0[..]],
        )
        .map_err(|error| told("beginning the database", &error))?;
    let position = Position {
        chain,
        ..Position::default()
    };
    Ok(Cursor { journal, position })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("sequences and instants stay below 2^63")
}

/// A date as SQL reads it; none before the first.
fn iso(date: Date) -> Option<String> {
    (!date.is_zero()).then(|| {
        format!(
            "{:04}-{:02}-{:02}",
            date.0 / 10_000,
            date.0 / 100 % 100,
            date.0 % 100
        )
    })
}
