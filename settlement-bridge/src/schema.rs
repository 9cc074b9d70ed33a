//! The schema: migrations, what roles may do, what codes and places mean, partitions, the publication, the swap of a rebuild.
//!
//! The bridge's own role appends and upserts. What changes tables is done as their owner, a role that the bridge may take
//! on but does not inherit.

use crate::table::{PARTITION, Table};
use crate::trouble::{Trouble, told};
use postgres::Client;
use xq_protocol::{COMMANDS, EVENTS, RejectReason, Seq};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The schema that everybody reads.
pub const SCHEMA: &str = "xq";
/// The schema that a rebuild fills.
pub(crate) const REBUILT: &str = "xq_rebuild";
/// The publication that consumers of changes subscribe to.
pub const PUBLICATION: &str = "xq_settlement";
/// The channel on which every commit is told, with its last command.
pub const CHANNEL: &str = "xq_committed";

/// Tables and views for everybody who reads; the others are for the compliance role.
const READABLE: &str = "bridge_cursor, reject_reasons, messages, places, assets, business_days, participants, accounts, \
    series, orders, balances, trades, busts, transfers, sessions, series_history, postings, positions, trade_blotter, \
    trial_balance, escrow_coverage, fees_by_day, days, refusals";
/// Tables whose rows change.
const CHANGING: &str = "bridge_cursor, accounts, series, orders, balances";
/// Tables whose changes are published; all but the transfers have a key.
const PUBLISHED: &str = "bridge_cursor, assets, business_days, participants, accounts, series, orders, balances, trades, \
    busts, transfers";

/// Makes the schema fit for this bridge, or refuses.
pub(crate) fn prepare(client: &mut Client, schema: &str) -> Result<(), Trouble> {
    let doing = |error: &postgres::Error| told(&format!("preparing schema {schema}"), error);
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname IN ('xq_owner', 'xq_bridge', 'xq_reader', 'xq_compliance')";
    let found: i64 = client.query_one(roles, &[]).map_err(|e| doing(&e))?.get(0);
    if found != 4 {
        let why = "the roles xq_owner, xq_bridge, xq_reader and xq_compliance are not all there: let the database's \
                   administrator run ops/postgres.sql first";
        return Err(Trouble::Refused(why.to_owned()));
    }
    // Two bridges that start at once would both migrate; the lock ends with the session, whatever happens.
    let begin = format!(
        "SELECT pg_advisory_lock(hashtext('xq_settlement_bridge')); SET ROLE xq_owner; \
         CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path TO {schema}; SET client_min_messages TO warning"
    );
    client.batch_execute(&begin).map_err(|e| doing(&e))?;
    refuse_newer(client)?;
    let migrated = embedded::migrations::runner().run(client);
    migrated.map_err(|error| Trouble::Refused(format!("migrating schema {schema}: {error}")))?;
    client.batch_execute(&grants(schema)).map_err(|e| doing(&e))?;
    explain(client).map_err(|e| doing(&e))?;
    if schema == SCHEMA {
        publish(client).map_err(|e| doing(&e))?;
    }
    let end = "RESET ROLE; SELECT pg_advisory_unlock(hashtext('xq_settlement_bridge'))";
    client.batch_execute(end).map_err(|e| doing(&e))
}

/// The newest version of the schema that this bridge knows.
fn known_version() -> i64 {
    let versions = embedded::migrations::runner();
    let versions = versions
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()));
    versions.max().unwrap_or(0)
}

fn refuse_newer(client: &mut Client) -> Result<(), Trouble> {
    let doing = |error: &postgres::Error| told("asking for the schema's version", error);
    let there = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
    if !client
        .query_one(there, &[])
        .map_err(|e| doing(&e))?
        .get::<_, bool>(0)
    {
        return Ok(());
    }
    let newest = "SELECT coalesce(max(version), 0)::bigint FROM refinery_schema_history";
    let found: i64 = client.query_one(newest, &[]).map_err(|e| doing(&e))?.get(0);
    let known = known_version();
    if found > known {
        return Err(Trouble::Refused(format!(
            "the schema has version {found}, this bridge knows up to {known}: a newer bridge made it"
        )));
    }
    Ok(())
}

