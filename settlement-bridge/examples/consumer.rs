//! A settlement consumer: takes every trade once, woken by the bridge's commits, and resumes where it was.
//!
//! `cargo run -p xq-settlement-bridge --example consumer -- 'host=/var/run/postgresql user=settler dbname=xq'`
//!
//! What it makes of the trades and how far it is stand in one transaction: a crash at any step loses nothing and repeats
//! nothing. A notice only wakes it: one that is missed is made good by the next look.

use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, Error, NoTls};
use std::time::Duration;

/// Commands that one transaction takes at most.
const COMMANDS: i64 = 100_000;
/// It looks, woken or not.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Makes the consumer's own tables: how far it is, and what each account has to get and to give.
pub fn prepare(client: &mut Client) -> Result<(), Error> {
    client.batch_execute(
        "CREATE SCHEMA IF NOT EXISTS settler;
         CREATE TABLE IF NOT EXISTS settler.taken (one boolean PRIMARY KEY DEFAULT true CHECK (one), seq bigint NOT NULL);
         CREATE TABLE IF NOT EXISTS settler.obligations (seq bigint, idx integer, buyer bigint, seller bigint,
             symbol text, qty bigint, currency text, amount numeric, settlement_date date, PRIMARY KEY (seq, idx));
         INSERT INTO settler.taken (seq) VALUES (0) ON CONFLICT DO NOTHING",
    )
}

/// Takes what was committed since the last time, a bounded part of it; how many trades, and whether more wait.
pub fn take(client: &mut Client) -> Result<(u64, bool), Error> {
    let mut transaction = client.transaction()?;
    // The lock keeps a second consumer of this name waiting; it then sees what this one has taken.
    let taken: i64 = transaction
        .query_one("SELECT seq FROM settler.taken FOR UPDATE", &[])?
        .get(0);
    let there: i64 = transaction
        .query_one("SELECT seq FROM xq.bridge_cursor", &[])?
        .get(0);
    let upto = there.min(taken + COMMANDS);
    let trades = transaction.execute(
        "INSERT INTO settler.obligations
         SELECT seq, idx, buyer, seller, symbol, qty, currency, amount, settlement_date FROM xq.trade_blotter
         WHERE seq > $1 AND seq <= $2",
        &[&taken, &upto],
    )?;
    transaction.execute("UPDATE settler.taken SET seq = $1", &[&upto])?;
    transaction.commit()?;
    Ok((trades, upto < there))
}

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let mut client = Client::connect(&address, NoTls)?;
    prepare(&mut client)?;
    client.batch_execute("LISTEN xq_committed")?;
    loop {
        let (trades, more) = take(&mut client)?;
        if trades > 0 {
            println!("{trades} trades taken");
        }
        if !more {
            let mut notices = client.notifications();
            let _woken = notices.timeout_iter(LOOK_EVERY).next()?;
        }
    }
}
