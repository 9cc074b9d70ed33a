//! One series' book as a person looks at it: a ladder of prices, the tape of trades, the day.
//!
//! Architecture invariant: it knows the exchange by market data, and by a drop copy of its onlooker's, as any other
//! subscriber does.

use crate::open_orders::Open;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};
use std::collections::{BTreeMap, VecDeque};
use xq_client::market::{LevelsTold, Update};
use xq_protocol::text::instant;
use xq_protocol::{Book, Level, Nanos, Phase, Price, SeriesId, SeriesTold, Side, StatisticsTold, TradeTold};

/// Trades that are remembered.
const TAPE: usize = 256;
/// Levels of each side that lines of text show.
const LEVELS: usize = 10;

/// What is known of a series beside its book.
pub(crate) struct Ladder {
    pub(crate) series: SeriesId,
    told: SeriesTold,
    day: Option<StatisticsTold>,
    tape: VecDeque<TradeTold>,
    /// What the onlooker's own orders show at a price; none when they are not followed.
    own: Option<BTreeMap<(Side, Price), u64>>,
}

impl Ladder {
    /// Nothing yet but what the series is.
    pub(crate) fn new(series: SeriesId, told: SeriesTold) -> Ladder {
        Ladder {
            series,
            told,
            day: None,
            tape: VecDeque::new(),
            own: None,
        }
    }

    /// Says whether the day's statistics were told.
    pub(crate) fn knows_the_day(&self) -> bool {
        self.day.is_some()
    }

    /// Takes in which orders of this series are the onlooker's own.
    pub(crate) fn set_own<'a>(&mut self, orders: impl Iterator<Item = &'a Open>) {
        let mut own = BTreeMap::new();
        for order in orders.filter(|order| order.shown() > 0) {
            *own.entry((order.side, order.price)).or_default() += order.shown();
        }
        self.own = Some(own);
    }

    /// Takes in what was heard.
    pub(crate) fn take_in(&mut self, update: Update) {
        match update {
            Update::Levels(series, LevelsTold::Statistics(day)) if series == self.series => {
                self.day = Some(day)
            }
            Update::Levels(series, LevelsTold::Trade(trade)) if series == self.series => {
                self.tape.truncate(TAPE - 1);
                self.tape.push_front(trade);
            }
            Update::Levels(series, LevelsTold::Broken(broken)) if series == self.series => {
                let is_it = |trade: &TradeTold| (trade.trade, trade.index) == (broken.trade, broken.index);
                self.tape.retain(|trade| !is_it(trade));
            }
            Update::Series(series, told) if series == self.series => self.told = told,
            Update::Phase(series, told) if series == self.series => self.told.phase = told.phase,
            Update::Phase(SeriesId::ZERO, told) => self.told.venue = told.phase,
            Update::Levels(..)
            | Update::Series(..)
            | Update::Phase(..)
            | Update::Valid(_)
            | Update::Invalid(_)
            | Update::Changed { .. }
            | Update::Checked(..)
            | Update::Refused { .. } => {}
        }
    }

    /// Minor units as the currency writes them.
    fn money(&self, minor: u64) -> String {
        let digits = usize::from(self.told.currency.exponent().unwrap_or(0));
        let text = format!("{minor:0>width$}", width = digits + 1);
        match text.split_at_checked(text.len() - digits) {
            Some((major, rest)) if !rest.is_empty() => format!("{major}.{rest}"),
            Some(_) | None => text,
        }
    }

    fn price(&self, price: Price) -> String {
        self.money(price.0)
    }

    fn title(&self, book: Option<&Book>) -> String {
        let phase = match self.told.venue {
            Phase::Continuous => self.told.phase,
            Phase::Closed | Phase::Halt => self.told.venue,
        };
        let currency = self.told.currency.code().unwrap_or("?");
        let orders = match book {
            Some(book) => format!("{} orders", book.len()),
            None => "healing: a message was lost".to_owned(),
        };
        format!("{} · {currency} · {phase} · {orders}", self.told.symbol)
    }

    fn day(&self) -> String {
        let Some(day) = self.day.filter(|day| !day.trades.is_zero()) else {
            return "no trades today".to_owned();
        };
        let average = day.turnover.0.checked_div(day.volume.0).unwrap_or(0);
        format!(
            "last {} · open {} · high {} · low {} · vwap {} · volume {} · turnover {} · {} trades",
            self.price(day.last),
            self.price(day.open),
            self.price(day.high),
            self.price(day.low),
            self.money(average),
            day.volume,
            self.money(day.turnover.0),
            day.trades
        )
    }

    fn traded(&self, trade: &TradeTold) -> [String; 4] {
        let way = match trade.taker_side {
            Side::Buy => "↑",
            Side::Sell => "↓",
        };
        let (price, qty) = (self.price(trade.price), trade.qty.to_string());
        [clock(trade.time), way.to_owned(), price, qty]
    }

    /// What stands above the levels.
    fn head(&self) -> [&'static str; 6] {
        let own = if self.own.is_some() { "own" } else { "" };
        ["orders", "bid", "price", "ask", "orders", own]
    }

    /// A level as it stands on either side of the prices.
    fn rung(&self, side: Side, level: &Level) -> [String; 6] {
        let (qty, orders, price) = (
            level.qty.to_string(),
            level.orders.to_string(),
            self.price(level.price),
        );
        let none = String::new;
        let own = self.own.as_ref().and_then(|own| own.get(&(side, level.price)));
        let own = own.map_or_else(none, u64::to_string);
        match side {
            Side::Buy => [orders, qty, price, none(), none(), own],
            Side::Sell => [none(), none(), price, qty, orders, own],
        }
    }
}

