//! One FIX session as it lasts: the numbers of what it was told, what can be told again, and what is still to be written.
//!
//! A desk is there whether anybody is connected or not. Each message told gets the next number. Who asks for numbers
//! again gets those that can be told again with PossDupFlag, and a gap fill for each stretch of others; who reads slowly
//! gets them piece by piece. What is older than the desk keeps becomes a gap as well.

use crate::format::put_timestamp;
use crate::session::{Again, Names};
use crate::tag;
use crate::wire::{put, put_message, put_number};
use std::collections::VecDeque;
use xq_protocol::Nanos;

/// Bytes that wait to be written before what is told again is held back.
const AHEAD: usize = 64 << 10;

/// A message that can be told again.
#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u64,
    at: Nanos,
    kind: [u8; 2],
    /// Where its body starts, counted in all bytes that were ever kept.
    start: usize,
    length: usize,
}

/// Messages that can be told again, the oldest forgotten first.
///
/// # Cost
/// Two queues that grow to their bound and stay there.
#[derive(Debug)]
struct History {
    kept: VecDeque<Kept>,
    bytes: VecDeque<u8>,
    /// Bytes that were forgotten before the first one here.
    forgotten: usize,
    limit: usize,
}

impl History {
    fn push(&mut self, message: Kept, body: &[u8]) {
        while self.bytes.len() + body.len() > self.limit
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes.drain(..oldest.length);
            self.forgotten += oldest.length;
        }
        if body.len() <= self.limit {
            let start = self.forgotten + self.bytes.len();
            self.kept.push_back(Kept { start, ..message });
            self.bytes.extend(body);
        }
    }

    /// The first message kept at this number or later.
    fn from(&self, number: u64) -> Option<Kept> {
        let place = self.kept.partition_point(|kept| kept.number < number);
        self.kept.get(place).copied()
    }

    /// The bytes of a body, in the two parts in which they lie.
    fn body(&self, kept: &Kept) -> [&[u8]; 2] {
        let (first, second) = self.bytes.as_slices();
        let cut = |from: usize, to: usize, of: usize| from.min(of)..to.min(of);
        let start = kept.start - self.forgotten;
        let end = start + kept.length;
        let head = &first[cut(start, end, first.len())];
        let (from, to) = (start.saturating_sub(first.len()), end.saturating_sub(first.len()));
        [head, &second[cut(from, to, second.len())]]
    }
}

/// A stretch of numbers that is being told again.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    next: u64,
    end: u64,
}

/// A desk.
#[derive(Debug)]
pub struct Desk {
    names: Names,
    /// The number of the next message told.
    next_out: u64,
    /// The number of the next message that was never written to anyone.
    fresh: u64,
    again: Option<Stretch>,
    history: History,
    head: Vec<u8>,
}

impl Desk {
    /// A desk that has told nothing, and keeps so many bytes of what it tells.
    pub fn new(names: Names, kept_bytes: usize) -> Desk {
        let history = History {
            kept: VecDeque::new(),
            bytes: VecDeque::new(),
            forgotten: 0,
            limit: kept_bytes,
        };
        Desk {
            names,
            next_out: 1,
            fresh: 1,
            again: None,
            history,
            head: Vec::with_capacity(256),
        }
    }

    /// Whose it is.
    pub fn names(&self) -> &Names {
        &self.names
    }
    /// The number of the next message told.
    pub fn next_out(&self) -> u64 {
        self.next_out
    }

    /// The numbers begin anew: nothing before can be asked for any more.
    pub fn reset(&mut self) {
        (self.next_out, self.fresh, self.again) = (1, 1, None);
        self.history.kept.clear();
        self.history.forgotten += self.history.bytes.len();
        self.history.bytes.clear();
    }

    /// Somebody connects: all that was told before counts as written.
    pub fn connect(&mut self) {
        (self.fresh, self.again) = (self.next_out, None);
    }

