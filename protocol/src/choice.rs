//! The closed choices that commands and events carry, one byte each.

use crate::meta::{Shape, WireType};
use std::fmt;
use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident { $( $(#[doc = $item_doc:literal])* $item:ident = $value:literal $text:literal ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(u8)]
        pub enum $name { $( $(#[doc = $item_doc])* $item = $value ),* }

        impl $name {
            /// Every choice, in order.
            pub const ALL: &'static [$name] = &[ $( $name::$item ),* ];
            /// How the text notation writes it.
            pub fn text(self) -> &'static str { match self { $( $name::$item => $text ),* } }
            /// The choice that the text notation writes so.
            pub fn from_text(text: &str) -> Option<$name> { match text { $( $text => Some($name::$item), )* _ => None } }
            /// The byte on the wire.
            pub const fn byte(self) -> u8 { match self { $( $name::$item => $value ),* } }
            /// The choice that has this byte.
            pub const fn from_byte(byte: u8) -> Option<$name> { match byte { $( $value => Some($name::$item), )* _ => None } }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.text()) }
        }
        impl WireType for $name {
            const NAME: &'static str = stringify!($name);
            const SHAPE: Shape = Shape::Choice(&[ $( ($value, stringify!($item)) ),* ]);
            const ABOUT: &'static str = concat!($($doc),*);
        }
    };
}

choice!(/// Side of an order.
    Side {
    /// Buys coupons for cash.
    Buy = 0 "buy",
    /// Sells coupons for cash.
    Sell = 1 "sell",
});

impl Side {
    /// The other side.
    #[inline]
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

choice!(/// Which sides a mass cancel takes.
    Sides {
    /// Both.
    Both = 0 "both",
    /// Buy orders only.
    Buys = 1 "buys",
    /// Sell orders only.
    Sells = 2 "sells",
});

choice!(/// Order type.
    OrderType {
    /// Trades at its limit or better.
    Limit = 0 "limit",
    /// Trades at any price within the static collar; what cannot trade at once is cancelled.
    Market = 1 "market",
    /// Waits until the last trade's price reaches its stop, then is a market order.
    Stop = 2 "stop",
    /// Waits until the last trade's price reaches its stop, then is a limit order.
    StopLimit = 3 "stop-limit",
});

choice!(/// Time in force.
    TimeInForce {
    /// Good till cancelled.
    Gtc = 0 "gtc",
    /// Good for the business day.
    Day = 1 "day",
    /// Good till the instant given.
    Gtd = 2 "gtd",
    /// Immediate or cancel: what does not trade at once is cancelled.
    Ioc = 3 "ioc",
    /// Fill or kill: all at once or nothing.
    Fok = 4 "fok",
});

choice!(/// Whether an order may take.
    Execution {
    /// It may make and take.
    Any = 0 "any",
    /// It only makes: refused when it would trade at once.
    PostOnly = 1 "post-only",
    /// It only makes: one tick short of the best opposite price when it would trade at once.
    PostOnlyReprice = 2 "post-only-reprice",
});

choice!(/// What becomes of an order that meets one of its own participant's; the order that arrives says which.
    SelfTradePrevention {
    /// What is left of the arriving order is cancelled.
    CancelNewest = 0 "cancel-newest",
    /// The resting order is cancelled, the arriving one goes on.
    CancelOldest = 1 "cancel-oldest",
    /// Both are cancelled.
    CancelBoth = 2 "cancel-both",
    /// Both lose the smaller one's quantity: the smaller is cancelled, the larger is reduced and goes on.
    Decrement = 3 "decrement",
});

choice!(/// What becomes of an order when its session ends.
    OnDisconnect {
    /// Cancelled after the grace period.
    Cancel = 0 "cancel",
    /// Stays.
    Persist = 1 "persist",
});

choice!(/// Where an order stands.
    Standing {
    /// In the book.
    Book = 0 "book",
    /// Outside of it, waiting for its stop.
    Waiting = 1 "waiting",
});

choice!(/// Phase of a market.
    Phase {
    /// Refuses all but cancels; not open yet, or for the day.
    Closed = 0 "closed",
    /// Matches continuously.
    Continuous = 1 "continuous",
    /// Stopped: refuses all but cancels.
    Halt = 2 "halt",
});

choice!(/// State of a series.
    SeriesState {
    /// Described, not covered.
    Draft = 0 "draft",
    /// Escrow has been posted.
    Escrowed = 1 "escrowed",
    /// Registered: units may be issued and trade.
    Registered = 2 "registered",
});

choice!(/// What a participant is.
    Role {
    /// The house itself: timer, recovery, gateways.
    House = 0 "house",
    /// Trades for its own accounts, or a platform for its users'.
    Trader = 1 "trader",
    /// Quotes both sides.
    MarketMaker = 2 "market-maker",
    /// Issues series.
    Issuer = 3 "issuer",
    /// Redeems coupons.
    Merchant = 4 "merchant",
    /// Keeps the escrow and reports cash.
    Bank = 5 "bank",
    /// Watches risk.
    Risk = 6 "risk",
    /// Runs the venue.
    Operator = 7 "operator",
    /// Supervises the venue.
    Regulator = 8 "regulator",
});

choice!(/// What a key is for.
    KeyPurpose {
    /// Its certificate opens sessions.
    Session = 0 "session",
});

choice!(/// Whether a key holds.
    KeyState {
    /// It holds from here on.
    Valid = 0 "valid",
    /// It does not hold any more.
    Revoked = 1 "revoked",
});

choice!(/// What a kill switch aims at.
    KillTarget {
    /// One participant, all its accounts.
    Participant = 0 "participant",
    /// One series.
    Series = 1 "series",
});

choice!(/// Whether a kill switch is thrown.
    SwitchState {
        /// Thrown: orders are cancelled and refused.
        Engaged = 0 "engage",
        /// Released.
        Released = 1 "release",
});

choice!(/// What is done to a freeze.
    FreezeAction {
    /// Orders are cancelled, what is available is frozen.
    Place = 0 "place",
    /// What is frozen becomes available.
    Lift = 1 "lift",
});

choice!(/// Why an order was cancelled.
    CancelReason {
    /// Its owner asked.
    Requested = 0 "requested",
    /// Immediate or cancel, market, or fill or kill: the rest.
    Unfilled = 1 "unfilled",
    /// It would have traded with an order of its own participant.
    SelfTrade = 2 "self-trade",
    /// Its time is over.
    Expired = 3 "expired",
    /// Mass cancel.
    MassCancel = 4 "mass-cancel",
    /// Its session ended.
    Disconnect = 5 "disconnect",
    /// A kill switch was thrown.
    KillSwitch = 6 "kill-switch",
    /// Its account was frozen.
    Freeze = 7 "freeze",
    /// One command may make only so many fills: the rest.
    FillLimit = 8 "fill-limit",
    /// Its quote was changed or withdrawn.
    Quote = 9 "quote",
    /// The market maker's protection was set off.
    Protection = 10 "protection",
    /// The next price would have left the dynamic collar: the rest.
    DynamicCollar = 11 "dynamic-collar",
});

choice!(/// Who made and who took.
    Liquidity {
    /// It rested.
    Maker = 0 "maker",
    /// It arrived.
    Taker = 1 "taker",
});

choice!(/// What a larger job does, a bounded piece at each tick.
    JobKind {
    /// Cancels a participant's, account's or series' orders as a mass cancel asked.
    MassCancel = 0 "mass-cancel",
    /// Cancels the orders of a session that ended.
    Disconnect = 1 "disconnect",
    /// Cancels what a kill switch aims at.
    KillSwitch = 2 "kill-switch",
    /// Cancels a frozen account's orders, then moves what it has.
    Freeze = 3 "freeze",
    /// Moves back what a freeze took.
    Lift = 4 "lift",
    /// Cancels what the business day ended.
    Expiry = 5 "expiry",
    /// Cancels a market maker's quotes after its protection was set off.
    Protection = 6 "protection",
});

choice!(/// Whether a larger job goes on.
    Progress {
    /// It has done all.
    Done = 0 "done",
    /// It goes on at the next ticks.
    Continues = 1 "continues",
});

choice!(/// A byte that must be zero.
    Zero {
    /// The only value.
    Zero = 0 "0",
});

/// Bytes kept for later versions: zero now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Reserved<const N: usize>([Zero; N]);

impl<const N: usize> Reserved<N> {
    /// The only value.
    pub const ZERO: Self = Self([Zero::Zero; N]);
}

impl<const N: usize> Default for Reserved<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const N: usize> WireType for Reserved<N> {
    const NAME: &'static str = "Reserved";
    const SHAPE: Shape = Shape::Zeros(N);
    const ABOUT: &'static str = " Bytes kept for later versions: zero.";
}
