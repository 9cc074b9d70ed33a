//! What the journals know of a frame: its length, its place, and which event of a command is the last.

use crate::bytes::{u16_at, u64_at};
use crate::{EventCursor, Seq};

/// Bytes of a frame's header.
///
/// ```text
///  0        2        4        6        8                16               24       28      30      32            40
///  ├────────┼────────┼────────┼────────┼────────────────┼────────────────┼────────┼───────┼───────┼─────────────┤
///  │ length │template│ schema │version │      seq       │      time      │session │ index │ flags │   req_seq   │ body…
///  │ of body│        │        │        │                │                │        │       │       │             │
/// ```
pub const FRAME_HEADER: usize = 40;
/// Longest frame of a command, bytes.
pub const COMMAND_FRAME_MAX: usize = 1024;
/// Longest frame of an event, bytes.
pub const EVENT_FRAME_MAX: usize = 128;
/// Where a frame carries its sequence.
pub(crate) const SEQ_AT: usize = 8;
const TIME_AT: usize = 16;
const INDEX_AT: usize = 28;
const FLAGS_AT: usize = 30;
/// Flag bit of the last event of a command.
const LAST_EVENT: u16 = 1;

/// Length in bytes that a frame's first two bytes announce, header included.
pub(crate) fn announced_length(bytes: &[u8]) -> usize {
    FRAME_HEADER + usize::from(u16_at(bytes, 0))
}

/// The sequence a frame carries.
pub(crate) fn seq_of(frame: &[u8]) -> Seq {
    Seq(u64_at(frame, SEQ_AT))
}

/// The time a frame carries, nanoseconds UTC.
pub(crate) fn time_of(frame: &[u8]) -> u64 {
    u64_at(frame, TIME_AT)
}

/// An event frame's place.
pub(crate) fn cursor_of(frame: &[u8]) -> EventCursor {
    EventCursor {
        seq: seq_of(frame),
        index: u16_at(frame, INDEX_AT),
    }
}

/// Whether an event frame is the last of its command.
pub(crate) fn is_last_event(frame: &[u8]) -> bool {
    u16_at(frame, FLAGS_AT) & LAST_EVENT != 0
}

/// Says what keeps bytes from being one whole frame of at most `longest` bytes.
pub(crate) fn fault_of(bytes: &[u8], longest: usize) -> Option<&'static str> {
    if bytes.len() < FRAME_HEADER {
        return Some("shorter than a header");
    }
    if announced_length(bytes) != bytes.len() {
        return Some("its length is not the one it announces");
    }
    if bytes.len() > longest {
        return Some("longer than a frame may be");
    }
    if !bytes.len().is_multiple_of(8) {
        return Some("its length is not a multiple of 8");
    }
    None
}

/// The first of the frames laid back to back in `bytes`, if there is a whole one.
pub(crate) fn first_of(bytes: &[u8], longest: usize) -> Option<&[u8]> {
    let frame = bytes
        .get(..FRAME_HEADER)
        .and_then(|header| bytes.get(..announced_length(header)))?;
    fault_of(frame, longest).is_none().then_some(frame)
}

/// Builds frames for tests of this room and of those that stand on it.
pub mod sample {
    use super::{FLAGS_AT, FRAME_HEADER, INDEX_AT, LAST_EVENT, SEQ_AT, TIME_AT};
    use crate::bytes::{put, u16_at};
    use crate::{EventCursor, Seq};

    /// A command frame of `body` bytes (a multiple of 8) whose content follows from `tag`.
    #[must_use]
    pub fn command(tag: u64, body: u16) -> Vec<u8> {
        let mut frame = vec![0; FRAME_HEADER + usize::from(body)];
        put(&mut frame, 0, &body.to_le_bytes());
        put(&mut frame, 2, &[7, 0, 1, 0, 1, 0]);
        put(&mut frame, TIME_AT, &tag.wrapping_mul(1_000).to_le_bytes());
        for (place, byte) in frame[FRAME_HEADER..].iter_mut().enumerate() {
            *byte = tag
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(u32::try_from(place % 64).unwrap_or(0))
                .to_le_bytes()[0];
        }
        frame
    }

    /// An event frame of `body` bytes at a place; mark the last of a command with [`last`].
    #[must_use]
    pub fn event(cursor: EventCursor, body: u16) -> Vec<u8> {
        let mut frame = command(cursor.seq.0 * 31 + u64::from(cursor.index), body);
        put(&mut frame, SEQ_AT, &cursor.seq.0.to_le_bytes());
        put(&mut frame, INDEX_AT, &cursor.index.to_le_bytes());
        frame
    }

    /// Marks an event frame as the last of its command.
    #[must_use]
    pub fn last(mut frame: Vec<u8>) -> Vec<u8> {
        let flags = u16_at(&frame, FLAGS_AT) | LAST_EVENT;
        put(&mut frame, FLAGS_AT, &flags.to_le_bytes());
        frame
    }

    /// The sequence a frame carries.
    #[must_use]
    pub fn seq(frame: &[u8]) -> Seq {
        super::seq_of(frame)
    }
}
