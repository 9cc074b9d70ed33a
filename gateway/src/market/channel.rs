//! One channel: numbers its messages, packs them, keeps the last packets to be told again.

use bytes::Bytes;
use std::collections::VecDeque;
use xq_protocol::{ChannelSeq, Message, Nanos, PacketBuf, Stamp};

/// A packet that was sent.
#[derive(Clone, Debug)]
struct Sent {
    first: ChannelSeq,
    next: ChannelSeq,
    bytes: Bytes,
}

/// A channel.
#[derive(Debug)]
pub struct Channel {
    number: u16,
    packet: PacketBuf,
    sent: VecDeque<Sent>,
    kept: u64,
    /// When its last packet was made.
    pub last: Nanos,
}

impl Channel {
    /// A channel that has told nothing and keeps so many messages.
    pub fn new(number: u16, kept: u64) -> Channel {
        Channel {
            number,
            packet: PacketBuf::new(number, ChannelSeq(1)),
            sent: VecDeque::new(),
            kept,
            last: Nanos::ZERO,
        }
    }

    /// Number of the next message.
    pub fn next(&self) -> ChannelSeq {
        self.packet.next()
    }

    /// Tells a message; a packet that is full goes to `out`.
    #[inline]
    pub fn tell<M: Message>(&mut self, stamp: Stamp, message: &M, out: &mut Vec<(u16, Bytes)>) {
        if !self.packet.push(stamp, message) {
            self.flush(out);
            let fits = self.packet.push(stamp, message);
            assert!(fits, "an empty packet holds any message");
        }
    }

    /// The last message is the last of its command.
    #[inline]
    pub fn mark_last(&mut self) {
        self.packet.mark_last();
    }

    /// Sends what is packed.
    pub fn flush(&mut self, out: &mut Vec<(u16, Bytes)>) {
        if self.packet.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(self.packet.finish());
        let (first, next) = (self.packet.ch_seq(), self.packet.next());
        out.push((self.number, bytes.clone()));
        self.sent.push_back(Sent { first, next, bytes });
        // What is left after the oldest is gone is still as much as was promised.
        while let Some(second) = self.sent.get(1)
            && next.0 - second.first.0 >= self.kept
        {
            self.sent.pop_front();
        }
        self.packet = PacketBuf::new(self.number, next);
    }

    /// An empty packet that tells the next message's number.
    pub fn heartbeat(&self) -> Bytes {
        assert!(self.packet.is_empty(), "what is packed is sent first");
        Bytes::copy_from_slice(self.packet.clone().finish())
    }

    /// The packets that hold so many messages from this number on, as far as they were sent; none when the first is
    /// not kept any more, or was never sent.
    pub fn again(&self, from: ChannelSeq, count: u64) -> Option<Vec<Bytes>> {
        let oldest = self.sent.front()?.first;
        let newest = self.sent.back()?.next;
        if from < oldest || from >= newest || count == 0 {
            return None;
        }
        let end = from.0.saturating_add(count);
        let first = self.sent.partition_point(|sent| sent.next <= from);
        let wanted = self.sent.range(first..).take_while(|sent| sent.first.0 < end);
        Some(wanted.map(|sent| sent.bytes.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{OrderId, Packet, RestingDeleted, Seq, SeriesId};

    fn told(channel: &mut Channel, messages: u64, out: &mut Vec<(u16, Bytes)>) {
        for _ in 0..messages {
            let number = channel.next().0;
            let stamp = Stamp {
                seq: Seq(number),
                time: Nanos(number),
                series: SeriesId(1),
            };
            channel.tell(
                stamp,
                &RestingDeleted {
                    order: OrderId(number),
                },
                out,
            );
        }
        channel.flush(out);
    }

    fn first_of(bytes: &Bytes) -> (u64, u16) {
        let words: Vec<u64> = bytes
            .chunks(8)
            .map(|w| u64::from_le_bytes(w.try_into().expect("words")))
            .collect();
        let (packet, _) = Packet::split(zerocopy::IntoBytes::as_bytes(words.as_slice())).expect("a packet");
        (packet.header.ch_seq.0, packet.header.count)
    }

    #[test]
    fn messages_are_numbered_without_gaps_and_the_last_are_told_again() {
        let (mut channel, mut out) = (Channel::new(2, 100), Vec::new());
        assert_eq!(channel.again(ChannelSeq(1), 1), None);
        told(&mut channel, 100, &mut out);
        told(&mut channel, 1, &mut out);
        let heads: Vec<_> = out.iter().map(|(_, bytes)| first_of(bytes)).collect();
        assert_eq!(heads, [(1, 41), (42, 41), (83, 18), (101, 1)]);
        assert_eq!(channel.next(), ChannelSeq(102));
        let again = |channel: &Channel, from, count| {
            let packets = channel.again(ChannelSeq(from), count)?;
            Some(packets.iter().map(|bytes| first_of(bytes).0).collect::<Vec<_>>())
        };
        assert_eq!(again(&channel, 1, 1), Some(vec![1]));
        assert_eq!(again(&channel, 41, 2), Some(vec![1, 42]));
        assert_eq!(again(&channel, 42, 999), Some(vec![42, 83, 101]));
        assert_eq!(again(&channel, 102, 1), None, "it was never told");
        assert_eq!(again(&channel, 5, 0), None);
        told(&mut channel, 60, &mut out);
        assert_eq!(again(&channel, 41, 1), None, "it is not kept any more");
        assert_eq!(again(&channel, 42, 1), Some(vec![42]), "a hundred and more are");
        assert_eq!(first_of(&channel.heartbeat()), (162, 0));
    }
}
