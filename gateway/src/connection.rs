//! One QUIC connection: carries bytes between its streams and the hub, and decides nothing.

use crate::drop_copy::{Behind, CopyId, Reader};
use crate::frames::Inbound;
use crate::hub::Hub;
use crate::output::Output;
use crate::pipe::{Bells, Taken};
use crate::register::LinkId;
use crate::session::{Ask, ask};
use crate::stats::Stats;
use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_local};
use xq_protocol::{DropCopyBegan, Hash, Header, RejectReason, Reserved, Retransmission, TerminateReason};

/// How long what was said last may take to reach a client before the connection is cut.
const GOODBYE: Duration = Duration::from_secs(1);

/// The hub and its counts, as every task of the one thread has them.
#[derive(Clone)]
pub struct Shared {
    /// The hub.
    pub hub: Rc<RefCell<Hub>>,
    /// The counts.
    pub stats: Arc<Stats>,
    /// Whose turn it is to read the journal for a drop copy.
    pub copying: Rc<Semaphore>,
}

/// Serves one connection until it ends.
pub async fn serve(connection: Connection, fingerprint: Hash, shared: Shared) {
    let (id, bells) = shared.hub.borrow_mut().open(fingerprint);
    let link = Rc::new(LinkTasks {
        id,
        connection: connection.clone(),
        shared: shared.clone(),
        tasks: RefCell::default(),
        has_stream: Cell::new(false),
    });
    let reason = tokio::select! {
        reason = main_stream(&link, &bells) => reason,
        () = ended(&bells, &link.has_stream) => shared.hub.borrow_mut().take(id).and_then(|taken| taken.closing),
        _ = connection.closed() => None,
    };
    shared.hub.borrow_mut().lost(id);
    for task in link.tasks.take() {
        task.abort();
    }
    let reason = reason.unwrap_or(TerminateReason::Requested);
    connection.close(
        VarInt::from_u32(u32::from(reason as u8)),
        reason.to_string().as_bytes(),
    );
}

struct LinkTasks {
    id: LinkId,
    connection: Connection,
    shared: Shared,
    tasks: RefCell<Vec<AbortHandle>>,
    has_stream: Cell<bool>,
}

impl LinkTasks {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(spawn_local(task).abort_handle());
    }
}

/// Resolves when a connection was told to end and its client had time to read why.
async fn ended(bells: &Bells, has_stream: &Cell<bool>) {
    bells.ending.notified().await;
    // Without a stream there is nothing to read it from but the closing code.
    if has_stream.get() {
        tokio::time::sleep(GOODBYE).await;
    }
}

async fn main_stream(link: &Rc<LinkTasks>, bells: &Bells) -> Option<TerminateReason> {
    let (mut send, recv) = link.connection.accept_bi().await.ok()?;
    link.has_stream.set(true);
    let shared = link.shared.clone();
    link.spawn(read_main(recv, link.id, shared));
    link.spawn(further_streams(Rc::clone(link)));
    let hub = &link.shared.hub;
    write(&mut send, bells, &link.shared.stats, || {
        hub.borrow_mut().take(link.id)
    })
    .await
}

async fn read_main(mut recv: RecvStream, id: LinkId, shared: Shared) {
    let mut inbound = Inbound::new(shared.hub.borrow().limits().inbox);
    loop {
        match recv.read(inbound.spare()).await {
            Ok(Some(count)) => {
                inbound.filled(count);
                shared.stats.bytes_in.add(count);
                shared.hub.borrow_mut().received(id, &mut inbound);
            }
            Ok(None) | Err(_) => {
                let reason = TerminateReason::Requested;
                return shared.hub.borrow_mut().floor().end(id, reason, None);
            }
        }
    }
}

/// Writes what a pipe has, as much as gathered in one go, until it closes; why, unless the stream broke first.
async fn write(
    send: &mut SendStream,
    bells: &Bells,
    stats: &Stats,
    take: impl Fn() -> Option<Taken>,
) -> Option<TerminateReason> {
    loop {
        let taken = take()?;
        if !taken.bytes.is_empty() {
            stats.bytes_out.add(taken.bytes.len());
            send.write_chunk(taken.bytes).await.ok()?;
        } else if taken.closing.is_none() {
            bells.more.notified().await;
        }
        if taken.closing.is_some() {
            finish(send).await;
            return taken.closing;
        }
    }
}

/// Ends a stream and waits until its client has all of it.
async fn finish(send: &mut SendStream) {
    if send.finish().is_ok() {
        // An error means that the stream or its connection is gone: nothing is left to wait for.
        let _ = tokio::time::timeout(GOODBYE, send.stopped()).await;
    }
}

async fn further_streams(link: Rc<LinkTasks>) {
    while let Ok((send, recv)) = link.connection.accept_bi().await {
        let further = further(send, recv, link.id, link.shared.clone());
        link.spawn(further);
    }
}

