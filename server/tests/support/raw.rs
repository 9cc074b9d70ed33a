//! A client that says exactly what it is told to say, whether or not it may.

use super::SOON;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;
use xq_gateway::TrialKey;
use xq_protocol::{
    CommandFrame, Establish, EstablishAck, Frame, HEADER_LEN, Header, JournalId, Message, ReqSeq, Reserved,
    SessionId, SessionMessage, Terminate,
};
use zerocopy::IntoBytes;

/// The client's side of a handshake.
pub fn tls(authority: &Path, key: &TrialKey) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).expect("PEM"))
        .expect("a certificate");
    let chain = vec![CertificateDer::from_pem_file(&key.cert).expect("PEM")];
    let private = PrivateKeyDer::from_pem_file(&key.key).expect("PEM");
    let mut tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private)
            .expect("a key");
    tls.alpn_protocols = vec![xq_gateway::ALPN.to_vec()];
    tls
}

/// The same, as QUIC takes it.
pub fn quic(tls: rustls::ClientConfig) -> ClientConfig {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("fit for QUIC");
    ClientConfig::new(Arc::new(crypto))
}

/// A socket for any number of clients.
pub fn endpoint() -> Endpoint {
    Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a socket")
}

/// One connection with its main stream.
pub struct Raw {
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
}

impl Raw {
    /// Connects; nothing is said yet.
    ///
    /// # Errors
    /// What the handshake ended with.
    pub async fn connect(
        endpoint: &Endpoint,
        address: SocketAddr,
        config: ClientConfig,
    ) -> Result<Raw, quinn::ConnectionError> {
        let connecting = endpoint
            .connect_with(config, address, "localhost")
            .expect("a good address");
        let connection = timeout(SOON, connecting).await.expect("the handshake ends")?;
        let (send, recv) = connection.open_bi().await?;
        Ok(Raw {
            connection,
            send,
            recv,
        })
    }

    /// Asks for a session; what the exchange said to it.
    ///
    /// # Errors
    /// Its good-bye.
    pub async fn establish(&mut self, session: SessionId) -> Result<EstablishAck, Terminate> {
        let establish = Establish {
            session,
            reserved: Reserved::ZERO,
            next_out_seq: ReqSeq::ZERO,
            journal_id: JournalId::ZERO,
        };
        self.say(CommandFrame::new(Header::default(), &establish).bytes())
            .await;
        let answer = self.hear().await.expect("an answer");
        match answer.frame().expect("a frame").session_message() {
            Ok(SessionMessage::EstablishAck(ack)) => Ok(*ack),
            Ok(SessionMessage::Terminate(bye)) => Err(*bye),
            other => panic!("no answer to Establish: {other:?}"),
        }
    }

    /// Sends bytes.
    pub async fn say(&mut self, bytes: &[u8]) {
        // A connection that the exchange has closed meanwhile shows in what is heard.
        let _ = self.send.write_all(bytes).await;
    }

    /// Sends a command under a request number.
    pub async fn request<M: Message>(&mut self, number: u64, command: &M) {
        self.say(CommandFrame::new(Header::request(ReqSeq(number)), command).bytes())
            .await;
    }

    /// The next frame; none when the stream has ended.
    pub async fn hear(&mut self) -> Option<CommandFrame> {
        timeout(SOON, read_frame(&mut self.recv))
            .await
            .expect("something is heard soon")
    }

    /// Everything up to the last message of the answer to a request: an event's last, or a refusal at the door.
    pub async fn answer(&mut self, number: u64) -> Vec<CommandFrame> {
        let mut heard = Vec::new();
        loop {
            let frame = self
                .hear()
                .await
                .unwrap_or_else(|| panic!("the stream ended before request {number} was answered"));
            let view = frame.frame().expect("a frame");
            let done = match view.session_message() {
                Ok(SessionMessage::DoorRejected(refused)) => refused.req_seq == ReqSeq(number),
                Ok(SessionMessage::Sequence(_)) => continue,
                Ok(other) => panic!("no answer to request {number}: {other:?}"),
                Err(_) => view.header.req_seq == ReqSeq(number) && view.header.is_last(),
            };
            heard.push(frame);
            if done {
                return heard;
            }
        }
    }

    /// Reads until the exchange says good-bye.
    pub async fn until_terminate(&mut self) -> Terminate {
        loop {
            let frame = self.hear().await.expect("a good-bye before the end");
            if let Ok(SessionMessage::Terminate(bye)) = frame.frame().expect("a frame").session_message() {
                return *bye;
            }
        }
    }
}

async fn read_frame(recv: &mut RecvStream) -> Option<CommandFrame> {
    let mut frame = CommandFrame::default();
    let bytes = frame.words_mut().as_mut_bytes();
    recv.read_exact(&mut bytes[..HEADER_LEN]).await.ok()?;
    let length = Frame::peek_len(bytes)
        .expect("a possible length")
        .expect("a whole header");
    recv.read_exact(&mut bytes[HEADER_LEN..length]).await.ok()?;
    Some(frame)
}
