//! The live text view: a ladder of the best prices, the last trades, rates; plain ANSI on a terminal, lines elsewhere.

use super::market::Counts;
use super::venue::WATCHER;
use crate::exchange::Trial;
use crate::settled::Told;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, MissedTickBehavior, interval};
use xq_client::ClientError;
use xq_client::market::{BookChange, LevelsTold, MarketConfig, MarketData, Origin, Update};
use xq_protocol::text::instant;
use xq_protocol::{Book, Level, Price, Seq, SeriesId, Side, TradeTold};

/// How often a terminal is refreshed.
pub const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Price levels of each side that are shown.
const LEVELS: usize = 5;
/// Trades that are shown.
const TRADES: usize = 6;
/// Lines of the picture, so that the next one is drawn over it.
const PICTURE_LINES: usize = LEVELS + TRADES + 7;

/// What follows a notice, so that the next picture is drawn below it.
pub fn room_after_notice() -> String {
    let lines = if std::io::stdout().is_terminal() {
        PICTURE_LINES
    } else {
        0
    };
    "\n".repeat(lines)
}

/// What was counted since the last picture.
#[derive(Default)]
struct Window {
    orders: u32,
    trades: u32,
    delays_us: Vec<u64>,
}

/// Rates a second, and how long after its coming a command was told.
#[derive(Clone, Copy, Default)]
struct Rates {
    commands: f64,
    orders: f64,
    trades: f64,
    told_us_p50: u64,
    told_us_p99: u64,
}

/// The view.
pub struct View {
    config: MarketConfig,
    series: SeriesId,
    counts: Arc<Counts>,
    settled: Arc<Told>,
    is_terminal: bool,
    started: Instant,
    drawn: Option<Instant>,
    /// The last command that changed the book, and the last when it was drawn.
    seq: Seq,
    drawn_seq: Seq,
    window: Window,
    rates: Rates,
    trades: VecDeque<TradeTold>,
    trades_all: u64,
}

impl View {
    /// Of a series, as the market data at an address tells it.
    pub fn open(
        trial: &Trial,
        market: SocketAddr,
        series: SeriesId,
        (counts, settled): (Arc<Counts>, Arc<Told>),
    ) -> View {
        let config = MarketConfig::beside(&trial.client(&WATCHER, 1), market);
        View {
            config,
            series,
            counts,
            settled,
            is_terminal: std::io::stdout().is_terminal(),
            started: Instant::now(),
            drawn: None,
            seq: Seq::ZERO,
            drawn_seq: Seq::ZERO,
            window: Window::default(),
            rates: Rates::default(),
            trades: VecDeque::new(),
            trades_all: 0,
        }
    }

    /// Shows until it is ended; a lost connection is sought again.
    pub async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let lost = match MarketData::connect(&self.config).await {
                Ok(market) => self.follow(market).await,
                Err(error) => error,
            };
            if !lost.is_passing() {
                return Err(lost.into());
            }
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    async fn follow(&mut self, mut market: MarketData) -> ClientError {
        let every = if self.is_terminal {
            REFRESH_EVERY
        } else {
            LINE_EVERY
        };
        let mut refresh = interval(every);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        market.subscribe(self.series);
        market.follow_levels(self.series);
        loop {
            tokio::select! {
                update = market.next() => match update {
                    Ok(update) => self.take_in(&update),
                    Err(error) => return error,
                },
                _ = refresh.tick() => if let Some(book) = market.book(self.series) {
                    self.show(book);
                },
            }
        }
    }

    fn take_in(&mut self, update: &Update) {
        match update {
            Update::Changed { origin, change, .. } => self.changed(origin, change),
            Update::Levels(_, LevelsTold::Trade(trade)) => {
                self.trades.truncate(TRADES - 1);
                self.trades.push_front(*trade);
            }
            // What else there is, `xq book` shows.
            _ => {}
        }
    }

    fn changed(&mut self, origin: &Origin, change: &BookChange) {
        match change {
            BookChange::Added(_) => self.window.orders += 1,
            BookChange::Executed(_) => {
                self.window.trades += 1;
                self.trades_all += 1;
            }
            BookChange::Reduced(_) | BookChange::Deleted(_) | BookChange::Moved(_) => {}
        }
        self.seq = origin.seq;
        // The gateway stamps a command when it comes; what is told is durable.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let delay_ns = u64::try_from(now).unwrap_or(0).saturating_sub(origin.time.0);
        self.window.delays_us.push(delay_ns / 1_000);
    }

    fn show(&mut self, book: &Book) {
        let now = Instant::now();
        let since = self.drawn.map_or(0.0, |drawn| (now - drawn).as_secs_f64());
        if since > 0.0 {
            let commands = self.seq.0.saturating_sub(self.drawn_seq.0);
            self.rates = self.window.rates(commands, since);
            self.window = Window::default();
        }
        let text = if self.is_terminal {
            self.picture(book)
        } else {
            self.line(book)
        };
        let mut out = std::io::stdout().lock();
        // Nobody is there to be told when the terminal is gone.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.drawn = Some(now);
        self.drawn_seq = self.seq;
    }

