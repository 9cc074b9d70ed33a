//! Random and regular frames of every message, made from the tables that the schema is made from.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod bless;
pub mod golden;
pub mod hostile;
pub mod pages;
pub mod xml;

use xq_protocol::{
    COMMANDS, CommandFrame, EVENTS, Field, HEADER_LEN, Header, MARKET_MESSAGES, SESSION_MESSAGES, Shape,
};

/// A message's row: template id, name, what it is, fields, body length.
pub type Row = (u16, &'static str, &'static str, &'static [Field], usize);

/// Every message that travels as a frame.
pub fn all_messages() -> impl Iterator<Item = &'static Row> {
    COMMANDS.iter().chain(EVENTS).chain(SESSION_MESSAGES)
}

/// Every message that there is: in frames, and in packets.
pub fn framed_and_packed() -> impl Iterator<Item = &'static Row> {
    all_messages().chain(MARKET_MESSAGES)
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose bytes.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// A frame with this header and these body bytes.
pub fn frame_of(template: u16, body: &[u8]) -> CommandFrame {
    let mut frame = CommandFrame::default();
    let header = Header {
        block_length: u16::try_from(body.len()).expect("bodies are short"),
        template_id: template,
        schema_id: xq_protocol::SCHEMA_ID,
        version: xq_protocol::SCHEMA_VERSION,
        ..Header::default()
    };
    *frame.header_mut() = header;
    for (i, word) in body.chunks(8).enumerate() {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        frame.words_mut()[HEADER_LEN / 8 + i] = u64::from_le_bytes(bytes);
    }
    frame
}

/// A valid body whose integers and bytes are random: often small, sometimes zero or at a boundary.
pub fn random_body(random: &mut Random, row: &Row) -> Vec<u8> {
    let mut body = vec![0; row.4];
    for field in row.3 {
        let bytes = &mut body[field.offset..field.offset + field.length];
        match field.shape {
            Shape::Integer(_) => match random.below(8) {
                0 => {}
                1 => bytes.fill(0xFF),
                2..=5 => bytes[0] = u8::try_from(random.below(40)).expect("below 40"),
                _ => random.fill(bytes),
            },
            Shape::Integers(..) => match random.below(4) {
                0 => {}
                1 => random.fill(bytes),
                _ => bytes[0] = u8::try_from(random.below(40)).expect("below 40"),
            },
            Shape::Choice(pairs) => {
                let count = u64::try_from(pairs.len()).expect("few");
                let chosen = usize::try_from(random.below(count)).expect("few");
                bytes[0] = pairs[chosen].0;
            }
            Shape::Text(_) => match random.below(4) {
                0 => {}
                1 => random.fill(bytes),
                _ => {
                    let text = format!("w{}", random.below(1_000_000));
                    bytes[..text.len()].copy_from_slice(text.as_bytes());
                }
            },
            Shape::Bytes(_) => match random.below(3) {
                0 => {}
                _ => random.fill(bytes),
            },
            Shape::Zeros(_) => {}
        }
    }
    body
}
