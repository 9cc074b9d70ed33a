//! The thread of market data: one runtime, one endpoint, one hub.

use super::connection::{Shared, serve as serve_connection};
use super::counts::MarketStats;
use super::hub::{MarketBorders, MarketHub};
use super::limits::MarketLimits;
use crate::serve::{Stop, fingerprint, listen};
use crate::tls::{self, Papers};
use crate::{GatewayError, Transport};
use quinn::{Endpoint, Incoming, VarInt};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use xq_protocol::{Nanos, PACKET_MAX, TerminateReason};

/// The protocol's name in the handshake.
pub const MARKET_ALPN: &[u8] = b"xqmd/1";

/// Packets that a connection's driver sends in one turn.
const PACKETS_A_TURN: usize = 16;

/// Addresses, keys and limits of market data.
#[derive(Clone, Debug)]
pub struct MarketConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM file: the server's certificate chain.
    pub cert: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// PEM file: the authority that signs client certificates.
    pub client_ca: PathBuf,
    /// What market data may take.
    pub limits: MarketLimits,
    /// What the transport may hold; its streams are market data's own.
    pub transport: Transport,
}

impl MarketConfig {
    fn server_config(&self) -> Result<quinn::ServerConfig, GatewayError> {
        let papers = Papers {
            cert: &self.cert,
            key: &self.key,
            client_ca: &self.client_ca,
        };
        let mut streams = tls::transport(&self.transport);
        streams
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(1))
            // Nothing is said in datagrams to the exchange; without room for one it may not send any either.
            .datagram_receive_buffer_size(Some(PACKET_MAX))
            .datagram_send_buffer_size(self.limits.datagrams_max);
        tls::server_config(&papers, MARKET_ALPN, (streams, self.transport.connections_max))
    }
}

/// Market data that is served on a thread of its own.
pub struct MarketDoor {
    config: MarketConfig,
    endpoint: Endpoint,
    address: SocketAddr,
    stats: Arc<MarketStats>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl MarketDoor {
    /// Starts the thread; returns once it listens. `borders` are made on it, since they may take a while.
    ///
    /// # Errors
    /// [`GatewayError`]: keys, address, thread.
    pub fn start(
        config: MarketConfig,
        borders: impl FnOnce() -> MarketBorders + Send + 'static,
    ) -> Result<MarketDoor, GatewayError> {
        let (stats, stop): (Arc<MarketStats>, Stop) = Default::default();
        let (ready, bound) = std::sync::mpsc::channel();
        let (counts, stopped, its_config) = (Arc::clone(&stats), stop.clone(), config.clone());
        let thread = std::thread::Builder::new()
            .name("xq-market".to_owned())
            .spawn(move || {
                let say = ready.clone();
                let told = |endpoint: &Endpoint, address| {
                    // Nobody listens when the starter has given up: then nobody needs to know.
                    let _ = say.send(Ok((endpoint.clone(), address)));
                };
                if let Err(error) = run(&its_config, borders, (counts, stopped), told) {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(GatewayError::Start)?;
        let gone = || GatewayError::Start(std::io::Error::other("the thread of market data ended"));
        let (endpoint, address) = bound.recv().map_err(|_| gone())??;
        Ok(MarketDoor {
            config,
            endpoint,
            address,
            stats,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Reads certificates, key and authorities again, for those who connect from now on.
    ///
    /// # Errors
    /// A file that cannot be read or is unfit, named; the old ones stay in use then.
    pub fn renew_keys(&self) -> Result<(), GatewayError> {
        self.endpoint
            .set_server_config(Some(self.config.server_config()?));
        Ok(())
    }
    /// Its counts.
    pub fn stats(&self) -> &Arc<MarketStats> {
        &self.stats
    }
    /// Tells every subscriber that the exchange stops, and ends.
    pub fn stop(mut self) {
        self.end();
    }
    fn end(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported there.
            let _ = thread.join();
        }
    }
}

impl Drop for MarketDoor {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    config: &MarketConfig,
    borders: impl FnOnce() -> MarketBorders,
    (stats, stop): (Arc<MarketStats>, Stop),
    ready: impl FnOnce(&Endpoint, SocketAddr),
) -> Result<(), GatewayError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(GatewayError::Start)?;
    LocalSet::new().block_on(&runtime, async {
        let endpoint = listen(config.listen, &config.transport, config.server_config()?)?;
        let address = endpoint.local_addr().map_err(|source| GatewayError::Listen {
            address: config.listen,
            source,
        })?;
        tracing::info!(%address, "market data listens");
        ready(&endpoint, address);
        let borders = borders();
        let bell = Arc::clone(&borders.bell);
        let hub = MarketHub::new(config.limits, borders, Arc::clone(&stats));
        let shared = Shared {
            hub: Rc::new(RefCell::new(hub)),
            connections: Rc::default(),
            stats,
        };
        let follower = spawn_local(follow(shared.clone(), bell));
        let timer = spawn_local(tick(shared.clone(), config.limits.conflation));
        let door = spawn_local(accept(endpoint.clone(), config.transport.clone(), shared.clone()));
        stop.asked().await;
        door.abort();
        shared.hub.borrow_mut().stop();
        // Each connection says good-bye within a bounded time; then the endpoint has none.
        let _ = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
        let code = u32::from(TerminateReason::ServerStopping as u8);
        endpoint.close(VarInt::from_u32(code), b"stopping");
        follower.abort();
        timer.abort();
        Ok(())
    })
}

/// Follows the events: one wake-up a durable batch, and turns for the connections to send what it gave.
async fn follow(shared: Shared, bell: Arc<Notify>) {
    loop {
        let (followed, packets) = shared.poll();
        if followed == 0 {
            bell.notified().await;
            continue;
        }
        for _ in 0..=packets / PACKETS_A_TURN {
            tokio::task::yield_now().await;
        }
    }
}

async fn tick(shared: Shared, conflation: Nanos) {
    let period = Duration::from_nanos(conflation.0 / 2).max(Duration::from_millis(1));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.tick();
    }
}

async fn accept(endpoint: Endpoint, limits: Transport, shared: Shared) {
    let open = Rc::new(());
    while let Some(incoming) = endpoint.accept().await {
        // Each connection, handshakes included, holds a clone.
        let connections = Rc::strong_count(&open) - 1;
        if connections >= limits.connections_max {
            incoming.refuse();
        } else if connections >= limits.retry_from && !incoming.remote_address_validated() {
            // Only an address that was validated already cannot be asked again, and it was not.
            let _ = incoming.retry();
        } else {
            spawn_local(connect(
                incoming,
                limits.handshake_within,
                shared.clone(),
                Rc::clone(&open),
            ));
        }
    }
}

async fn connect(incoming: Incoming, within: Duration, shared: Shared, open: Rc<()>) {
    let Ok(connecting) = incoming.accept() else { return };
    match tokio::time::timeout(within, connecting).await {
        Ok(Ok(connection)) => {
            if let Some(fingerprint) = fingerprint(&connection) {
                serve_connection(connection, fingerprint, shared).await;
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "handshake failed"),
        Err(_) => tracing::debug!("handshake took too long"),
    }
    drop(open);
}
