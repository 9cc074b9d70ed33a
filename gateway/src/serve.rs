//! The gateway's thread: one runtime, one endpoint, one hub.

use crate::config::{GatewayConfig, Transport};
use crate::connection::{Shared, serve as serve_connection};
use crate::hub::{Borders, Hub};
use crate::stats::Stats;
use crate::tls;
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime, VarInt};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{LocalSet, spawn_local};
use xq_protocol::{Hash, Nanos};

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A certificate or key file is unfit.
    #[error("{}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No thread or runtime could be made.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
}

/// Asks the gateway to stop; its clones are one.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<(AtomicBool, Notify)>,
}

impl Stop {
    /// Asks; it cannot be taken back.
    pub fn stop(&self) {
        self.inner.0.store(true, Ordering::Release);
        self.inner.1.notify_one();
    }
    /// Resolves once it was asked.
    pub(crate) async fn asked(&self) {
        while !self.inner.0.load(Ordering::Acquire) {
            self.inner.1.notified().await;
        }
    }
}

/// A gateway that serves on a thread of its own.
pub struct Gateway {
    config: GatewayConfig,
    endpoint: Endpoint,
    address: SocketAddr,
    stats: Arc<Stats>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts the thread; returns once it has followed all events there are and listens.
    ///
    /// # Errors
    /// [`GatewayError`]: keys, address, thread.
    pub fn start(config: GatewayConfig, borders: Borders) -> Result<Gateway, GatewayError> {
        let (stats, stop) = (Arc::new(Stats::default()), Stop::default());
        stats
            .certificate_ends
            .store(tls::certificate_ends(&config)?, Ordering::Relaxed);
        let (ready, bound) = std::sync::mpsc::channel();
        let (counts, stopped, its_config) = (Arc::clone(&stats), stop.clone(), config.clone());
        let thread = std::thread::Builder::new()
            .name("xq-gateway".to_owned())
            .spawn(move || {
                let say = ready.clone();
                let told = |endpoint: &Endpoint, address| {
                    // Nobody listens when the starter has given up: then nobody needs to know.
                    let _ = say.send(Ok((endpoint.clone(), address)));
                };
                if let Err(error) = serve(&its_config, borders, (counts, stopped), told) {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(GatewayError::Start)?;
        let gone = || GatewayError::Start(std::io::Error::other("the gateway's thread ended"));
        let (endpoint, address) = bound.recv().map_err(|_| gone())??;
        Ok(Gateway {
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
    /// Reads certificates, key and authorities again. Whoever connects from now on meets the new ones; sessions that
    /// are up stay as they are.
    ///
    /// # Errors
    /// A file that cannot be read or is unfit, named; the old ones stay in use then.
    pub fn renew_keys(&self) -> Result<(), GatewayError> {
        let server = tls::order_entry_config(&self.config)?;
        let ends = tls::certificate_ends(&self.config)?;
        self.endpoint.set_server_config(Some(server));
        self.stats.certificate_ends.store(ends, Ordering::Relaxed);
        Ok(())
    }
    /// Its counts.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
    /// Tells every client that the exchange stops, offers their sessions' ends to the ring, and ends.
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

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves on the caller's thread until it is asked to stop; `ready` gets the endpoint and the address it listens at.
///
/// # Errors
/// [`GatewayError`]: keys, address, runtime.
pub fn serve(
    config: &GatewayConfig,
    borders: Borders,
    (stats, stop): (Arc<Stats>, Stop),
    ready: impl FnOnce(&Endpoint, SocketAddr),
) -> Result<(), GatewayError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(GatewayError::Start)?;
    let bell = Arc::clone(&borders.bell);
    let mut hub = Hub::new(config.limits, borders, Arc::clone(&stats));
    // Nobody may come in before all that was told is known again.
    while hub.poll() > 0 {}
    let hub = Rc::new(RefCell::new(hub));
    let copying = Rc::new(Semaphore::new(1));
    let shared = Shared { hub, stats, copying };
    LocalSet::new().block_on(&runtime, async {
        let server = tls::order_entry_config(config)?;
        let endpoint = listen(config.listen, &config.transport, server)?;
        let address = endpoint
            .local_addr()
            .map_err(|source| listen_error(config.listen, source))?;
        tracing::info!(%address, "gateway listens");
        ready(&endpoint, address);
        let follower = spawn_local(follow(shared.clone(), bell));
        let timer = spawn_local(tick(shared.clone(), config.limits.heartbeat));
        let door = spawn_local(accept(endpoint.clone(), config.transport.clone(), shared.clone()));
        stop.asked().await;
        door.abort();
        shared.hub.borrow_mut().stop();
        // Each connection says good-bye within a bounded time; then the endpoint has none.
        let _ = tokio::time::timeout(Duration::from_secs(2), endpoint.wait_idle()).await;
        endpoint.close(
            VarInt::from_u32(u32::from(xq_protocol::TerminateReason::ServerStopping as u8)),
            b"stopping",
        );
        follower.abort();
        timer.abort();
        Ok(())
    })
}

fn listen_error(address: SocketAddr, source: std::io::Error) -> GatewayError {
    GatewayError::Listen { address, source }
}

/// Listens at an address.
///
/// # Errors
/// [`GatewayError::Listen`].
pub(crate) fn listen(
    address: SocketAddr,
    transport: &Transport,
    server: ServerConfig,
) -> Result<Endpoint, GatewayError> {
    let socket = || -> std::io::Result<std::net::UdpSocket> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(transport.socket_buffer)?;
        socket.set_send_buffer_size(transport.socket_buffer)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    let socket = socket().map_err(|source| listen_error(address, source))?;
    let endpoint = tls::endpoint_config(transport);
    Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))
        .map_err(|source| listen_error(address, source))
}

/// Follows the events: one wake-up a durable batch.
async fn follow(shared: Shared, bell: Arc<Notify>) {
    loop {
        let followed = shared.hub.borrow_mut().poll();
        if followed > 0 {
            // The sessions' writers and readers get their turn between two batches.
            tokio::task::yield_now().await;
        } else {
            bell.notified().await;
        }
    }
}

async fn tick(shared: Shared, heartbeat: Nanos) {
    let period = Duration::from_nanos(heartbeat.0 / 4).max(Duration::from_millis(1));
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.hub.borrow_mut().tick();
    }
}

async fn accept(endpoint: Endpoint, limits: Transport, shared: Shared) {
    while let Some(incoming) = endpoint.accept().await {
        let open = usize::try_from(shared.stats.connections.get()).unwrap_or(usize::MAX);
        if open >= limits.connections_max {
            shared.stats.connections_refused.add(1);
            incoming.refuse();
        } else if open >= limits.retry_from && !incoming.remote_address_validated() {
            // Only an address that was validated already cannot be asked again, and it was not.
            let _ = incoming.retry();
        } else {
            let open = OpenConnection::count(&shared);
            spawn_local(connect(incoming, limits.handshake_within, shared.clone(), open));
        }
    }
}

/// Counts a connection as long as it is there.
struct OpenConnection(Arc<Stats>);

impl OpenConnection {
    fn count(shared: &Shared) -> OpenConnection {
        shared.stats.connections.add(1);
        OpenConnection(Arc::clone(&shared.stats))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.down();
    }
}

async fn connect(incoming: Incoming, within: Duration, shared: Shared, open: OpenConnection) {
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

/// SHA-256 of the client's own certificate.
pub(crate) fn fingerprint(connection: &quinn::Connection) -> Option<Hash> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Some(fingerprint_of(chain.first()?))
}

/// SHA-256 of a certificate's DER form: what SetKey names it by.
pub fn fingerprint_of(certificate: &CertificateDer<'_>) -> Hash {
    Hash(Sha256::digest(certificate.as_ref()).into())
}