/// Answers what a further stream asks for.
async fn further(mut send: SendStream, mut recv: RecvStream, id: LinkId, shared: Shared) {
    let within = Duration::from_nanos(shared.hub.borrow().limits().establish_within.0);
    let Ok(asked) = tokio::time::timeout(within, read_ask(&mut recv, &shared)).await else {
        return;
    };
    let answer = asked.and_then(|ask| Ok((ask, shared.hub.borrow_mut().admit_ask(id)?)));
    match answer {
        Ok((Ask::Retransmit { from, count }, presence)) => {
            let replay = shared.hub.borrow_mut().replay(presence.session, from.0, count.0);
            retransmit(&mut send, replay, &shared).await;
        }
        Ok((Ask::DropCopy(wanted), presence)) => {
            let opened = shared.hub.borrow_mut().open_copy(presence.session, &wanted);
            match opened {
                Ok(behind) => drop_copy(&mut send, behind, &shared).await,
                Err(reason) => refuse(&mut send, reason, &shared).await,
            }
        }
        Err(reason) => refuse(&mut send, reason, &shared).await,
    }
}

async fn read_ask(recv: &mut RecvStream, shared: &Shared) -> Result<Ask, RejectReason> {
    let limits = *shared.hub.borrow().limits();
    let mut inbound = Inbound::new(0);
    loop {
        match recv.read(inbound.spare()).await {
            Ok(Some(count)) => inbound.filled(count),
            Ok(None) | Err(_) => return Err(RejectReason::Malformed),
        }
        if let Some(ask) = ask(inbound.bytes(), &limits)? {
            return Ok(ask);
        }
    }
}

async fn refuse(send: &mut SendStream, reason: RejectReason, shared: &Shared) {
    let mut out = Output::default();
    out.terminate(TerminateReason::Refused, Some(reason));
    shared.stats.rejected(reason.code());
    if send.write_all(out.replies.bytes()).await.is_ok() {
        finish(send).await;
    }
}

async fn retransmit(send: &mut SendStream, (mut replay, count): (crate::hub::Replay, u32), shared: &Shared) {
    let mut put = Vec::new();
    let mut head = Output::default();
    let announced = Retransmission {
        from: replay.from(),
        count: xq_protocol::Count(count),
        reserved: Reserved::ZERO,
    };
    head.replies.push(Header::default(), &announced);
    put.extend_from_slice(head.replies.bytes());
    let mut more = true;
    while more {
        // Some at a time: the one thread also has everyone else to serve.
        more = shared.hub.borrow_mut().replay_some(&mut replay, &mut put);
        if put.len() >= 32 << 10 || !more {
            shared.stats.bytes_out.add(put.len());
            if send
                .write_chunk(Bytes::from(std::mem::take(&mut put)))
                .await
                .is_err()
            {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
    finish(send).await;
}

/// Ends a drop copy when its task ends, in whatever way.
struct OpenCopy<'a>(Option<CopyId>, Reader, &'a Shared);

impl Drop for OpenCopy<'_> {
    fn drop(&mut self) {
        self.2.hub.borrow_mut().floor().copies().end(self.1, self.0);
    }
}

async fn drop_copy(send: &mut SendStream, mut behind: Behind, shared: &Shared) {
    let mut copy = OpenCopy(None, behind.reader, shared);
    let mut head = Output::default();
    let began = DropCopyBegan {
        participant: behind.watched,
        index: xq_protocol::Count(behind.next.1.into()),
        seq: behind.next.0,
    };
    head.replies.push(Header::default(), &began);
    let mut put = head.replies.bytes().to_vec();
    let bells = loop {
        // Some at a time, and one copy at a time: the one thread also has everyone else to serve.
        let turn = shared.copying.acquire().await.expect("it is never closed");
        let caught_up = shared.hub.borrow_mut().copy_some(&mut behind, &mut put);
        let (id, bells) = match caught_up {
            Ok(caught_up) => caught_up.unzip(),
            Err(reason) => {
                drop(turn);
                return refuse(send, reason, shared).await;
            }
        };
        copy.0 = id;
        tokio::task::yield_now().await;
        drop(turn);
        if !put.is_empty() {
            shared.stats.bytes_out.add(put.len());
            let chunk = Bytes::from(std::mem::take(&mut put));
            if send.write_chunk(chunk).await.is_err() {
                return;
            }
        }
        if let Some(bells) = bells {
            break bells;
        }
    };
    let Some(id) = copy.0 else { return };
    let take = || shared.hub.borrow_mut().floor().copies().take(id);
    let has_stream = Cell::new(true);
    tokio::select! {
        _ = write(send, &bells, &shared.stats, take) => {}
        () = ended(&bells, &has_stream) => {}
    }
}
