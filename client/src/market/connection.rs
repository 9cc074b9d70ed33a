//! A connection of market data: carries bytes between its streams, its datagrams and the machine.

use super::follower::{Follower, Tally};
use super::update::Update;
use crate::link::{Papers, client_config, socket, transport};
use crate::wire::ReadError;
use crate::{ClientError, Config};
use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use xq_protocol::{
    Book, ChannelSeq, DecodeError, Message, PACKET_MAX, Packet, SeriesId, SeriesTold, SeriesWanted, Symbol,
};
use zerocopy::IntoBytes;

/// How long the exchange may take for a handshake and its welcome.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How often what was refused for now is asked for again.
const RETRY_EVERY: Duration = Duration::from_millis(200);
/// Silence after which the connection is kept alive.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// Bytes of datagrams that wait to be read; the oldest are lost.
const DATAGRAMS: usize = 8 << 20;
/// Bytes of a stream read at once.
const READ_BUFFER: usize = 64 << 10;

/// Where market data is, and the key to show.
#[derive(Clone, Debug)]
pub struct MarketConfig {
    /// The address of the exchange's market data.
    pub addr: SocketAddr,
    /// The name that the exchange's certificate must bear.
    pub server_name: String,
    /// PEM file: the authority that signed the exchange's certificate.
    pub ca: PathBuf,
    /// PEM file: the participant's certificate.
    pub cert: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// Largest UDP payload where the path is known; as in [`crate::Config`].
    pub mtu: Option<u16>,
}

impl MarketConfig {
    /// As a session's, with market data at this address.
    pub fn beside(client: &Config, addr: SocketAddr) -> MarketConfig {
        MarketConfig {
            addr,
            server_name: client.server_name.clone(),
            ca: client.ca.clone(),
            cert: client.cert.clone(),
            key: client.key.clone(),
            mtu: client.mtu,
        }
    }
}

/// One of the exchange's streams, and what was read of it and is no whole packet yet.
struct Stream {
    recv: RecvStream,
    words: Box<[u64]>,
    filled: usize,
}

/// A connection of market data and the books it keeps right.
pub struct MarketData {
    connection: Connection,
    endpoint: Endpoint,
    requests: SendStream,
    /// Bytes of requests that are still to be sent.
    unsent: Vec<u8>,
    streams: Vec<Stream>,
    follower: Follower,
    retry: Interval,
    /// What was heard while something else was awaited.
    heard: VecDeque<Update>,
}

impl MarketData {
    /// Connects, and waits for the exchange's welcome.
    ///
    /// # Errors
    /// Keys, network, or what the exchange said: [`ClientError`].
    pub async fn connect(config: &MarketConfig) -> Result<MarketData, ClientError> {
        let opening = MarketData::open(config);
        tokio::time::timeout(CONNECT_WITHIN, opening)
            .await
            .map_err(|_| ClientError::Silent)?
    }

