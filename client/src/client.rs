//! The client: its handles for sending and for listening.

use crate::driver::{Driver, Shared};
use crate::drop_copy::{DropCopy, EventPlace};
use crate::link::{Known, Link, endpoint};
use crate::outbox::Outbox;
use crate::{ClientError, Resume};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use xq_protocol::{
    CancelOrder, DoorRejected, EstablishAck, Event, EventFrame, MassCancel, Message, ParticipantId,
    PlaceOrder, ReplaceOrder, ReqSeq, SessionId,
};

/// Where to connect, as whom, and from where to go on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The exchange's address.
    pub addr: SocketAddr,
    /// The name that the exchange's certificate must bear.
    pub server_name: String,
    /// PEM file: the authority that signed the exchange's certificate.
    pub ca: PathBuf,
    /// PEM file: the participant's certificate.
    pub cert: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// The session.
    pub session: SessionId,
    /// From where to go on; none to hear only what comes from now on.
    pub resume: Option<Resume>,
    /// Largest UDP payload where the path is known (6,000 on loopback); none discovers it from 1,200 on. Less than 1,200
    /// counts as 1,200, and more than 6,500 as 6,500: the kernel takes ten payloads at a time, and 64 KiB in all.
    pub mtu: Option<u16>,
}

/// What a session hears.
#[derive(Debug)]
pub enum Report {
    /// The session is up: first of all, and after each loss.
    Up(EstablishAck),
    /// An event that concerns the session.
    Event {
        /// Its number in the session, without gaps but for [`Report::Missed`]; 0 when it is told again as the answer to a
        /// repeated request.
        out_seq: ReqSeq,
        /// The event.
        frame: EventFrame,
    },
    /// Events that the exchange tells no more: they are archived. What became of the session's orders meanwhile is to be
    /// asked for elsewhere.
    Missed {
        /// The number of the first.
        from: ReqSeq,
        /// The number of the one after the last.
        until: ReqSeq,
    },
    /// A request was refused at the door: send it again under a new number, if it is still wanted. Not so after R109: it
    /// was executed or refused once before, and its outcome is told no more.
    Refused(DoorRejected),
    /// The connection is lost. It is sought again as long as [`ClientError::is_passing`]; else this is the last report.
    Down(ClientError),
}

/// Sends a session's requests; its clones are one.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// Hears a session's reports.
pub struct Reports {
    batches: mpsc::Receiver<Vec<Report>>,
    batch: std::vec::IntoIter<Report>,
    resume: Resume,
    shared: Arc<Shared>,
}

/// A session of the exchange, kept up across lost connections.
///
/// It runs on a task of its own in the current tokio runtime. Dropping it ends the session.
pub struct Client {
    sender: Sender,
    reports: Reports,
}

impl Client {
    /// Connects and establishes the session.
    ///
    /// # Errors
    /// Keys, network, or what the exchange said: [`ClientError`].
    pub async fn connect(config: Config) -> Result<Client, ClientError> {
        let resume = config.resume.unwrap_or_default();
        let endpoint = endpoint(&config)?;
        let known = Known {
            next_out_seq: resume.next_out_seq,
            journal_id: resume.journal_id,
        };
        let link = Link::open(&endpoint, &config, known).await?;
        let next_out = if resume.next_out_seq.is_zero() {
            link.ack.next_out_seq
        } else {
            resume.next_out_seq
        };
        let mut outbox = Outbox::new(resume.next_req_seq);
        outbox.expect(
            link.ack.next_req_seq,
            usize::try_from(link.ack.window.0).unwrap_or(usize::MAX),
        );
        let shared = Arc::new(Shared::new(outbox));
        let (batches, receiver) = mpsc::channel(64);
        let journal_id = link.ack.journal_id;
        *shared.connection() = Some(link.connection.clone());
        let driver = Driver {
            shared: Arc::clone(&shared),
            endpoint,
            config,
            batches,
            next_out,
            journal_id,
        };
        tokio::spawn(driver.run(link));
        let resume = Resume {
            next_out_seq: next_out,
            next_req_seq: ReqSeq::ZERO,
            journal_id,
        };
        let sender = Sender {
            shared: Arc::clone(&shared),
        };
        let reports = Reports {
            batches: receiver,
            batch: Vec::new().into_iter(),
            resume,
            shared,
        };
        Ok(Client { sender, reports })
    }

    /// Places an order; returns the request's number, which its reports bear.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn place(&self, order: &PlaceOrder) -> Result<ReqSeq, ClientError> {
        self.sender.send(order).await
    }
    /// Cancels an order, or takes some of its quantity.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn cancel(&self, cancel: &CancelOrder) -> Result<ReqSeq, ClientError> {
        self.sender.send(cancel).await
    }
    /// Replaces an order's quantity and price.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn replace(&self, replace: &ReplaceOrder) -> Result<ReqSeq, ClientError> {
        self.sender.send(replace).await
    }
    /// Cancels many orders.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn mass_cancel(&self, cancel: &MassCancel) -> Result<ReqSeq, ClientError> {
        self.sender.send(cancel).await
    }
    /// Sends any command.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn send<M: Message>(&self, command: &M) -> Result<ReqSeq, ClientError> {
        self.sender.send(command).await
    }
    /// The next report.
    ///
    /// # Errors
    /// [`ClientError::Closed`] after the last one.
    pub async fn next_event(&mut self) -> Result<Report, ClientError> {
        self.reports.next().await
    }
    /// Hears all that a participant's sessions are told, from an event on; the asker's own when it is zero.
    ///
    /// # Errors
    /// [`ClientError::NotUp`], or what the exchange said: R201 to who may not watch that participant.
    pub async fn drop_copy(
        &self,
        participant: ParticipantId,
        from: EventPlace,
    ) -> Result<DropCopy, ClientError> {
        self.sender.drop_copy(participant, from).await
    }
    /// What to keep so that a later client goes on from here: after the last report that was taken.
    pub fn resume(&self) -> Resume {
        self.reports.resume()
    }
    /// The handle for sending; its clones may be used from other tasks.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
    /// Both handles, to be used from different tasks.
    pub fn split(self) -> (Sender, Reports) {
        (self.sender, self.reports)
    }
    /// Ends the session, once what was sent is on its way.
    pub async fn close(mut self) {
        self.sender.close();
        while self.reports.batches.recv().await.is_some() {}
    }
}

