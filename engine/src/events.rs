//! The events of the command in hand, in memory laid out at start.

use xq_protocol::{EventFrame, Frame, Header, Message, OutcomeEnded, ReqSeq, Seq, SessionId};

/// Most events that one command can cause: its fills and cancels are bounded, see [`crate::FILLS_MAX`].
pub const EVENTS_MAX: usize = 4 * crate::FILLS_MAX;

/// Who speaks in the headers of events: a session, and the number of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice(SessionId, ReqSeq);

/// Collects what followed from one command.
///
/// # Cost
/// No allocation after construction; one frame is at most two cache lines.
pub struct Events {
    frames: Vec<EventFrame>,
    len: usize,
    header: Header,
    /// Something was told for another than who speaks: the speaker's outcome may need an end of its own.
    unclosed: bool,
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
            unclosed: false,
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

    /// What follows is of this session and, unless it is the one that speaks, answers no request of it; returns who spoke
    /// before.
    pub(crate) fn speak_for(&mut self, session: SessionId) -> Voice {
        let before = self.voice();
        if session != self.header.session {
            self.unclosed = true;
            self.speak_again(Voice(session, ReqSeq::ZERO));
        }
        before
    }

    /// Who speaks.
    pub(crate) fn voice(&self) -> Voice {
        Voice(self.header.session, self.header.req_seq)
    }

    /// What follows is of who spoke before.
    pub(crate) fn speak_again(&mut self, Voice(session, req_seq): Voice) {
        (self.header.session, self.header.req_seq) = (session, req_seq);
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
        if self.unclosed {
            self.close();
        }
        let last = self
            .frames
            .get_mut(self.len - 1)
            .expect("counted when it was emitted");
        last.header_mut().flags |= Header::LAST;
    }

    /// Tells the speaker that its outcome has ended, when the last event is another's.
    #[cold]
    fn close(&mut self) {
        self.unclosed = false;
        let last = self.frames().last().map(|frame| frame.header().session);
        if last != Some(self.header.session) && self.header.session != SessionId::HOUSE {
            self.emit(&OutcomeEnded {});
        }
    }
}
