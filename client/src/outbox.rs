//! The requests of a session that were not answered yet, in order of their numbers.

use crate::ClientError;
use bytes::Bytes;
use std::collections::VecDeque;
use xq_protocol::{CommandFrame, Header, Message, ReqSeq};
use zerocopy::IntoBytes;

struct Request {
    number: ReqSeq,
    /// Where its frame starts, in words since the beginning.
    start: u64,
    answered: bool,
}

/// Requests that wait for their answer; what of them was not sent on this connection yet is at the end.
#[derive(Default)]
pub(crate) struct Outbox {
    next: ReqSeq,
    window: usize,
    requests: VecDeque<Request>,
    words: Vec<u64>,
    /// Words since the beginning that were given up.
    base: u64,
    /// Words since the beginning that were sent on this connection.
    sent: u64,
    /// Whether requests may be sent: not before a connection has caught up on what may answer them.
    flow: Flow,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Held,
    Open,
}

/// Words given up at once: moving less would be work for nothing.
const TRIM: u64 = 64 << 10;

impl Outbox {
    pub(crate) fn new(next: ReqSeq) -> Outbox {
        Outbox {
            next: next.max(ReqSeq(1)),
            window: 1,
            ..Outbox::default()
        }
    }
    pub(crate) fn next(&self) -> ReqSeq {
        self.next
    }
    pub(crate) fn waiting(&self) -> usize {
        self.requests.len()
    }
    /// How many more requests may be under way.
    pub(crate) fn room(&self) -> usize {
        self.window.saturating_sub(self.requests.len())
    }

    /// Adds a request under the next number.
    pub(crate) fn push<M: Message>(&mut self, body: &M) -> ReqSeq {
        let number = self.next;
        self.append(number, body);
        number
    }

    /// Adds a request under a number of the caller's.
    pub(crate) fn push_as<M: Message>(&mut self, number: ReqSeq, body: &M) -> Result<(), ClientError> {
        if self.requests.back().is_some_and(|last| last.number >= number) || number.is_zero() {
            return Err(ClientError::OutOfOrder);
        }
        self.append(number, body);
        Ok(())
    }

    fn append<M: Message>(&mut self, number: ReqSeq, body: &M) {
        let frame = CommandFrame::new(Header::request(number), body);
        let length = frame.bytes().len() / 8;
        let start = self.end();
        self.words.extend_from_slice(&frame.words()[..length]);
        let answered = false;
        self.requests.push_back(Request {
            number,
            start,
            answered,
        });
        self.next = self.next.max(ReqSeq(number.0.saturating_add(1)));
    }

    fn end(&self) -> u64 {
        self.base + words(self.words.len())
    }

    /// Takes what was not sent yet.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if self.flow == Flow::Held {
            return None;
        }
        let from = usize::try_from(self.sent - self.base).expect("a place in memory");
        self.sent = self.end();
        let unsent = self.words.get(from..).filter(|words| !words.is_empty())?;
        Some(Bytes::copy_from_slice(unsent.as_bytes()))
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, number: ReqSeq) {
        self.consumed(number, number);
    }

    /// All requests with these numbers were answered.
    pub(crate) fn consumed(&mut self, from: ReqSeq, to: ReqSeq) {
        let first = self.requests.partition_point(|request| request.number < from);
        for request in self
            .requests
            .range_mut(first..)
            .take_while(|request| request.number <= to)
        {
            request.answered = true;
        }
        while self.requests.front().is_some_and(|request| request.answered) {
            self.requests.pop_front();
        }
        let kept = self
            .requests
            .front()
            .map_or(self.end(), |first| first.start)
            .min(self.sent);
        if kept - self.base > TRIM {
            self.words
                .drain(..usize::try_from(kept - self.base).expect("a place in memory"));
            self.base = kept;
        }
    }

    /// A new connection is up: what is unanswered is sent again under its own number.
    pub(crate) fn restart(&mut self, next: ReqSeq, window: usize) {
        let mut kept = Vec::new();
        let mut requests = VecDeque::new();
        let ends: Vec<u64> = self
            .requests
            .iter()
            .skip(1)
            .map(|r| r.start)
            .chain([self.end()])
            .collect();
        for (request, end) in self
            .requests
            .iter()
            .zip(ends)
            .filter(|(request, _)| !request.answered)
        {
            let place = |word: u64| usize::try_from(word - self.base).expect("a place in memory");
            let (number, start, answered) = (request.number, words(kept.len()), false);
            kept.extend_from_slice(&self.words[place(request.start)..place(end)]);
            requests.push_back(Request {
                number,
                start,
                answered,
            });
        }
        (self.words, self.requests) = (kept, requests);
        (self.base, self.sent) = (0, 0);
        self.expect(next, window);
        self.flow = Flow::Open;
    }

    /// The exchange expects this number next at least, and remembers so many.
    pub(crate) fn expect(&mut self, next: ReqSeq, window: usize) {
        self.next = self.next.max(next);
        self.window = window.max(1);
    }

    /// The connection is lost: nothing is sent until the next one is up.
    pub(crate) fn hold(&mut self) {
        self.flow = Flow::Held;
    }
}

fn words(count: usize) -> u64 {
    u64::try_from(count).expect("a usize fits 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{Frame, Sequence};

    fn numbers(bytes: Option<Bytes>) -> Vec<u64> {
        let mut words = Vec::new();
        for chunk in bytes.unwrap_or_default().chunks(8) {
            words.push(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        let (mut rest, mut numbers) = (words.as_bytes(), Vec::new());
        while let Ok((frame, after)) = Frame::split(rest) {
            numbers.push(frame.header.req_seq.0);
            rest = after;
        }
        numbers
    }

    #[test]
    fn what_is_unanswered_is_sent_again_under_its_number() {
        let mut outbox = Outbox::new(ReqSeq(1));
        outbox.restart(ReqSeq(11), 100);
        let body = Sequence { next: ReqSeq(0) };
        outbox.hold();
        outbox.push(&body);
        assert!(
            outbox.take().is_none(),
            "nothing is sent before the connection has caught up"
        );
        outbox.restart(ReqSeq(11), 100);
        for number in 12..=15 {
            assert_eq!(outbox.push(&body), ReqSeq(number));
        }
        assert_eq!(numbers(outbox.take()), [11, 12, 13, 14, 15]);
        assert_eq!(numbers(outbox.take()), [0_u64; 0]);
        outbox.answered(ReqSeq(13));
        outbox.answered(ReqSeq(11));
        outbox.answered(ReqSeq(99));
        assert_eq!((outbox.waiting(), outbox.room()), (4, 96));
        outbox.restart(ReqSeq(12), 100);
        outbox.push(&body);
        assert_eq!(numbers(outbox.take()), [12, 14, 15, 16]);
        assert!(matches!(
            outbox.push_as(ReqSeq(16), &body),
            Err(ClientError::OutOfOrder)
        ));
        outbox.push_as(ReqSeq(20), &body).expect("a larger number");
        assert_eq!((numbers(outbox.take()), outbox.next()), (vec![20], ReqSeq(21)));
    }

    #[test]
    fn memory_is_given_up_as_answers_come() {
        let mut outbox = Outbox::new(ReqSeq(1));
        outbox.restart(ReqSeq(1), 10);
        for _ in 0..100_000 {
            let number = outbox.push(&Sequence { next: ReqSeq(0) });
            assert_eq!(numbers(outbox.take()), [number.0]);
            outbox.answered(number);
        }
        assert!(words(outbox.words.len()) <= 2 * TRIM);
    }
}
