//! What a subscriber hears.

use xq_protocol::{
    BestTold, Book, BookError, CandleTold, ChannelSeq, LevelTold, MarketMessage, Nanos, PhaseTold,
    RejectReason, RestingAdded, RestingDeleted, RestingExecuted, RestingMoved, RestingReduced, Seq, SeriesId,
    SeriesTold, StatisticsTold, TradeBroken, TradeTold,
};

/// One change of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookChange {
    /// An order rests.
    Added(RestingAdded),
    /// A resting order traded.
    Executed(RestingExecuted),
    /// A resting order has less quantity.
    Reduced(RestingReduced),
    /// A resting order is gone.
    Deleted(RestingDeleted),
    /// A resting order stands elsewhere.
    Moved(RestingMoved),
}

impl BookChange {
    /// The change that a message tells, if it tells one.
    pub fn of(message: &MarketMessage<'_>) -> Option<BookChange> {
        match message {
            MarketMessage::RestingAdded(added) => Some(BookChange::Added(**added)),
            MarketMessage::RestingExecuted(executed) => Some(BookChange::Executed(**executed)),
            MarketMessage::RestingReduced(reduced) => Some(BookChange::Reduced(**reduced)),
            MarketMessage::RestingDeleted(deleted) => Some(BookChange::Deleted(**deleted)),
            MarketMessage::RestingMoved(moved) => Some(BookChange::Moved(**moved)),
            MarketMessage::TradeTold(_)
            | MarketMessage::TradeBroken(_)
            | MarketMessage::PhaseTold(_)
            | MarketMessage::SeriesTold(_)
            | MarketMessage::LevelsBegan(_)
            | MarketMessage::LevelTold(_)
            | MarketMessage::BestTold(_)
            | MarketMessage::SnapshotBegan(_)
            | MarketMessage::BookHashed(_)
            | MarketMessage::StatisticsTold(_)
            | MarketMessage::CandleTold(_)
            | MarketMessage::SeriesWanted(_)
            | MarketMessage::ChannelsWanted(_)
            | MarketMessage::SnapshotWanted(_)
            | MarketMessage::RepairWanted(_)
            | MarketMessage::HashWanted(_)
            | MarketMessage::LevelsWanted(_)
            | MarketMessage::MarketWelcome(_)
            | MarketMessage::MarketRefused(_)
            | MarketMessage::RepairTold(_) => None,
        }
    }

    /// Makes it in a book.
    ///
    /// # Errors
    /// The book cannot be changed so: a message was missed.
    pub fn apply(&self, book: &mut Book) -> Result<(), BookError> {
        match self {
            BookChange::Added(added) => book.add(added.order, added.side, added.price, added.qty),
            BookChange::Executed(executed) => book.reduce(executed.order, executed.leaves).map(drop_side),
            BookChange::Reduced(reduced) => book.reduce(reduced.order, reduced.leaves).map(drop_side),
            BookChange::Deleted(deleted) => book.reduce(deleted.order, xq_protocol::Qty::ZERO).map(drop_side),
            BookChange::Moved(moved) => book.relocate(moved.order, moved.price, moved.qty).map(drop_side),
        }
    }
}

fn drop_side(_: xq_protocol::Side) {}

/// What is told to those who follow levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelsTold {
    /// All levels follow: what was known is forgotten.
    Began,
    /// What is open at a price.
    Level(LevelTold),
    /// The best prices.
    Best(BestTold),
    /// A trade.
    Trade(TradeTold),
    /// A trade of the day was undone.
    Broken(TradeBroken),
    /// The business day so far.
    Statistics(StatisticsTold),
    /// A candle.
    Candle(CandleTold),
}

/// Where a change stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Number of its message in its channel.
    pub number: ChannelSeq,
    /// The command behind it: private reports of the same command bear it too.
    pub seq: Seq,
    /// When that command entered the exchange.
    pub time: Nanos,
    /// It is the last message of its command on this channel.
    pub is_last: bool,
}

/// What a subscriber hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The book of a series is right from here on.
    Valid(SeriesId),
    /// The book of a series is not right any more, until it is said to be; it heals by itself.
    Invalid(SeriesId),
    /// A right book changed.
    Changed {
        /// The series.
        series: SeriesId,
        /// Where the change stands.
        origin: Origin,
        /// The change; the book has followed it.
        change: BookChange,
    },
    /// The phase of a series changed; of the venue where it is zero.
    Phase(SeriesId, PhaseTold),
    /// What a series is.
    Series(SeriesId, SeriesTold),
    /// Levels of a series.
    Levels(SeriesId, LevelsTold),
    /// A book that was checked is right at this message; none when it had gone on before the answer came.
    Checked(SeriesId, Option<ChannelSeq>),
    /// A request was refused.
    Refused {
        /// The request's template id.
        template: u16,
        /// Why; none for a code that this client does not know.
        reason: Option<RejectReason>,
    },
}
