//! A client that says exactly what it is told to say.

use super::{Venue, session_of};
use xq_protocol::*;

/// A client that says exactly what it is told to say.
pub struct Raw {
    pub connection: quinn::Connection,
    pub send: quinn::SendStream,
    pub recv: quinn::RecvStream,
    pub who: usize,
    _endpoint: quinn::Endpoint,
}

/// A client's side of the handshake with these PEM files.
pub fn raw_tls(authority: &xq_gateway::TrialAuthority, key: &xq_gateway::TrialKey) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.cert()).expect("PEM"))
        .expect("a certificate");
    let chain = vec![CertificateDer::from_pem_file(&key.cert).expect("PEM")];
    let private = PrivateKeyDer::from_pem_file(&key.key).expect("PEM");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, private)
        .expect("a key");
    tls.alpn_protocols = vec![xq_gateway::ALPN.to_vec()];
    tls
}

pub fn raw_endpoint(tls: rustls::ClientConfig) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a socket");
    let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("fit for QUIC");
    endpoint.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(quic)));
    endpoint
}

impl Raw {
    pub async fn connect(venue: &Venue, who: usize) -> Raw {
        let endpoint = raw_endpoint(raw_tls(&venue.authority, &venue.keys[who]));
        let connecting = endpoint
            .connect(venue.gateway.address(), "localhost")
            .expect("a good address");
        let connection = connecting.await.expect("the handshake succeeds");
        let (send, recv) = connection.open_bi().await.expect("a stream");
        Raw {
            connection,
            send,
            recv,
            who,
            _endpoint: endpoint,
        }
    }

    pub async fn establish(mut self, next_out_seq: u64, journal_id: JournalId) -> Raw {
        let establish = Establish {
            session: session_of(self.who),
            reserved: Reserved::ZERO,
            next_out_seq: ReqSeq(next_out_seq),
            journal_id,
        };
        self.say(CommandFrame::new(Header::default(), &establish).bytes())
            .await;
        let ack = read_frame(&mut self.recv).await.expect("an answer");
        assert_eq!(ack.header().template_id, EstablishAck::TEMPLATE);
        self
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("the stream is open");
    }

    /// Reads until the other side says good-bye.
    pub async fn until_terminate(&mut self) -> Terminate {
        loop {
            let frame = read_frame(&mut self.recv)
                .await
                .expect("a good-bye before the end");
            if let Ok(SessionMessage::Terminate(bye)) = frame.frame().expect("a frame").session_message() {
                return *bye;
            }
        }
    }
}

/// The next frame of a stream; none at its end.
pub async fn read_frame(recv: &mut quinn::RecvStream) -> Option<CommandFrame> {
    use zerocopy::IntoBytes;
    let mut frame = CommandFrame::default();
    let bytes = frame.words_mut().as_mut_bytes();
    recv.read_exact(&mut bytes[..HEADER_LEN]).await.ok()?;
    let length = Frame::peek_len(bytes)
        .expect("a possible length")
        .expect("a whole header");
    recv.read_exact(&mut bytes[HEADER_LEN..length]).await.ok()?;
    Some(frame)
}
