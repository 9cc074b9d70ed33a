//! Units as types: what is a price cannot be added to what is a quantity.

use crate::meta::{Shape, WireType};
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

macro_rules! unit {
    ($(#[doc = $doc:literal])* $name:ident($inner:ty), $primitive:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Zero, which for an id means "none".
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$inner>::MAX);
            /// The bare number.
            pub const fn get(self) -> $inner { self.0 }
            /// Says whether it is zero: for an id, none.
            pub const fn is_zero(self) -> bool { self.0 == 0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
        impl WireType for $name {
            const NAME: &'static str = stringify!($name);
            const SHAPE: Shape = Shape::Integer($primitive);
            const ABOUT: &'static str = concat!($($doc),*);
        }
    };
}

unit!(/// Place of a command in the command journal: 1 is Genesis.
    Seq(u64), "uint64");
unit!(/// Number of a request within its session, from 1, ever increasing; 0 for none.
    ReqSeq(u64), "uint64");
unit!(/// Nanoseconds: UTC since 1970 for an instant, or a duration where the name says so; 0 for none.
    Nanos(u64), "uint64");
unit!(/// Price: minor units of the series' currency for one coupon.
    Price(u64), "uint64");
unit!(/// Quantity of coupons in one order, fill or command, at most 4,294,967,295.
    Qty(u32), "uint32");
unit!(/// Amount of an asset: minor units of a currency, or coupons of a series.
    Amount(u64), "uint64");
unit!(/// Fee or rebate in minor units: positive is paid by the account, negative is paid to it.
    Fee(i64), "int64");
unit!(/// Rate in parts per million of the amount traded: positive is a fee, negative a rebate.
    Ppm(i32), "int32");
unit!(/// Basis points: hundredths of one percent.
    Bps(u32), "uint32");
unit!(/// A series, given by whoever drafts it; 0 is none.
    SeriesId(u32), "uint32");
unit!(/// An account, given by whoever opens it; 0 is none.
    AccountId(u32), "uint32");
unit!(/// A participant, given by whoever registers it, below 268,435,456; 0 is the house.
    ParticipantId(u32), "uint32");
unit!(/// An order, given by the exchange: it names the order's place and how often that place was used.
    OrderId(u64), "uint64");
unit!(/// A session: its participant × 16 + which of the participant's sixteen; 0 is the house.
    SessionId(u32), "uint32");
unit!(/// Number of a connection within its session, increasing.
    ConnectionId(u64), "uint64");
unit!(/// Currency by its ISO 4217 numeric code: 156 is CNY.
    Currency(u16), "uint16");
unit!(/// Asset: a series' id for its coupons, or 2,147,483,648 + the currency for cash.
    AssetId(u32), "uint32");
unit!(/// Business date as the number year × 10,000 + month × 100 + day; 0 is none.
    Date(u32), "uint32");
unit!(/// Fee schedule, 0 to 255.
    ScheduleId(u16), "uint16");
unit!(/// Number of a message within its market-data channel, from 1 without gaps; they begin anew with each start.
    ChannelSeq(u64), "uint64");
unit!(/// Market-data channels, a bit each: the lowest is channel 0.
    ChannelMask(u64), "uint64");
unit!(/// Hash of a book: equal for the same orders in the same places.
    BookHash(u64), "uint64");
unit!(/// A market maker's own number of a quote.
    QuoteId(u64), "uint64");
unit!(/// A plain count.
    Count(u32), "uint32");
unit!(/// Case number of the authority or officer who ordered a measure.
    CaseId(u64), "uint64");
unit!(/// A reject code: printed `R` and the number, see the list of errors.
    RejectCode(u16), "uint16");
unit!(/// A number whose unit the reject code tells.
    Observed(u64), "uint64");

/// What a coupon exchange moves: coupons of a series, or money of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// Coupons of one series.
    Coupon(SeriesId),
    /// Money.
    Cash(Currency),
}

const CASH_BIT: u32 = 1 << 31;

impl AssetId {
    /// The asset's kind and id.
    pub fn asset(self) -> Asset {
        if self.0 & CASH_BIT == 0 {
            Asset::Coupon(SeriesId(self.0))
        } else {
            Asset::Cash(Currency(
                u16::try_from(self.0 & 0xFFFF).expect("masked to 16 bits"),
            ))
        }
    }
}

impl From<SeriesId> for AssetId {
    #[inline]
    fn from(series: SeriesId) -> Self {
        AssetId(series.0 & !CASH_BIT)
    }
}

impl From<Currency> for AssetId {
    #[inline]
    fn from(currency: Currency) -> Self {
        AssetId(u32::from(currency.0) | CASH_BIT)
    }
}

impl SessionId {
    /// The house itself: timer, recovery, gateways speaking about sessions.
    pub const HOUSE: SessionId = SessionId(0);
    /// How many sessions a participant may have.
    pub const SLOTS: u32 = 16;

    /// The `slot`-th session (0 to 15) of a participant, or none when either is out of range.
    pub fn of(participant: ParticipantId, slot: u32) -> Option<SessionId> {
        (slot < Self::SLOTS && participant.0 < 1 << 28).then_some(SessionId(participant.0 << 4 | slot))
    }
    /// Whose session it is.
    pub const fn participant(self) -> ParticipantId {
        ParticipantId(self.0 >> 4)
    }
    /// Which of the participant's sixteen.
    pub const fn slot(self) -> u32 {
        self.0 & 15
    }
}

impl Price {
    /// The amount of money that `qty` coupons cost: exact, since 64 × 32 bits fit the checked product; none on overflow of an amount.
    #[inline]
    pub fn times(self, qty: Qty) -> Option<Amount> {
        self.0.checked_mul(u64::from(qty.0)).map(Amount)
    }
}

