//! One series as market data knows it: what it is, its book, its trading, and what changed since it was told.

use super::packer::Packer;
use super::statistics::Trading;
use super::subscribers::SubscriberId;
use std::collections::{BTreeSet, VecDeque};
use xq_protocol::{
    Amount, BestTold, Book, CandleTold, Count, Header, Level, LevelTold, LevelsBegan, Price, Qty, ReqSeq,
    Reserved, SeriesTold, Side, Stamp, TradeBroken, TradeTold,
};

/// Trades, and ended candles, of a series that are told one by one to those who follow its levels: at most so many an
/// interval, the last. Whoever needs all follows the orders.
const TOLD_AT_ONCE: usize = 256;

/// A series.
#[derive(Debug)]
pub struct Listing {
    /// What it is, its phase included.
    pub told: SeriesTold,
    /// Its book.
    pub book: Book,
    /// Its trading.
    pub trading: Trading,
    /// Who follows its levels.
    pub followers: Vec<SubscriberId>,
    marks: Marks,
}

/// What changed since the followers of levels were told.
#[derive(Debug, Default)]
struct Marks {
    levels: BTreeSet<(Side, Price)>,
    trades: VecDeque<TradeTold>,
    broken: VecDeque<TradeBroken>,
    ended: VecDeque<CandleTold>,
    phase: bool,
    day: bool,
    /// It stands among the series that are to be told.
    listed: bool,
}

/// Appends; what is too much goes at the other end.
fn keep<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == TOLD_AT_ONCE {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl Listing {
    /// A series that nobody has traded.
    pub fn new(told: SeriesTold) -> Listing {
        Listing {
            told,
            book: Book::default(),
            trading: Trading::default(),
            followers: Vec::new(),
            marks: Marks::default(),
        }
    }

    /// A level changed.
    #[inline]
    pub fn touched(&mut self, side: Side, price: Price) {
        if !self.followers.is_empty() {
            self.marks.levels.insert((side, price));
        }
    }

    /// The phase changed.
    pub fn phase_changed(&mut self) {
        self.marks.phase = !self.followers.is_empty();
    }

    /// A business day began.
    pub fn rolled(&mut self, date: xq_protocol::Date) {
        self.trading.roll(date);
        self.marks.day = !self.followers.is_empty();
    }

    /// A trade of the day was undone.
    pub fn broken(&mut self, broken: TradeBroken) {
        self.trading.broken(broken.price, broken.qty);
        if !self.followers.is_empty() {
            self.marks.day = true;
            keep(&mut self.marks.broken, broken);
        }
    }

    /// A trade.
    pub fn traded(&mut self, header: &Header, (price, qty, taker_side): (Price, Qty, Side)) {
        let time = header.time;
        let followed = !self.followers.is_empty();
        let ended = &mut self.marks.ended;
        self.trading.traded(time, (price, qty), &mut |candle| {
            if followed {
                keep(ended, candle);
            }
        });
        if followed {
            self.marks.day = true;
            let told = TradeTold {
                trade: header.seq,
                time,
                price,
                qty,
                index: Count(header.index.into()),
                taker_side,
                reserved: Reserved::ZERO,
            };
            keep(&mut self.marks.trades, told);
        }
    }

    /// Says, once until it is told, whether there is something to be told to followers.
    #[inline]
    pub fn begins_to_differ(&mut self) -> bool {
        !self.followers.is_empty() && !std::mem::replace(&mut self.marks.listed, true)
    }

    fn level(&self, side: Side, price: Price) -> LevelTold {
        let open = self.book.at_price(side, price);
        let (qty, orders) = open.map_or((0, 0), |level| (level.qty, level.orders));
        told_level(side, Level { price, qty, orders })
    }

    fn best(&self) -> BestTold {
        let best = |side| {
            let level = self.book.best(side);
            level.map_or((Price::ZERO, Amount::ZERO), |level| {
                (level.price, Amount(level.qty))
            })
        };
        let ((bid, bid_qty), (ask, ask_qty)) = (best(Side::Buy), best(Side::Sell));
        BestTold {
            bid,
            bid_qty,
            ask,
            ask_qty,
        }
    }

    /// Everything about its levels and trading, for one who begins to follow.
    pub fn tell_all(&self, stamp: Stamp, request: ReqSeq, out: &mut Packer) {
        out.push(stamp, &LevelsBegan { request });
        out.push(stamp, &self.told);
        for side in [Side::Buy, Side::Sell] {
            for level in self.book.levels(side) {
                out.push(stamp, &told_level(side, level));
            }
        }
        out.push(stamp, &self.best());
        out.push(stamp, &self.trading.day);
        for candle in self
            .trading
            .candles
            .iter()
            .filter(|candle| !candle.trades.is_zero())
        {
            out.push(stamp, candle);
        }
    }

    /// What changed since it was told; nothing has after that.
    pub fn tell_changes(&mut self, stamp: Stamp, out: &mut Packer) {
        let marks = std::mem::take(&mut self.marks);
        if marks.phase {
            out.push(stamp, &self.told);
        }
        for trade in &marks.trades {
            out.push(stamp, trade);
        }
        for broken in &marks.broken {
            out.push(stamp, broken);
        }
        for (side, price) in &marks.levels {
            out.push(stamp, &self.level(*side, *price));
        }
        if !marks.levels.is_empty() {
            out.push(stamp, &self.best());
        }
        if marks.day {
            out.push(stamp, &self.trading.day);
        }
        for candle in &marks.ended {
            out.push(stamp, candle);
        }
        let changed = std::mem::take(&mut self.trading.changed);
        for (at, candle) in self.trading.candles.iter().enumerate() {
            if changed & 1 << at != 0 {
                out.push(stamp, candle);
            }
        }
    }
}

fn told_level(side: Side, level: Level) -> LevelTold {
    LevelTold {
        price: level.price,
        qty: Amount(level.qty),
        orders: Count(u32::try_from(level.orders).expect("orders are counted in 32 bits")),
        side,
        reserved: Reserved::ZERO,
    }
}
