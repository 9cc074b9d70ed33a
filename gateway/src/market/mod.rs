//! Market data: the market as events make it, told to all who have a key, each on a connection of its own.
//!
//! [`Market`] and the hub are machines without I/O; one thread carries their packets as datagrams, and answers, repairs,
//! snapshots and levels on streams. It follows the events on its own: a subscriber costs the data path nothing.

mod channel;
mod connection;
mod counts;
mod door;
mod hub;
mod limits;
mod listing;
#[expect(clippy::module_inception, reason = "the market is what this room is about")]
mod market;
mod packer;
mod statistics;
mod subscribers;
mod telling;
mod tradings;

pub use counts::{Delays, MarketStats};
pub use door::{MARKET_ALPN, MarketConfig, MarketDoor};
pub use hub::{MarketBorders, MarketHub};
pub use limits::MarketLimits;
pub use market::Market;
pub use subscribers::SubscriberId;
pub use tradings::{BadTradings, Tradings};
