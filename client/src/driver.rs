//! The task behind a client: keeps its session up, reads, writes, catches up on what it missed.

use crate::link::{Known, Link, ask, unexpected};
use crate::outbox::Outbox;
use crate::wire::Inbound;
use crate::{ClientError, Config, Report};
use bytes::Bytes;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use xq_protocol::{
    CommandFrame, Count, Event, EventFrame, Frame, Header, JournalId, Nanos, RejectCode, ReqSeq, Reserved,
    Retransmission, RetransmitRequest, Sequence, SessionId, SessionMessage, Terminate, TerminateReason,
};

/// What the client's handles and its task share.
pub(crate) struct Shared {
    outbox: Mutex<Outbox>,
    connection: Mutex<Option<Connection>>,
    /// There is something to send, or to end.
    pub(crate) more: Notify,
    /// A request was answered: another may be sent.
    pub(crate) room: Notify,
    closing: std::sync::atomic::AtomicBool,
}

impl Shared {
    pub(crate) fn new(outbox: Outbox) -> Shared {
        Shared {
            outbox: Mutex::new(outbox),
            connection: Mutex::new(None),
            more: Notify::new(),
            room: Notify::new(),
            closing: std::sync::atomic::AtomicBool::new(false),
        }
    }
    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().expect("nobody panics while holding it")
    }
    pub(crate) fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().expect("nobody panics while holding it")
    }
    pub(crate) fn close(&self) {
        self.closing.store(true, std::sync::atomic::Ordering::Release);
        self.more.notify_one();
        self.room.notify_waiters();
    }
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(std::sync::atomic::Ordering::Acquire)
    }
}

pub(crate) type Batches = mpsc::Sender<Vec<Report>>;

/// The task.
pub(crate) struct Driver {
    pub(crate) shared: std::sync::Arc<Shared>,
    pub(crate) endpoint: Endpoint,
    pub(crate) config: Config,
    pub(crate) batches: Batches,
    pub(crate) next_out: ReqSeq,
    pub(crate) journal_id: JournalId,
}

/// How long to wait before each further attempt to connect: doubled up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl Driver {
    /// Keeps the session up until it is closed or will not be served any more.
    pub(crate) async fn run(mut self, first: Link) {
        let mut link = Some(first);
        let mut backoff = Duration::from_millis(10);
        while !self.shared.is_closing() {
            let opened = match link.take() {
                Some(link) => Ok(link),
                None => Link::open(&self.endpoint, &self.config, self.known()).await,
            };
            let (ended, mut reports) = match opened {
                Ok(link) => {
                    backoff = Duration::from_millis(10);
                    let ended = self.serve(link).await;
                    *self.shared.connection() = None;
                    self.shared.outbox().hold();
                    ended
                }
                Err(error) => (error, Vec::new()),
            };
            let passing = ended.is_passing();
            // What was heard is counted already: the next connection is asked for what comes after it.
            reports.push(Report::Down(ended));
            let told = self.batches.send(reports).await;
            if !passing || told.is_err() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = self.shared.more.notified(), if self.shared.is_closing() => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        self.shared.close();
        self.endpoint.wait_idle().await;
    }

    fn known(&self) -> Known {
        Known {
            next_out_seq: self.next_out,
            journal_id: self.journal_id,
        }
    }

    /// Serves a connection to its end; returns why it ended, and what was heard on it and not delivered.
    async fn serve(&mut self, link: Link) -> (ClientError, Vec<Report>) {
        let Link {
            connection,
            mut send,
            recv,
            inbound,
            ack,
        } = link;
        self.journal_id = ack.journal_id;
        if self.next_out.is_zero() {
            self.next_out = ack.next_out_seq;
        }
        let mut reader = Reader {
            shared: &self.shared,
            batches: &self.batches,
            heard: Vec::new(),
            session: self.config.session,
            next_out: self.next_out,
            retransmit_max: ack.retransmit_max,
        };
        *self.shared.connection() = Some(connection.clone());
        let ended = tokio::select! {
            ended = reader.run((&connection, recv, inbound), &ack) => ended,
            ended = write(&self.shared, &mut send, duration(ack.heartbeat)) => ended,
        };
        self.next_out = reader.next_out;
        let heard = reader.heard;
        let reason = match &ended {
            Ok(never) => match *never {},
            Err(_) => TerminateReason::Requested,
        };
        connection.close(quinn::VarInt::from_u32(u32::from(reason as u8)), b"");
        (ended.err().unwrap_or(ClientError::Closed), heard)
    }
}

fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(nanos.0)
}

/// No value: what runs until it fails.
pub(crate) enum Never {}

