//! Feeds: who follows which book, and what waits to be told to them.

use crate::book::{Books, Change};
use crate::config::Limits;
use crate::frames::Frames;
use crate::output::Output;
use crate::pipe::{Bells, Pipe, Taken};
use crate::register::Map;
use bytes::Bytes;
use xq_protocol::{
    CommandFrame, FeedSnapshot, Header, OrderAdded, ParticipantId, RejectReason, SeriesId, TerminateReason,
};

/// Names one feed of this gateway; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedId(u64);

/// Orders of a snapshot that are written at once.
const PIECE: usize = 512;

/// One feed: the book as it was at its beginning, then the changes.
struct Feed {
    series: SeriesId,
    owner: ParticipantId,
    /// The snapshot's head, until it is taken to be written; what follows it bears the same header.
    head: Option<FeedSnapshot>,
    header: Header,
    /// The snapshot's orders that were not taken to be written yet.
    orders: std::vec::IntoIter<OrderAdded>,
    changes: Pipe,
}

impl Feed {
    /// Takes what is to be written next: the snapshot in pieces, then all changes that wait.
    fn take(&mut self) -> Taken {
        let mut piece = Frames::default();
        if let Some(head) = self.head.take() {
            piece.push(self.header, &head);
        }
        for order in self.orders.by_ref().take(PIECE) {
            piece.push(self.header, &order);
        }
        if piece.is_empty() {
            return self.changes.take();
        }
        Taken {
            bytes: Bytes::copy_from_slice(piece.bytes()),
            closing: None,
        }
    }

    /// Ends it: what waits is not written any more, but why.
    fn drop_slow(&mut self) {
        (self.head, self.orders) = (None, Vec::new().into_iter());
        self.changes.clear();
        let mut last = Output::default();
        last.terminate(TerminateReason::TooSlow, None);
        self.changes.put(last.replies.bytes());
        self.changes.close(TerminateReason::TooSlow);
    }
}

/// All feeds.
#[derive(Default)]
pub struct Feeds {
    feeds: Map<FeedId, Feed>,
    followers: Map<SeriesId, Vec<FeedId>>,
    last: u64,
    slow: Vec<FeedId>,
}

impl Feeds {
    /// Begins a participant's feed of a series' book as it is now.
    ///
    /// # Errors
    /// R410: the participant has as many as it may, or too many orders would wait in snapshots.
    pub fn open(
        &mut self,
        (owner, series): (ParticipantId, SeriesId),
        books: &Books,
        limits: &Limits,
    ) -> Result<(FeedId, Bells), RejectReason> {
        if !self.has_room(owner, books.resting(series), limits) {
            return Err(RejectReason::Capacity);
        }
        self.last += 1;
        let id = FeedId(self.last);
        let (head, orders) = books.snapshot(series);
        let header = Header {
            seq: head.seq,
            ..Header::default()
        };
        let changes = Pipe::new(limits.outbox_max);
        let bells = changes.bells();
        let feed = Feed {
            series,
            owner,
            head: Some(head),
            header,
            orders: orders.into_iter(),
            changes,
        };
        self.feeds.insert(id, feed);
        self.followers.entry(series).or_default().push(id);
        Ok((id, bells))
    }

    /// Says whether a participant may have one more feed, with a snapshot of so many orders.
    fn has_room(&self, owner: ParticipantId, orders: usize, limits: &Limits) -> bool {
        let (mut own_feeds, mut own_orders, mut all_orders) = (0, orders, orders);
        for feed in self.feeds.values() {
            all_orders += feed.orders.len();
            if feed.owner == owner {
                own_feeds += 1;
                own_orders += feed.orders.len();
            }
        }
        own_feeds < limits.feeds_max
            && own_orders <= limits.feed_orders_max
            && all_orders <= limits.snapshot_orders_max
    }

    /// Tells a change to those who follow its book. Who spoke, and in which request, is nobody's business.
    #[inline]
    pub fn tell(&mut self, header: &Header, change: &Change) {
        let Some(followers) = self.followers.get(&change.series()) else {
            return;
        };
        let header = Header {
            seq: header.seq,
            time: header.time,
            index: header.index,
            ..Header::default()
        };
        let frame = match change {
            Change::Added(added) => CommandFrame::new(header, added),
            Change::Executed(executed) => CommandFrame::new(header, executed),
            Change::Lowered(lowered) => CommandFrame::new(header, lowered),
            Change::Deleted(deleted) => CommandFrame::new(header, deleted),
        };
        for id in followers {
            let feed = self.feeds.get_mut(id).expect("a follower has a feed");
            feed.changes.put(frame.bytes());
            if feed.changes.is_over() {
                self.slow.push(*id);
            }
        }
    }

    /// Drops those who read too slowly; returns how many.
    pub fn drop_slow(&mut self) -> usize {
        let mut dropped = 0;
        for id in std::mem::take(&mut self.slow) {
            let feed = self.feeds.get_mut(&id);
            if let Some(feed) = feed.filter(|feed| feed.changes.closing().is_none()) {
                feed.drop_slow();
                dropped += 1;
            }
        }
        dropped
    }

