//! One connection's session, a state machine without I/O: messages and time in, what to say and do out.
//!
//! ```text
//!            Logon                        its session is up                 Logout said
//!  Awaiting ───────> Establishing ────────────────────────> Up ─────────────────────────> Leaving
//!     │ late, another message  │ refused, number too low     │ lapse, Logout heard           │ Logout heard, or late
//!     └──────────────> Closed <┴─────────────────────────────┴───────────────────────────────┘
//! ```
//!
//! Numbers of outgoing messages are not given here: what is said gets its number from its surroundings, in the order in
//! which it was said. In an incoming message these are looked at, in this order: BeginString, the names, MsgSeqNum, the
//! dictionary, the times. A message that comes too early waits, bounded, until the ones before it were sent again.

use crate::dictionary::{Dictionary, Fault, FaultKind};
use crate::format::timestamp;
use crate::reject::reject;
use crate::tag;
use crate::wire::{Message, put, put_number};
use std::collections::BTreeMap;
use xq_protocol::Nanos;

const SECOND: u64 = 1_000_000_000;
/// How far a message's sending time may lie from now.
const TIME_TOLERANCE: u64 = 120 * SECOND;
/// How long the answer to a Logout may take.
const LOGOUT_WITHIN: u64 = 2 * SECOND;
/// The longest interval of heartbeats, in seconds; without any, a client that is gone would never be noticed.
const HEARTBEAT_MAX: u64 = 300;
/// The largest number of a message.
const COUNT_MAX: u64 = 1 << 53;
/// Messages that wait for earlier ones, and their bytes; further ones are asked for again.
const EARLY_MAX: usize = 1_024;
const EARLY_BYTES_MAX: usize = 256 << 10;
/// After so long, what was asked for again and did not come is asked for once more.
const ASK_AGAIN: u64 = 10 * SECOND;

/// When the numbers of both directions begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// When the client asks for it and this session may.
    Agreed,
    /// Never: a client that asks for it is refused.
    Never,
    /// At each Logon.
    OnLogon,
}

/// What is said, without its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Say {
    /// Field 35.
    pub kind: [u8; 2],
    /// Its fields after the header.
    pub body: Vec<u8>,
    /// Whether it is told again when it is asked for; what is not becomes a gap.
    pub again: Again,
}

/// Whether a message is told again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// It is not: session messages, and answers that would be stale.
    #[default]
    Never,
    /// It is.
    Told,
}

impl Say {
    /// A message of one letter's type.
    pub fn new(kind: u8, again: Again) -> Say {
        Say {
            kind: [kind, 0],
            body: Vec::new(),
            again,
        }
    }
    /// A message of a type of one or two letters.
    pub fn of(kind: &[u8], again: Again) -> Say {
        let letter = |at: usize| kind.get(at).copied().unwrap_or(0);
        Say {
            kind: [letter(0), letter(1)],
            body: Vec::new(),
            again,
        }
    }
    /// With a text field.
    pub fn with(mut self, tag: u32, value: &[u8]) -> Say {
        put(&mut self.body, tag, value);
        self
    }
    /// With a number field.
    pub fn with_number(mut self, tag: u32, value: u64) -> Say {
        put_number(&mut self.body, tag, value);
        self
    }
}

/// What a machine wants done.
#[derive(Debug, Default)]
pub struct Output {
    /// To be said, in order.
    pub says: Vec<Say>,
    /// Both directions' numbers begin at 1 with what is said next.
    pub reset: Option<ResetDone>,
    /// Told messages from this number to that one (0: the last) are to be told again.
    pub resend: Option<(u64, u64)>,
    /// The connection is to be closed once all was said.
    pub close: Option<Closed>,
}

/// The numbers begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetDone;

/// The connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Whether a message is to be delivered to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is done with.
    Done,
    /// It is an application's message, valid and in its turn.
    Deliver,
}

/// What a Logon said.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    heartbeat: u64,
    reset: bool,
    next_expected: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Awaiting,
    Establishing(Asked),
    Up,
    Leaving(Nanos),
    Closed,
}

/// Names of both sides.
#[derive(Clone, Debug)]
pub struct Names {
    /// The gateway's, TargetCompID of what comes in.
    pub ours: Box<[u8]>,
    /// The client's.
    pub theirs: Box<[u8]>,
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    names: Names,
    policy: Reset,
    state: State,
    /// The number that the next message in turn has.
    next_in: u64,
    heartbeat: u64,
    heard: Nanos,
    said: Nanos,
    /// A TestRequest waits for any answer.
    tested: bool,
    early: BTreeMap<u64, Box<[u8]>>,
    early_bytes: usize,
    /// When what is missing was asked for.
    asked: Option<Nanos>,
}

