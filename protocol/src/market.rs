//! Market data, `xqmd/1`: what anyone with a key may know of the books, anonymous and in the order in which it happened.

use crate::meta::messages;
use crate::*;

messages! {
    /// A market-data message, viewed in its packet.
    MarketMessage, MARKET_MESSAGES;

    /// An order rests, behind all others at its price. In a snapshot: an order that rests, in priority.
    RestingAdded = 401 {
        /// The order.
        order: OrderId,
        /// Its price.
        price: Price,
        /// What is open and shown of it.
        qty: Qty,
        /// Its side.
        side: Side,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// A resting order traded, with an order of the other side that arrived.
    RestingExecuted = 402 {
        /// The order.
        order: OrderId,
        /// The trade's price.
        price: Price,
        /// How many.
        qty: Qty,
        /// What is left and shown of it: at zero it is gone.
        leaves: Qty,
    }
    /// A resting order has less quantity and keeps its place.
    RestingReduced = 403 {
        /// The order.
        order: OrderId,
        /// What is left of it.
        leaves: Qty,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A resting order is gone without a trade.
    RestingDeleted = 404 {
        /// The order.
        order: OrderId,
    }
    /// A trade, told with the levels to those who do not follow the orders.
    TradeTold = 405 {
        /// The command that traded.
        trade: Seq,
        /// When it happened.
        time: Nanos,
        /// Its price.
        price: Price,
        /// How many.
        qty: Qty,
        /// Which of the command's events the trade is.
        index: Count,
        /// The side of the order that arrived.
        taker_side: Side,
        /// Zero.
        reserved: Reserved<7>,
    }
    /// A resting order has another price or more quantity: it stands behind all others at its price.
    RestingMoved = 406 {
        /// The order.
        order: OrderId,
        /// Its price from here on.
        price: Price,
        /// What is open and shown of it from here on.
        qty: Qty,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// The phase of a series; of the whole venue where the series is zero.
    PhaseTold = 407 {
        /// The phase.
        phase: Phase,
        /// Zero.
        reserved: Reserved<7>,
    }
    /// A trade of the day was undone, told with the levels. The day's volume, turnover and number of trades go down by it;
    /// its prices, candles and the book stay as they were.
    TradeBroken = 408 {
        /// The command that had traded.
        trade: Seq,
        /// The trade's price.
        price: Price,
        /// How many.
        qty: Qty,
        /// Which of the command's events the trade was.
        index: Count,
    }
    /// What a series is.
    SeriesTold = 409 {
        /// Its symbol.
        symbol: Symbol,
        /// Prices are multiples of this.
        tick: Price,
        /// Face value of a coupon.
        face: Price,
        /// When it expires.
        valid_to: Nanos,
        /// Orders are for multiples of so many coupons.
        lot: Qty,
        /// Its currency.
        currency: Currency,
        /// Its own phase.
        phase: Phase,
        /// The venue's phase: while it is not Continuous, it overrides the series'.
        venue: Phase,
    }
    /// A series' levels, best price, statistics and candles follow, all of them; then each when it has changed.
    LevelsBegan = 411 {
        /// The request that asked for them.
        request: ReqSeq,
    }
    /// What is open at a price; conflated: only the last state of an interval is told.
    LevelTold = 412 {
        /// The price.
        price: Price,
        /// What is open at it: at zero there is nothing any more.
        qty: Amount,
        /// In how many orders.
        orders: Count,
        /// The side.
        side: Side,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// The best price of either side; conflated. A side without orders has price and quantity zero.
    BestTold = 413 {
        /// The best bid.
        bid: Price,
        /// What is open at it.
        bid_qty: Amount,
        /// The best ask.
        ask: Price,
        /// What is open at it.
        ask_qty: Amount,
    }
    /// A snapshot of a series' book begins: so many RestingAdded follow, best first, buy side first.
    SnapshotBegan = 414 {
        /// The request that asked for it.
        request: ReqSeq,
        /// The book is as before the message of this number of its channel.
        next: ChannelSeq,
        /// How many orders follow.
        orders: Count,
        /// The series' own phase.
        phase: Phase,
        /// The venue's phase: while it is not Continuous, it overrides the series'.
        venue: Phase,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// A snapshot has ended; or, as the answer to a HashWanted, how a book was.
    BookHashed = 415 {
        /// The request that asked for it.
        request: ReqSeq,
        /// The book was so before the message of this number of its channel.
        next: ChannelSeq,
        /// Its hash: see the top of the page.
        hash: BookHash,
        /// How many orders it has.
        orders: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A series' trading since the business day began; conflated. Prices are zero before the first trade.
    StatisticsTold = 418 {
        /// The first price.
        open: Price,
        /// The highest price.
        high: Price,
        /// The lowest price.
        low: Price,
        /// The last price.
        last: Price,
        /// Coupons traded.
        volume: Amount,
        /// Sum of price × quantity: divided by the volume it is the volume-weighted average price.
        turnover: Amount,
        /// How many trades.
        trades: Count,
        /// The business date, zero while none is known.
        date: Date,
    }
    /// Trading of a stretch of the exchange's time that has begun; told again when it has changed, at last when it ends.
    CandleTold = 419 {
        /// When the stretch begins: a multiple of its length since 1970, UTC.
        begins: Nanos,
        /// The first price.
        open: Price,
        /// The highest price.
        high: Price,
        /// The lowest price.
        low: Price,
        /// The last price.
        close: Price,
        /// Coupons traded.
        volume: Amount,
        /// Sum of price × quantity.
        turnover: Amount,
        /// How many trades.
        trades: Count,
        /// Its length in seconds: 1, 60, 300, 3,600 or 86,400.
        seconds: Count,
    }
    /// Asks for what a series is, by its symbol: the answer is SeriesTold with this symbol, or MarketRefused.
    SeriesWanted = 431 {
        /// The request's number.
        request: ReqSeq,
        /// The symbol.
        symbol: Symbol,
    }
    /// Asks for the datagrams of these channels from now on, instead of those asked for before.
    ChannelsWanted = 432 {
        /// The request's number.
        request: ReqSeq,
        /// Bit n for channel n.
        channels: ChannelMask,
    }
    /// Asks for a snapshot of the series' book, told on a stream of the exchange's own.
    SnapshotWanted = 433 {
        /// The request's number.
        request: ReqSeq,
    }
    /// Asks for messages of a channel again: the answer is the packets as they were sent first, then RepairTold; or
    /// MarketRefused when they are not kept any more.
    RepairWanted = 434 {
        /// The request's number.
        request: ReqSeq,
        /// The first message wanted.
        from: ChannelSeq,
        /// How many.
        count: Count,
        /// The channel.
        channel: Count,
    }
    /// Asks for the hash of the series' book as it is: the answer is BookHashed.
    HashWanted = 435 {
        /// The request's number.
        request: ReqSeq,
    }
    /// Asks for the series' levels, trades, statistics and candles, told on a stream of the exchange's own.
    LevelsWanted = 436 {
        /// The request's number.
        request: ReqSeq,
    }
    /// The first message of the exchange: what holds on this connection.
    MarketWelcome = 440 {
        /// Identity of the journal.
        journal_id: JournalId,
        /// How many channels there are: a series is told on channel (number modulo this).
        channels: Count,
        /// How many messages one repair may have; kept are at least so many of a channel.
        repair_max: Count,
        /// How many series' levels may be followed.
        levels_max: Count,
        /// Zero.
        reserved: Reserved<4>,
        /// How often changed levels are told.
        conflation: Nanos,
        /// Silence of a channel after which an empty packet tells where it is.
        heartbeat: Nanos,
    }
    /// A request was refused.
    MarketRefused = 441 {
        /// The request's number.
        request: ReqSeq,
        /// Its template id.
        template: Count,
        /// Why.
        code: RejectCode,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// What was asked for has been told again, as far as there is so much.
    RepairTold = 442 {
        /// The request that asked for it.
        request: ReqSeq,
        /// In how many packets.
        packets: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
}
