//! One connection to the exchange: the handshake, Establish, and its streams.

use crate::wire::Inbound;
use crate::{ClientError, Config};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream};
use quinn::{TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use xq_protocol::{
    CommandFrame, Establish, EstablishAck, Frame, Header, JournalId, Message, ReqSeq, Reserved,
    SessionMessage,
};

/// How long the exchange may take for a handshake and its answer to Establish.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes read at once.
const READ_BUFFER: usize = 128 << 10;

/// Smallest UDP payload that the transport allows.
const MTU_MIN: u16 = 1_200;
/// Largest UDP payload: the kernel splits at most 64 KiB at once into datagrams, and quinn hands it ten.
const MTU_MAX: u16 = 6_500;

/// A session that is up.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    pub(crate) inbound: Inbound,
    pub(crate) ack: EstablishAck,
}

/// What a client says of itself when it connects.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) next_out_seq: ReqSeq,
    pub(crate) journal_id: JournalId,
}

impl Link {
    pub(crate) async fn open(
        endpoint: &Endpoint,
        config: &Config,
        known: Known,
    ) -> Result<Link, ClientError> {
        let opening = Link::try_open(endpoint, config, known);
        tokio::time::timeout(CONNECT_WITHIN, opening)
            .await
            .map_err(|_| ClientError::Silent)?
    }

    async fn try_open(endpoint: &Endpoint, config: &Config, known: Known) -> Result<Link, ClientError> {
        let connecting = endpoint
            .connect(config.addr, &config.server_name)
            .map_err(|error| ClientError::Connection(error.to_string()))?;
        let connection = connecting.await?;
        let (mut send, mut recv) = connection.open_bi().await?;
        let establish = Establish {
            session: config.session,
            reserved: Reserved::ZERO,
            next_out_seq: known.next_out_seq,
            journal_id: known.journal_id,
        };
        send.write_all(CommandFrame::new(Header::default(), &establish).bytes())
            .await?;
        let mut inbound = Inbound::new(READ_BUFFER);
        let frame = inbound.wait(&mut recv).await?;
        let ack = match frame.session_message() {
            Ok(SessionMessage::EstablishAck(ack)) => *ack,
            other => return Err(unexpected(&frame, other)),
        };
        Ok(Link {
            connection,
            send,
            recv,
            inbound,
            ack,
        })
    }
}

/// What an unexpected frame means; the exchange may have said good-bye.
pub(crate) fn unexpected(
    frame: &Frame<'_>,
    message: Result<SessionMessage<'_>, xq_protocol::DecodeError>,
) -> ClientError {
    match message {
        Ok(SessionMessage::Terminate(bye)) => ClientError::Terminated {
            reason: bye.reason,
            code: bye.code,
        },
        Ok(other) => ClientError::Unexpected(other.name().to_owned()),
        Err(_) => ClientError::Unexpected(format!("template {}", frame.header.template_id)),
    }
}

/// A request on a stream of its own, and the answer's stream.
pub(crate) async fn ask<M: Message>(connection: &Connection, request: &M) -> Result<RecvStream, ClientError> {
    let (mut send, recv) = connection.open_bi().await?;
    send.write_all(CommandFrame::new(Header::default(), request).bytes())
        .await?;
    // The stream may be finished only once; it was just opened.
    let _ = send.finish();
    Ok(recv)
}

/// The socket and keys for all connections of a client.
pub(crate) fn endpoint(config: &Config) -> Result<Endpoint, ClientError> {
    let mut endpoint = socket(config.addr, config.mtu)?;
    let papers = Papers {
        ca: &config.ca,
        cert: &config.cert,
        key: &config.key,
    };
    endpoint.set_default_client_config(client_config(&papers, b"xqoe/1", transport(config.mtu))?);
    Ok(endpoint)
}

/// A socket for connections to an address.
pub(crate) fn socket(remote: std::net::SocketAddr, mtu: Option<u16>) -> Result<Endpoint, ClientError> {
    let local = match remote {
        std::net::SocketAddr::V4(_) => std::net::SocketAddr::from(([0, 0, 0, 0], 0)),
        std::net::SocketAddr::V6(_) => std::net::SocketAddr::from(([0_u16; 8], 0)),
    };
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(local),
        socket2::Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_send_buffer_size(4 << 20)?;
    socket.bind(&local.into())?;
    let mut udp = EndpointConfig::default();
    if let Some(mtu) = mtu.map(|mtu| mtu.clamp(MTU_MIN, MTU_MAX)) {
        udp.max_udp_payload_size(mtu)
            .expect("clamped to the transport's range");
    }
    Ok(Endpoint::new(udp, None, socket.into(), Arc::new(TokioRuntime))?)
}

/// The files that a client shows itself and knows the exchange by.
pub(crate) struct Papers<'a> {
    pub(crate) ca: &'a Path,
    pub(crate) cert: &'a Path,
    pub(crate) key: &'a Path,
}

/// The client's side of every handshake of a protocol.
pub(crate) fn client_config(
    papers: &Papers<'_>,
    alpn: &[u8],
    transport: TransportConfig,
) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for authority in certificates(papers.ca)? {
        roots.add(authority).map_err(|error| bad(papers.ca, &error))?;
    }
    let key = PrivateKeyDer::from_pem_file(papers.key).map_err(|error| bad(papers.key, &error))?;
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| bad(papers.cert, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(papers.cert)?, key)
        .map_err(|error| bad(papers.cert, &error))?;
    tls.alpn_protocols = vec![alpn.to_vec()];
    let quic = QuicClientConfig::try_from(tls).map_err(|error| bad(papers.cert, &error))?;
    let mut client = ClientConfig::new(Arc::new(quic));
    client.transport_config(Arc::new(transport));
    Ok(client)
}

/// What holds for every connection.
pub(crate) fn transport(mtu: Option<u16>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(1 << 20))
        .receive_window(VarInt::from_u32(4 << 20))
        .send_window(1 << 20)
        .send_fairness(false);
    if let Some(mtu) = mtu.map(|mtu| mtu.clamp(MTU_MIN, MTU_MAX)) {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(mtu);
        transport.initial_mtu(mtu).mtu_discovery_config(Some(discovery));
    }
    transport
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| bad(path, &error))?
        .collect();
    all.map_err(|error| bad(path, &error))
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Key {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}
