//! `xq book`: one series' book and trades, as a live view.

use super::door::Door;
use super::{Ended, say};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::ladder::{Ladder, draw, lines};
use crate::open_orders::OpenOrders;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyCode, KeyModifiers, poll, read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use xq_client::market::{MarketConfig, MarketData};
use xq_client::{Client, ClientError, Copied, DropCopy, EventPlace};
use xq_protocol::{AccountId, ParticipantId, SeriesId, Symbol};

/// Shows a series' ladder of prices, its last trades and its day, as market data (`market_data.listen`) tells them, and
/// with --own what one's own orders show there. Ends at q, Esc or Ctrl-C.
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
    /// Follow one's own orders too, over a session of one's own: from the first event that the exchange has.
    #[arg(long)]
    own: bool,
    /// Which of the participant's sixteen sessions that is.
    #[arg(long, default_value_t = 15, requires = "own")]
    slot: u32,
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
            let refused = |error: ClientError| {
                let error = anyhow::anyhow!("{symbol} at {}: {error}", config.addr);
                Ended::with(Exit::Refused, error)
            };
            let (market, ladder) = follow(&config, symbol).await.map_err(refused)?;
            let own = self.own(ladder.series).await?;
            let watch = Watch { market, ladder, own };
            match self.once {
                true => watch.once().await,
                false => watch.live(Duration::from_millis(self.every_ms)).await,
            }
        })
    }

    /// The onlooker's own orders, if they are to be followed.
    async fn own(&self, series: SeriesId) -> Result<Option<OwnOrders>, Ended> {
        if !self.own {
            return Ok(None);
        }
        let door = Door::of(self.config.clone(), self.name.clone(), self.slot);
        let client = door.connect().await?;
        let copy = client
            .drop_copy(ParticipantId::ZERO, EventPlace::default())
            .await
            .map_err(lost)?;
        say::beside_archived(EventPlace::default(), copy.next_place());
        let orders = OpenOrders::default();
        Ok(Some(OwnOrders {
            _client: client,
            copy,
            orders,
            series,
        }))
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

/// One's own orders in a series, as a drop copy tells them.
struct OwnOrders {
    /// The drop copy ends with its session.
    _client: Client,
    copy: DropCopy,
    orders: OpenOrders,
    series: SeriesId,
}

impl OwnOrders {
    /// Follows what is told next; says whether nothing is missing up to now.
    async fn follow(&mut self) -> Result<bool, ClientError> {
        let frame = match self.copy.next().await? {
            Copied::UpTo(_) => return Ok(true),
            Copied::Message(frame) => frame,
        };
        if let Ok(event) = frame.event() {
            let series = self.series;
            let wanted = |_: AccountId, of: SeriesId| of == series;
            self.orders.follow(&event, &wanted, &mut |_, _| {});
        }
        Ok(false)
    }
}

/// What is told next of one's own orders; nothing ever when they are not followed.
async fn own_news(own: &mut Option<OwnOrders>) -> Result<bool, ClientError> {
    match own {
        Some(own) => own.follow().await,
        None => std::future::pending().await,
    }
}

/// A ladder and what it is made of.
struct Watch {
    market: MarketData,
    ladder: Ladder,
    own: Option<OwnOrders>,
}

impl Watch {
    async fn once(mut self) -> Result<(), Ended> {
        let Watch { market, ladder, own } = &mut self;
        while market.book(ladder.series).is_none() || !ladder.knows_the_day() {
            ladder.take_in(market.next().await.map_err(lost)?);
        }
        while own.is_some() && !own_news(own).await.map_err(lost)? {}
        if let Some(own) = own {
            ladder.set_own(own.orders.all());
        }
        lines(ladder, market.book(ladder.series))
            .into_iter()
            .try_for_each(say::line)?;
        self.market.close().await;
        Ok(())
    }

    async fn live(mut self, every: Duration) -> Result<(), Ended> {
        let no_terminal = |e: std::io::Error| {
            Ended::with(
                Exit::CannotCreate,
                anyhow::anyhow!("the terminal: {e}; without one: --once"),
            )
        };
        let mut terminal = ratatui::try_init().map_err(no_terminal)?;
        let shown = self.show(&mut terminal, every).await;
        ratatui::restore();
        shown.map_err(no_terminal)?.map_err(lost)
    }

    /// Shows until it is asked to end, or a connection is lost.
    async fn show(
        &mut self,
        terminal: &mut DefaultTerminal,
        every: Duration,
    ) -> std::io::Result<Result<(), ClientError>> {
        let mut turns = interval(every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Watch { market, ladder, own } = self;
        loop {
            tokio::select! {
                update = market.next() => match update {
                    Ok(update) => ladder.take_in(update),
                    Err(error) => return Ok(Err(error)),
                },
                told = own_news(own) => if let Err(error) = told {
                    return Ok(Err(error));
                },
                _ = turns.tick() => {
                    while poll(Duration::ZERO)? {
                        if is_end(&read()?) {
                            return Ok(Ok(()));
                        }
                    }
                    if let Some(own) = own.as_ref() {
                        ladder.set_own(own.orders.all());
                    }
                    terminal.draw(|frame| draw(frame, ladder, market.book(ladder.series)))?;
                }
            }
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupted || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}
