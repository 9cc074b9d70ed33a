//! The events of the command in hand, in memory laid out at start.

use xq_protocol::{EventFrame, Frame, Header, Message, Seq};

/// Most events that one command can cause: its fills and cancels are bounded, see [`crate::FILLS_MAX`].
pub const EVENTS_MAX: usize = 4 * crate::FILLS_MAX;

/// Collects what followed from one command.
///
/// # Cost
/// No allocation after construction; one frame is at most two cache lines.
pub struct Events {
    frames: Vec<EventFrame>,
    len: usize,
    header: Header,
}

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}

impl Events {
    /// Room for the events of the largest command.
    pub fn new() -> Events {
        Events {
            frames: vec![EventFrame::default(); EVENTS_MAX],
            len: 0,
            header: Header::default(),
        }
    }

    /// The events so far, in order; the header of each names its command and its place.
    #[inline]
    pub fn frames(&self) -> &[EventFrame] {
        self.frames
            .get(..self.len)
            .expect("no more were emitted than there is room for")
    }

    /// How many there are so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Begins the events of this command; [`Events::stamp`] gives them their time.
    #[inline]
    pub(crate) fn begin(&mut self, seq: Seq, command: &Frame<'_>) {
        self.len = 0;
        self.header.seq = seq;
        self.header.session = command.header.session;
        self.header.req_seq = command.header.req_seq;
    }

    /// The exchange's time, which every event of the command carries.
    #[inline]
    pub(crate) fn stamp(&mut self, now: xq_protocol::Nanos) {
        self.header.time = now;
    }

    /// Adds one event.
    #[inline(always)]
    pub(crate) fn emit<M: Message>(&mut self, event: &M) {
        let frame = self
            .frames
            .get_mut(self.len)
            .expect("one command's events are bounded");
        let index = u16::try_from(self.len).expect("one command's events are fewer than 65,536");
        let header = Header {
            index,
            flags: 0,
            ..self.header
        };
        frame.write(header, event);
        self.len += 1;
    }

    /// Marks the last event: every command has at least one.
    #[inline]
    pub(crate) fn end(&mut self) {
        assert!(self.len > 0, "every command has at least one event");
        let last = self
            .frames
            .get_mut(self.len - 1)
            .expect("counted when it was emitted");
        last.header_mut().flags |= Header::LAST;
    }
}
