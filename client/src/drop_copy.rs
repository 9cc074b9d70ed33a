//! A drop copy: what a participant's sessions are told, for whoever watches over it.

use crate::ClientError;
use crate::link::{ask, unexpected};
use crate::wire::Inbound;
use quinn::{Connection, RecvStream};
use xq_protocol::{Count, DropCopyRequest, EventFrame, ParticipantId, Seq, SessionMessage};

/// A place in the event journal: a command, and which of its events is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPlace {
    /// The command.
    pub seq: Seq,
    /// The event's place among its command's.
    pub index: u16,
}

/// What a drop copy tells.
#[derive(Clone, Copy, Debug)]
pub enum Copied {
    /// A message, as a session of the participant was told it: its header names the session and the event.
    Message(EventFrame),
    /// Nothing is missing up to this command.
    UpTo(Seq),
}

/// A drop copy. It ends with its connection: ask for another one then, from [`DropCopy::next_place`] on.
pub struct DropCopy {
    recv: RecvStream,
    inbound: Inbound,
    next: EventPlace,
    /// The messages of an event are told together: its place is passed when another one's come.
    last: Option<EventPlace>,
}

impl DropCopy {
    pub(crate) async fn open(
        connection: &Connection,
        participant: ParticipantId,
        from: EventPlace,
    ) -> Result<DropCopy, ClientError> {
        let request = DropCopyRequest {
            participant,
            index: Count(from.index.into()),
            seq: from.seq,
        };
        let mut recv = ask(connection, &request).await?;
        let mut inbound = Inbound::new(64 << 10);
        let head = inbound.wait(&mut recv).await?;
        let message = head.session_message();
        let Ok(SessionMessage::DropCopyBegan(began)) = message else {
            return Err(unexpected(&head, message));
        };
        let index = u16::try_from(began.index.0).unwrap_or(u16::MAX);
        let next = EventPlace {
            seq: began.seq,
            index,
        };
        Ok(DropCopy {
            recv,
            inbound,
            next,
            last: None,
        })
    }

    /// What is told next.
    ///
    /// # Errors
    /// The connection was lost, or this reader was too slow and dropped.
    pub async fn next(&mut self) -> Result<Copied, ClientError> {
        let frame = self.inbound.wait(&mut self.recv).await?;
        if frame.event().is_ok() {
            let copy = EventFrame::copy_of(&frame).expect("an event fits one slot");
            let place = EventPlace {
                seq: frame.header.seq,
                index: frame.header.index,
            };
            if let Some(passed) = self.last.replace(place).filter(|last| *last != place) {
                self.next = EventPlace {
                    index: passed.index.saturating_add(1),
                    ..passed
                };
            }
            return Ok(Copied::Message(copy));
        }
        match frame.session_message() {
            Ok(SessionMessage::DropCopied(copied)) => {
                // Of a command beyond it some events may have been told already: they stay told.
                if self.last.is_none_or(|last| last.seq <= copied.seq) {
                    let after = EventPlace {
                        seq: Seq(copied.seq.0 + 1),
                        index: 0,
                    };
                    (self.next, self.last) = (self.next.max(after), None);
                }
                Ok(Copied::UpTo(copied.seq))
            }
            other => Err(unexpected(&frame, other)),
        }
    }

    /// Where another one has to begin so that nothing is missed. Messages of one event may then be told again.
    pub fn next_place(&self) -> EventPlace {
        self.next
    }
}
