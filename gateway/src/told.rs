//! What a session is told, and how the n-th message told is found again.
//!
//! An event is told to the session that spoke and to the other session it concerns, if any; never to the house. The
//! out sequence of a session counts these messages from 1, in the order of the events, whether or not anybody was
//! connected: it follows from the events alone, also after a restart. Rules:
//!
//! * `Traded` is told as `Executed`: the taker's side to the session that spoke, the maker's side to the maker's. When
//!   both are one session it is told both, the taker's side first. `TradeBusted` is told as `ExecutionBusted` to both
//!   sides in the same way, and as it is to the session that spoke. Any other event is told once to a session.
//! * Not told, because they drive the session itself: `SessionEstablished`, `SessionEnded`, `RequestRepeated`, and
//!   `Rejected` of a `SessionUp` or `SessionDown`.
//! * The header is the event's. Toward the *other* session, `session` is its own and `req_seq` is 0: who spoke stays
//!   unknown to it.
//! * What is told again for a repeated request has [`Header::REPEATED`] set and no number.

use xq_protocol::{
    Event, EventFrame, Frame, Header, Liquidity, Message, ReqSeq, Seq, SessionDown, SessionId, SessionUp,
    TradeBusted, Traded,
};

/// How an event is told to one session.
#[derive(Clone, Copy, Debug)]
enum Manner<'a> {
    AsItIs,
    Executed(&'a Traded, Liquidity),
    Busted(&'a TradeBusted, Liquidity),
}

/// One message to be told.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// To whom.
    pub to: SessionId,
    manner: Manner<'a>,
}

/// The messages of one event, none to three, in the order of their numbers.
pub fn tellings<'a>(header: &Header, event: &Event<'a>) -> [Option<Telling<'a>>; 3] {
    let audience = event.audience(header);
    let (speaker, other) = (audience.speaker, audience.other);
    let to = |to: SessionId, manner| (to != SessionId::HOUSE).then_some(Telling { to, manner });
    match event {
        Event::SessionEstablished(_) | Event::SessionEnded(_) | Event::RequestRepeated(_) => [None; 3],
        Event::Rejected(rejected) if drives_session(rejected.template.0) => [None; 3],
        Event::Traded(traded) => [
            to(speaker, Manner::Executed(traded, Liquidity::Taker)),
            to(other, Manner::Executed(traded, Liquidity::Maker)),
            None,
        ],
        Event::TradeBusted(busted) => [
            to(speaker, Manner::AsItIs),
            to(other, Manner::Busted(busted, Liquidity::Taker)),
            to(audience.third, Manner::Busted(busted, Liquidity::Maker)),
        ],
        other_event => {
            let never = matches!(other_event, Event::Executed(_) | Event::ExecutionBusted(_));
            debug_assert!(!never, "never journaled");
            let second = if other == speaker {
                None
            } else {
                to(other, Manner::AsItIs)
            };
            [to(speaker, Manner::AsItIs), second, None]
        }
    }
}

/// Says whether a command is about the session itself.
pub fn drives_session(template: u32) -> bool {
    template == u32::from(SessionUp::TEMPLATE) || template == u32::from(SessionDown::TEMPLATE)
}

impl Telling<'_> {
    /// Hands over the message's bytes; `flags` are set in addition.
    #[inline]
    pub fn write(&self, frame: &Frame<'_>, flags: u16, put: &mut dyn FnMut(&[u8])) {
        let spoke = frame.header.session == self.to;
        match self.manner {
            Manner::AsItIs if spoke && flags == 0 => put(frame.bytes()),
            Manner::AsItIs => {
                let mut copy = EventFrame::copy_of(frame).expect("an event fits one slot");
                *copy.header_mut() = self.header(frame.header, flags);
                put(copy.bytes());
            }
            Manner::Executed(traded, liquidity) => {
                let header = self.header(frame.header, flags);
                put(EventFrame::new(header, &traded.executed(liquidity)).bytes());
            }
            Manner::Busted(busted, liquidity) => {
                let header = self.header(frame.header, flags);
                put(EventFrame::new(header, &busted.execution(liquidity)).bytes());
            }
        }
    }

    fn header(&self, header: &Header, flags: u16) -> Header {
        let spoke = header.session == self.to;
        Header {
            session: self.to,
            req_seq: if spoke { header.req_seq } else { ReqSeq::ZERO },
            flags: header.flags | flags,
            ..*header
        }
    }
}

/// Where a message told is found again: at or after this event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The event's command.
    pub seq: Seq,
    /// The event's place among its command's.
    pub index: u16,
    /// The number of the first message told of this event.
    pub number: u64,
}

/// Marks kept for a session; when there are more, every other one is forgotten.
const MARKS_MAX: usize = 65_536;
/// A mark at least every so many messages …
const SPACING: u64 = 256;
/// … and for the first message after so many commands, so that a quiet session's are found without a long search.
const SPACING_SEQ: u64 = 4_096;

