//! Bad input: every frame cut, stretched, flipped and mislabelled; random bytes and broken lines; nothing panics, nothing
//! is allocated, and what is wrong is named.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::golden::{golden_frame, golden_packet};
use support::hostile::{any_bytes, any_text};
use support::{Random, Row, all_messages, frame_of, random_body};
use xq_protocol::text::{Names, print_command};
use xq_protocol::*;
use zerocopy::IntoBytes;

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a thread-local cell that allocates nothing.
#[allow(unsafe_code, reason = "only an allocator can count allocations")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decodes as the family that the template id tells.
fn decode(frame: &Frame<'_>) -> Result<(), DecodeError> {
    match frame.header.template_id {
        ..200 => frame.command().map(drop),
        200..300 => frame.event().map(drop),
        300.. => frame.session_message().map(drop),
    }
}

fn golden_error(row: &Row, change: impl FnOnce(&mut CommandFrame)) -> Option<DecodeError> {
    let mut frame = golden_frame(row);
    change(&mut frame);
    Frame::split(frame.bytes())
        .and_then(|(frame, _)| decode(&frame))
        .err()
}

#[test]
fn a_frame_cut_anywhere_is_truncated() {
    for row in all_messages() {
        let frame = golden_frame(row);
        let whole = frame.bytes();
        assert_eq!(Frame::peek_len(whole), Ok(Some(whole.len())));
        for length in 0..whole.len() {
            let need = if length < HEADER_LEN {
                HEADER_LEN
            } else {
                whole.len()
            };
            let error = Frame::split(&whole[..length]).expect_err("it is cut");
            assert_eq!(error, DecodeError::Truncated { have: length, need }, "{}", row.1);
        }
        let (frame, rest) = Frame::split(whole).expect("it is whole");
        assert!(rest.is_empty() && decode(&frame).is_ok(), "{}", row.1);
    }
}

#[test]
fn a_wrong_length_schema_version_or_template_is_named() {
    for row in all_messages() {
        for block_length in (0..=u16::MAX).filter(|length| *length > 984 || length % 8 != 0) {
            let error = golden_error(row, |frame| frame.header_mut().block_length = block_length);
            assert_eq!(error, Some(DecodeError::BadLength { block_length }), "{}", row.1);
        }
        for block_length in (0..=984_u16)
            .step_by(8)
            .filter(|length| usize::from(*length) != row.4)
        {
            let error = golden_error(row, |frame| frame.header_mut().block_length = block_length);
            let (template, name, have, need) = (row.0, row.1, usize::from(block_length), row.4);
            assert_eq!(
                error,
                Some(DecodeError::BlockLength {
                    template,
                    name,
                    have,
                    need
                })
            );
        }
        for version in [0, 2, u16::MAX] {
            let error = golden_error(row, |frame| frame.header_mut().version = version);
            assert_eq!(error, Some(DecodeError::UnknownVersion { version }));
        }
        for schema_id in [0, 2, u16::MAX] {
            let error = golden_error(row, |frame| frame.header_mut().schema_id = schema_id);
            assert_eq!(error, Some(DecodeError::UnknownSchema { schema_id }));
        }
    }
}

#[test]
fn each_family_knows_its_own_templates_only() {
    let families = [COMMANDS, EVENTS, SESSION_MESSAGES];
    for template in 0..=u16::MAX {
        let frame = frame_of(template, &[]);
        let frame = frame.frame().expect("an empty frame");
        let errors = [
            frame.command().err(),
            frame.event().err(),
            frame.session_message().err(),
        ];
        for (family, error) in families.iter().zip(errors) {
            let known = family.iter().any(|row| row.0 == template);
            assert_eq!(
                error == Some(DecodeError::UnknownTemplate { template }),
                !known,
                "{template}"
            );
        }
    }
}

