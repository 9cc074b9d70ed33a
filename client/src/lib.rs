//! What a participant links: a session of the exchange over QUIC, kept up across lost connections.
//!
//! [`Client::connect`] establishes a session; [`Client::place`] and its like send requests under increasing numbers;
//! [`Client::next_event`] hears what became of them. A lost connection is sought again: what was missed is told again
//! first, what is unanswered is sent again under its own number, and the exchange executes no number twice.
//!
//! [`market::MarketData`] keeps right books of the series one follows, on a connection of its own.
//!
//! Architecture invariant: nothing here knows the gateway or any other room but the protocol.

#![deny(unsafe_code)]

mod client;
mod driver;
mod drop_copy;
mod error;
mod link;
pub mod market;
mod outbox;
mod resume;
mod wire;

pub use client::{Client, Config, Report, Reports, Sender};
pub use drop_copy::{Copied, DropCopy, EventPlace};
pub use error::ClientError;
pub use resume::Resume;
pub use xq_protocol as protocol;
