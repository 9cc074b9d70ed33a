//! Packets: market-data messages, several together, as one datagram or one after another on a stream.

use crate::meta::Message;
use crate::{
    ChannelSeq, DecodeError, MarketMessage, Nanos, SCHEMA_VERSION, SCHEMA_VERSION_OLDEST, Seq, SeriesId,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest packet in bytes: it fits a datagram on every path that QUIC runs on.
pub const PACKET_MAX: usize = 1_024;
/// Length of a packet's header in bytes.
pub const PACKET_HEADER_LEN: usize = size_of::<PacketHeader>();
/// Length of the head of a message in a packet.
pub const MESSAGE_HEAD_LEN: usize = size_of::<MessageHead>();
/// The channel of packets that belong to none: requests and their answers, snapshots, levels.
pub const NO_CHANNEL: u16 = u16::MAX;
/// Most channels there can be.
pub const CHANNELS_MAX: u32 = 64;

/// The header of every packet.
///
/// ```text
///  0        2        4        6        8                16               24               32
///  | length | schema | channel| count  | ch_seq         | seq            | time           |
///  | u16    | version| u16    | u16    | u64            | u64            | u64 ns UTC     |
/// ```
///
/// A channel's messages are numbered from 1 without gaps, however they are packed: `ch_seq` is the first one's number,
/// and an empty packet tells the next one's. `seq` and `time` are of the command behind the first message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct PacketHeader {
    /// Bytes of the packet, this header included.
    pub length: u16,
    /// Version of the schema.
    pub version: u16,
    /// The channel, or [`NO_CHANNEL`].
    pub channel: u16,
    /// How many messages.
    pub count: u16,
    /// Number of the first message in its channel; 0 outside of channels.
    pub ch_seq: ChannelSeq,
    /// The command behind the first message.
    pub seq: Seq,
    /// When that command entered the exchange.
    pub time: Nanos,
}

/// The head of every message in a packet.
///
/// ```text
///  0        2      3      4              8              12             16
///  | templ- | body | flags| series       | time after   | seq after    |
///  | ate id | ÷ 8  | u8   | u32          | u32 ns       | u32          |
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct MessageHead {
    /// Which message it is.
    pub template: u16,
    /// Its length after this head, in words of eight bytes.
    pub words: u8,
    /// Bits: see [`MessageHead::LAST`].
    pub flags: u8,
    /// The series it is about; zero for none.
    pub series: SeriesId,
    /// Nanoseconds after the packet's time.
    pub time_after: u32,
    /// Commands after the packet's.
    pub seq_after: u32,
}

impl MessageHead {
    /// Flag: the last message of its command on this channel; the books are as after the command.
    pub const LAST: u8 = 1;
}

const _: () = assert!(size_of::<PacketHeader>() == 32 && size_of::<MessageHead>() == 16);

/// A packet, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its header.
    pub header: &'a PacketHeader,
    bytes: &'a [u8],
}

/// A message of a packet, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct PacketMessage<'a> {
    /// Its head.
    pub head: &'a MessageHead,
    /// The command behind it.
    pub seq: Seq,
    /// When that command entered the exchange.
    pub time: Nanos,
    /// What it says.
    pub message: MarketMessage<'a>,
}

impl<'a> Packet<'a> {
    /// Views the packet at the start of `bytes`; the rest is what follows it. Its messages are checked as they are read.
    ///
    /// # Errors
    /// All that can be wrong with a header: [`DecodeError`].
    pub fn split(bytes: &'a [u8]) -> Result<(Packet<'a>, &'a [u8]), DecodeError> {
        let have = bytes.len();
        let Ok((header, _)) = PacketHeader::ref_from_prefix(bytes) else {
            let need = PACKET_HEADER_LEN;
            return Err(if have < need {
                DecodeError::Truncated { have, need }
            } else {
                DecodeError::Misaligned
            });
        };
        let need = usize::from(header.length);
        if !(PACKET_HEADER_LEN..=PACKET_MAX).contains(&need) || !need.is_multiple_of(8) {
            let block_length = header.length;
            return Err(DecodeError::BadLength { block_length });
        }
        let version = header.version;
        if !(SCHEMA_VERSION_OLDEST..=SCHEMA_VERSION).contains(&version) {
            return Err(DecodeError::UnknownVersion { version });
        }
        let (bytes, rest) = bytes
            .split_at_checked(need)
            .ok_or(DecodeError::Truncated { have, need })?;
        Ok((Packet { header, bytes }, rest))
    }