    /// Gives a message its number, and writes it when its reader is there and has read all before it.
    pub fn tell(
        &mut self,
        at: Nanos,
        (kind, again): ([u8; 2], Again),
        body: &[u8],
        to: Option<&mut Vec<u8>>,
    ) {
        let number = self.next_out;
        self.next_out += 1;
        if again == Again::Told {
            self.history.push(
                Kept {
                    number,
                    at,
                    kind,
                    start: 0,
                    length: body.len(),
                },
                body,
            );
        }
        let Some(to) = to else { return };
        if self.again.is_none() && self.fresh == number && to.len() < AHEAD {
            self.fresh = self.next_out;
            self.head(kind, number, (at, None));
            put_message(to, &self.head, [body, &[]]);
        }
    }

    /// Begins to tell numbers again, from the first to the last; 0 as the last is all there are.
    pub fn resend(&mut self, (first, last): (u64, u64)) {
        let written = self.fresh - 1;
        let end = if last == 0 { written } else { last.min(written) };
        self.again = Some(Stretch {
            next: first.max(1),
            end,
        });
    }

    /// Writes what is to be told again, then what was told since, as far as not too much waits; says whether there is more.
    pub fn write(&mut self, now: Nanos, to: &mut Vec<u8>) -> bool {
        while to.len() < AHEAD {
            if let Some(stretch) = self.again {
                if stretch.next > stretch.end {
                    self.again = None;
                    continue;
                }
                let next = self.write_one(now, (stretch.next, stretch.end, Some(now)), to);
                self.again = Some(Stretch { next, ..stretch });
            } else if self.fresh < self.next_out {
                self.fresh = self.write_one(now, (self.fresh, self.next_out - 1, None), to);
            } else {
                return false;
            }
        }
        self.again.is_some() || self.fresh < self.next_out
    }

    /// Writes the message of this number, or a gap fill up to the next that is kept; gives the number after it.
    fn write_one(
        &mut self,
        now: Nanos,
        (number, end, again): (u64, u64, Option<Nanos>),
        to: &mut Vec<u8>,
    ) -> u64 {
        let kept = self.history.from(number).filter(|kept| kept.number <= end);
        if let Some(kept) = kept.filter(|kept| kept.number == number) {
            self.head(kept.kind, number, (now, again.map(|_| kept.at)));
            put_message(to, &self.head, self.history.body(&kept));
            return number + 1;
        }
        let next = kept.map_or(end + 1, |kept| kept.number);
        self.head([b'4', 0], number, (now, again));
        put_number(&mut self.head, tag::NEW_SEQ_NO, next);
        put(&mut self.head, tag::GAP_FILL_FLAG, b"Y");
        put_message(to, &self.head, [&[], &[]]);
        next
    }

    /// Prepares a header: the first time of a message that is told again makes it one.
    fn head(&mut self, kind: [u8; 2], number: u64, (at, original): (Nanos, Option<Nanos>)) {
        let head = &mut self.head;
        head.clear();
        let letters = if kind[1] == 0 { 1 } else { 2 };
        put(head, tag::MSG_TYPE, &kind[..letters]);
        put_number(head, tag::MSG_SEQ_NUM, number);
        if original.is_some() {
            put(head, tag::POSS_DUP_FLAG, b"Y");
        }
        put(head, tag::SENDER_COMP_ID, &self.names.ours);
        put_time(head, tag::SENDING_TIME, at);
        put(head, tag::TARGET_COMP_ID, &self.names.theirs);
        if let Some(original) = original {
            put_time(head, tag::ORIG_SENDING_TIME, original);
        }
    }
}