/// Sends requests as they come, and Sequence when there are none.
async fn write(shared: &Shared, send: &mut SendStream, heartbeat: Duration) -> Result<Never, ClientError> {
    let mut sent = Instant::now();
    loop {
        let unsent = shared.outbox().take();
        if let Some(bytes) = unsent {
            send.write_chunk(bytes).await?;
            sent = Instant::now();
        } else if shared.is_closing() {
            return say_good_bye(send).await;
        } else if sent.elapsed() >= heartbeat {
            let next = shared.outbox().next();
            let frame = CommandFrame::new(Header::default(), &Sequence { next });
            send.write_chunk(Bytes::copy_from_slice(frame.bytes())).await?;
            sent = Instant::now();
        } else {
            tokio::select! {
                () = shared.more.notified() => {}
                () = tokio::time::sleep_until(sent + heartbeat) => {}
            }
        }
    }
}

async fn say_good_bye(send: &mut SendStream) -> Result<Never, ClientError> {
    let terminate = Terminate {
        reason: TerminateReason::Requested,
        reserved: Reserved::ZERO,
        code: RejectCode::ZERO,
        reserved2: Reserved::ZERO,
    };
    send.write_all(CommandFrame::new(Header::default(), &terminate).bytes())
        .await?;
    // Errors mean that the other side is gone: then it needs no good-bye.
    let _ = send.finish();
    let _ = tokio::time::timeout(Duration::from_secs(1), send.stopped()).await;
    Err(ClientError::Closed)
}

struct Reader<'a> {
    shared: &'a Shared,
    batches: &'a Batches,
    /// Heard, counted and not delivered yet. It stands here because a connection may end at any wait, also at the one
    /// for room among the batches.
    heard: Vec<Report>,
    session: SessionId,
    next_out: ReqSeq,
    retransmit_max: Count,
}

impl Reader<'_> {
    async fn run(
        &mut self,
        (connection, mut recv, mut inbound): (&Connection, RecvStream, Inbound),
        ack: &xq_protocol::EstablishAck,
    ) -> Result<Never, ClientError> {
        self.heard.push(Report::Up(*ack));
        self.deliver().await?;
        // What was missed comes first: it may answer requests that would else be sent again.
        self.catch_up(connection, ack.next_out_seq).await?;
        let window = usize::try_from(ack.window.0).unwrap_or(usize::MAX);
        self.shared.outbox().restart(ack.next_req_seq, window);
        self.shared.room.notify_waiters();
        self.shared.more.notify_one();
        let lapse = duration(ack.lapse);
        loop {
            let mut told_so_far = None;
            while let Some(frame) = inbound.next().map_err(crate::wire::ReadError::from)? {
                told_so_far = self.frame(&frame)?;
                if told_so_far.is_some() {
                    break;
                }
            }
            self.deliver().await?;
            match told_so_far {
                Some(next) => self.catch_up(connection, next).await?,
                None => {
                    let read = tokio::time::timeout(lapse, inbound.read(&mut recv)).await;
                    read.map_err(|_| ClientError::Silent)??;
                }
            }
        }
    }

    /// Delivers what was heard; if it is not waited for to the end, all of it stays.
    async fn deliver(&mut self) -> Result<(), ClientError> {
        if !self.heard.is_empty() {
            let room = self.batches.reserve().await.map_err(|_| ClientError::Closed)?;
            room.send(std::mem::take(&mut self.heard));
        }
        Ok(())
    }

    /// Takes one frame of the main stream; returns what is told so far when some of it is missing here.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<Option<ReqSeq>, ClientError> {
        if is_told(frame.header) {
            self.told(frame)?;
            return Ok(None);
        }
        match frame.session_message() {
            Ok(SessionMessage::Sequence(sequence)) => {
                Ok((sequence.next > self.next_out).then_some(sequence.next))
            }
            Ok(SessionMessage::DoorRejected(rejected)) => {
                self.answered(rejected.req_seq);
                self.heard.push(Report::Refused(*rejected));
                Ok(None)
            }
            other => Err(unexpected(frame, other)),
        }
    }

    fn told(&mut self, frame: &Frame<'_>) -> Result<(), ClientError> {
        let copy =
            EventFrame::copy_of(frame).ok_or_else(|| ClientError::Unexpected("a long event".to_owned()))?;
        let header = frame.header;
        let repeated = header.flags & Header::REPEATED != 0;
        let mine = header.session == self.session && !header.req_seq.is_zero();
        // The rest of an outcome is told in any case; the rest of a repetition only if it is asked for again.
        if mine && (!repeated || header.is_last()) {
            self.answered(header.req_seq);
        }
        if let Ok(Event::NotApplied(numbers)) = frame.event() {
            self.shared.outbox().consumed(numbers.from, numbers.to);
        }
        let out_seq = if repeated { ReqSeq::ZERO } else { self.next_out };
        if !repeated {
            self.next_out = ReqSeq(self.next_out.0 + 1);
        }
        self.heard.push(Report::Event { out_seq, frame: copy });
        Ok(())
    }

    fn answered(&self, number: ReqSeq) {
        let mut outbox = self.shared.outbox();
        let was_full = outbox.room() == 0;
        outbox.answered(number);
        if was_full && outbox.room() > 0 {
            self.shared.room.notify_waiters();
        }
    }

    /// Has told again what is missing before number `next`.
    async fn catch_up(&mut self, connection: &Connection, next: ReqSeq) -> Result<(), ClientError> {
        while self.next_out < next {
            let missing = next.0 - self.next_out.0;
            let count = Count(
                u32::try_from(missing)
                    .unwrap_or(u32::MAX)
                    .min(self.retransmit_max.0),
            );
            let request = RetransmitRequest {
                from: self.next_out,
                count,
                reserved: Reserved::ZERO,
            };
            let mut recv = ask(connection, &request).await?;
            let mut inbound = Inbound::new(32 << 10);
            let head = inbound.wait(&mut recv).await?;
            let announced = match head.session_message() {
                Ok(SessionMessage::Retransmission(announced)) => self.begins(announced, next),
                Ok(_) | Err(_) => None,
            };
            let Some(mut left) = announced else {
                return Err(unexpected(&head, head.session_message()));
            };
            // What is missed is reported even when nothing is told again.
            self.deliver().await?;
            while left > 0 {
                left = self.told_again(&mut inbound, left)?;
                self.deliver().await?;
                if left > 0 {
                    inbound.read(&mut recv).await?;
                }
            }
        }
        Ok(())
    }

    /// How many messages a retransmission announces before number `next`; none when it is not what was asked for. It may
    /// begin later, where what comes before is archived: then that is reported.
    fn begins(&mut self, announced: &Retransmission, next: ReqSeq) -> Option<u32> {
        let (from, expected) = (announced.from, self.next_out);
        let is_later = from > expected && from <= next;
        if is_later {
            self.heard.push(Report::Missed {
                from: expected,
                until: from,
            });
            self.next_out = from;
        }
        let goes_on = is_later || from == expected && !announced.count.is_zero();
        goes_on.then_some(announced.count.0)
    }

    /// Takes what is there of a retransmission that has `left` messages to come; returns how many it has then.
    fn told_again(&mut self, inbound: &mut Inbound, mut left: u32) -> Result<u32, ClientError> {
        while let Some(frame) = inbound.next().map_err(crate::wire::ReadError::from)? {
            let Some(one_less) = left.checked_sub(1) else {
                return Err(ClientError::Unexpected("more messages than announced".to_owned()));
            };
            self.told(&frame)?;
            left = one_less;
        }
        Ok(left)
    }
}

