//! `xq serve`: runs the exchange until it is asked to stop.

use super::signals::{Asked, Signals};
use super::{Ended, say};
use crate::clock::ClockLeap;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::page::Page;
use crate::server::Server;
use indicatif::{ProgressBar, ProgressStyle};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use xq_protocol::Seq;

/// Runs the exchange.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// Configuration file; the defaults hold for what it leaves out, and for all when there is none.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Start although the clock says that more than a day has passed since the last command.
    #[arg(long)]
    accept_clock_leap: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Ended> {
        let config = Config::of_file(self.config.as_deref())?;
        start_log(&config.log.level);
        let leap = if self.accept_clock_leap {
            ClockLeap::Accept
        } else {
            ClockLeap::Refuse
        };
        // Before anything is begun or announced: from the next line on, whoever asks it to stop is heard.
        let signals = Signals::listen().map_err(|e| Ended::with(Exit::CannotCreate, e))?;
        tracing::info!(folder = %config.journal.folder.display(), "recovering");
        let bar = progress_bar("replay");
        let mut progress = |done, all| {
            show(&bar, done, all);
            if done == all {
                signals.recovered();
            }
        };
        let cannot_start = |failure: &Failure| {
            tracing::error!(code = failure.exit().code(), error = %failure, "cannot start");
        };
        let page = config.page().map(|listen| open_page(listen, &config));
        let page = page.transpose().inspect_err(cannot_start)?;
        let server = Server::start(&config, leap, &mut progress).inspect_err(cannot_start)?;
        bar.finish_and_clear();
        tell_recovery(&server);
        // Who does not read it finds the address in the log: no closed pipe ends an exchange.
        let _ = say::line(format_args!("listening at {}", server.address()));
        if let Some(address) = server.market_data() {
            let _ = say::line(format_args!("market data at {address}"));
        }
        if let Some(page) = page {
            page.show(server.readings());
        }
        let signal = serve_until_stopped(&server, &signals);
        tracing::info!(signal, "stopping");
        let stopped = server.stop()?;
        tracing::info!(
            seq = stopped.commands.durable().0,
            event_hash = %stopped.events.event_hash(),
            "stopped"
        );
        Ok(())
    }
}

/// Opens the operations page, before recovery.
fn open_page(listen: SocketAddr, config: &Config) -> Result<Page, Failure> {
    let tick_interval = Duration::from_millis(config.threads.tick_interval_ms);
    let page = Page::open(listen, tick_interval)?;
    tracing::info!(address = %page.address(), "operations page");
    Ok(page)
}

/// Does what signals ask for until one asks to stop; its name.
fn serve_until_stopped(server: &Server, signals: &Signals) -> &'static str {
    loop {
        match signals.wait() {
            Asked::Stop(name) => return name,
            Asked::RenewKeys => match server.renew_keys() {
                Ok(()) => tracing::info!("certificates and key were read again"),
                Err(failure) => tracing::error!(error = %failure, "certificates and key stay as they were"),
            },
        }
    }
}

fn tell_recovery(server: &Server) {
    let report = server.report();
    for cut in &report.commands.cuts {
        tracing::warn!(file = cut.file, offset = cut.offset, bytes = cut.bytes, claimed = ?cut.claimed, "a torn last batch was cut");
    }
    if let Some(dropped) = &report.events.dropped {
        let (first, last_whole) = (dropped.first.0, dropped.last_whole.map(|seq| seq.0));
        for range in &dropped.ranges {
            tracing::warn!(
                file = range.file,
                offset = range.offset,
                bytes = range.bytes,
                first,
                last_whole,
                "events that were torn or damaged were dropped and made again"
            );
        }
    }
    let took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        seq = report.commands.last_seq.0,
        snapshot = report.snapshot.map(|seq| seq.0),
        events_compared = report.events.compared,
        events_made_again = report.events.appended,
        event_hash = %report.event_hash,
        took_ms,
        address = %server.address(),
        "recovered and listening"
    );
}

/// Logs JSON lines to standard error. No key, certificate or personal datum is ever logged: nothing here holds one.
pub(super) fn start_log(level: &str) {
    let level: tracing::Level = level.parse().unwrap_or(tracing::Level::INFO);
    tracing_subscriber::fmt()
        .json()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        // Else a log that nobody reads panics at its next line.
        .log_internal_errors(false)
        .init();
}

/// A bar on a terminal, nothing elsewhere.
pub(super) fn progress_bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = "{msg} {wide_bar} {human_pos}/{human_len} commands, {per_sec}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}

/// Shows how many of how many commands are done.
pub(super) fn show(bar: &ProgressBar, done: Seq, all: Seq) {
    bar.set_length(all.0);
    bar.set_position(done.0);
}
