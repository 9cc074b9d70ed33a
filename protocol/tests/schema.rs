//! What is published agrees with what is spoken: the schema, the golden bytes, the pages, and a foreign reader of them.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command as Process;
use support::bless::check;
use support::golden::{golden_frame, hex_lines, value};
use support::{Row, all_messages, pages, xml};
use xq_protocol::*;

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
}

#[test]
fn template_ids_and_names_are_used_once_and_fields_leave_no_gap() {
    let ids: BTreeSet<u16> = all_messages().map(|row| row.0).collect();
    let names: BTreeSet<&str> = all_messages().map(|row| row.1).collect();
    assert_eq!(
        (ids.len(), names.len()),
        (all_messages().count(), all_messages().count())
    );
    for row in all_messages() {
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
    let expected: Vec<String> = rows.into_iter().map(json).collect();
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