/// Writes a field whose value is an instant.
pub fn put_time(to: &mut Vec<u8>, tag: u32, at: Nanos) {
    crate::wire::put_tag(to, tag);
    put_timestamp(to, at);
    to.push(crate::wire::SOH);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Framed, Places, frame};

    const ORDER: ([u8; 2], Again) = ([b'8', 0], Again::Told);
    const HEARTBEAT: ([u8; 2], Again) = ([b'0', 0], Again::Never);

    fn desk(kept: usize) -> Desk {
        Desk::new(
            Names {
                ours: (*b"XQ").into(),
                theirs: (*b"SHOP").into(),
            },
            kept,
        )
    }

    /// Each message as `type number`, `+` when it is told again, `>next` when it fills a gap.
    fn shown(mut bytes: &[u8]) -> String {
        let (mut all, mut places) = (Vec::new(), Places::default());
        while let Framed::Whole(length) = frame(bytes) {
            let message = places.read(&bytes[..length]).expect("we write fields");
            let again = if message.says_yes(tag::POSS_DUP_FLAG) {
                "+"
            } else {
                ""
            };
            assert_eq!(again.is_empty(), message.get(tag::ORIG_SENDING_TIME).is_none());
            let gap = message
                .number(tag::NEW_SEQ_NO)
                .map_or(String::new(), |next| format!(">{next}"));
            let kind = String::from_utf8_lossy(message.kind()).into_owned();
            all.push(format!(
                "{kind}{}{again}{gap}",
                message.number(tag::MSG_SEQ_NUM).expect("it has one")
            ));
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty());
        all.join(" ")
    }

    #[test]
    fn what_is_asked_for_is_told_again_and_the_rest_are_gaps() {
        let (mut desk, mut to, now) = (desk(1 << 20), Vec::new(), Nanos(1_000_000_000));
        for what in [HEARTBEAT, ORDER, ORDER, HEARTBEAT, HEARTBEAT, ORDER, HEARTBEAT] {
            desk.tell(now, what, b"58=x\x01", Some(&mut to));
        }
        assert_eq!(shown(&to), "01 82 83 04 05 86 07");
        let cases = [
            ((1, 0), "41+>2 82+ 83+ 44+>6 86+ 47+>8"),
            ((2, 3), "82+ 83+"),
            ((4, 5), "44+>6"),
            ((4, 4), "44+>5"),
            ((0, 2), "41+>2 82+"),
            ((7, 99), "47+>8"),
            ((8, 0), ""),
            ((5, 2), ""),
            ((u64::MAX, u64::MAX), ""),
        ];
        for (asked, wanted) in cases {
            to.clear();
            desk.resend(asked);
            assert!(!desk.write(now, &mut to));
            assert_eq!(shown(&to), wanted, "{asked:?}");
        }
    }

    #[test]
    fn what_is_told_meanwhile_follows_in_its_order() {
        let (mut desk, mut to, now) = (desk(1 << 20), Vec::new(), Nanos(1));
        desk.tell(now, ORDER, b"", None);
        desk.tell(now, HEARTBEAT, b"", None);
        desk.connect();
        desk.resend((1, 0));
        desk.tell(now, ORDER, b"", Some(&mut to));
        desk.tell(now, HEARTBEAT, b"", Some(&mut to));
        assert_eq!(shown(&to), "", "they wait for the stretch that is told again");
        assert!(!desk.write(now, &mut to));
        assert_eq!(shown(&to), "81+ 42+>3 83 44>5");
        desk.tell(now, ORDER, b"", Some(&mut to));
        assert_eq!(shown(&to), "81+ 42+>3 83 44>5 85");
    }

    #[test]
    fn a_long_stretch_is_told_piece_by_piece_from_bounded_memory() {
        let (mut desk, now) = (desk(100_000), Nanos(1));
        let body = [b"58=".as_slice(), &[b'x'; 200], b"\x01"].concat();
        for _ in 0..5_000 {
            desk.tell(now, ORDER, &body, None);
        }
        desk.connect();
        assert!(desk.history.bytes.len() <= 100_000);
        let (mut all, mut pieces) = (Vec::new(), 0);
        desk.resend((1, 0));
        let mut more = true;
        while more {
            let mut piece = Vec::new();
            more = desk.write(now, &mut piece);
            assert!(piece.len() < AHEAD + 1_000);
            all.extend_from_slice(&piece);
            pieces += 1;
        }
        assert!(pieces > 1);
        let shown = shown(&all);
        assert!(
            shown.starts_with("41+>4511 84511+ ") && shown.ends_with("85000+"),
            "{}",
            &shown[..40]
        );
    }
}
