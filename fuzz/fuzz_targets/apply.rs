//! Any bytes, as the bodies of commands to a trading venue: nothing panics, every command is answered, the laws hold.
#![no_main]

#[path = "../../engine/tests/support/mod.rs"]
mod support;

use support::{BANK, ISSUER, OPERATOR, OPERATOR_2, TRADER, Venue};
use xq_protocol::{COMMANDS, CommandFrame, HEADER_LEN, Header, ParticipantId, ReqSeq, SessionId};

/// One command of the input: its template, who speaks, its body.
const CHUNK: usize = 2 + 64;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut venue = Venue::trading(2);
    let speakers = [OPERATOR, OPERATOR_2, BANK, ISSUER, ParticipantId(TRADER), ParticipantId(TRADER + 1)];
    for chunk in bytes.chunks_exact(CHUNK) {
        let (template, .., length) = COMMANDS[usize::from(chunk[0]) % COMMANDS.len()];
        let session = SessionId::of(speakers[usize::from(chunk[1]) % speakers.len()], 0).expect("small numbers");
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
        let body = &chunk[2..2 + length.min(64)];
        for (word, bytes) in frame.words_mut()[HEADER_LEN / 8..].iter_mut().zip(body.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        assert!(!venue.apply(&frame).is_empty(), "every command is answered");
    }
    venue.exchange.check();
});