    /// Its messages in order; the last is an error when one is none, or there are fewer or more than the header says.
    pub fn messages(&self) -> PacketMessages<'a> {
        PacketMessages {
            header: self.header,
            rest: &self.bytes[PACKET_HEADER_LEN..],
            left: self.header.count,
        }
    }

    /// The packet as it stands.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Reads a packet's messages.
#[derive(Clone, Debug)]
pub struct PacketMessages<'a> {
    header: &'a PacketHeader,
    rest: &'a [u8],
    left: u16,
}

impl<'a> Iterator for PacketMessages<'a> {
    type Item = Result<PacketMessage<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 && self.rest.is_empty() {
            return None;
        }
        let message = self.read();
        if message.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(message)
    }
}

impl<'a> PacketMessages<'a> {
    fn read(&mut self) -> Result<PacketMessage<'a>, DecodeError> {
        let have = self.rest.len();
        let need = MESSAGE_HEAD_LEN;
        let Ok((head, rest)) = MessageHead::ref_from_prefix(self.rest) else {
            return Err(DecodeError::Truncated { have, need });
        };
        // More messages than the header counts are no packet either.
        let Some(left) = self.left.checked_sub(1) else {
            let block_length = self.header.length;
            return Err(DecodeError::BadLength { block_length });
        };
        let need = need + 8 * usize::from(head.words);
        let (body, rest) = rest
            .split_at_checked(8 * usize::from(head.words))
            .ok_or(DecodeError::Truncated { have, need })?;
        let message = MarketMessage::decode(head.template, body)?;
        (self.left, self.rest) = (left, rest);
        Ok(PacketMessage {
            head,
            seq: Seq(self.header.seq.0.wrapping_add(u64::from(head.seq_after))),
            time: Nanos(self.header.time.0.wrapping_add(u64::from(head.time_after))),
            message,
        })
    }
}

/// Where a message stands: which command and when, and about which series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The command behind it.
    pub seq: Seq,
    /// When that entered the exchange.
    pub time: Nanos,
    /// The series; zero for none.
    pub series: SeriesId,
}

/// Memory for one packet, filled message by message.
#[derive(Clone, Debug)]
pub struct PacketBuf {
    words: [u64; PACKET_MAX / 8],
    length: usize,
    count: u16,
    /// Where the head of the last message stands.
    last: usize,
    first: Stamp,
    channel: u16,
    ch_seq: ChannelSeq,
}

impl PacketBuf {
    /// An empty packet of a channel whose next message has this number.
    pub fn new(channel: u16, ch_seq: ChannelSeq) -> PacketBuf {
        PacketBuf {
            words: [0; PACKET_MAX / 8],
            length: PACKET_HEADER_LEN,
            count: 0,
            last: 0,
            first: Stamp::default(),
            channel,
            ch_seq,
        }
    }

    /// An empty packet outside of channels.
    pub fn apart() -> PacketBuf {
        PacketBuf::new(NO_CHANNEL, ChannelSeq::ZERO)
    }

    /// A packet of one message outside of channels.
    pub fn of<M: Message>(stamp: Stamp, message: &M) -> PacketBuf {
        let mut packet = PacketBuf::apart();
        let fits = packet.push(stamp, message);
        assert!(fits, "an empty packet holds any message");
        packet
    }

