//! Any bytes are a frame, or a packet, or an error that says what is wrong; what is a frame prints.

use super::{Verdict, hostile};
use xq_protocol::Frame;

pub fn run(bytes: &[u8]) -> Verdict {
    hostile::any_bytes(bytes);
    let frame = Frame::split(bytes).map(|(frame, _)| frame);
    Verdict::taken_if(|| {
        frame.is_ok_and(|frame| {
            frame.command().is_ok() || frame.event().is_ok() || frame.session_message().is_ok()
        }) || hostile::packet_stands_or_says(bytes) > 0
    })
}
