//! Frames off a stream: a fixed buffer aligned to eight bytes, and the whole frames in it.

use quinn::RecvStream;
use xq_protocol::{DecodeError, FRAME_MAX, Frame};
use zerocopy::IntoBytes;

/// Bytes of a stream that were read and not consumed yet.
pub(crate) struct Inbound {
    words: Box<[u64]>,
    start: usize,
    end: usize,
}

/// Why no more frames can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the stream has ended")]
    Ended,
    #[error(transparent)]
    Broken(#[from] quinn::ReadError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Inbound {
    pub(crate) fn new(bytes: usize) -> Inbound {
        let words = bytes.max(2 * FRAME_MAX).div_ceil(8);
        Inbound {
            words: vec![0; words].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// A buffer that holds these bytes, as if they were read.
    #[cfg(test)]
    pub(crate) fn holding(read: Vec<u8>) -> Inbound {
        let mut inbound = Inbound::new(read.len());
        inbound.words.as_mut_bytes()[..read.len()].copy_from_slice(&read);
        inbound.end = read.len();
        inbound
    }

    /// Reads what is there, at least one byte; consumed bytes are given up.
    pub(crate) async fn read(&mut self, recv: &mut RecvStream) -> Result<usize, ReadError> {
        let bytes = self.words.as_mut_bytes();
        bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = recv.read(&mut bytes[self.end..]).await?.ok_or(ReadError::Ended)?;
        self.end += count;
        Ok(count)
    }

    /// The next whole frame, consumed; none while it is incomplete.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, DecodeError> {
        let bytes = &self.words.as_bytes()[self.start..self.end];
        match Frame::split(bytes) {
            Ok((frame, _)) => {
                self.start += frame.bytes().len();
                Ok(Some(frame))
            }
            // An impossible length is told apart from one that is not all there yet.
            Err(DecodeError::Truncated { .. }) => Frame::peek_len(bytes).map(|_| None),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next whole frame.
    pub(crate) async fn wait(&mut self, recv: &mut RecvStream) -> Result<Frame<'_>, ReadError> {
        // Looked at twice, since a frame that is returned keeps the buffer borrowed.
        while !self.is_whole()? {
            self.read(recv).await?;
        }
        Ok(self.next()?.expect("a whole frame is there"))
    }

    fn is_whole(&self) -> Result<bool, DecodeError> {
        match Frame::split(&self.words.as_bytes()[self.start..self.end]) {
            Ok(_) => Ok(true),
            Err(DecodeError::Truncated { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