/// Says whether a frame is an event, as it is told.
fn is_told(header: &Header) -> bool {
    (200..300).contains(&header.template_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{NotApplied, Seq};

    /// So many events, each that a number was skipped.
    fn events(count: u64) -> Inbound {
        let frames = (1..=count).map(|number| {
            let header = Header {
                seq: Seq(number),
                flags: Header::LAST,
                ..Header::default()
            };
            let (from, to) = (ReqSeq(number), ReqSeq(number));
            EventFrame::new(header, &NotApplied { from, to })
        });
        Inbound::holding(frames.flat_map(|frame| frame.bytes().to_vec()).collect())
    }

    fn reader<'a>(shared: &'a Shared, batches: &'a Batches) -> Reader<'a> {
        Reader {
            shared,
            batches,
            heard: Vec::new(),
            session: SessionId(16),
            next_out: ReqSeq(1),
            retransmit_max: Count(10),
        }
    }

    #[test]
    fn a_retransmission_may_begin_later_which_is_reported_but_nowhere_else() {
        let shared = Shared::new(Outbox::new(ReqSeq(1)));
        let (batches, _receiver) = mpsc::channel(1);
        let mut reader = reader(&shared, &batches);
        reader.next_out = ReqSeq(5);
        let mut begins = |from, count| {
            let announced = Retransmission {
                from: ReqSeq(from),
                count: Count(count),
                reserved: Reserved::ZERO,
            };
            let left = reader.begins(&announced, ReqSeq(20));
            (left, reader.next_out.0, reader.heard.len())
        };
        assert_eq!(begins(5, 3), (Some(3), 5, 0));
        assert_eq!(begins(5, 0), (None, 5, 0), "it would be asked for for ever");
        assert_eq!((begins(4, 3), begins(21, 3)), ((None, 5, 0), (None, 5, 0)));
        assert_eq!(begins(9, 2), (Some(2), 9, 1));
        assert_eq!(begins(20, 0), (Some(0), 20, 2), "all of it is archived");
        assert!(matches!(
            reader.heard[0],
            Report::Missed {
                from: ReqSeq(5),
                until: ReqSeq(9)
            }
        ));
    }

    #[test]
    fn a_retransmission_tells_no_more_than_it_announced() {
        let shared = Shared::new(Outbox::new(ReqSeq(1)));
        let (batches, _receiver) = mpsc::channel(1);
        let mut reader = reader(&shared, &batches);
        let mut told = |count, left| reader.told_again(&mut events(count), left).ok();
        assert_eq!((told(3, 3), told(3, 4)), (Some(0), Some(1)));
        assert_eq!((told(1, 0), told(4, 3)), (None, None));
        // What was announced counts, whatever follows it.
        assert_eq!((reader.next_out, reader.heard.len()), (ReqSeq(10), 9));
    }
}
