//! What the bridge's tests share: a PostgreSQL, journals of real flows, and digests of databases.
#![allow(dead_code, reason = "each test binary uses its part")]

use postgres::Client;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;
use xq_cluster::{Cluster, Durability};
use xq_journal::{EventJournal, EventSettings, FileStorage, Seq, UnrecoveredEvents};
use xq_perf::flow::FlowName;
use xq_perf::venue::{Naming, Running, VenueFlow};
use xq_protocol::{Frame, JournalId};
use xq_settlement_bridge::{Bridge, Sealed, Settings, Target, Trouble, Until};

/// Name of the journals that the flows open.
pub const ID: JournalId = JournalId([7; 16]);

/// One PostgreSQL for all tests of a binary that run at the same time.
pub fn cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(Cluster::temporary(Durability::None).expect("a private PostgreSQL"));
    *shared = Arc::downgrade(&cluster);
    cluster
}

/// A folder with an event journal, and the exchange that goes on with it.
pub struct Journal {
    pub folder: TempDir,
    pub running: Running,
    events: EventJournal,
}

impl Journal {
    pub fn new() -> Journal {
        let folder = TempDir::new().expect("a folder");
        let events = open(folder.path());
        Journal {
            folder,
            running: Running::new(),
            events,
        }
    }

    /// Applies commands and journals their events.
    pub fn play<'a>(&mut self, frames: impl Iterator<Item = Frame<'a>>) {
        for frame in frames {
            for event in self.running.apply(&frame) {
                self.events.append(event.bytes()).expect("room");
            }
        }
    }

    /// Journals an event that no command gave.
    pub fn forge(&mut self, event: &[u8]) {
        self.events.append(event).expect("room");
        self.running.seq = Seq(self.events.cursor().seq.0 - 1);
    }

    pub fn settings(&self, url: &str) -> Settings {
        settings(self.folder.path(), url)
    }
}

pub fn settings(folder: &Path, url: &str) -> Settings {
    Settings {
        target: Target::parse(url, None).expect("a good address"),
        folder: folder.to_owned(),
        rows_max: 1_000,
    }
}

fn open(folder: &Path) -> EventJournal {
    let storage = Arc::new(FileStorage::open(folder).expect("a folder"));
    let settings = EventSettings {
        segment_size: 256 << 10,
        ..EventSettings::default()
    };
    let found = UnrecoveredEvents::open(storage, settings, ID).expect("an empty folder");
    let (journal, _) = found.recover().and_then(|new| new.finish()).expect("fresh");
    journal
}

/// So many commands of the flow of orders and cancels, in the order in which they are applied.
pub fn flow(commands: usize) -> VenueFlow {
    VenueFlow::build(&FlowName::Mix1At10k.build(commands), Naming::Exchange)
}

/// A journal with a whole flow in it.
pub fn played(commands: usize) -> (Journal, VenueFlow) {
    let flow = flow(commands);
    let mut journal = Journal::new();
    for tape in [&flow.opening, &flow.prefill, &flow.timed] {
        journal.play(tape.frames());
    }
    (journal, flow)
}

/// An empty database of this test's own, and where the bridge finds it.
pub fn database(cluster: &Cluster, name: &str) -> String {
    cluster.database(name).expect("a database");
    cluster.url("xq_bridge", name)
}

/// Writes all that is in the journal.
pub fn catch_up(settings: &Settings) -> Result<u64, Trouble> {
    let mut rows = 0;
    Bridge::new(settings.clone()).run(Until::CaughtUp, &mut |batch: &Sealed| rows += batch.rows)?;
    Ok(rows)
}

const TABLES: &[&str] = &[
    "assets",
    "business_days",
    "participants",
    "accounts",
    "series",
    "orders",
    "trades",
    "busts",
    "transfers",
    "rejects",
    "freezes",
    "sessions",
    "series_history",
    "log",
    "balances",
    "bridge_cursor",
];

/// Rows and a digest of each table: equal for equal rows.
pub fn digest(client: &mut Client) -> Vec<(String, i64, String)> {
    let of = |client: &mut Client, table: &str| {
        let ask = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM xq.{table} t"
        );
        let row = client.query_one(&ask, &[]).expect("a table");
        (table.to_owned(), row.get(0), row.get(1))
    };
    TABLES.iter().map(|table| of(client, table)).collect()
}

/// One number.
pub fn number(client: &mut Client, ask: &str) -> i64 {
    client.query_one(ask, &[]).expect("a number").get(0)
}