    /// Takes what waits to be written.
    pub fn take(&mut self, id: FeedId) -> Option<Taken> {
        self.feeds.get_mut(&id).map(Feed::take)
    }

    /// Ends a feed.
    pub fn close(&mut self, id: FeedId) {
        if let Some(Feed { series, .. }) = self.feeds.remove(&id) {
            let followers = self.followers.get_mut(&series).expect("it followed its series");
            followers.retain(|other| *other != id);
            if followers.is_empty() {
                self.followers.remove(&series);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::each;
    use xq_protocol::*;

    const ALICE: ParticipantId = ParticipantId(1);
    const BOB: ParticipantId = ParticipantId(2);
    const SERIES: SeriesId = SeriesId(7);

    /// An order comes to rest.
    fn place(books: &mut Books, id: u64, tell: &mut dyn FnMut(&Header, Change)) {
        let header = Header {
            seq: Seq(id),
            flags: Header::LAST,
            ..Header::default()
        };
        let accepted = OrderAccepted {
            order: OrderId(id),
            account: AccountId(1),
            series: SERIES,
            cl_ord_id: ClOrdId::ZERO,
            limit: Price(100),
            expire_at: Nanos(0),
            held: Amount(0),
            qty: Qty(1),
            currency: Currency(156),
            side: Side::Buy,
            order_type: OrderType::Limit,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
            on_disconnect: OnDisconnect::Persist,
            reserved: Reserved::ZERO,
        };
        books.follow(&header, &Event::OrderAccepted(&accepted), &mut |change| {
            tell(&header, change)
        });
    }

    fn books(orders: u64) -> Books {
        let mut books = Books::default();
        for id in 1..=orders {
            place(&mut books, id, &mut |_, _| {});
        }
        books
    }

    /// The orders added in what is taken once, and whether the snapshot's head comes before them.
    fn take(feeds: &mut Feeds, id: FeedId) -> (bool, Vec<u64>) {
        let taken = feeds.take(id).expect("the feed is open").bytes;
        let word = |word: &[u8]| u64::from_le_bytes(word.try_into().expect("whole frames"));
        let words: Vec<u64> = taken.chunks(8).map(word).collect();
        let (mut has_head, mut orders) = (false, Vec::new());
        for frame in each(zerocopy::IntoBytes::as_bytes(&words[..])) {
            match frame.session_message() {
                Ok(SessionMessage::FeedSnapshot(_)) => has_head = true,
                Ok(SessionMessage::OrderAdded(added)) => orders.push(added.order.0),
                other => panic!("{other:?}"),
            }
        }
        (has_head, orders)
    }

    #[test]
    fn a_snapshot_is_written_in_pieces_and_what_changes_meanwhile_after_it() {
        let (mut books, mut feeds) = (books(1_200), Feeds::default());
        let (id, _) = feeds
            .open((ALICE, SERIES), &books, &Limits::default())
            .expect("room");
        let numbers = |from, to| (from..=to).collect::<Vec<u64>>();
        assert_eq!(take(&mut feeds, id), (true, numbers(1, 512)));
        place(&mut books, 1_201, &mut |header, change| {
            feeds.tell(header, &change)
        });
        assert_eq!(take(&mut feeds, id), (false, numbers(513, 1_024)));
        assert_eq!(take(&mut feeds, id), (false, numbers(1_025, 1_200)));
        assert_eq!(take(&mut feeds, id), (false, vec![1_201]));
        assert_eq!(take(&mut feeds, id), (false, vec![]));
    }

    #[test]
    fn feeds_and_snapshots_that_wait_are_bounded() {
        let (books, mut feeds) = (books(600), Feeds::default());
        let limits = Limits {
            feeds_max: 3,
            feed_orders_max: 1_000,
            snapshot_orders_max: 1_500,
            ..Limits::default()
        };
        let open = |feeds: &mut Feeds, who| feeds.open((who, SERIES), &books, &limits).map(|f| f.0);
        let full = Err(RejectReason::Capacity);
        let first = open(&mut feeds, ALICE).expect("room");
        assert_eq!(open(&mut feeds, ALICE), full, "its own snapshots wait");
        let other = open(&mut feeds, BOB).expect("room");
        assert_eq!(open(&mut feeds, ParticipantId(3)), full, "all snapshots wait");
        feeds.close(other);
        take(&mut feeds, first);
        let second = open(&mut feeds, ALICE).expect("room once the first is on its way");
        while !take(&mut feeds, second).1.is_empty() {}
        let third = open(&mut feeds, ALICE).expect("room");
        while !take(&mut feeds, third).1.is_empty() {}
        assert_eq!(open(&mut feeds, ALICE), full, "three feeds");
        feeds.close(first);
        assert!(open(&mut feeds, ALICE).is_ok());
    }
}