/// The time of day, UTC, to the millisecond.
fn clock(time: Nanos) -> String {
    let text = instant(time).to_string();
    text.split_once('T')
        .map_or(text.clone(), |(_, clock)| clock.chars().take(12).collect())
}

/// The best levels, sell side above, farthest first.
fn levels(book: &Book, count: usize) -> (Vec<Level>, Vec<Level>) {
    let mut asks: Vec<Level> = book.levels(Side::Sell).take(count).collect();
    asks.reverse();
    (asks, book.levels(Side::Buy).take(count).collect())
}

/// As lines of text.
pub(crate) fn lines(ladder: &Ladder, book: Option<&Book>) -> Vec<String> {
    let mut all = vec![ladder.title(book), ladder.day()];
    if let Some(book) = book {
        let row = |[a, b, c, d, e, own]: [String; 6]| {
            format!("{a:>8} {b:>12} {c:>14} {d:<12} {e:<8} {own:>10}")
                .trim_end()
                .to_owned()
        };
        let (asks, bids) = levels(book, LEVELS);
        all.push(row(ladder.head().map(str::to_owned)));
        all.extend(asks.iter().map(|level| row(ladder.rung(Side::Sell, level))));
        all.extend(bids.iter().map(|level| row(ladder.rung(Side::Buy, level))));
    }
    let tape = ladder.tape.iter().take(LEVELS);
    all.extend(tape.map(|trade| ladder.traded(trade).join("  ")));
    all
}

