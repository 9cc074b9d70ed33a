//! The bodies of the fuzz targets: what must hold for any bytes and any text.

use xq_protocol::text::{Names, Scenario, parse_command, print_command, print_event};
use xq_protocol::{DecodeError, FRAME_MAX, Frame, PACKET_MAX, Packet};

/// Decodes bytes as a frame of each family; whatever fails says what is wrong.
pub fn any_bytes(bytes: &[u8]) {
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(whole);
    }
    let aligned: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // A vector of bytes may lie anywhere: both an aligned and a shifted view must hold.
    for start in 0..aligned.len().min(9) {
        stands_or_says(&aligned[start..(start + bytes.len()).min(aligned.len())]);
    }
    stands_or_says(bytes);
}

/// Reads bytes as a packet and its messages; says how many messages were read.
pub fn packet_stands_or_says(bytes: &[u8]) -> usize {
    let (packet, rest) = match Packet::split(bytes) {
        Ok(split) => split,
        Err(error) => {
            names_the_culprit(error);
            return 0;
        }
    };
    assert_eq!(packet.bytes().len() + rest.len(), bytes.len());
    assert!(packet.bytes().len() <= PACKET_MAX);
    let mut read = 0;
    for message in packet.messages() {
        match message {
            Ok(_) => read += 1,
            Err(error) => names_the_culprit(error),
        }
    }
    assert!(read <= usize::from(packet.header.count));
    read
}

fn stands_or_says(bytes: &[u8]) {
    packet_stands_or_says(bytes);
    match Frame::peek_len(bytes) {
        Ok(Some(length)) => assert!(length <= FRAME_MAX && length.is_multiple_of(8)),
        Ok(None) => assert!(bytes.len() < 2),
        Err(error) => names_the_culprit(error),
    }
    let (frame, rest) = match Frame::split(bytes) {
        Ok(split) => split,
        Err(error) => return names_the_culprit(error),
    };
    assert_eq!(frame.bytes().len() + rest.len(), bytes.len());
    let mut names = Names::new();
    match frame.command() {
        Ok(_) => drop(print_command(&frame, &names)),
        Err(error) => names_the_culprit(error),
    }
    match frame.event() {
        Ok(_) => drop(print_event(&frame, &names)),
        Err(error) => names_the_culprit(error),
    }
    if let Err(error) = frame.session_message() {
        names_the_culprit(error);
    }
    names.learn(&frame);
}

/// The message holds the number or the name that is wrong.
fn names_the_culprit(error: DecodeError) {
    let text = error.to_string();
    let culprit = match error {
        DecodeError::Truncated { have, need } => {
            assert!(have < need, "{text}");
            have.to_string()
        }
        DecodeError::BadLength { block_length } => block_length.to_string(),
        DecodeError::Misaligned => "aligned".to_owned(),
        DecodeError::UnknownSchema { schema_id } => schema_id.to_string(),
        DecodeError::UnknownVersion { version } => version.to_string(),
        DecodeError::UnknownTemplate { template } => template.to_string(),
        DecodeError::BlockLength { name, have, need, .. } => {
            assert!(have != need && text.contains(name), "{text}");
            have.to_string()
        }
        DecodeError::BadField { name, field, .. } => {
            assert!(text.contains(name), "{text}");
            field.to_owned()
        }
    };
    assert!(text.contains(&culprit), "{text} does not name {culprit}");
}

/// Parses a text as a command and as a scenario; a command prints to a line that means the same.
pub fn any_text(text: &str) {
    if let Err(error) = Scenario::parse("any.scn", text) {
        assert!(error.line >= 1 && error.column >= 1 && !error.expected.is_empty());
    }
    for line in text.lines() {
        let mut names = Names::new();
        match parse_command(line, &mut names) {
            Ok(parsed) => {
                let frame = parsed.frame.frame().expect("what was parsed is a frame");
                let printed = print_command(&frame, &names);
                let again =
                    parse_command(&printed, &mut names).unwrap_or_else(|e| panic!("{line}: {printed}: {e}"));
                // A request number is part of the line, not of the command, so it is not printed.
                let mut frame = parsed.frame;
                frame.header_mut().req_seq = again.frame.header().req_seq;
                assert_eq!(again.frame.bytes(), frame.bytes(), "{line}: {printed}");
            }
            Err(error) => {
                assert!(
                    error.column >= 1 && error.column <= line.chars().count() + 1,
                    "{line}: {error}"
                );
                assert!(
                    error.culprit.is_empty() || line.contains(&error.culprit),
                    "{line}: {error}"
                );
            }
        }
    }
}
