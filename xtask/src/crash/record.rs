//! What a session was told, kept outside the process that dies.

use anyhow::{bail, ensure};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use xq_client::Report;
use xq_protocol::{Event, EventFrame, Header, JournalId, RejectReason, ReqSeq, SessionId};

/// A message told, as a hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The hash of a message as it was told first.
    pub fn of(frame: &EventFrame) -> Digest {
        let mut first = *frame;
        first.header_mut().flags &= !Header::REPEATED;
        let mut hasher = DefaultHasher::new();
        first.bytes().hash(&mut hasher);
        Digest(hasher.finish())
    }
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: it may have been executed or not.
    #[default]
    Open,
    /// It was executed, or refused, as this command.
    Executed(u64),
    /// The exchange said that it never will be.
    NotApplied,
    /// It was refused at the door.
    Refused,
}

/// All that one session was told, over all connections.
#[derive(Clone)]
pub struct Record {
    /// The session.
    pub session: SessionId,
    /// The journal it is about; all zero before the first connection.
    pub journal_id: JournalId,
    /// Messages by their number in the session, from 1.
    pub told: Vec<Digest>,
    /// What was told again for repeated requests, by command and index.
    pub repeated: HashMap<(u64, u16), Digest>,
    /// Messages told again.
    pub repetitions: u64,
    /// Requests sent again whose outcome is told no more (R109): an exchange restored from a backup has those since its
    /// snapshot.
    pub forgotten: u64,
    answers: Vec<Answer>,
    acknowledged: usize,
}

impl Record {
    /// Nothing was told yet.
    pub fn new(session: SessionId) -> Record {
        Record {
            session,
            journal_id: JournalId::ZERO,
            told: Vec::new(),
            repeated: HashMap::new(),
            repetitions: 0,
            forgotten: 0,
            answers: vec![Answer::Refused],
            acknowledged: 0,
        }
    }

    /// The number of the next message told.
    pub fn next_out(&self) -> ReqSeq {
        ReqSeq(self.told.len() as u64 + 1)
    }
    /// The number after the last request.
    pub fn next_request(&self) -> u64 {
        self.answers.len() as u64
    }
    /// A request was made.
    pub fn requested(&mut self, number: u64) {
        assert_eq!(number, self.next_request(), "requests are numbered without gaps");
        self.answers.push(Answer::Open);
    }
    /// What is known of a request.
    pub fn answer(&self, number: u64) -> Answer {
        self.answers.get(number as usize).copied().unwrap_or_default()
    }
    /// What is known of all requests, from number 1 on.
    pub fn answers(&self) -> impl Iterator<Item = (u64, Answer)> {
        (0..).zip(self.answers.iter().copied()).skip(1)
    }
    /// Requests that were answered.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Takes note of a report.
    ///
    /// # Errors
    /// What contradicts an earlier one.
    pub fn hear(&mut self, report: &Report) -> anyhow::Result<()> {
        match report {
            Report::Up(ack) => {
                let known = self.journal_id;
                ensure!(
                    known.is_zero() || known == ack.journal_id,
                    "another journal: {}, not {known}",
                    ack.journal_id
                );
                self.journal_id = ack.journal_id;
                Ok(())
            }
            Report::Event { out_seq, frame } => self.event(*out_seq, frame),
            // Nothing is archived while sessions that speak can still ask for it.
            Report::Missed { from, until } => bail!("messages {from} to {until} are told no more"),
            // It says that the request was answered before, and nothing else.
            Report::Refused(refused) if refused.code == RejectReason::StaleRequest.code() => {
                self.forgotten += 1;
                Ok(())
            }
            Report::Refused(refused) => self.settle(refused.req_seq.0, Answer::Refused),
            // It is sought again, and what is unanswered sent again.
            Report::Down(error) if error.is_passing() => Ok(()),
            Report::Down(error) => bail!("session {}: {error}", self.session),
        }
    }

    fn event(&mut self, out_seq: ReqSeq, frame: &EventFrame) -> anyhow::Result<()> {
        let header = frame.header();
        let digest = Digest::of(frame);
        if out_seq.is_zero() {
            self.repetitions += 1;
            let first = *self
                .repeated
                .entry((header.seq.0, header.index))
                .or_insert(digest);
            let (seq, index) = (header.seq, header.index);
            ensure!(first == digest, "event {seq}.{index} was told again in two ways");
        } else {
            ensure!(
                out_seq == self.next_out(),
                "message {out_seq} was told, {} was due",
                self.next_out()
            );
            self.told.push(digest);
        }
        if let Ok(Event::NotApplied(numbers)) = frame.event() {
            for number in numbers.from.0..=numbers.to.0 {
                // A number that the door refused is one that the exchange never heard of.
                if self.answer(number) != Answer::Refused {
                    self.settle(number, Answer::NotApplied)?;
                }
            }
        }
        let is_own = header.session == self.session && !header.req_seq.is_zero();
        let says_nothing_else = matches!(self.answer(header.req_seq.0), Answer::NotApplied);
        if is_own && header.is_last() && !says_nothing_else {
            self.settle(header.req_seq.0, Answer::Executed(header.seq.0))?;
        }
        Ok(())
    }

    fn settle(&mut self, number: u64, answer: Answer) -> anyhow::Result<()> {
        let session = self.session;
        let Some(known) = self.answers.get_mut(number as usize).filter(|_| number > 0) else {
            bail!("session {session}: request {number} was answered, and never made");
        };
        if *known == Answer::Open {
            *known = answer;
            self.acknowledged += 1;
        }
        ensure!(
            *known == answer,
            "session {session}: request {number} is {answer:?}, and was {known:?}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{NotApplied, Seq};

    fn told(seq: u64, number: u64, flags: u16) -> EventFrame {
        let header = Header {
            seq: Seq(seq),
            session: SessionId(160),
            flags,
            ..Header::request(ReqSeq(number))
        };
        EventFrame::new(
            header,
            &NotApplied {
                from: ReqSeq(9),
                to: ReqSeq(8),
            },
        )
    }

    #[test]
    fn an_answer_stays_what_it_was() {
        let mut record = Record::new(SessionId(160));
        record.requested(1);
        record.requested(2);
        let event = |out: u64, frame| Report::Event {
            out_seq: ReqSeq(out),
            frame,
        };
        record
            .hear(&event(1, told(7, 1, Header::LAST)))
            .expect("the first answer");
        assert_eq!(
            (record.answer(1), record.acknowledged()),
            (Answer::Executed(7), 1)
        );
        let again = told(7, 1, Header::LAST | Header::REPEATED);
        record.hear(&event(0, again)).expect("the same again");
        assert_eq!((record.acknowledged(), record.repetitions), (1, 1));
        assert!(
            record.hear(&event(2, told(8, 1, Header::LAST))).is_err(),
            "executed twice"
        );
        assert!(
            record.hear(&event(9, told(9, 2, Header::LAST))).is_err(),
            "a message is missing"
        );
        assert!(
            record.hear(&event(3, told(9, 5, Header::LAST))).is_err(),
            "never asked for"
        );
    }
}
