//! `xq bridge`: writes every event into PostgreSQL until it is asked to stop.

use super::at_rest::Folder;
use super::serve::start_log;
use super::signals::{Asked, Signals};
use super::{Ended, say};
use crate::bridge_page::BridgePage;
use crate::exit::Exit;
use clap::builder::RangedU64ValueParser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use xq_settlement_bridge::{Bridge, Progress, Sealed, Settings, Target, Until};

/// How often the log says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Where PostgreSQL is.
#[derive(clap::Args)]
pub(super) struct Database {
    /// Its address: `host=/var/run/postgresql user=xq_bridge dbname=xq`, or postgres://USER@HOST/DATABASE. Passwords come
    /// from a passfile.
    #[arg(long, value_name = "URL")]
    postgres: String,
    /// The authorities of its certificate, PEM: needed where it is not reached by a socket.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Database {
    pub(super) fn target(&self) -> Result<Target, Ended> {
        Ok(Target::parse(&self.postgres, self.ca.as_deref())?)
    }
}

/// Tails the event journal and writes rows and cursor in one transaction, until SIGTERM or SIGINT.
#[derive(clap::Args)]
pub(super) struct BridgeTask {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    folder: Folder,
    /// Open a page with metrics, liveness and readiness at this address.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Fill a fresh schema from the first event on, put it in the old one's place, and end.
    #[arg(long)]
    rebuild: bool,
    /// End when all that is in the journal was written.
    #[arg(long, conflicts_with = "rebuild")]
    once: bool,
    /// Rows a transaction holds when there are more than enough to write.
    #[arg(long, default_value_t = Settings::ROWS, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    rows: usize,
}

impl BridgeTask {
    pub(super) fn run(self) -> Result<(), Ended> {
        let settings = Settings {
            target: self.database.target()?,
            folder: self.folder.path()?,
            rows_max: self.rows,
        };
        start_log("INFO");
        tracing::info!(postgres = %settings.target.shown(), folder = %settings.folder.display(), "bridging");
        let bridge = Bridge::new(settings);
        let page = self
            .metrics
            .map(|listen| BridgePage::open(listen, bridge.progress()))
            .transpose()?;
        if let Some(page) = &page {
            say::line(format_args!("metrics at http://{}/metrics", page.address()))?;
        }
        stop_when_asked(&bridge)?;
        let (progress, mut said) = (bridge.progress(), Instant::now());
        let mut observe = |_: &Sealed| {
            if said.elapsed() > SAY_EVERY {
                tell(&progress);
                said = Instant::now();
            }
        };
        let ended = match (self.rebuild, self.once) {
            (true, _) => bridge.rebuild(&mut observe),
            (false, true) => bridge.run(Until::CaughtUp, &mut observe),
            (false, false) => bridge.run(Until::Stopped, &mut observe),
        };
        tell(&progress);
        ended.map_err(|trouble| {
            tracing::error!(%trouble, "the bridge ends");
            Ended::from(trouble)
        })
    }
}

fn tell(progress: &Arc<Progress>) {
    let reading = progress.read();
    let lag_ms = u64::try_from(reading.lag.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        committed = reading.committed.0,
        lag_ms,
        rows = reading.rows,
        trades = reading.trades,
        transactions = reading.transactions,
        retries = reading.retries,
        "written"
    );
}

fn stop_when_asked(bridge: &Bridge) -> Result<(), Ended> {
    let cannot = |error| Ended::with(Exit::CannotCreate, anyhow::Error::from(error));
    let (signals, stop) = (Signals::listen().map_err(cannot)?, bridge.stop());
    // From now on a signal is kept for this thread, and the transaction in hand is ended first.
    signals.recovered();
    let listen = move || {
        while let Asked::RenewKeys = signals.wait() {}
        stop.store(true, Ordering::Relaxed);
    };
    thread::Builder::new()
        .name("stop".to_owned())
        .spawn(listen)
        .map_err(cannot)?;
    Ok(())
}
