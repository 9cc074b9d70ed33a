//! A tape of frames, back to back in memory, as a ring or a journal would hand them over.

use xq_protocol::Frame;
use zerocopy::{FromBytes, IntoBytes};

/// Frames one after the other.
#[derive(Default)]
pub struct FrameTape {
    words: Vec<u64>,
    count: usize,
}

impl FrameTape {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let words = <[u64]>::ref_from_bytes(frame.bytes()).expect("frames are whole aligned words");
        self.words.extend_from_slice(words);
        self.count += 1;
    }

    /// Every frame in order.
    #[inline]
    pub fn frames(&self) -> Frames<'_> {
        Frames {
            rest: self.words.as_bytes(),
        }
    }
}

/// Walks a tape. Its frames were checked when they were written, and are again as a reader of a ring would.
#[derive(Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (frame, rest) = Frame::split(self.rest).expect("only whole frames are pushed");
        self.rest = rest;
        Some(frame)
    }
}