/// How much a session was told, and where it stands in the event journal.
///
/// # Cost
/// 24 bytes a mark, at most 1.5 MiB a session.
#[derive(Debug, Default)]
pub struct Told {
    count: u64,
    marks: Vec<Mark>,
    /// How often every other mark was forgotten.
    thinned: u32,
    /// The event of the last message.
    last: (Seq, u16),
}

impl Told {
    /// Messages told so far: the number of the last.
    pub fn count(&self) -> u64 {
        self.count
    }
    /// Marks, how often every other was forgotten, and the event of the last message: what is saved besides the count.
    pub(crate) fn parts(&self) -> (&[Mark], u32, (Seq, u16)) {
        (&self.marks, self.thinned, self.last)
    }

    /// From what was saved; none when it was never so.
    pub(crate) fn restored(count: u64, marks: Vec<Mark>, (thinned, last): (u32, (Seq, u16))) -> Option<Told> {
        let in_order = marks.is_sorted_by(|one, next| {
            one.number < next.number && (one.seq, one.index) < (next.seq, next.index)
        });
        let first = marks.first().is_none_or(|mark| mark.number == 1);
        let within = marks
            .last()
            .is_none_or(|mark| mark.number <= count && (mark.seq, mark.index) <= last);
        let bounded = marks.len() <= MARKS_MAX && thinned < 32 && marks.is_empty() == (count == 0);
        (in_order && first && within && bounded).then_some(Told {
            count,
            marks,
            thinned,
            last,
        })
    }

    /// Counts one message of this event.
    #[inline]
    pub fn counted(&mut self, header: &Header) {
        self.count += 1;
        let event = (header.seq, header.index);
        // A mark stands at its event's first message, or the second would be counted as the first.
        let first = self.last != event;
        assert!(self.last <= event, "events are followed in order");
        self.last = event;
        let due = self.marks.last().is_none_or(|mark| {
            self.count - mark.number >= SPACING << self.thinned
                || header.seq.0 - mark.seq.0 >= SPACING_SEQ << self.thinned
        });
        if first && due {
            self.mark(header);
        }
    }

    fn mark(&mut self, header: &Header) {
        if self.marks.len() >= MARKS_MAX {
            let mut place = 0_usize;
            self.marks.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.thinned += 1;
        }
        self.marks.push(Mark {
            seq: header.seq,
            index: header.index,
            number: self.count,
        });
    }

    /// The first message that is found again when the events of commands before `oldest` are archived.
    pub fn first_since(&self, oldest: Seq) -> u64 {
        let archived = self.marks.partition_point(|mark| mark.seq < oldest);
        self.marks
            .get(archived)
            .map_or(self.count + 1, |mark| mark.number)
    }

    /// The last mark at or before a message, and the number of the mark after it; none when it was not told yet.
    pub fn find(&self, number: u64) -> Option<(Mark, Option<u64>)> {
        if number == 0 || number > self.count {
            return None;
        }
        let after = self.marks.partition_point(|mark| mark.number <= number);
        let mark = *self.marks.get(after.checked_sub(1)?)?;
        Some((mark, self.marks.get(after).map(|next| next.number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seq: u64, index: u16) -> Header {
        Header {
            seq: Seq(seq),
            index,
            ..Header::default()
        }
    }

    #[test]
    fn each_message_is_found_at_or_after_a_mark() {
        let mut told = Told::default();
        let mut places = Vec::new();
        for n in 0_u64..3_000_000 {
            // Bursts of two messages an event, and long silences.
            let seq = 1 + (n / 2) * 3 + (n / 50_000) * 10_000;
            told.counted(&header(seq, 0));
            places.push(seq);
        }
        assert_eq!(told.count(), 3_000_000);
        assert!(told.marks.len() <= MARKS_MAX);
        for number in [
            1, 2, 3, 255, 256, 257, 50_000, 50_001, 50_002, 1_000_000, 3_000_000,
        ] {
            let (mark, next) = told.find(number).expect("it was told");
            assert!(mark.number <= number && next.is_none_or(|next| number < next));
            let first = usize::try_from(mark.number).expect("small") - 1;
            assert_eq!(mark.seq.0, places[first]);
            // A mark stands at the first message of its event.
            assert!(first == 0 || places[first - 1] < places[first]);
        }
        assert!(told.find(0).is_none() && told.find(3_000_001).is_none());
    }

    #[test]
    fn marks_are_thinned_not_forgotten() {
        let mut told = Told::default();
        for n in 1_u64..=200_000 {
            told.counted(&header(n * SPACING_SEQ, 0));
        }
        assert!(told.marks.len() <= MARKS_MAX && told.thinned > 0);
        assert_eq!(told.find(1).expect("told").0.number, 1);
        let (mark, _) = told.find(200_000).expect("told");
        assert!(200_000 - mark.number < 16);
    }
}