impl Amount {
    /// The sum, or none on overflow.
    #[inline]
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }
    /// The difference, or none when `other` is larger.
    #[inline]
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }
}

impl From<Qty> for Amount {
    #[inline]
    fn from(qty: Qty) -> Self {
        Amount(u64::from(qty.0))
    }
}

impl Seq {
    /// The next one.
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// Code and number of decimals of the ISO 4217 currencies that a venue may admit.
const CURRENCIES: &[(u16, &str, u8)] = &[
    (36, "AUD", 2),
    (124, "CAD", 2),
    (156, "CNY", 2),
    (208, "DKK", 2),
    (344, "HKD", 2),
    (356, "INR", 2),
    (360, "IDR", 2),
    (392, "JPY", 0),
    (410, "KRW", 0),
    (414, "KWD", 3),
    (446, "MOP", 2),
    (458, "MYR", 2),
    (554, "NZD", 2),
    (578, "NOK", 2),
    (608, "PHP", 2),
    (643, "RUB", 2),
    (682, "SAR", 2),
    (702, "SGD", 2),
    (704, "VND", 0),
    (752, "SEK", 2),
    (756, "CHF", 2),
    (764, "THB", 2),
    (784, "AED", 2),
    (826, "GBP", 2),
    (840, "USD", 2),
    (901, "TWD", 2),
    (978, "EUR", 2),
    (986, "BRL", 2),
];

impl Currency {
    /// The currency with this three-letter code.
    pub fn from_code(code: &str) -> Option<Currency> {
        CURRENCIES
            .iter()
            .find(|(_, c, _)| *c == code)
            .map(|(n, _, _)| Currency(*n))
    }
    /// The three-letter code, when it is one that a venue may admit.
    pub fn code(self) -> Option<&'static str> {
        CURRENCIES
            .iter()
            .find(|(n, _, _)| *n == self.0)
            .map(|(_, c, _)| *c)
    }
    /// How many decimals a major unit has.
    pub fn exponent(self) -> Option<u8> {
        CURRENCIES
            .iter()
            .find(|(n, _, _)| *n == self.0)
            .map(|(_, _, e)| *e)
    }
}

macro_rules! bytes {
    ($(#[doc = $doc:literal])* $name:ident[$length:literal], $shape:ident) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub [u8; $length]);
        impl $name {
            /// All bytes zero: none.
            pub const ZERO: Self = Self([0; $length]);
            /// Says whether all bytes are zero.
            pub fn is_zero(&self) -> bool { self.0 == [0; $length] }
        }
        impl Default for $name { fn default() -> Self { Self::ZERO } }
        impl WireType for $name {
            const NAME: &'static str = stringify!($name);
            const SHAPE: Shape = Shape::$shape($length);
            const ABOUT: &'static str = concat!($($doc),*);
        }
    };
}

bytes!(/// The client's own order id: any 16 bytes not all zero, ASCII padded with zeros by custom.
    ClOrdId[16], Text);
bytes!(/// A series' symbol: 1 to 16 ASCII letters, digits, `-`, `_` or `.`, padded with zeros.
    Symbol[16], Text);
bytes!(/// A SHA-256 hash.
    Hash[32], Bytes);
bytes!(/// Identity of a journal, drawn when it is created.
    JournalId[16], Bytes);
bytes!(/// A bank's reference of a payment, padded with zeros.
    BankRef[16], Text);

macro_rules! text_bytes {
    ($name:ident, $length:literal) => {
        impl $name {
            /// From a text of 1 to as many bytes as fit; none when it is empty, too long or not printable ASCII.
            pub fn from_text(text: &str) -> Option<Self> {
                let ok =
                    !text.is_empty() && text.len() <= $length && text.bytes().all(|b| b.is_ascii_graphic());
                let mut bytes = [0; $length];
                bytes
                    .get_mut(..text.len())
                    .filter(|_| ok)?
                    .copy_from_slice(text.as_bytes());
                Some(Self(bytes))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0.iter().take_while(|b| **b != 0) {
                    write!(f, "{}", byte.escape_ascii())?;
                }
                Ok(())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{self}\"")
            }
        }
    };
}
text_bytes!(ClOrdId, 16);
text_bytes!(Symbol, 16);
text_bytes!(BankRef, 16);

macro_rules! hex_bytes {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex_bytes!(Hash);
hex_bytes!(JournalId);

/// The currencies a venue admits, at most eight; unused places are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Currencies(pub [Currency; 8]);

/// Two-sided legs that one quote can have.
pub const LEGS: usize = 16;

macro_rules! of_legs {
    ($(#[doc = $doc:literal])* $name:ident($unit:ty), $primitive:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub [$unit; LEGS]);

        impl WireType for $name {
            const NAME: &'static str = stringify!($name);
            const SHAPE: Shape = Shape::Integers($primitive, LEGS);
            const ABOUT: &'static str = concat!($($doc),*);
        }
    };
}

of_legs!(/// The series of sixteen legs; 0 for a leg that is not used.
    LegSeries(SeriesId), "uint32");
of_legs!(/// Quantities of sixteen legs; 0 for a side that is not quoted.
    LegQtys(Qty), "uint32");
of_legs!(/// Prices of sixteen legs; 0 for a side that is not quoted.
    LegPrices(Price), "uint64");

impl WireType for Currencies {
    const NAME: &'static str = "Currencies";
    const SHAPE: Shape = Shape::Bytes(16);
    const ABOUT: &'static str = " Eight currencies as 16-bit ISO 4217 numeric codes, unused ones zero.";
}
