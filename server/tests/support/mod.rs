//! What the tests of the running exchange share: a client that says exactly what it is told to, and whole venues.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod quic_door;
pub mod raw;
pub mod subscriber;
pub mod venue;

use std::time::Duration;

/// What is waited for comes within this time, or never.
pub const SOON: Duration = Duration::from_secs(20);
