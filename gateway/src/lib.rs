//! The gateway: QUIC order entry, sessions, throttle, drop copies; market data on a thread of its own.
//!
//! Sessions are machines without I/O ([`session::Session`]); one thread carries bytes between QUIC streams, the machines
//! and the exchange's two borders ([`Ingress`], [`EventSource`]). What it must know of the exchange (keys, roles,
//! how much each session was told) it keeps by following the events, from the first one, or from where a snapshot begins.
//!
//! Architecture invariant: nothing here decides business, writes state, or knows the engine or a journal's format.

#![deny(unsafe_code)]

mod border;
mod config;
mod connection;
mod drop_copy;
mod floor;
mod frames;
mod hub;
mod market;
mod output;
mod pipe;
mod register;
mod repeats;
mod serve;
mod session;
mod stats;
mod throttle;
mod tls;
mod told;
mod trial;

pub use border::{Again, Begun, Clock, EventSource, Ingress};
pub use config::{GatewayConfig, Limits, Transport};
pub use frames::Inbound;
pub use hub::Borders;
pub use market::{
    BadTradings, Delays, MARKET_ALPN, Market, MarketBorders, MarketConfig, MarketDoor, MarketHub,
    MarketLimits, MarketStats, SubscriberId, Tradings,
};
pub use register::{BadRegister, Register};
pub use serve::{Gateway, GatewayError, Stop, fingerprint_of, serve};
pub use stats::{Counter, DURATION_STEPS, Durations, Stats};
pub use tls::ALPN;
pub use trial::{TrialAuthority, TrialKey};
