//! What the market tells whom: packets for everyone, snapshots and levels for those who ask.

use super::market::Market;
use super::packer::Packer;
use super::subscribers::SubscriberId;
use bytes::Bytes;
use xq_protocol::{
    BookHashed, ChannelSeq, Count, Nanos, ReqSeq, Reserved, SeriesId, Side, SnapshotBegan, Stamp,
};

impl Market {
    /// The packets to be sent: all that are full, and, between commands, what has gathered since.
    pub fn take_packets(&mut self, now: Nanos) -> Vec<(u16, Bytes)> {
        if !self.inside {
            for channel in &mut self.channels {
                channel.flush(&mut self.out);
            }
        }
        let out = std::mem::take(&mut self.out);
        for (channel, _) in &out {
            self.channels[usize::from(*channel)].last = now;
        }
        out
    }

    /// Empty packets of the channels that were silent for too long.
    pub fn heartbeats(&mut self, now: Nanos) -> Vec<(u16, Bytes)> {
        let due = |last: Nanos| now.0.saturating_sub(last.0) >= self.limits.heartbeat.0;
        let mut out = Vec::new();
        for (number, channel) in (0..).zip(&mut self.channels) {
            if due(channel.last) && !self.inside {
                channel.last = now;
                out.push((number, channel.heartbeat()));
            }
        }
        out
    }

    /// The series whose followers are to be told, with what is to be told to all of each.
    pub fn take_levels(&mut self) -> Vec<(SeriesId, Bytes)> {
        let mut all = Vec::new();
        for series in std::mem::take(&mut self.changed) {
            let stamp = Stamp { series, ..self.stamp };
            let listing = self.listing_mut(series).expect("it changed");
            let mut packer = Packer::default();
            listing.tell_changes(stamp, &mut packer);
            all.push((series, packer.finish()));
        }
        all
    }

    /// Number of the next message of a series' channel.
    pub fn next(&self, series: SeriesId) -> ChannelSeq {
        self.channels[usize::from(self.channel_of(series))].next()
    }

    /// How a series' book is.
    pub fn hashed(&self, series: SeriesId, request: ReqSeq) -> Option<BookHashed> {
        let book = &self.listing(series)?.book;
        Some(BookHashed {
            request,
            next: self.next(series),
            hash: book.hash(),
            orders: Count(u32::try_from(book.len()).expect("orders are counted in 32 bits")),
            reserved: Reserved::ZERO,
        })
    }

    /// A series' book as packets: head, orders in priority, hash.
    pub fn snapshot(&self, series: SeriesId, request: ReqSeq) -> Option<Bytes> {
        let listing = self.listing(series)?;
        let hashed = self.hashed(series, request)?;
        let stamp = Stamp { series, ..self.stamp };
        let mut packer = Packer::default();
        let began = SnapshotBegan {
            request,
            next: hashed.next,
            orders: hashed.orders,
            phase: listing.told.phase,
            venue: self.venue,
            reserved: Reserved::ZERO,
        };
        packer.push(stamp, &began);
        for side in [Side::Buy, Side::Sell] {
            for order in listing.book.orders(side) {
                packer.push(stamp, &order);
            }
        }
        packer.push(stamp, &hashed);
        Some(packer.finish())
    }

    /// Everything about a series' levels, for one who begins to follow them.
    pub fn levels(&self, series: SeriesId, request: ReqSeq) -> Option<Bytes> {
        let listing = self.listing(series)?;
        let mut packer = Packer::default();
        listing.tell_all(Stamp { series, ..self.stamp }, request, &mut packer);
        Some(packer.finish())
    }

    /// Who follows a series' levels, to be changed.
    pub fn followers(&mut self, series: SeriesId) -> Option<&mut Vec<SubscriberId>> {
        self.listing_mut(series).map(|listing| &mut listing.followers)
    }

    /// Says whether events of a command are still to come.
    pub fn is_inside_a_command(&self) -> bool {
        self.inside
    }
}