    /// Appends a message; says whether there was room.
    #[inline]
    #[must_use = "what found no room belongs into the next packet"]
    pub fn push<M: Message>(&mut self, stamp: Stamp, message: &M) -> bool {
        const { assert!(PACKET_HEADER_LEN + MESSAGE_HEAD_LEN + size_of::<M>() <= PACKET_MAX) };
        if self.count == 0 {
            self.first = stamp;
        }
        let after = stamp.time.0.checked_sub(self.first.time.0);
        let time_after = after.and_then(|after| u32::try_from(after).ok());
        let after = stamp.seq.0.checked_sub(self.first.seq.0);
        let seq_after = after.and_then(|after| u32::try_from(after).ok());
        let end = self.length + MESSAGE_HEAD_LEN + size_of::<M>();
        let (Some(time_after), Some(seq_after), true) = (time_after, seq_after, end <= PACKET_MAX) else {
            return false;
        };
        let head = MessageHead {
            template: M::TEMPLATE,
            words: const { (size_of::<M>() / 8) as u8 },
            flags: 0,
            series: stamp.series,
            time_after,
            seq_after,
        };
        let room = &mut self.words.as_mut_bytes()[self.length..end];
        head.write_to_prefix(room).expect("room for head and body");
        message
            .write_to_prefix(&mut room[MESSAGE_HEAD_LEN..])
            .expect("room for head and body");
        (self.last, self.length) = (self.length, end);
        self.count += 1;
        true
    }

    /// The last message is the last of its command.
    #[inline]
    pub fn mark_last(&mut self) {
        if self.count > 0 {
            self.words.as_mut_bytes()[self.last + 3] |= MessageHead::LAST;
        }
    }

    /// How many messages it has.
    pub fn count(&self) -> u16 {
        self.count
    }
    /// Says whether it has no messages.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// The stamp of its first message.
    pub fn first(&self) -> Stamp {
        self.first
    }
    /// Number of its first message in its channel.
    pub fn ch_seq(&self) -> ChannelSeq {
        self.ch_seq
    }
    /// Number of the next message in its channel.
    pub fn next(&self) -> ChannelSeq {
        ChannelSeq(self.ch_seq.0 + u64::from(self.count))
    }

    /// The packet's bytes, header filled in.
    pub fn finish(&mut self) -> &[u8] {
        let header = PacketHeader {
            length: u16::try_from(self.length).expect("at most PACKET_MAX"),
            version: SCHEMA_VERSION,
            channel: self.channel,
            count: self.count,
            ch_seq: self.ch_seq,
            seq: self.first.seq,
            time: self.first.time,
        };
        let bytes = self.words.as_mut_bytes();
        header.write_to_prefix(bytes).expect("longer than a header");
        &bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OrderId, RestingDeleted};

    fn stamp(seq: u64, time: u64) -> Stamp {
        Stamp {
            seq: Seq(seq),
            time: Nanos(time),
            series: SeriesId(7),
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_does_not_fit_stays_out() {
        let mut packet = PacketBuf::new(3, ChannelSeq(41));
        let mut written = 0;
        while packet.push(
            stamp(100 + written, 1_000 + written),
            &RestingDeleted {
                order: OrderId(written),
            },
        ) {
            written += 1;
        }
        packet.mark_last();
        assert_eq!((written, packet.next()), (41, ChannelSeq(82)), "24 bytes each");
        let words: Vec<u64> = {
            let bytes = packet.finish();
            assert!(bytes.len() <= PACKET_MAX);
            bytes
                .chunks(8)
                .map(|w| u64::from_le_bytes(w.try_into().expect("words")))
                .collect()
        };
        let (packet, rest) = Packet::split(words.as_bytes()).expect("a packet");
        assert!(rest.is_empty());
        assert_eq!((packet.header.channel, packet.header.ch_seq), (3, ChannelSeq(41)));
        for (at, message) in (0..).zip(packet.messages()) {
            let message = message.expect("a message");
            assert_eq!((message.seq, message.time), (Seq(100 + at), Nanos(1_000 + at)));
            assert_eq!(message.head.series, SeriesId(7));
            assert_eq!(message.head.flags & MessageHead::LAST != 0, at + 1 == written);
            let MarketMessage::RestingDeleted(gone) = message.message else {
                panic!("{message:?}");
            };
            assert_eq!(gone.order, OrderId(at));
        }
    }

    #[test]
    fn commands_too_far_apart_do_not_share_a_packet() {
        let message = RestingDeleted { order: OrderId(1) };
        for (seq, time) in [(9, 10), (10, 9), (10 + (1 << 32), 10), (10, 10 + (1 << 32))] {
            let mut packet = PacketBuf::new(0, ChannelSeq(1));
            assert!(packet.push(stamp(10, 10), &message) && !packet.push(stamp(seq, time), &message));
            assert!(packet.push(stamp(10 + (1 << 31), 10 + (1 << 31)), &message));
        }
    }
}