impl Sender {
    /// Sends a command under the next number; waits while as many are unanswered as the exchange remembers.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn send<M: Message>(&self, command: &M) -> Result<ReqSeq, ClientError> {
        loop {
            let room = self.shared.room.notified();
            if let Some(number) = self.queue(command)? {
                self.flush();
                return Ok(number);
            }
            room.await;
        }
    }

    /// Sends commands in one go; returns the number of the first, the others' follow it.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn send_all<M: Message>(&self, commands: &[M]) -> Result<Option<ReqSeq>, ClientError> {
        let mut first = None;
        for command in commands {
            let number = match self.queue(command)? {
                Some(number) => number,
                // What is queued must be on its way before its answers can make room.
                None => self.send(command).await?,
            };
            first.get_or_insert(number);
        }
        self.flush();
        Ok(first)
    }

    /// Queues a command until [`Sender::flush`]; none when as many are unanswered as the exchange remembers.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub fn queue<M: Message>(&self, command: &M) -> Result<Option<ReqSeq>, ClientError> {
        if self.shared.is_closing() {
            return Err(ClientError::Closed);
        }
        let mut outbox = self.shared.outbox();
        Ok((outbox.room() > 0).then(|| outbox.push(command)))
    }

    /// Sends what was queued.
    pub fn flush(&self) {
        self.shared.more.notify_one();
    }

    /// Sends a command under a number of the caller's, to learn of its outcome: one that an earlier life may have sent.
    ///
    /// # Errors
    /// [`ClientError::OutOfOrder`] unless the number is above all that are unanswered; [`ClientError::Closed`].
    pub fn send_as<M: Message>(&self, number: ReqSeq, command: &M) -> Result<(), ClientError> {
        if self.shared.is_closing() {
            return Err(ClientError::Closed);
        }
        self.shared.outbox().push_as(number, command)?;
        self.flush();
        Ok(())
    }

    /// How many requests are unanswered.
    pub fn unanswered(&self) -> usize {
        self.shared.outbox().waiting()
    }

    /// Hears all that a participant's sessions are told, from an event on; the asker's own when it is zero.
    ///
    /// # Errors
    /// [`ClientError::NotUp`], or what the exchange said: R201 to who may not watch that participant.
    pub async fn drop_copy(
        &self,
        participant: ParticipantId,
        from: EventPlace,
    ) -> Result<DropCopy, ClientError> {
        let connection = self.shared.connection().clone().ok_or(ClientError::NotUp)?;
        DropCopy::open(&connection, participant, from).await
    }

    /// Ends the session, once what was sent is on its way.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Reports {
    /// The next report.
    ///
    /// # Errors
    /// [`ClientError::Closed`] after the last one.
    pub async fn next(&mut self) -> Result<Report, ClientError> {
        loop {
            if let Some(report) = self.batch.next() {
                self.heard(&report);
                return Ok(report);
            }
            self.batch = self.batches.recv().await.ok_or(ClientError::Closed)?.into_iter();
        }
    }

    /// All reports that came together; waits for at least one.
    ///
    /// # Errors
    /// [`ClientError::Closed`] after the last one.
    pub async fn next_batch(&mut self) -> Result<Vec<Report>, ClientError> {
        let mut reports: Vec<Report> = std::mem::take(&mut self.batch).collect();
        if reports.is_empty() {
            reports = self.batches.recv().await.ok_or(ClientError::Closed)?;
        }
        for report in &reports {
            self.heard(report);
        }
        Ok(reports)
    }

    fn heard(&mut self, report: &Report) {
        match report {
            Report::Event { out_seq, .. } if !out_seq.is_zero() => {
                self.resume.next_out_seq = ReqSeq(out_seq.0 + 1)
            }
            Report::Missed { until, .. } => self.resume.next_out_seq = *until,
            Report::Up(ack) => self.resume.journal_id = ack.journal_id,
            Report::Event { .. } | Report::Refused(_) | Report::Down(_) => {}
        }
    }

    /// What to keep so that a later client goes on from here: after the last report that was taken.
    pub fn resume(&self) -> Resume {
        Resume {
            next_req_seq: self.shared.outbox().next(),
            ..self.resume
        }
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Report {
    /// The event, if it is one.
    pub fn event(&self) -> Option<Event<'_>> {
        match self {
            Report::Event { frame, .. } => frame.event().ok(),
            Report::Up(_) | Report::Missed { .. } | Report::Refused(_) | Report::Down(_) => None,
        }
    }
    /// The request that it answers, if it answers one.
    pub fn req_seq(&self) -> ReqSeq {
        match self {
            Report::Event { frame, .. } => frame.header().req_seq,
            Report::Refused(rejected) => rejected.req_seq,
            Report::Up(_) | Report::Missed { .. } | Report::Down(_) => ReqSeq::ZERO,
        }
    }
}
