//! `xq book`: one series' book and trades, as a live view.

use super::{Ended, say};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::ladder::{Ladder, draw, lines};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers, poll, read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use xq_client::ClientError;
use xq_client::market::{MarketConfig, MarketData};
use xq_protocol::Symbol;

/// Shows a series' ladder of prices, its last trades and its day, as market data (`market_data.listen`) tells them. Ends
/// at q, Esc or Ctrl-C.
#[derive(clap::Args)]
pub(super) struct Book {
    /// The series' symbol.
    symbol: String,
    /// Configuration file of the exchange: address, authority.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whose certificate: NAME.pem and NAME.key beside the authority's.
    #[arg(long = "as", value_name = "NAME", default_value = "operator")]
    name: String,
    /// The address of market data, when it is not the configuration's.
    #[arg(long)]
    address: Option<SocketAddr>,
    /// How often it is drawn, ms.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(20..=10_000))]
    every_ms: u64,
    /// Print the book as lines of text, once it is whole, and end.
    #[arg(long)]
    once: bool,
}

impl Book {
    pub(super) fn run(self) -> Result<(), Ended> {
        let symbol = Symbol::from_text(&self.symbol).ok_or_else(|| {
            let error = anyhow::anyhow!(
                "`{}`: a symbol has 1 to 16 characters without spaces",
                self.symbol
            );
            Ended::with(Exit::Usage, error)
        })?;
        let config = self.market()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Ended::with(Exit::CannotCreate, e))?;
        runtime.block_on(async {
            let (market, ladder) = follow(&config, symbol).await.map_err(|error| {
                let error = anyhow::anyhow!("{symbol} at {}: {error}", config.addr);
                Ended::with(Exit::Refused, error)
            })?;
            match self.once {
                true => once(market, ladder).await,
                false => live(market, ladder, Duration::from_millis(self.every_ms)).await,
            }
        })
    }

    fn market(&self) -> Result<MarketConfig, Ended> {
        let config = Config::of_file(self.config.as_deref())?;
        let off = "`market_data.listen` is empty: the exchange has no market data";
        let addr = self.address.or_else(|| config.market_data());
        let addr = addr.ok_or_else(|| Failure::Configuration(off.to_owned()))?;
        let folder = config.server.authority.parent().unwrap_or(Path::new("."));
        let cert = folder.join(format!("{}.pem", self.name));
        Ok(MarketConfig {
            addr,
            server_name: "localhost".to_owned(),
            ca: config.server.authority.clone(),
            key: cert.with_extension("key"),
            cert,
            mtu: None,
        })
    }
}

async fn follow(config: &MarketConfig, symbol: Symbol) -> Result<(MarketData, Ladder), ClientError> {
    let mut market = MarketData::connect(config).await?;
    let (series, told) = market.find(symbol).await?;
    market.subscribe(series);
    market.follow_levels(series);
    Ok((market, Ladder::new(series, told)))
}

fn lost(error: ClientError) -> Ended {
    Ended::with(Exit::Refused, error)
}

async fn once(mut market: MarketData, mut ladder: Ladder) -> Result<(), Ended> {
    while market.book(ladder.series).is_none() || !ladder.knows_the_day() {
        ladder.take_in(market.next().await.map_err(lost)?);
    }
    lines(&ladder, market.book(ladder.series))
        .into_iter()
        .try_for_each(say::line)?;
    market.close().await;
    Ok(())
}

async fn live(market: MarketData, ladder: Ladder, every: Duration) -> Result<(), Ended> {
    let no_terminal = |e: std::io::Error| {
        Ended::with(
            Exit::CannotCreate,
            anyhow::anyhow!("the terminal: {e}; without one: --once"),
        )
    };
    let mut terminal = ratatui::try_init().map_err(no_terminal)?;
    let shown = show(&mut terminal, market, ladder, every).await;
    ratatui::restore();
    shown.map_err(no_terminal)?.map_err(lost)
}

/// Shows until it is asked to end, or the connection is lost.
async fn show(
    terminal: &mut DefaultTerminal,
    mut market: MarketData,
    mut ladder: Ladder,
    every: Duration,
) -> std::io::Result<Result<(), ClientError>> {
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            update = market.next() => match update {
                Ok(update) => ladder.take_in(update),
                Err(error) => return Ok(Err(error)),
            },
            _ = turns.tick() => {
                while poll(Duration::ZERO)? {
                    if is_end(&read()?) {
                        return Ok(Ok(()));
                    }
                }
                terminal.draw(|frame| draw(frame, &ladder, market.book(ladder.series)))?;
            }
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupted || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}
