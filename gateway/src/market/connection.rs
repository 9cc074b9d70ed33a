//! One subscriber's connection: carries bytes between its streams and the hub, and decides nothing.

use super::hub::MarketHub;
use super::subscribers::SubscriberId;
use crate::frames::Inbound;
use crate::pipe::{Bells, Taken};
use crate::register::Map;
use bytes::Bytes;
use quinn::{Connection, SendDatagramError, SendStream, VarInt};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use xq_protocol::{Hash, RejectReason, TerminateReason};

/// Bytes of a stream that are written before its reader must have taken something.
const PIECE: usize = 64 << 10;
/// How long what was said last may take to reach a client before the connection is cut.
const GOODBYE: Duration = Duration::from_secs(1);
/// Bytes of requests that are read at once.
const INBOX: usize = 16 << 10;

/// The hub and the connections, as every task of the one thread has them.
#[derive(Clone)]
pub struct Shared {
    /// The hub.
    pub hub: Rc<RefCell<MarketHub>>,
    /// The connections that datagrams go to.
    pub connections: Rc<RefCell<Map<SubscriberId, Connection>>>,
    /// The counts.
    pub stats: Arc<super::counts::MarketStats>,
}

impl Shared {
    /// Hands a packet to a subscriber's connection. What the path cannot take is lost: the oldest first.
    fn send(&self, id: SubscriberId, packet: &Bytes) {
        if let Some(connection) = self.connections.borrow().get(&id) {
            match connection.send_datagram(packet.clone()) {
                Ok(()) => self.stats.datagrams.add(1),
                // Lost like any other datagram, or the connection is, which its task finds out.
                Err(SendDatagramError::TooLarge | SendDatagramError::ConnectionLost(_)) => {}
                Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                    unreachable!("a connection without datagrams is refused")
                }
            }
        }
    }

    /// Follows some events; how many, and how many packets that gave.
    pub fn poll(&self) -> (usize, usize) {
        self.hub
            .borrow_mut()
            .poll(&mut |id, packet| self.send(id, packet))
    }

    /// Time passed.
    pub fn tick(&self) {
        self.hub
            .borrow_mut()
            .tick(&mut |id, packet| self.send(id, packet));
    }
}

/// Serves one connection until it ends.
pub async fn serve(connection: Connection, fingerprint: Hash, shared: Shared) {
    let datagrams = connection.max_datagram_size().is_some();
    let opened = match datagrams {
        true => shared.hub.borrow_mut().open(fingerprint),
        false => Err(RejectReason::UnsupportedMessage),
    };
    let id = match opened {
        Ok(id) => id,
        Err(reason) => {
            let why = format!("{reason}: {}", reason.text());
            return connection.close(VarInt::from_u32(u32::from(reason.code().0)), why.as_bytes());
        }
    };
    shared.connections.borrow_mut().insert(id, connection.clone());
    let (answers, levels) = bells(&shared, id);
    let tasks: [JoinHandle<Option<()>>; 3] = [
        spawn_local(read_requests(connection.clone(), id, shared.clone())),
        spawn_local(write_levels(connection.clone(), id, levels, shared.clone())),
        spawn_local(write_snapshots(connection.clone(), id, shared.clone())),
    ];
    let reason = tokio::select! {
        reason = write_answers(&connection, id, &answers, &shared) => reason,
        () = ended(&answers) => None,
        _ = connection.closed() => None,
    };
    tasks.iter().for_each(JoinHandle::abort);
    let closing = shared
        .hub
        .borrow_mut()
        .subscriber(id)
        .and_then(|subscriber| subscriber.answers.closing());
    shared.hub.borrow_mut().lost(id);
    shared.connections.borrow_mut().remove(&id);
    let reason = reason.or(closing).unwrap_or(TerminateReason::Requested);
    connection.close(
        VarInt::from_u32(u32::from(reason as u8)),
        reason.to_string().as_bytes(),
    );
}

