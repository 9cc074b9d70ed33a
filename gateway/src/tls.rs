//! The transport's configuration: mutual TLS 1.3, no early data, every limit set.

use crate::GatewayError;
use crate::config::{GatewayConfig, Transport};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, crypto};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The protocol's name in the handshake.
pub const ALPN: &[u8] = b"xqoe/1";

/// Smallest UDP payload that the transport allows.
const MTU_MIN: u16 = 1_200;
/// Largest UDP payload: the kernel splits at most 64 KiB at once into datagrams, and quinn hands it ten.
const MTU_MAX: u16 = 6_500;

/// The files that a server shows itself and knows its clients by.
pub struct Papers<'a> {
    /// PEM file: the server's certificate chain.
    pub cert: &'a Path,
    /// PEM file: its private key.
    pub key: &'a Path,
    /// PEM file: the authority that signs client certificates.
    pub client_ca: &'a Path,
}

/// The server's side of every handshake of order entry.
///
/// # Errors
/// A file that cannot be read or holds no key, named.
pub fn order_entry_config(config: &GatewayConfig) -> Result<ServerConfig, GatewayError> {
    let papers = Papers {
        cert: &config.cert,
        key: &config.key,
        client_ca: &config.client_ca,
    };
    let limits = &config.transport;
    server_config(&papers, ALPN, (transport(limits), limits.connections_max))
}

/// The server's side of every handshake of a protocol, with so many that may wait at once.
///
/// # Errors
/// A file that cannot be read or holds no key, named.
pub fn server_config(
    papers: &Papers<'_>,
    alpn: &[u8],
    (transport, connections_max): (TransportConfig, usize),
) -> Result<ServerConfig, GatewayError> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates(papers.client_ca)? {
        roots
            .add(authority)
            .map_err(|error| bad(papers.client_ca, &error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| bad(papers.client_ca, &error))?;
    let key = PrivateKeyDer::from_pem_file(papers.key).map_err(|error| bad(papers.key, &error))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| bad(papers.cert, &error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(papers.cert)?, key)
        .map_err(|error| bad(papers.cert, &error))?;
    tls.alpn_protocols = vec![alpn.to_vec()];
    // An order sent as early data could be replayed by whoever recorded it.
    tls.max_early_data_size = 0;
    let quic = QuicServerConfig::try_from(tls).map_err(|error| bad(papers.cert, &error))?;
    let mut server = ServerConfig::with_crypto(Arc::new(quic));
    server
        .transport_config(Arc::new(transport))
        .migration(false)
        .max_incoming(connections_max)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(4 << 20)
        .retry_token_lifetime(Duration::from_secs(15));
    Ok(server)
}

/// The first moment at which the server's certificate is not valid any more, Unix seconds.
///
/// # Errors
/// A file that cannot be read or is no certificate, named.
pub fn certificate_ends(config: &GatewayConfig) -> Result<i64, GatewayError> {
    let chain = certificates(&config.cert)?;
    let own = chain
        .first()
        .ok_or_else(|| bad(&config.cert, &"no certificate is in it"))?;
    let (_, own) = x509_parser::parse_x509_certificate(own).map_err(|error| bad(&config.cert, &error))?;
    Ok(own.validity().not_after.timestamp() + 1)
}

/// What holds for every connection: each limit is set.
pub fn transport(limits: &Transport) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = u32::try_from(limits.idle.as_millis()).unwrap_or(u32::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits.stream_window))
        .receive_window(VarInt::from_u32(limits.receive_window))
        .send_window(limits.send_window)
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle))))
        .keep_alive_interval(None);
    if let Some(mtu) = limits.mtu.map(|mtu| mtu.clamp(MTU_MIN, MTU_MAX)) {
        transport.initial_mtu(mtu);
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(mtu);
        transport.mtu_discovery_config(Some(discovery));
    }
    transport
}

/// What holds for the socket.
pub fn endpoint_config(limits: &Transport) -> EndpointConfig {
    let mut endpoint = EndpointConfig::default();
    if let Some(mtu) = limits.mtu.map(|mtu| mtu.clamp(MTU_MIN, MTU_MAX)) {
        endpoint
            .max_udp_payload_size(mtu)
            .expect("clamped to the transport's range");
    }
    endpoint
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, GatewayError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| bad(path, &error))?
        .collect();
    all.map_err(|error| bad(path, &error))
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> GatewayError {
    GatewayError::Key {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}
