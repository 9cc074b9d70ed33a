//! One frame of every message in which no two fields look alike, and what a foreign reader must make of it.

use super::{Row, frame_of};
use std::fmt::Write as _;
use xq_protocol::{
    ChannelSeq, CommandFrame, Field, Header, MESSAGE_HEAD_LEN, MessageHead, Nanos, PACKET_HEADER_LEN,
    PacketHeader, ReqSeq, SCHEMA_VERSION, Seq, SeriesId, SessionId, Shape,
};
use zerocopy::IntoBytes;

fn golden_body(row: &Row) -> Vec<u8> {
    let mut body = vec![0; row.4];
    for (k, field) in row.3.iter().enumerate() {
        fill(
            &mut body[field.offset..field.offset + field.length],
            k,
            field.shape,
        );
    }
    body
}

/// The packet of one message whose bytes are pinned, as words, since packets are aligned to eight bytes.
pub fn golden_packet(row: &Row) -> Vec<u64> {
    let body = golden_body(row);
    let length = PACKET_HEADER_LEN + MESSAGE_HEAD_LEN + body.len();
    let header = PacketHeader {
        length: u16::try_from(length).expect("packets are short"),
        version: SCHEMA_VERSION,
        channel: 3,
        count: 1,
        ch_seq: ChannelSeq(0x2827_2625_2423_2221),
        seq: Seq(0x0807_0605_0403_0201),
        time: Nanos(1_767_315_600_123_456_789),
    };
    let head = MessageHead {
        template: row.0,
        words: u8::try_from(body.len() / 8).expect("bodies are short"),
        flags: MessageHead::LAST,
        series: SeriesId(0x3433_3231),
        time_after: 5,
        seq_after: 6,
    };
    let bytes = [header.as_bytes(), head.as_bytes(), &body].concat();
    let words = bytes.chunks(8).map(|word| word.try_into().expect("whole words"));
    words.map(u64::from_le_bytes).collect()
}

/// The frame whose bytes are pinned.
pub fn golden_frame(row: &Row) -> CommandFrame {
    let body = golden_body(row);
    let mut frame = frame_of(row.0, &body);
    let header = frame.header_mut();
    header.seq = Seq(0x0807_0605_0403_0201);
    header.time = Nanos(1_767_315_600_123_456_789);
    header.session = SessionId(0x123);
    header.index = 5;
    header.flags = Header::LAST;
    header.req_seq = ReqSeq(0x1817_1615_1413_1211);
    frame
}

fn fill(bytes: &mut [u8], k: usize, shape: Shape) {
    let counted = |at: usize| u8::try_from((16 * (k + 1) + at) % 251 + 1).expect("below 252");
    match shape {
        Shape::Integer(_) | Shape::Integers(..) | Shape::Bytes(_) => {
            bytes.iter_mut().enumerate().for_each(|(at, b)| *b = counted(at))
        }
        Shape::Choice(pairs) => bytes[0] = pairs[(k + 1) % pairs.len()].0,
        Shape::Text(_) => {
            let text = format!("text-{k}");
            bytes[..text.len()].copy_from_slice(text.as_bytes());
        }
        Shape::Zeros(_) => {}
    }
}

/// Bytes as lines of sixteen, in hexadecimal.
pub fn hex_lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(16) {
        for byte in line {
            write!(text, "{byte:02x}").expect("a String takes all");
        }
        text.push('\n');
    }
    text
}

/// The number in these little-endian bytes, as the primitive reads it.
pub fn integer(primitive: &str, bytes: &[u8]) -> i128 {
    let signed = primitive.starts_with("int");
    let negative = signed && bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = if negative { [0xFF; 16] } else { [0; 16] };
    wide[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(wide)
}

/// A field's value: how JSON writes it (64-bit numbers as strings), and how the decoded struct shows it in `Debug`.
pub fn value(field: &Field, body: &[u8]) -> (String, Option<String>) {
    let bytes = &body[field.offset..field.offset + field.length];
    let hex = || hex_lines(bytes).replace('\n', "");
    let kind = field.type_name;
    let (json, debug) = match field.shape {
        Shape::Integer(primitive) => {
            let number = integer(primitive, bytes);
            let json = if field.length == 8 {
                format!("\"{number}\"")
            } else {
                number.to_string()
            };
            (json, Some(format!("{kind}({number})")))
        }
        Shape::Integers(primitive, count) => {
            let width = field.length / count;
            let shown = |number: &[u8]| match (integer(primitive, number), width) {
                (number, 8) => format!("\"{number}\""),
                (number, _) => number.to_string(),
            };
            let numbers: Vec<String> = bytes.chunks(width).map(shown).collect();
            (format!("[{}]", numbers.join(",")), None)
        }
        Shape::Choice(pairs) => {
            let name = pairs
                .iter()
                .find(|pair| pair.0 == bytes[0])
                .expect("a valid choice")
                .1;
            (format!("\"{name}\""), Some(name.to_owned()))
        }
        Shape::Text(_) => {
            let text: String = bytes
                .iter()
                .take_while(|b| **b != 0)
                .map(|b| char::from(*b))
                .collect();
            (format!("\"{text}\""), Some(format!("\"{text}\"")))
        }
        Shape::Bytes(_) if kind == "Currencies" => (format!("\"{}\"", hex()), None),
        Shape::Bytes(_) => (format!("\"{}\"", hex()), Some(hex())),
        Shape::Zeros(_) => (format!("\"{}\"", hex()), None),
    };
    (json, debug.map(|shown| format!("{}: {shown}", field.name)))
}