fn bells(shared: &Shared, id: SubscriberId) -> (Bells, Bells) {
    let mut hub = shared.hub.borrow_mut();
    let subscriber = hub.subscriber(id).expect("it was opened just now");
    (subscriber.answers.bells(), subscriber.levels.bells())
}

/// Resolves when a connection was told to end and its client had time to read why.
async fn ended(bells: &Bells) {
    bells.ending.notified().await;
    tokio::time::sleep(GOODBYE).await;
}

async fn read_requests(connection: Connection, id: SubscriberId, shared: Shared) -> Option<()> {
    // Further streams of requests are not allowed by the transport.
    let mut recv = connection.accept_uni().await.ok()?;
    let mut inbound = Inbound::new(INBOX);
    loop {
        // Without more, it asks for nothing more, and may listen for long.
        let count = recv.read(inbound.spare()).await.ok()??;
        inbound.filled(count);
        shared.hub.borrow_mut().received(id, &mut inbound);
    }
}

/// Writes bytes; a reader that takes nothing for too long is dropped.
async fn write(send: &mut SendStream, mut bytes: Bytes, id: SubscriberId, shared: &Shared) -> Option<()> {
    let stall = Duration::from_nanos(shared.hub.borrow().limits().stall.0);
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        shared.stats.stream_bytes.add(piece.len());
        match timeout(stall, send.write_chunk(piece)).await {
            Ok(written) => written.ok()?,
            Err(_) => {
                shared.hub.borrow_mut().stalled(id);
                return None;
            }
        }
    }
    Some(())
}

async fn open(connection: &Connection, id: SubscriberId, shared: &Shared) -> Option<SendStream> {
    let stall = Duration::from_nanos(shared.hub.borrow().limits().stall.0);
    match timeout(stall, connection.open_uni()).await {
        Ok(opened) => opened.ok(),
        Err(_) => {
            shared.hub.borrow_mut().stalled(id);
            None
        }
    }
}

async fn write_answers(
    connection: &Connection,
    id: SubscriberId,
    bells: &Bells,
    shared: &Shared,
) -> Option<TerminateReason> {
    let mut send = open(connection, id, shared).await?;
    loop {
        let Taken { bytes, closing } = shared.hub.borrow_mut().subscriber(id)?.answers.take();
        if !bytes.is_empty() {
            write(&mut send, bytes, id, shared).await?;
        } else if closing.is_none() {
            bells.more.notified().await;
        }
        if closing.is_some() {
            if send.finish().is_ok() {
                // An error means that the stream or its connection is gone: nothing is left to wait for.
                let _ = timeout(GOODBYE, send.stopped()).await;
            }
            return closing;
        }
    }
}

async fn write_levels(connection: Connection, id: SubscriberId, bells: Bells, shared: Shared) -> Option<()> {
    bells.more.notified().await;
    let mut send = open(&connection, id, &shared).await?;
    loop {
        let taken = shared.hub.borrow_mut().subscriber(id)?.levels.take();
        if !taken.bytes.is_empty() {
            write(&mut send, taken.bytes, id, &shared).await?;
        } else if taken.closing.is_some() {
            return Some(());
        } else {
            bells.more.notified().await;
        }
    }
}

/// A snapshot that is under way, until it is dropped.
struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.hub.borrow_mut().snapshot_written();
    }
}

async fn write_snapshots(connection: Connection, id: SubscriberId, shared: Shared) -> Option<()> {
    let bell = {
        let mut hub = shared.hub.borrow_mut();
        Rc::clone(&hub.subscriber(id)?.snapshot_bell)
    };
    bell.notified().await;
    let mut send = open(&connection, id, &shared).await?;
    loop {
        let taken = shared.hub.borrow_mut().take_snapshot(id);
        match taken {
            Some(snapshot) => {
                let under_way = UnderWay(&shared);
                write(&mut send, snapshot, id, &shared).await?;
                drop(under_way);
                // Whoever asks for many waits for the others between them.
                tokio::task::yield_now().await;
            }
            None => bell.notified().await,
        }
    }
}