fn grants(schema: &str) -> String {
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO xq_bridge, xq_reader, xq_compliance;
         GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO xq_bridge;
         GRANT UPDATE ON {CHANGING} TO xq_bridge;
         GRANT SELECT ON {READABLE} TO xq_reader;
         GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO xq_compliance;"
    )
}

/// Codes that the refused are shown as R201, so that nobody is tipped off.
const CONFIDENTIAL: [RejectReason; 2] = [RejectReason::ManualReview, RejectReason::AmlBlock];

/// Writes what codes, templates and places mean.
fn explain(client: &mut Client) -> Result<(), postgres::Error> {
    let mut transaction = client.transaction()?;
    for reason in RejectReason::ALL {
        let shown = if CONFIDENTIAL.contains(reason) {
            RejectReason::NotAuthorised
        } else {
            *reason
        };
        let [code, shown] =
            [*reason, shown].map(|reason| i16::try_from(reason.code().0).expect("codes are below 1,000"));
        transaction.execute(
            "INSERT INTO reject_reasons (code, name, text, shown) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (code) DO UPDATE SET name = excluded.name, text = excluded.text, shown = excluded.shown",
            &[&code, &reason.name(), &reason.text(), &shown],
        )?;
    }
    for (template, name, ..) in COMMANDS.iter().chain(EVENTS) {
        transaction.execute(
            "INSERT INTO messages (template, name) VALUES ($1, $2) \
             ON CONFLICT (template) DO UPDATE SET name = excluded.name",
            &[&i32::from(*template), name],
        )?;
    }
    for (place, name, owned_by, cash, units) in PLACES {
        transaction.execute(
            "INSERT INTO places (place, name, owned_by, chart_cash, chart_units) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (place) DO UPDATE SET name = excluded.name, owned_by = excluded.owned_by, \
             chart_cash = excluded.chart_cash, chart_units = excluded.chart_units",
            &[place, name, owned_by, cash, units],
        )?;
    }
    transaction.commit()
}

