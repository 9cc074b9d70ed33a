//! The FIX 4.4 gateway: sessions, sockets and translation for e-commerce platforms.
//!
//! Sessions are machines without I/O ([`session::Session`]); one thread carries bytes between sockets, the machines and
//! an application. How much each session was told, and with which numbers, lasts as long as the application's record of
//! it does: for the exchange that is the event journal.
//!
//! Architecture invariant: nothing here decides business, and no connection is waited for.

#![deny(unsafe_code)]

pub mod desk;
pub mod dictionary;
pub mod door;
pub mod floor;
pub mod format;
pub mod reject;
pub mod session;
pub mod tag;
pub mod transport;
pub mod wire;
