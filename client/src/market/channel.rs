//! One channel as its subscriber sees it: packets may be lost or overtake one another, messages come out in order.

use std::collections::BTreeMap;
use xq_protocol::{ChannelSeq, Packet};
use zerocopy::IntoBytes;

/// Packets that are kept while one before them is missing.
const AHEAD_MAX: usize = 4_096;

/// A packet in memory of its own, aligned.
#[derive(Clone, Debug)]
pub(super) struct Kept(Vec<u64>);

impl Kept {
    pub(super) fn of(packet: &Packet<'_>) -> Kept {
        let words = packet.bytes().chunks(8).map(|word| {
            let mut whole = [0; 8];
            whole[..word.len()].copy_from_slice(word);
            u64::from_le_bytes(whole)
        });
        Kept(words.collect())
    }
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet::split(self.0.as_bytes())
            .expect("it was a packet when it was kept")
            .0
    }
}

/// What to do about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It holds the next message: read it.
    Next,
    /// All of it is known.
    Old,
    /// A message before it is missing.
    Ahead,
}

/// A stretch of messages that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: ChannelSeq,
    pub(super) count: u64,
}

/// A channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Number of the next message; none before anything is known.
    pub(super) next: Option<ChannelSeq>,
    /// Packets after a gap, by the number of their first message.
    ahead: BTreeMap<u64, Kept>,
    /// The channel has told at least up to here.
    told: u64,
    /// Number of the first message since which none was given up.
    pub(super) since: ChannelSeq,
    /// The request that asked for what is missing, until it is answered.
    pub(super) repair: Option<u64>,
}

impl Channel {
    /// Looks where a packet belongs; one that is ahead is kept, unless there are too many.
    pub(super) fn place(&mut self, packet: &Packet<'_>) -> Place {
        let first = packet.header.ch_seq;
        let end = first.0.saturating_add(u64::from(packet.header.count));
        let next = self.next.unwrap_or_else(|| self.begin(first));
        self.told = self.told.max(end);
        if first > next {
            if packet.header.count > 0 && self.ahead.len() < AHEAD_MAX {
                self.ahead.entry(first.0).or_insert_with(|| Kept::of(packet));
            }
            Place::Ahead
        } else if end > next.0 {
            Place::Next
        } else {
            Place::Old
        }
    }

    /// It is known from this message on.
    pub(super) fn begin(&mut self, first: ChannelSeq) -> ChannelSeq {
        (self.next, self.since) = (Some(first), first);
        self.told = self.told.max(first.0);
        first
    }

    /// The next of the packets that were ahead and are not any more.
    pub(super) fn take_next(&mut self) -> Option<Kept> {
        let next = self.next?;
        let first = *self.ahead.first_key_value()?.0;
        (first <= next.0).then(|| self.ahead.pop_first().expect("looked at just now").1)
    }

    /// What is missing before what is known, if anything.
    pub(super) fn gap(&self) -> Option<Gap> {
        let from = self.next.filter(|next| next.0 < self.told)?;
        let until = self
            .ahead
            .first_key_value()
            .map_or(self.told, |(first, _)| *first);
        let count = until.saturating_sub(from.0);
        (count > 0).then_some(Gap { from, count })
    }

    /// Gives up what is missing: it goes on with what comes next.
    pub(super) fn skip(&mut self) {
        self.ahead.clear();
        self.repair = None;
        self.begin(ChannelSeq(self.told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{OrderId, PacketBuf, RestingDeleted, Stamp};

    fn packet(first: u64, count: u64) -> Kept {
        let mut buf = PacketBuf::new(0, ChannelSeq(first));
        for order in 0..count {
            assert!(buf.push(
                Stamp::default(),
                &RestingDeleted {
                    order: OrderId(order)
                }
            ));
        }
        let words = buf.finish().chunks(8);
        Kept(
            words
                .map(|word| u64::from_le_bytes(word.try_into().expect("words")))
                .collect(),
        )
    }

    #[test]
    fn packets_come_out_in_order_and_what_is_missing_is_known() {
        let mut channel = Channel::default();
        let place = |channel: &mut Channel, kept: &Kept| channel.place(&kept.packet());
        assert_eq!(place(&mut channel, &packet(10, 2)), Place::Next);
        channel.next = Some(ChannelSeq(12));
        assert_eq!(
            (place(&mut channel, &packet(10, 2)), channel.gap()),
            (Place::Old, None)
        );
        assert_eq!(place(&mut channel, &packet(15, 5)), Place::Ahead);
        assert_eq!(place(&mut channel, &packet(14, 1)), Place::Ahead);
        let (from, count) = (ChannelSeq(12), 2);
        assert_eq!(
            (channel.gap(), channel.take_next().is_none()),
            (Some(Gap { from, count }), true)
        );
        assert_eq!(
            place(&mut channel, &packet(11, 3)),
            Place::Next,
            "half of it is known"
        );
        channel.next = Some(ChannelSeq(14));
        assert_eq!(
            channel.take_next().map(|kept| kept.packet().header.ch_seq),
            Some(ChannelSeq(14))
        );
        channel.next = Some(ChannelSeq(15));
        assert_eq!(
            channel.take_next().map(|kept| kept.packet().header.ch_seq),
            Some(ChannelSeq(15))
        );
        channel.next = Some(ChannelSeq(20));
        assert_eq!((channel.gap(), channel.take_next().is_none()), (None, true));
        assert_eq!(
            place(&mut channel, &packet(25, 0)),
            Place::Ahead,
            "an empty packet tells of a loss"
        );
        let (from, count) = (ChannelSeq(20), 5);
        assert_eq!(channel.gap(), Some(Gap { from, count }));
        channel.skip();
        assert_eq!((channel.gap(), channel.next), (None, Some(ChannelSeq(25))));
    }
}
