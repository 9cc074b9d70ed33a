//! The way out: the event journal, read as far as it may be told.

use crate::exit::Failure;
use crate::progress::Durable;
use std::ops::ControlFlow;
use std::sync::Arc;
use xq_gateway::Again;
use xq_journal::{EventPosition, EventReader, Storage};
use xq_protocol::{Frame, Seq};

/// Most events visited by one poll.
const POLL_EVENTS: usize = 4_096;

/// Reads the events of this process's journal: only what the publisher appended, and it appends only what is durable.
pub struct Source {
    reader: EventReader,
    /// Reads again what was visited before, so that doing so does not move the first one.
    again: EventReader,
    durable: Durable,
}

impl Source {
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        position: &Arc<EventPosition>,
        durable: Durable,
    ) -> Result<Source, Failure> {
        let open = || EventReader::open(Arc::clone(storage), Arc::clone(position));
        Ok(Source {
            reader: open()?,
            again: open()?,
            durable,
        })
    }

    /// Goes on with the events of command `from`, instead of with the journal's first.
    ///
    /// # Errors
    /// When the command lies beyond the next one to be told.
    pub fn skip_to(&mut self, from: Seq) -> Result<(), Failure> {
        Ok(self.reader.seek(from)?)
    }

    /// The next event that may be told, if there is one.
    ///
    /// # Errors
    /// What the journal's reader refuses: the journal is not what was written.
    pub fn next_event(&mut self) -> Result<Option<Frame<'_>>, Failure> {
        Ok(self.reader.next_event()?.map(frame_of))
    }

    /// Visits, in order, a bounded number of events that were not visited before and may be told; returns how many.
    pub fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        for visited in 0..POLL_EVENTS {
            match self.reader.next_event() {
                Ok(Some(event)) => visit(&frame_of(event)),
                Ok(None) => return visited,
                Err(error) => Failure::from(error).end_process(),
            }
        }
        POLL_EVENTS
    }

    /// Visits again the events from command `from` on, up to the last that was polled, until the visitor breaks.
    ///
    /// A client asks for this, so that what is archived or damaged, old as it is, ends nothing but the answer: each command's
    /// events are verified before the first of them is visited.
    pub fn read_from(&mut self, from: Seq, visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again {
        let end = self.reader.cursor();
        if from >= end.seq && end.index == 0 {
            return Again::Visited;
        }
        if from < self.oldest() {
            return Again::Gone;
        }
        let read = self.again.seek(from).and_then(|()| {
            while self.again.cursor() < end {
                if self.again.cursor().index == 0 {
                    self.again.verify_command()?;
                }
                match self.again.next_event()? {
                    Some(event) if visit(&frame_of(event)).is_continue() => {}
                    Some(_) | None => break,
                }
            }
            Ok(())
        });
        match read {
            Ok(()) => Again::Visited,
            Err(error) => {
                tracing::error!(from = from.0, %error, "events cannot be told again");
                Again::Gone
            }
        }
    }

    /// The first command whose events are not archived. Where that cannot be said, nothing can be told again.
    pub fn oldest(&mut self) -> Seq {
        self.again.oldest().unwrap_or_else(|error| {
            tracing::error!(%error, "the oldest events cannot be found");
            self.reader.cursor().seq
        })
    }

    /// The last durable command.
    pub fn durable(&self) -> Seq {
        self.durable.seq()
    }
}

fn frame_of(event: &[u8]) -> Frame<'_> {
    let (frame, _) = Frame::split(event).expect("the journal holds whole events at aligned places");
    frame
}
