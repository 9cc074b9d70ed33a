//! Market data: right books of the series one follows, kept so through lost datagrams.
//!
//! [`MarketData`] is a connection; [`Follower`] the machine behind it, for those who carry its bytes themselves.

mod channel;
mod connection;
mod follower;
mod update;

pub use connection::{MarketConfig, MarketData};
pub use follower::{Follower, Tally};
pub use update::{BookChange, LevelsTold, Origin, Update};