type PlaceMeaning = (
    i16,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

/// The places as the projection numbers them, with the chart of accounts.
const PLACES: &[PlaceMeaning] = &[
    (1, "available", "account", Some("2100"), Some("U200")),
    (2, "held", "account", Some("2110"), Some("U210")),
    (3, "frozen", "account", Some("2120"), Some("U230")),
    (4, "custody", "none", Some("1100"), None),
    (5, "free escrow", "participant", Some("2210"), None),
    (6, "escrow", "series", Some("2200"), None),
    (7, "fees", "none", Some("4100"), None),
    (8, "rebates", "none", Some("5100"), None),
    (9, "registrar", "none", None, Some("U100")),
];

fn publish(client: &mut Client) -> Result<(), postgres::Error> {
    let there = client.query_opt("SELECT 1 FROM pg_publication WHERE pubname = $1", &[&PUBLICATION])?;
    if there.is_none() {
        client.batch_execute(&format!(
            "CREATE PUBLICATION {PUBLICATION} FOR TABLE {PUBLISHED} WITH (publish_via_partition_root = true)"
        ))?;
    }
    Ok(())
}

/// Makes the partitions that the commands up to `seq` and a little beyond need.
pub(crate) fn partition(client: &mut Client, from: Seq, to: Seq) -> Result<(), Trouble> {
    let mut orders = String::from("SET ROLE xq_owner;");
    for number in from.0 / PARTITION..=to.0 / PARTITION + 1 {
        for table in Table::ALL.into_iter().filter(|table| table.is_partitioned()) {
            let (name, part, low) = (table.name(), table.partition(number), number * PARTITION);
            orders += &format!(
                "CREATE TABLE IF NOT EXISTS {part} PARTITION OF {name} FOR VALUES FROM ({low}) TO ({}); \
                 GRANT SELECT, INSERT ON {part} TO xq_bridge;",
                low + PARTITION
            );
        }
    }
    orders += "RESET ROLE";
    client
        .batch_execute(&orders)
        .map_err(|error| told("making partitions", &error))
}

/// Begins a rebuild with an empty schema beside the one in use.
pub(crate) fn begin_rebuild(client: &mut Client) -> Result<(), Trouble> {
    refuse_used_slot(client)?;
    let fresh = format!("SET ROLE xq_owner; DROP SCHEMA IF EXISTS {REBUILT} CASCADE; RESET ROLE");
    client
        .batch_execute(&fresh)
        .map_err(|error| told("beginning a rebuild", &error))
}

/// Puts the rebuilt schema in the other's place, in one transaction.
pub(crate) fn swap(client: &mut Client) -> Result<(), Trouble> {
    refuse_used_slot(client)?;
    let swap = format!(
        "SET ROLE xq_owner; BEGIN; DROP PUBLICATION IF EXISTS {PUBLICATION}; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; \
         ALTER SCHEMA {REBUILT} RENAME TO {SCHEMA}; SET LOCAL search_path TO {SCHEMA}; \
         CREATE PUBLICATION {PUBLICATION} FOR TABLE {PUBLISHED} WITH (publish_via_partition_root = true); \
         COMMIT; RESET ROLE"
    );
    client
        .batch_execute(&swap)
        .map_err(|error| told("swapping the schemas", &error))
}

/// Who follows the publication would neither see the old rows go nor the new ones come.
fn refuse_used_slot(client: &mut Client) -> Result<(), Trouble> {
    let slots = "SELECT string_agg(slot_name, ', ') FROM pg_replication_slots \
                 WHERE database = current_database() AND slot_type = 'logical'";
    let used: Option<String> = client
        .query_one(slots, &[])
        .map_err(|error| told("asking for replication slots", &error))?
        .get(0);
    match used {
        None => Ok(()),
        Some(slots) => Err(Trouble::Refused(format!(
            "replication slots follow this database ({slots}): end their consumers and drop the slots before a rebuild"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Target;
    use crate::encode::Kind;
    use xq_cluster::{Cluster, Durability};

    fn catalogued(kind: Kind) -> &'static str {
        match kind {
            Kind::Small => "smallint",
            Kind::Int => "integer",
            Kind::Big => "bigint",
            Kind::Text => "text",
            Kind::Bytes => "bytea",
            Kind::Date => "date",
            Kind::Instant => "timestamp with time zone",
            Kind::Numeric => "numeric",
        }
    }

    /// The migrations make the tables as the projection writes them, and everything says what it means.
    #[test]
    fn the_tables_are_those_of_the_projection_and_explain_themselves() {
        let cluster = Cluster::temporary(Durability::None).expect("a private PostgreSQL");
        let target = Target::parse(&cluster.url("xq_bridge", "xq"), None).expect("a good address");
        let mut client = target.connect().expect("a connection");
        prepare(&mut client, SCHEMA).expect("it is prepared");
        prepare(&mut client, SCHEMA).expect("and once more");
        partition(&mut client, Seq(1), Seq(2)).expect("partitions");
        let ask = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                   WHERE table_schema = 'xq' AND table_name = $1 ORDER BY ordinal_position";
        for table in Table::ALL {
            let rows = client.query(ask, &[&table.name()]).expect("the catalogue");
            let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let written: Vec<(String, String)> = table
                .columns()
                .into_iter()
                .map(|(name, kind)| (name.to_owned(), catalogued(kind).to_owned()))
                .collect();
            assert_eq!(found, written, "{}", table.name());
        }
        let unexplained = "SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                           WHERE c.relnamespace = 'xq'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 \
                           AND NOT c.relispartition AND c.relname <> 'refinery_schema_history' AND NOT a.attisdropped \
                           AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)";
        let rows = client.query(unexplained, &[]).expect("the catalogue");
        let unexplained: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(unexplained, Vec::<String>::new());
    }
}