#[test]
fn each_field_with_a_bad_byte_is_named() {
    let mut tried = 0;
    for row in all_messages() {
        for field in row.3 {
            let closed = match field.shape {
                Shape::Choice(_) | Shape::Zeros(_) => true,
                Shape::Integer(_) | Shape::Integers(..) | Shape::Text(_) | Shape::Bytes(_) => false,
            };
            for at in (field.offset..field.offset + field.length).filter(|_| closed) {
                let error = golden_error(row, |frame| {
                    let word = &mut frame.words_mut()[(HEADER_LEN + at) / 8];
                    *word |= 0xFF << (at % 8 * 8);
                });
                let (template, name, field, offset) = (row.0, row.1, field.name, field.offset);
                assert_eq!(
                    error,
                    Some(DecodeError::BadField {
                        template,
                        name,
                        field,
                        offset
                    })
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried} bytes tried");
}

#[test]
fn a_field_that_the_exchange_fills_in_is_named() {
    let clean = Header::request(ReqSeq(7));
    assert_eq!(clean.client_field_not_zero(), None);
    for (header, name) in [
        (Header { seq: Seq(1), ..clean }, "seq"),
        (
            Header {
                time: Nanos(1),
                ..clean
            },
            "time",
        ),
        (
            Header {
                session: SessionId(1),
                ..clean
            },
            "session",
        ),
        (Header { index: 1, ..clean }, "index"),
        (Header { flags: 1, ..clean }, "flags"),
    ] {
        assert_eq!(header.client_field_not_zero(), Some(name));
    }
}

#[test]
fn random_and_flipped_bytes_stand_or_say() {
    let mut random = Random(0x5851);
    let mut bytes = [0; FRAME_MAX + 64];
    for _ in 0..20_000 {
        let length = usize::try_from(random.below(160)).expect("small");
        random.fill(&mut bytes[..length]);
        any_bytes(&bytes[..length]);
    }
    for row in all_messages() {
        let frame = golden_frame(row);
        for _ in 0..200 {
            let mut flipped = frame.bytes().to_vec();
            for _ in 0..=random.below(3) {
                let at = usize::try_from(random.next()).expect("64-bit machine") % flipped.len();
                flipped[at] ^= 1 << random.below(8);
            }
            any_bytes(&flipped);
        }
    }
}

#[test]
fn a_packet_cut_or_mislabelled_anywhere_is_named_and_its_bad_bytes_too() {
    for row in MARKET_MESSAGES {
        let golden = golden_packet(row);
        let whole = golden.as_bytes();
        for length in 0..whole.len() {
            let error = Packet::split(&whole[..length]).expect_err("it is cut");
            let need = if length < PACKET_HEADER_LEN {
                PACKET_HEADER_LEN
            } else {
                whole.len()
            };
            assert_eq!(error, DecodeError::Truncated { have: length, need }, "{}", row.1);
        }
        let read = |change: &dyn Fn(&mut [u8])| {
            let mut words = golden.clone();
            change(words.as_mut_bytes());
            let (packet, _) = Packet::split(words.as_bytes())?;
            packet.messages().try_for_each(|message| message.map(drop))
        };
        assert_eq!(read(&|_| {}), Ok(()), "{}", row.1);
        assert!(matches!(read(&|b| b[0] -= 8), Err(DecodeError::Truncated { .. })));
        assert!(matches!(read(&|b| b[0] -= 1), Err(DecodeError::BadLength { .. })));
        assert!(matches!(read(&|b| b[1] = 5), Err(DecodeError::BadLength { .. })));
        assert_eq!(
            read(&|b| b[2] = 9),
            Err(DecodeError::UnknownVersion { version: 9 })
        );
        assert!(
            matches!(read(&|b| b[6] = 2), Err(DecodeError::Truncated { .. })),
            "fewer than it says"
        );
        assert!(
            matches!(read(&|b| b[6] = 0), Err(DecodeError::BadLength { .. })),
            "more than it says"
        );
        assert!(matches!(
            read(&|b| b[PACKET_HEADER_LEN + 2] += 1),
            Err(DecodeError::Truncated { .. })
        ));
        assert!(matches!(
            read(&|b| b[PACKET_HEADER_LEN + 1] = 0xFF),
            Err(DecodeError::UnknownTemplate { .. })
        ));
        for field in row
            .3
            .iter()
            .filter(|field| matches!(field.shape, Shape::Choice(_) | Shape::Zeros(_)))
        {
            let at = PACKET_HEADER_LEN + MESSAGE_HEAD_LEN + field.offset;
            let error = read(&|b| b[at] = 0xFF);
            assert!(matches!(error, Err(DecodeError::BadField { field: f, .. }) if f == field.name));
        }
    }
}

#[test]
fn a_flipped_packet_stands_or_says() {
    for row in MARKET_MESSAGES {
        let golden = golden_packet(row);
        for byte in 0..golden.as_bytes().len() {
            for bit in 0..8 {
                let mut flipped = golden.as_bytes().to_vec();
                flipped[byte] ^= 1 << bit;
                any_bytes(&flipped);
            }
        }
    }
}

#[test]
fn decoding_allocates_nothing_whether_it_succeeds_or_fails() {
    let mut frames: Vec<Vec<u64>> = Vec::new();
    let mut random = Random(1);
    for row in all_messages() {
        let words = golden_frame(row).words().to_vec();
        for _ in 0..50 {
            let mut flipped = words.clone();
            let at = usize::try_from(random.below(16)).expect("small");
            flipped[at] ^= 1 << random.below(64);
            frames.push(flipped);
        }
        frames.push(words);
    }
    let (mut stands, mut fails) = (0, 0);
    let before = ALLOCATIONS.with(Cell::get);
    for words in &frames {
        let bytes = zerocopy::IntoBytes::as_bytes(words.as_slice());
        match Frame::split(bytes).and_then(|(frame, _)| decode(&frame)) {
            Ok(()) => stands += 1,
            Err(_) => fails += 1,
        }
    }
    let after = ALLOCATIONS.with(Cell::get);
    assert_eq!(after - before, 0, "allocations");
    assert!(stands > 1_000 && fails > 100, "{stands} decoded, {fails} refused");
    // The counter counts.
    drop(vec![0_u8; 10]);
    assert!(ALLOCATIONS.with(Cell::get) > after);
}

#[test]
fn broken_lines_are_named_and_whole_ones_mean_themselves() {
    let mut random = Random(0x7e87);
    let names = Names::new();
    for _ in 0..300 {
        for row in COMMANDS {
            let frame = frame_of(row.0, &random_body(&mut random, row));
            let line = print_command(&frame.frame().expect("a frame"), &names);
            any_text(&line);
            any_text(&broken(&line, &mut random));
        }
    }
    for text in [
        "",
        " ",
        "#",
        "# x\n    y",
        "as",
        "by",
        "as as as",
        "by by",
        "buy as b by c",
        "é",
        "tick é",
        "@ @ @",
        "=",
        "a=b=",
    ] {
        any_text(text);
    }
}

/// A line with a few characters replaced, dropped or doubled, or its words moved.
fn broken(line: &str, random: &mut Random) -> String {
    let mut text: Vec<char> = line.chars().collect();
    for _ in 0..=random.below(3) {
        let at = usize::try_from(random.next()).expect("64-bit machine") % text.len().max(1);
        match (random.below(4), at < text.len()) {
            (_, false) => text.push('#'),
            (0, true) => drop(text.remove(at)),
            (1, true) => text.insert(at, text[at]),
            (2, true) => text[at] = [' ', '#', '=', '.', '-', '0', '9', '+', '@', 'é', '/', '*'][at % 12],
            (_, true) => text.rotate_left(at),
        }
    }
    text.into_iter().collect()
}
