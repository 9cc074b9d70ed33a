//! `xq top`: what the running exchange counts, as a live view.

use super::{Ended, say};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::top::{Counts, Seen, draw, lines};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers, poll, read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How far back the view's picture reaches, seconds.
const HISTORY: f64 = 120.0;
/// How long the page may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Asks the operations page (`metrics.listen`) again and again, and shows rates, stages and how full tables are. Ends at
/// q, Esc or Ctrl-C.
#[derive(clap::Args)]
pub(super) struct Top {
    /// Configuration file of the exchange.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The page's address, when it is not the configuration's.
    #[arg(long)]
    address: Option<SocketAddr>,
    /// How often it is asked, ms.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    every_ms: u64,
    /// Ask twice, print lines of text, and end.
    #[arg(long)]
    once: bool,
}

impl Top {
    pub(super) fn run(self) -> Result<(), Ended> {
        let page = Asked::of(self.address()?);
        let every = Duration::from_millis(self.every_ms);
        let first = page
            .counts()
            .map_err(|reason| Ended::with(Exit::CannotCreate, reason))?;
        if self.once {
            std::thread::sleep(every);
            let now = page
                .counts()
                .map_err(|reason| Ended::with(Exit::CannotCreate, reason))?;
            let seen = page.seen(&first, &now, &[], None);
            return lines(&seen).into_iter().try_for_each(say::line);
        }
        let mut terminal = ratatui::try_init().map_err(|e| {
            Ended::with(
                Exit::CannotCreate,
                anyhow::anyhow!("the terminal: {e}; without one: --once"),
            )
        })?;
        let shown = show(&mut terminal, &page, first, every);
        ratatui::restore();
        shown.map_err(|e| Ended::with(Exit::CannotCreate, anyhow::anyhow!("the terminal: {e}")))
    }

    fn address(&self) -> Result<SocketAddr, Ended> {
        if let Some(address) = self.address {
            return Ok(address);
        }
        let config = Config::of_file(self.config.as_deref())?;
        let off = "`metrics.listen` is empty: the exchange has no operations page";
        config
            .page()
            .ok_or_else(|| Failure::Configuration(off.to_owned()).into())
    }
}

/// The page that is asked.
struct Asked {
    address: SocketAddr,
    agent: ureq::Agent,
}

impl Asked {
    fn of(address: SocketAddr) -> Asked {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWERS_WITHIN))
            .build();
        Asked {
            address,
            agent: config.into(),
        }
    }

    /// What the page says now.
    fn counts(&self) -> Result<Counts, anyhow::Error> {
        let asked = self.agent.get(format!("http://{}/metrics", self.address)).call();
        let text = asked.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|e| anyhow::anyhow!("the operations page at {}: {e}", self.address))?;
        Ok(Counts::of(&text, Instant::now()))
    }

    fn seen<'a>(
        &self,
        before: &'a Counts,
        now: &'a Counts,
        history: &'a [(f64, f64)],
        trouble: Option<String>,
    ) -> Seen<'a> {
        Seen {
            address: self.address.to_string(),
            before,
            now,
            history,
            trouble,
        }
    }
}

/// Shows until it is asked to end.
fn show(terminal: &mut DefaultTerminal, page: &Asked, first: Counts, every: Duration) -> std::io::Result<()> {
    let (mut before, mut now, mut trouble) = (first.clone(), first, None);
    let mut history: Vec<(f64, f64)> = Vec::new();
    let mut asked = Instant::now();
    loop {
        terminal.draw(|frame| draw(frame, &page.seen(&before, &now, &history, trouble.clone())))?;
        while let Some(left) = every.checked_sub(asked.elapsed()) {
            if poll(left)? && is_end(&read()?) {
                return Ok(());
            }
        }
        let passed = asked.elapsed().as_secs_f64();
        asked = Instant::now();
        match page.counts() {
            Ok(counts) => {
                before = std::mem::replace(&mut now, counts);
                trouble = None;
            }
            Err(reason) => trouble = Some(reason.to_string()),
        }
        history
            .iter_mut()
            .for_each(|(seconds_ago, _)| *seconds_ago -= passed);
        history.retain(|(seconds_ago, _)| *seconds_ago >= -HISTORY);
        if trouble.is_none() {
            history.push((0.0, now.rate(&before, "xq_durable_sequence")));
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupted || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}
