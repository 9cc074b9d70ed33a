//! The executable specification through market data: after every command its books are the engine's, whether it has
//! followed from the first command on or begins with what the engine has.

use std::path::{Path, PathBuf};
use xq_engine::{Events, Exchange};
use xq_gateway::{Market, MarketLimits};
use xq_protocol::text::{Door, Scenario, run};
use xq_protocol::*;
use xq_server::market_of;

/// The engine, and the market beside it.
struct Watched {
    exchange: Exchange,
    events: Box<Events>,
    market: Market,
    seq: Seq,
    compared: usize,
}

/// The hash of a series' book as the engine shows it.
fn shown(exchange: &Exchange, series: SeriesId) -> BookHash {
    let side = |wanted: Side| {
        let orders = exchange
            .each_resting(series)
            .filter(move |(side, _)| *side == wanted);
        orders.map(|(side, order)| RestingAdded {
            order: order.order,
            price: order.price,
            qty: order.shown,
            side,
            reserved: Reserved::ZERO,
        })
    };
    book_hash(side(Side::Buy), side(Side::Sell))
}

impl Watched {
    fn compare(&mut self, market: &Market) {
        for view in self.exchange.each_series() {
            let listing = market.listing(view.series).expect("the market knows it");
            assert_eq!(
                listing.book.hash(),
                shown(&self.exchange, view.series),
                "command {}",
                self.seq
            );
            assert_eq!(
                (listing.told.symbol, listing.told.phase),
                (view.symbol, view.phase)
            );
            assert_eq!(listing.told.venue, self.exchange.phase(), "command {}", self.seq);
            self.compared += 1;
        }
    }
}

impl Door for Watched {
    fn submit(&mut self, _speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let mut begun = market_of(&self.exchange, self.seq, MarketLimits::default());
        self.seq = self.seq.next();
        let frame = command.frame().expect("a door says frames");
        self.exchange.apply(self.seq, &frame, &mut self.events);
        let told = self.events.frames().to_vec();
        for event in &told {
            let (header, event) = (event.header(), event.event().expect("the engine tells events"));
            self.market.visit(header, &event);
            begun.visit(header, &event);
        }
        self.compare(&begun);
        let market = std::mem::replace(&mut self.market, begun);
        self.compare(&market);
        self.market = market;
        told
    }
}

fn corpus() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder of scenarios") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|ending| ending == "scn"));
    files.sort();
    files
}

#[test]
fn in_every_scenario_the_books_are_the_engines_after_every_command() {
    let mut compared = 0;
    for path in corpus() {
        let text = std::fs::read_to_string(&path).expect("a scenario is text");
        let name = path.display().to_string();
        let scenario = Scenario::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        let mut watched = Watched {
            exchange: Exchange::new(),
            events: Box::default(),
            market: Market::new(MarketLimits::default()),
            seq: Seq::ZERO,
            compared: 0,
        };
        println!("{name}");
        run(&scenario, &mut watched).unwrap_or_else(|failure| panic!("{failure}"));
        compared += watched.compared;
    }
    assert!(compared > 2_000, "{compared} books compared");
}