    /// Rates, as both forms tell them.
    fn figures(&self) -> String {
        let Rates {
            commands,
            orders,
            trades,
            told_us_p50,
            told_us_p99,
        } = self.rates;
        format!(
            "Seq {} of the book  {commands:.0} commands/s  {orders:.0} orders/s at rest  {trades:.0} trades/s  durable and told after {} p50, {} p99",
            self.seq,
            millis(told_us_p50),
            millis(told_us_p99),
        )
    }

    fn line(&self, book: &Book) -> String {
        let best = |side| {
            book.best(side)
                .map_or("-".to_owned(), |l| format!("{} × {}", price(l.price), l.qty))
        };
        format!(
            "{}  bid {}  ask {}  {}\n",
            self.figures(),
            best(Side::Buy),
            best(Side::Sell),
            self.settled.text()
        )
    }

    fn picture(&self, book: &Book) -> String {
        let mut text = String::new();
        let (sent, refused) = (
            self.counts.sent.load(Ordering::Relaxed),
            self.counts.refused.load(Ordering::Relaxed),
        );
        let _ = writeln!(text, "{}", clip(&self.figures()));
        let _ = writeln!(
            text,
            "{:.0} s  {} orders in the book  {} trades  {sent} requests sent, {refused} refused\n{}\n",
            self.started.elapsed().as_secs_f64(),
            book.len(),
            self.trades_all,
            self.settled.text()
        );
        let _ = writeln!(
            text,
            "  \x1b[2m{:>7} {:>9} {:>10}   {:<10} {:<9} {:<7}\x1b[0m",
            "orders", "coupons", "bid", "ask", "coupons", "orders"
        );
        let levels = |side| book.levels(side).take(LEVELS).collect::<Vec<_>>();
        let (bids, asks) = (levels(Side::Buy), levels(Side::Sell));
        for at in 0..LEVELS {
            let _ = writeln!(text, "  {}   {}", bid(bids.get(at)), ask(asks.get(at)));
        }
        let _ = writeln!(text, "\n  \x1b[2mlast trades\x1b[0m");
        for at in 0..TRADES {
            let _ = writeln!(text, "{}", self.trades.get(at).map_or(String::new(), shown_trade));
        }
        assert_eq!(
            text.lines().count(),
            PICTURE_LINES,
            "the next picture is drawn over exactly this one"
        );
        match self.drawn {
            // Up to where the last picture began, and away with it.
            Some(_) => format!("\x1b[{PICTURE_LINES}A\x1b[J{text}"),
            None => text,
        }
    }
}

impl Window {
    fn rates(&mut self, commands: u64, seconds: f64) -> Rates {
        self.delays_us.sort_unstable();
        let delay = |percent: usize| {
            self.delays_us
                .get(self.delays_us.len() * percent / 100)
                .copied()
                .unwrap_or(0)
        };
        Rates {
            commands: f64::from(u32::try_from(commands).unwrap_or(u32::MAX)) / seconds,
            orders: f64::from(self.orders) / seconds,
            trades: f64::from(self.trades) / seconds,
            told_us_p50: delay(50),
            told_us_p99: delay(99),
        }
    }
}

fn bid(level: Option<&Level>) -> String {
    match level {
        Some(level) => format!(
            "{:>7} {:>9} \x1b[32m{:>10}\x1b[0m",
            level.orders,
            level.qty,
            price(level.price)
        ),
        None => " ".repeat(28),
    }
}

fn ask(level: Option<&Level>) -> String {
    match level {
        Some(level) => format!(
            "\x1b[31m{:<10}\x1b[0m {:<9} {:<7}",
            price(level.price),
            level.qty,
            level.orders
        ),
        None => String::new(),
    }
}

fn shown_trade(trade: &TradeTold) -> String {
    let (colour, arrow) = match trade.taker_side {
        Side::Buy => ("\x1b[32m", "▲ bought"),
        Side::Sell => ("\x1b[31m", "▼ sold"),
    };
    let at = instant(trade.time).to_string();
    let clock = at.get(11..23).unwrap_or_default();
    format!(
        "  {clock}  {colour}{:>8}\x1b[0m × {:<6} {arrow}",
        price(trade.price),
        trade.qty
    )
}

/// Minor units as the currency is written, two decimals.
fn price(price: Price) -> String {
    format!("{}.{:02}", price.0 / 100, price.0 % 100)
}

fn millis(us: u64) -> String {
    format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
}

/// A line that does not wrap: the picture is drawn over by its number of lines.
fn clip(line: &str) -> String {
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        // Shells do not export it; no terminal that people use is narrower.
        .unwrap_or(80);
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_second_and_delays_in_order() {
        let mut window = Window {
            orders: 50,
            trades: 25,
            delays_us: (1..=100).rev().collect(),
        };
        let rates = window.rates(200, 0.5);
        assert_eq!((rates.commands, rates.orders, rates.trades), (400.0, 100.0, 50.0));
        assert_eq!((rates.told_us_p50, rates.told_us_p99), (51, 100));
        assert_eq!(
            (price(Price(2_705)), millis(1_234)),
            ("27.05".to_owned(), "1.23 ms".to_owned())
        );
    }
}
