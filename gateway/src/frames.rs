//! Frames in memory aligned to eight bytes: a list that grows, and the fixed buffer that a stream is read into.

use xq_protocol::{FRAME_MAX, Frame, HEADER_LEN, Header, Message, SCHEMA_ID, SCHEMA_VERSION};
use zerocopy::{FromBytes, IntoBytes};

/// Whole frames, one after another.
#[derive(Default)]
pub struct Frames {
    words: Vec<u64>,
}

impl Frames {
    /// Appends a message; of the header, SBE's four fields are filled in here.
    pub fn push<M: Message>(&mut self, header: Header, body: &M) {
        let header = Header {
            block_length: const { size_of::<M>() as u16 },
            template_id: M::TEMPLATE,
            schema_id: SCHEMA_ID,
            version: SCHEMA_VERSION,
            ..header
        };
        let room = self.grow(HEADER_LEN + size_of::<M>());
        header.write_to_prefix(room).expect("room for header and body");
        body.write_to_prefix(&mut room[HEADER_LEN..])
            .expect("room for header and body");
    }

    /// Appends a copy of a frame; its header is given back to be changed.
    #[inline]
    pub fn copy(&mut self, frame: &Frame<'_>) -> &mut Header {
        let room = self.grow(frame.bytes().len());
        room.copy_from_slice(frame.bytes());
        Header::mut_from_prefix(room)
            .expect("words are aligned and a frame has a header")
            .0
    }

    #[inline]
    fn grow(&mut self, length: usize) -> &mut [u8] {
        assert!(length.is_multiple_of(8), "a frame is a multiple of eight bytes");
        let start = self.words.len();
        self.words.resize(start + length / 8, 0);
        self.words[start..].as_mut_bytes()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }
    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
    /// Forgets all; the memory stays.
    pub fn clear(&mut self) {
        self.words.clear();
    }
}

/// The whole frames at the start of aligned bytes, in order; ends at the first that is none.
pub fn each(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let (frame, rest) = Frame::split(bytes).ok()?;
        bytes = rest;
        Some(frame)
    })
}

/// A fixed buffer between a stream and its reader: what is no whole frame yet stays for the next read.
pub struct Inbound {
    words: Box<[u64]>,
    start: usize,
    end: usize,
}

impl Inbound {
    /// A buffer of so many bytes, at least two of the longest frames.
    pub fn new(bytes: usize) -> Inbound {
        let words = bytes.max(2 * FRAME_MAX).div_ceil(8);
        Inbound {
            words: vec![0; words].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Where the next bytes go; never empty once all whole frames were consumed.
    pub fn spare(&mut self) -> &mut [u8] {
        let bytes = self.words.as_mut_bytes();
        if self.start > 0 {
            // Only a part of one frame is left, so this moves little, and frames start at multiples of eight again.
            bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut bytes[self.end..]
    }

    /// So many bytes of the spare room were filled.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(
            self.end <= 8 * self.words.len(),
            "no more is filled than was spare"
        );
    }

    /// What was read and not consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[self.start..self.end]
    }

    /// So many bytes, whole frames, are done with.
    pub fn consumed(&mut self, count: usize) {
        self.start += count;
        assert!(
            self.start <= self.end && self.start.is_multiple_of(8),
            "whole frames that were there"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{ReqSeq, Sequence};

    #[test]
    fn a_frame_cut_anywhere_is_put_together() {
        let mut all = Frames::default();
        for n in 1..=100 {
            all.push(Header::request(ReqSeq(n)), &Sequence { next: ReqSeq(n) });
        }
        for step in [1, 7, 8, 39, 40, 41, 47, 48, 49, 1000] {
            let mut inbound = Inbound::new(0);
            let mut seen = 0;
            for piece in all.bytes().chunks(step) {
                inbound.spare()[..piece.len()].copy_from_slice(piece);
                inbound.filled(piece.len());
                let mut used = 0;
                for frame in each(inbound.bytes()) {
                    seen += 1;
                    used += frame.bytes().len();
                    assert_eq!(frame.header.req_seq, ReqSeq(seen));
                }
                inbound.consumed(used);
            }
            assert_eq!(seen, 100);
        }
    }
}
