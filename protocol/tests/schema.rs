//! What is published agrees with what is spoken: the schema, the golden bytes, the pages, and a foreign reader of them.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command as Process;
use support::bless::check;
use support::golden::{golden_frame, golden_packet, hex_lines, value};
use support::{Row, all_messages, framed_and_packed, pages, xml};
use xq_protocol::*;
use zerocopy::IntoBytes;

#[test]
fn the_schema_is_as_committed() {
    check("schema/xq.xml", &xml::schema());
}

#[test]
fn the_pages_are_as_committed() {
    check("../docs/protocol.md", &pages::protocol());
    check("../docs/errors.md", &pages::errors());
}

#[test]
fn every_message_has_its_golden_bytes() {
    for row in all_messages() {
        check(
            &format!("golden/{}.hex", row.1),
            &hex_lines(golden_frame(row).bytes()),
        );
    }
    for row in MARKET_MESSAGES {
        let packet = golden_packet(row);
        check(
            &format!("golden/packets/{}.hex", row.1),
            &hex_lines(packet.as_bytes()),
        );
    }
}

#[test]
fn template_ids_and_names_are_used_once_and_fields_leave_no_gap() {
    let ids: BTreeSet<u16> = framed_and_packed().map(|row| row.0).collect();
    let names: BTreeSet<&str> = framed_and_packed().map(|row| row.1).collect();
    let count = framed_and_packed().count();
    assert_eq!((ids.len(), names.len()), (count, count));
    for row in framed_and_packed() {
        let end = row.3.iter().fold(0, |end, field| {
            assert_eq!(field.offset, end, "{} {}", row.1, field.name);
            field.offset + field.length
        });
        assert_eq!(end, row.4, "{}", row.1);
    }
}

/// What the decoded struct shows in `Debug`.
fn shown(row: &Row, frame: &Frame<'_>) -> String {
    let text = match row.0 {
        ..200 => frame.command().map(|m| format!("{m:?}")),
        200..300 => frame.event().map(|m| format!("{m:?}")),
        300.. => frame.session_message().map(|m| format!("{m:?}")),
    };
    text.unwrap_or_else(|error| panic!("{}: {error}", row.1))
}

#[test]
fn the_views_show_what_the_field_tables_say() {
    for row in all_messages() {
        let golden = golden_frame(row);
        let frame = golden.frame().expect("a frame");
        let text = shown(row, &frame);
        for field in row.3 {
            if let (_, Some(debug)) = value(field, frame.body) {
                assert!(text.contains(&debug), "{debug} is not in {text}");
            }
        }
    }
}

#[test]
fn the_views_of_packets_show_what_the_field_tables_say() {
    for row in MARKET_MESSAGES {
        let golden = golden_packet(row);
        let (packet, rest) = Packet::split(golden.as_bytes()).expect("a packet");
        let messages: Result<Vec<_>, _> = packet.messages().collect();
        let [message] = messages.expect("messages")[..] else {
            panic!("one message is in it");
        };
        let text = format!("{:?}", message.message);
        assert!(rest.is_empty() && message.message.template() == row.0);
        assert_eq!((message.seq.0, message.time.0 % 10), (0x0807_0605_0403_0207, 4));
        let body = &golden.as_bytes()[PACKET_HEADER_LEN + MESSAGE_HEAD_LEN..];
        for field in row.3 {
            if let (_, Some(debug)) = value(field, body) {
                assert!(text.contains(&debug), "{debug} is not in {text}");
            }
        }
    }
}

/// The line of JSON that a reader of the schema prints for a golden packet.
fn packet_json(row: &Row) -> String {
    let golden = golden_packet(row);
    let (packet, _) = Packet::split(golden.as_bytes()).expect("a packet");
    let (h, m) = (
        packet.header,
        packet.messages().next().expect("one").expect("right").head,
    );
    let mut line = format!(
        "{{\"name\":\"{}\",\"packet\":{{\"length\":{},\"version\":{},\"channel\":{},\"count\":{},\"ch_seq\":\"{}\",\
         \"seq\":\"{}\",\"time\":\"{}\"}},\"head\":{{\"templateId\":{},\"words\":{},\"flags\":{},\"series\":{},\
         \"time_after\":{},\"seq_after\":{}}},\"fields\":{{",
        row.1,
        h.length,
        h.version,
        h.channel,
        h.count,
        h.ch_seq,
        h.seq,
        h.time,
        m.template,
        m.words,
        m.flags,
        m.series,
        m.time_after,
        m.seq_after
    );
    let body = &golden.as_bytes()[PACKET_HEADER_LEN + MESSAGE_HEAD_LEN..];
    for (i, field) in row.3.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(line, "{comma}\"{}\":{}", field.name, value(field, body).0).expect("a String takes all");
    }
    line + "}}"
}

/// The line of JSON that a reader of the schema prints for a golden frame.
fn json(row: &Row) -> String {
    let golden = golden_frame(row);
    let frame = golden.frame().expect("a frame");
    let h = frame.header;
    let mut line = format!(
        "{{\"name\":\"{}\",\"header\":{{\"blockLength\":{},\"templateId\":{},\"schemaId\":{},\"version\":{},\"seq\":\"{}\",\
         \"time\":\"{}\",\"session\":{},\"index\":{},\"flags\":{},\"req_seq\":\"{}\"}},\"fields\":{{",
        row.1,
        h.block_length,
        h.template_id,
        h.schema_id,
        h.version,
        h.seq,
        h.time,
        h.session,
        h.index,
        h.flags,
        h.req_seq
    );
    for (i, field) in row.3.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(line, "{comma}\"{}\":{}", field.name, value(field, frame.body).0).expect("a String takes all");
    }
    line + "}}"
}

#[test]
fn a_reader_of_the_published_schema_decodes_every_golden_frame() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Process::new("python3")
        .arg(room.join("tests/read_schema.py"))
        .arg(room.join("schema/xq.xml"))
        .arg(room.join("golden"))
        .output()
        .expect("python3 is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let mut rows: Vec<&Row> = all_messages().collect();
    rows.sort_by_key(|row| row.1);
    let mut packed: Vec<&Row> = MARKET_MESSAGES.iter().collect();
    packed.sort_by_key(|row| row.1);
    let packed = packed.into_iter().map(packet_json);
    let expected: Vec<String> = rows.into_iter().map(json).chain(packed).collect();
    let read: Vec<&str> = read.lines().collect();
    assert_eq!(
        read.len(),
        expected.len(),
        "a golden file without a message, or a message without one"
    );
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected);
    }
}
