//! Any bytes, as the bodies of commands to a trading venue: nothing panics, every command is answered, the laws hold.

use super::Verdict;
use support::{BANK, ISSUER, OPERATOR, OPERATOR_2, TRADER, Venue};
use xq_protocol::{COMMANDS, CommandFrame, Event, HEADER_LEN, Header, ParticipantId, ReqSeq, SessionId};

#[path = "../../engine/tests/support/mod.rs"]
mod support;

/// The longest body of a command that is told here; what is longer ends in zeros.
const BODY: usize = 128;
/// One command of the input: its place in the list of all commands, who speaks, its body.
pub const CHUNK: usize = 2 + BODY;
/// Who may speak. The last two trade, for accounts of their own numbers, 10 and 11.
pub const SPEAKERS: [ParticipantId; 6] = [
    OPERATOR,
    OPERATOR_2,
    BANK,
    ISSUER,
    ParticipantId(TRADER),
    ParticipantId(TRADER + 1),
];

pub fn run(bytes: &[u8]) -> Verdict {
    let mut venue = Venue::trading(2);
    let mut obeyed = 0;
    for chunk in bytes.chunks_exact(CHUNK) {
        let frame = frame_of(chunk, &mut venue);
        let events = venue.apply(&frame);
        assert!(!events.is_empty(), "every command is answered");
        obeyed += usize::from(!matches!(events[0].event(), Ok(Event::Rejected(_))));
    }
    venue.exchange.check();
    Verdict::taken_if(|| obeyed > 0)
}

fn frame_of(chunk: &[u8], venue: &mut Venue) -> CommandFrame {
    let (template, .., length) = COMMANDS[usize::from(chunk[0]) % COMMANDS.len()];
    let speaker = SPEAKERS[usize::from(chunk[1]) % SPEAKERS.len()];
    let session = SessionId::of(speaker, 0).expect("small numbers");
    let req_seq = venue.req_seqs.entry(session).or_default();
    *req_seq += 1;
    let mut frame = CommandFrame::default();
    *frame.header_mut() = Header {
        block_length: u16::try_from(length).expect("a body is short"),
        template_id: template,
        schema_id: xq_protocol::SCHEMA_ID,
        version: xq_protocol::SCHEMA_VERSION,
        time: venue.now,
        session,
        req_seq: ReqSeq(*req_seq),
        ..Header::default()
    };
    let body = &chunk[2..2 + length.min(BODY)];
    for (word, bytes) in frame.words_mut()[HEADER_LEN / 8..]
        .iter_mut()
        .zip(body.as_chunks::<8>().0)
    {
        *word = u64::from_le_bytes(*bytes);
    }
    frame
}