impl Session {
    /// A connection whose Logon named these.
    pub fn new(names: Names, policy: Reset, now: Nanos) -> Session {
        Session {
            names,
            policy,
            state: State::Awaiting,
            next_in: 1,
            heartbeat: HEARTBEAT_MAX,
            heard: now,
            said: now,
            tested: false,
            early: BTreeMap::new(),
            early_bytes: 0,
            asked: None,
        }
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up | State::Leaving(_))
    }
    /// The number that the next message in turn has.
    pub fn next_in(&self) -> u64 {
        self.next_in
    }
    /// Something was said to it.
    pub fn said(&mut self, now: Nanos) {
        self.said = now;
    }

    /// Reads its Logon; false when it is to be closed without an answer.
    pub fn logon(&mut self, now: Nanos, message: &Message<'_>, out: &mut Output) -> bool {
        let in_time = message
            .get(tag::SENDING_TIME)
            .and_then(timestamp)
            .is_some_and(|at| near(at, now));
        let (number, heartbeat) = (
            count(message, tag::MSG_SEQ_NUM),
            message.number(tag::HEART_BT_INT),
        );
        let plain = message.get(tag::ENCRYPT_METHOD) == Some(b"0");
        let Some((number, heartbeat)) = number.zip(heartbeat).filter(|_| in_time && plain) else {
            return false;
        };
        let reset = message.says_yes(tag::RESET_SEQ_NUM_FLAG);
        let heartbeat_fits = (1..=HEARTBEAT_MAX).contains(&heartbeat);
        if number == 0 || !heartbeat_fits || (reset && (number != 1 || self.policy == Reset::Never)) {
            out.close = Some(Closed);
            return false;
        }
        let next_expected = message.number(tag::NEXT_EXPECTED_MSG_SEQ_NUM);
        self.state = State::Establishing(Asked {
            number,
            heartbeat,
            reset,
            next_expected,
        });
        self.heard = now;
        true
    }

    /// The session is up: the next number each way is this, unless they begin anew.
    pub fn established(&mut self, now: Nanos, (next_in, next_out): (u64, u64), out: &mut Output) {
        let State::Establishing(asked) = self.state else {
            return;
        };
        let anew = asked.reset || self.policy == Reset::OnLogon;
        let (next_in, next_out) = if anew { (1, 1) } else { (next_in, next_out) };
        (self.state, self.next_in, self.heartbeat) = (State::Up, next_in, asked.heartbeat * SECOND);
        (self.heard, self.said) = (now, now);
        if anew {
            out.reset = Some(ResetDone);
            self.forget_early();
        }
        if asked.number < next_in {
            return self.too_low(now, asked.number, out);
        }
        if asked
            .next_expected
            .is_some_and(|next| next > next_out || next == 0)
        {
            let text = format!("NextExpectedMsgSeqNum is above {next_out}, the next that is sent");
            return self.leave(now, text.as_bytes(), out);
        }
        let is_next = asked.number == next_in;
        self.next_in += u64::from(is_next);
        let mut logon = Say::new(b'A', Again::Never)
            .with(tag::ENCRYPT_METHOD, b"0")
            .with_number(tag::HEART_BT_INT, asked.heartbeat);
        if asked.reset {
            logon = logon.with(tag::RESET_SEQ_NUM_FLAG, b"Y");
        }
        if let Some(theirs) = asked.next_expected {
            logon = logon.with_number(tag::NEXT_EXPECTED_MSG_SEQ_NUM, self.next_in);
            out.resend = (theirs < next_out).then_some((theirs, next_out - 1));
        }
        out.says.push(logon);
        // A client that was told what is expected sends it by itself.
        if !is_next && asked.next_expected.is_none() {
            self.ask(now, out);
        }
    }

    /// Takes a whole message that follows the Logon.
    pub fn received(
        &mut self,
        now: Nanos,
        message: &Message<'_>,
        dictionary: &Dictionary,
        out: &mut Output,
    ) -> Step {
        (self.heard, self.tested) = (now, false);
        if message.get(tag::BEGIN_STRING) != Some(b"FIX.4.4") {
            self.leave(now, b"Incorrect BeginString", out);
            return Step::Done;
        }
        let Some(number) = count(message, tag::MSG_SEQ_NUM) else {
            self.leave(now, b"MsgSeqNum is missing or no number", out);
            out.close = Some(Closed);
            return Step::Done;
        };
        let other = |tag, name: &[u8]| {
            message
                .get(tag)
                .is_some_and(|value| !value.is_empty() && value != name)
        };
        if other(tag::SENDER_COMP_ID, &self.names.theirs) || other(tag::TARGET_COMP_ID, &self.names.ours) {
            reject(
                message,
                &Fault {
                    kind: FaultKind::CompId,
                    place: None,
                    tag: None,
                },
                out,
            );
            self.leave(now, b"", out);
            return Step::Done;
        }
        if matches!(self.state, State::Leaving(_)) && message.kind() != b"2" {
            // All that still matters is its Logout.
            out.close = (message.kind() == b"5").then_some(Closed);
            return Step::Done;
        }
        let gap_fill = message.says_yes(tag::GAP_FILL_FLAG);
        match message.kind() {
            b"A" if message.says_yes(tag::RESET_SEQ_NUM_FLAG) => self.again_from_one(now, message, out),
            b"5" => self.logout(number, out),
            b"2" => self.resend_request(number, (message, dictionary), out),
            b"4" if !gap_fill => self.sequence_reset((message, dictionary), out),
            _ => return self.in_turn(now, number, (message, dictionary), out),
        }
        Step::Done
    }

    /// A Logon inside the session that asks for both numbers to begin anew.
    fn again_from_one(&mut self, now: Nanos, message: &Message<'_>, out: &mut Output) {
        if self.policy == Reset::Never || !self.logon(now, message, out) {
            return self.leave(now, b"The numbers of this session do not begin anew", out);
        }
        self.established(now, (1, 1), out);
    }

    fn logout(&mut self, number: u64, out: &mut Output) {
        self.next_in += u64::from(number == self.next_in);
        out.says.push(Say::new(b'5', Again::Never));
        out.close = Some(Closed);
    }

    fn resend_request(
        &mut self,
        number: u64,
        (message, dictionary): (&Message<'_>, &Dictionary),
        out: &mut Output,
    ) {
        // It is answered whatever its number is: who cannot read on must be helped first. Not twice, though.
        if number < self.next_in && message.says_yes(tag::POSS_DUP_FLAG) {
            return;
        }
        self.next_in += u64::from(number == self.next_in);
        match dictionary.check(message) {
            Err(fault) => reject(message, &fault, out),
            Ok(()) => {
                out.resend = message
                    .number(tag::BEGIN_SEQ_NO)
                    .zip(message.number(tag::END_SEQ_NO))
            }
        }
    }

    /// A SequenceReset that fills no gap: from here on, the client counts from another number.
    fn sequence_reset(&mut self, (message, dictionary): (&Message<'_>, &Dictionary), out: &mut Output) {
        if let Err(fault) = dictionary.check(message) {
            return reject(message, &fault, out);
        }
        match count(message, tag::NEW_SEQ_NO) {
            Some(next) if next >= self.next_in => {
                self.next_in = next;
                self.asked = None;
            }
            Some(_) | None => reject(message, &new_seq_no(message), out),
        }
    }

    fn in_turn(
        &mut self,
        now: Nanos,
        number: u64,
        (message, dictionary): (&Message<'_>, &Dictionary),
        out: &mut Output,
    ) -> Step {
        let again = message.says_yes(tag::POSS_DUP_FLAG);
        if number > self.next_in {
            self.keep_early(number, message);
            if self.asked.is_none() {
                self.ask(now, out);
            }
            return Step::Done;
        }
        if number < self.next_in && !again {
            self.too_low(now, number, out);
            return Step::Done;
        }
        if again && let Some(fault) = sent_before(message) {
            reject(message, &fault, out);
            if fault.kind == FaultKind::SendingTime {
                self.leave(now, b"", out);
            }
            self.next_in += u64::from(number == self.next_in);
            return Step::Done;
        }
        if number < self.next_in {
            // It was executed, or refused, when it came first.
            return Step::Done;
        }
        self.next_in += 1;
        if let Err(fault) = dictionary.check(message) {
            reject(message, &fault, out);
            return Step::Done;
        }
        let sent = message.get(tag::SENDING_TIME).and_then(timestamp);
        if !sent.is_some_and(|at| near(at, now)) {
            reject(
                message,
                &Fault {
                    kind: FaultKind::SendingTime,
                    place: None,
                    tag: None,
                },
                out,
            );
            self.leave(now, b"", out);
            return Step::Done;
        }
        self.meant(number, message, out)
    }

    /// Does what a message asks for that is valid and in its turn.
    fn meant(&mut self, number: u64, message: &Message<'_>, out: &mut Output) -> Step {
        match message.kind() {
            b"0" | b"3" => {}
            b"1" => {
                let id = message.get(tag::TEST_REQ_ID).unwrap_or_default();
                out.says
                    .push(Say::new(b'0', Again::Never).with(tag::TEST_REQ_ID, id));
            }
            b"4" => match count(message, tag::NEW_SEQ_NO) {
                Some(next) if next > number => self.next_in = next,
                Some(_) | None => reject(message, &new_seq_no(message), out),
            },
            b"A" => {
                let place = (0..message.len())
                    .find(|at| message.at(*at).is_some_and(|(tag, _)| tag == tag::MSG_TYPE));
                reject(
                    message,
                    &Fault {
                        kind: FaultKind::OutOfRange,
                        place,
                        tag: Some(tag::MSG_TYPE),
                    },
                    out,
                );
            }
            _ => return Step::Deliver,
        }
        Step::Done
    }

    /// The message that waits and is in its turn now.
    pub fn next_early(&mut self) -> Option<Box<[u8]>> {
        while let Some((number, _)) = self.early.first_key_value()
            && *number <= self.next_in
        {
            let (number, bytes) = self.early.pop_first()?;
            self.early_bytes -= bytes.len();
            if number == self.next_in {
                return Some(bytes);
            }
        }
        if self.early.is_empty() {
            self.asked = None;
        }
        None
    }

    fn keep_early(&mut self, number: u64, message: &Message<'_>) {
        let bytes = message.bytes();
        let room = self.early.len() < EARLY_MAX && self.early_bytes + bytes.len() <= EARLY_BYTES_MAX;
        if room && !self.early.contains_key(&number) {
            self.early_bytes += bytes.len();
            self.early.insert(number, bytes.into());
        }
    }

    fn forget_early(&mut self) {
        self.early.clear();
        (self.early_bytes, self.asked) = (0, None);
    }

    /// Asks for all from the next on.
    fn ask(&mut self, now: Nanos, out: &mut Output) {
        self.asked = Some(now);
        let request = Say::new(b'2', Again::Never)
            .with_number(tag::BEGIN_SEQ_NO, self.next_in)
            .with_number(tag::END_SEQ_NO, 0);
        out.says.push(request);
    }

    fn too_low(&mut self, now: Nanos, number: u64, out: &mut Output) {
        let text = format!(
            "MsgSeqNum too low, expecting {} but received {number}",
            self.next_in
        );
        self.leave(now, text.as_bytes(), out);
        out.close = Some(Closed);
    }

    /// Says Logout and waits for the client's.
    pub fn leave(&mut self, now: Nanos, text: &[u8], out: &mut Output) {
        let mut logout = Say::new(b'5', Again::Never);
        if !text.is_empty() {
            logout = logout.with(tag::TEXT, text);
        }
        if !matches!(self.state, State::Leaving(_) | State::Closed) {
            out.says.push(logout);
            self.state = State::Leaving(now);
        }
    }

    /// The connection is gone.
    pub fn closed(&mut self) {
        self.state = State::Closed;
        self.forget_early();
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos, out: &mut Output) {
        let since = |then: Nanos| now.0.saturating_sub(then.0);
        match self.state {
            State::Awaiting | State::Establishing(_) | State::Closed => {}
            State::Leaving(said) => {
                out.close = (since(said) >= LOGOUT_WITHIN).then_some(Closed);
            }
            State::Up => {
                let silent = since(self.heard);
                if silent >= self.heartbeat * 12 / 5 {
                    out.close = Some(Closed);
                } else if silent >= self.heartbeat * 6 / 5 && !self.tested {
                    self.tested = true;
                    out.says
                        .push(Say::new(b'1', Again::Never).with(tag::TEST_REQ_ID, b"TEST"));
                } else if since(self.said) >= self.heartbeat && !self.tested {
                    out.says.push(Say::new(b'0', Again::Never));
                }
                if self.asked.is_some_and(|asked| since(asked) >= ASK_AGAIN) {
                    self.ask(now, out);
                }
            }
        }
    }
}

/// A message's number in a field, when it is one that can be counted on from: above it there is no next.
fn count(message: &Message<'_>, tag: u32) -> Option<u64> {
    message.number(tag).filter(|number| *number <= COUNT_MAX)
}

fn near(at: Nanos, now: Nanos) -> bool {
    at.0.abs_diff(now.0) <= TIME_TOLERANCE
}

/// What is wrong with the times of a message that is sent again.
fn sent_before(message: &Message<'_>) -> Option<Fault> {
    let Some(original) = message.get(tag::ORIG_SENDING_TIME).and_then(timestamp) else {
        return Some(Fault {
            kind: FaultKind::RequiredMissing,
            place: None,
            tag: Some(tag::ORIG_SENDING_TIME),
        });
    };
    let sent = message.get(tag::SENDING_TIME).and_then(timestamp)?;
    (original > sent).then_some(Fault {
        kind: FaultKind::SendingTime,
        place: None,
        tag: None,
    })
}

fn new_seq_no(message: &Message<'_>) -> Fault {
    let place = (0..message.len()).find(|at| message.at(*at).is_some_and(|(tag, _)| tag == tag::NEW_SEQ_NO));
    Fault {
        kind: FaultKind::OutOfRange,
        place,
        tag: Some(tag::NEW_SEQ_NO),
    }
}
