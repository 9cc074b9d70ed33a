//! What the gateway is told at its start.

use crate::{GatewayError, tls};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use xq_protocol::{Count, Nanos};

/// Addresses, keys and limits.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM file: the server's certificate chain.
    pub cert: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// PEM file: the authority that signs client certificates.
    pub client_ca: PathBuf,
    /// What a session may do.
    pub limits: Limits,
    /// What the transport may hold.
    pub transport: Transport,
}

impl GatewayConfig {
    /// Reads certificates and key, as a start would.
    ///
    /// # Errors
    /// A file that cannot be read or is unfit, named.
    pub fn check(&self) -> Result<(), GatewayError> {
        tls::order_entry_config(self).map(|_| ())
    }

    /// The first moment at which the server's certificate is not valid any more, Unix seconds.
    ///
    /// # Errors
    /// A file that cannot be read or is no certificate, named.
    pub fn certificate_ends(&self) -> Result<i64, GatewayError> {
        tls::certificate_ends(self)
    }
}

/// Limits of one session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time from the connection's start until its Establish.
    pub establish_within: Nanos,
    /// Silence after which a Sequence is sent.
    pub heartbeat: Nanos,
    /// Silence after which a connection is given up.
    pub lapse: Nanos,
    /// Requests a second that are let through; urgent ones always are.
    pub throttle_rate: Count,
    /// Requests at once that are let through.
    pub throttle_burst: Count,
    /// Messages of one retransmission.
    pub retransmit_max: Count,
    /// Bytes told and not yet written, after which a reader is too slow.
    pub outbox_max: usize,
    /// Bytes that are read from a connection at once.
    pub inbox: usize,
    /// The newest version of the rules that the exchange behind the door knows.
    pub rules_version_max: Count,
    /// Drop copies at once.
    pub drop_copies_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            establish_within: Nanos(3_000_000_000),
            heartbeat: Nanos(1_000_000_000),
            lapse: Nanos(3_000_000_000),
            throttle_rate: Count(100_000),
            throttle_burst: Count(10_000),
            retransmit_max: Count(4_096),
            outbox_max: 4 << 20,
            inbox: 64 << 10,
            rules_version_max: Count::ZERO,
            drop_copies_max: 16,
        }
    }
}

/// Limits of the transport.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Connections at once, handshakes included.
    pub connections_max: usize,
    /// From so many connections on, a new address must prove that it is reachable before anything is kept for it.
    pub retry_from: usize,
    /// Time that a handshake may take.
    pub handshake_within: Duration,
    /// Silence after which the transport itself gives up.
    pub idle: Duration,
    /// Streams a client may have open at once: its orders, a retransmission, drop copies.
    pub streams_max: u32,
    /// Bytes of one stream that may be under way to the gateway.
    pub stream_window: u32,
    /// Bytes of one connection that may be under way to the gateway.
    pub receive_window: u32,
    /// Bytes of one connection that may be under way to the client.
    pub send_window: u64,
    /// The kernel's buffers of the socket, each way.
    pub socket_buffer: usize,
    /// Largest UDP payload where the path is known (6,000 on loopback); none discovers it from 1,200 on. Less than 1,200
    /// counts as 1,200, and more than 6,500 as 6,500: the kernel takes ten payloads at a time, and 64 KiB in all.
    pub mtu: Option<u16>,
}

impl Default for Transport {
    fn default() -> Self {
        Transport {
            connections_max: 1_024,
            retry_from: 512,
            handshake_within: Duration::from_secs(3),
            idle: Duration::from_secs(10),
            streams_max: 8,
            stream_window: 256 << 10,
            receive_window: 512 << 10,
            send_window: 1 << 20,
            socket_buffer: 4 << 20,
            mtu: None,
        }
    }
}
