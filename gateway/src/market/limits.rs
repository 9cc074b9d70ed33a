//! What market data may take: every table and queue of it has its bound here.

use xq_protocol::{Count, Nanos};

/// Limits of market data.
#[derive(Clone, Copy, Debug)]
pub struct MarketLimits {
    /// Channels, 1 to 64: a series is told on channel (number modulo this). Never changes while the exchange runs.
    pub channels: u16,
    /// Messages of each channel that are kept to be told again.
    pub kept: u64,
    /// Messages that one repair may have.
    pub repair_max: Count,
    /// Orders that a snapshot may have.
    pub snapshot_orders_max: usize,
    /// Orders of snapshots a second that one subscriber may have told; as many as a snapshot may have at once.
    pub snapshot_orders_rate: Count,
    /// Snapshots that a subscriber may wait for.
    pub snapshots_waiting_max: usize,
    /// Snapshots that are under way at once, to all subscribers.
    pub snapshots_at_once: usize,
    /// Series whose levels a subscriber may follow.
    pub levels_max: Count,
    /// How often changed levels are told.
    pub conflation: Nanos,
    /// Silence of a channel after which an empty packet tells where it is.
    pub heartbeat: Nanos,
    /// Requests a second of one subscriber; as many at once.
    pub requests_rate: Count,
    /// Subscribers at once.
    pub subscribers_max: usize,
    /// Subscribers at once of one participant.
    pub subscribers_each: usize,
    /// Bytes waiting to be written to one stream, after which a reader is too slow.
    pub outbox_max: usize,
    /// Bytes of datagrams that may wait for the path to one subscriber; the oldest are lost.
    pub datagrams_max: usize,
    /// How long a stream's reader may take nothing of what waits for it.
    pub stall: Nanos,
}

impl Default for MarketLimits {
    fn default() -> Self {
        MarketLimits {
            channels: 4,
            kept: 65_536,
            repair_max: Count(16_384),
            snapshot_orders_max: 262_144,
            snapshot_orders_rate: Count(131_072),
            snapshots_waiting_max: 1_024,
            snapshots_at_once: 4,
            levels_max: Count(256),
            conflation: Nanos(100_000_000),
            heartbeat: Nanos(1_000_000_000),
            requests_rate: Count(2_000),
            subscribers_max: 64,
            subscribers_each: 8,
            outbox_max: 4 << 20,
            datagrams_max: 4 << 20,
            stall: Nanos(5_000_000_000),
        }
    }
}