/// As a picture.
pub(crate) fn draw(frame: &mut Frame<'_>, ladder: &Ladder, book: Option<&Book>) {
    let rows = [Constraint::Min(8), Constraint::Length(3), Constraint::Length(1)];
    let [middle, below, foot] = Layout::vertical(rows).areas(frame.area());
    let columns = [Constraint::Percentage(62), Constraint::Percentage(38)];
    let [left, right] = Layout::horizontal(columns).areas(middle);
    let room = usize::from(left.height.saturating_sub(3)) / 2;
    let mut rungs = Vec::new();
    if let Some(book) = book {
        let (asks, bids) = levels(book, room);
        let empty = (asks.len()..room).map(|_| Row::new([""; 6]));
        rungs.extend(empty);
        rungs.extend(
            asks.iter()
                .map(|level| Row::new(ladder.rung(Side::Sell, level)).red()),
        );
        rungs.extend(
            bids.iter()
                .map(|level| Row::new(ladder.rung(Side::Buy, level)).green()),
        );
    }
    let widths = [8, 12, 14, 12, 8, 10].map(Constraint::Length);
    let head = Row::new(ladder.head()).style(Style::new().bold());
    let table = Table::new(rungs, widths).header(head);
    let title = ladder.title(book);
    let block = match book {
        Some(_) => Block::bordered().title(title),
        None => Block::bordered().title(title.red()),
    };
    frame.render_widget(table.block(block), left);
    let trades = ladder.tape.iter().map(|trade| {
        let row = Row::new(ladder.traded(trade));
        match trade.taker_side {
            Side::Buy => row.green(),
            Side::Sell => row.red(),
        }
    });
    let widths = [13, 2, 12, 10].map(Constraint::Length);
    frame.render_widget(
        Table::new(trades, widths).block(Block::bordered().title("trades")),
        right,
    );
    frame.render_widget(
        Paragraph::new(ladder.day()).block(Block::bordered().title("today")),
        below,
    );
    frame.render_widget(Line::from("q ends").dim(), foot);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use xq_protocol::{Amount, Count, Currency, Date, OrderId, Qty, Reserved, Seq, Symbol};

    fn ladder() -> (Ladder, Book) {
        let told = SeriesTold {
            symbol: Symbol::from_text("COFFEE").expect("a symbol"),
            tick: Price(1),
            face: Price(3_000),
            valid_to: Nanos(0),
            lot: Qty(1),
            currency: Currency(156),
            phase: Phase::Continuous,
            venue: Phase::Continuous,
        };
        let mut ladder = Ladder::new(SeriesId(1), told);
        let day = StatisticsTold {
            open: Price(2_650),
            high: Price(2_700),
            low: Price(2_600),
            last: Price(2_605),
            volume: Amount(3),
            turnover: Amount(7_955),
            trades: Count(2),
            date: Date(20_261_123),
        };
        let trade = TradeTold {
            trade: Seq(9),
            time: Nanos(1_700_000_000_123_000_000),
            price: Price(2_605),
            qty: Qty(2),
            index: Count(1),
            taker_side: Side::Sell,
            reserved: Reserved::ZERO,
        };
        ladder.take_in(Update::Levels(SeriesId(1), LevelsTold::Statistics(day)));
        ladder.take_in(Update::Levels(SeriesId(1), LevelsTold::Trade(trade)));
        ladder.take_in(Update::Levels(SeriesId(2), LevelsTold::Trade(trade)));
        let mut book = Book::default();
        for (order, side, price, qty) in [
            (1, Side::Buy, 2_600, 5),
            (2, Side::Buy, 2_600, 6),
            (3, Side::Sell, 7, 7),
        ] {
            let added = book.add(OrderId(order), side, Price(price), Qty(qty));
            assert_eq!(added, Ok(()));
        }
        (ladder, book)
    }

    #[test]
    fn lines_tell_the_ladder_the_day_and_the_tape() {
        let (ladder, book) = ladder();
        let text = lines(&ladder, Some(&book)).join("\n");
        for part in [
            "COFFEE · CNY · continuous · 3 orders",
            "last 26.05 · open 26.50 · high 27.00 · low 26.00 · vwap 26.51 · volume 3 · turnover 79.55 · 2 trades",
            "       2           11          26.00",
            "0.07 7            1",
            "22:13:20.123  ↓  26.05  2",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert_eq!(
            text.matches('↓').count(),
            1,
            "another series' trades are not its own"
        );
        assert!(lines(&ladder, None)[0].contains("healing"));
    }

    #[test]
    fn the_picture_fits_terminals_of_any_size() {
        let (ladder, book) = ladder();
        for (width, height) in [(120, 40), (80, 24), (20, 6), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it has no device");
            for book in [Some(&book), None] {
                terminal
                    .draw(|frame| draw(frame, &ladder, book))
                    .expect("it draws");
            }
        }
    }
}