    async fn open(config: &MarketConfig) -> Result<MarketData, ClientError> {
        let papers = Papers {
            ca: &config.ca,
            cert: &config.cert,
            key: &config.key,
        };
        let mut limits = transport(config.mtu);
        limits
            .max_concurrent_uni_streams(VarInt::from_u32(3))
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .keep_alive_interval(Some(KEEP_ALIVE));
        let mut endpoint = socket(config.addr, config.mtu)?;
        endpoint.set_default_client_config(client_config(&papers, b"xqmd/1", limits)?);
        let connection = endpoint
            .connect(config.addr, &config.server_name)
            .map_err(|error| ClientError::Connection(error.to_string()))?
            .await?;
        let requests = connection.open_uni().await?;
        let mut retry = interval(RETRY_EVERY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut market = MarketData {
            connection,
            endpoint,
            requests,
            unsent: Vec::new(),
            streams: Vec::new(),
            follower: Follower::default(),
            retry,
            heard: VecDeque::new(),
        };
        while market.follower.welcome().is_none() {
            market.turn().await?;
        }
        Ok(market)
    }

    /// Follows the book of a series: it is right once [`Update::Valid`] is heard.
    pub fn subscribe(&mut self, series: SeriesId) {
        self.follower.subscribe(series);
    }

    /// What the series with this symbol is.
    ///
    /// # Errors
    /// [`ClientError::MarketRefused`] when there is none; or the connection was lost.
    pub async fn find(&mut self, symbol: Symbol) -> Result<(SeriesId, SeriesTold), ClientError> {
        self.follower.find(symbol);
        loop {
            match self.hear().await? {
                Update::Series(series, told) if told.symbol == symbol => return Ok((series, told)),
                Update::Refused { reason, template } if template == SeriesWanted::TEMPLATE => {
                    return Err(ClientError::MarketRefused(reason));
                }
                other => self.heard.push_back(other),
            }
        }
    }

    /// Follows the levels, best prices, trades, statistics and candles of a series, conflated.
    pub fn follow_levels(&mut self, series: SeriesId) {
        self.follower.follow_levels(series);
    }

    /// Compares the hash of a series' book with the exchange's: [`Update::Checked`] tells, or [`Update::Invalid`].
    pub fn check(&mut self, series: SeriesId) {
        self.follower.check(series);
    }

    /// The book of a series, while it is right.
    pub fn book(&self, series: SeriesId) -> Option<&Book> {
        self.follower.book(series)
    }

    /// Up to which message of its channel the book of a series is right.
    pub fn position(&self, series: SeriesId) -> Option<ChannelSeq> {
        self.follower.next(series)
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.follower.tally()
    }

    /// The next update; it may be dropped while it waits, and nothing is lost.
    ///
    /// # Errors
    /// The connection was lost, or this reader was too slow and dropped.
    pub async fn next(&mut self) -> Result<Update, ClientError> {
        match self.heard.pop_front() {
            Some(update) => Ok(update),
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Result<Update, ClientError> {
        loop {
            if let Some(update) = self.follower.next_update() {
                return Ok(update);
            }
            self.turn().await?;
        }
    }

    /// Sends some of what is to be sent, or reads what comes first.
    async fn turn(&mut self) -> Result<(), ClientError> {
        self.unsent.append(&mut self.follower.take_requests());
        tokio::select! {
            written = self.requests.write(&self.unsent), if !self.unsent.is_empty() => {
                self.unsent.drain(..written?);
            }
            datagram = self.connection.read_datagram() => {
                let mut words = [0_u64; PACKET_MAX / 8];
                let datagram = datagram?;
                let room = words.as_mut_bytes().get_mut(..datagram.len());
                let room = room.ok_or(DecodeError::BadLength { block_length: u16::MAX })?;
                room.copy_from_slice(&datagram);
                let length = datagram.len();
                let (packet, _) = Packet::split(&words.as_bytes()[..length])?;
                self.follower.read(&packet)?;
            }
            stream = self.connection.accept_uni() => {
                let words = vec![0; READ_BUFFER / 8].into_boxed_slice();
                self.streams.push(Stream { recv: stream?, words, filled: 0 });
            }
            read = read_any(&mut self.streams) => {
                let (place, count) = read?;
                match count {
                    // The exchange has said all that it had to say there.
                    0 => drop(self.streams.swap_remove(place)),
                    count => self.streams[place].filled(count, &mut self.follower)?,
                }
            }
            _ = self.retry.tick() => self.follower.retry(),
        }
        Ok(())
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.connection.close(VarInt::from_u32(0), b"done");
        self.endpoint.wait_idle().await;
    }
}

/// Reads from the first stream that has something: which, and how many bytes.
async fn read_any(streams: &mut [Stream]) -> Result<(usize, usize), ClientError> {
    poll_fn(|context| {
        for (place, stream) in streams.iter_mut().enumerate() {
            let room = &mut stream.words.as_mut_bytes()[stream.filled..];
            if let Poll::Ready(read) = stream.recv.poll_read(context, room) {
                let count = read.map_err(|error| ClientError::from(ReadError::Broken(error)));
                return Poll::Ready(count.map(|count| (place, count)));
            }
        }
        Poll::Pending
    })
    .await
}

impl Stream {
    /// So many bytes came: the whole packets among them are read.
    fn filled(&mut self, count: usize, follower: &mut Follower) -> Result<(), DecodeError> {
        self.filled += count;
        let mut rest = &self.words.as_bytes()[..self.filled];
        loop {
            match Packet::split(rest) {
                Ok((packet, after)) => {
                    follower.read(&packet)?;
                    rest = after;
                }
                Err(DecodeError::Truncated { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let left = rest.len();
        let start = self.filled - left;
        self.words.as_mut_bytes().copy_within(start..self.filled, 0);
        self.filled = left;
        Ok(())
    }
}
