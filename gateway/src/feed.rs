//! Feeds: who follows which book, and what waits to be told to them.

use crate::book::{Books, Change};
use crate::output::Output;
use crate::pipe::{Bells, Pipe, Taken};
use crate::register::Map;
use xq_protocol::{CommandFrame, Header, OrderAdded, SeriesId, TerminateReason};

/// Names one feed of this gateway; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedId(u64);

/// All feeds.
#[derive(Default)]
pub struct Feeds {
    pipes: Map<FeedId, (SeriesId, Pipe)>,
    followers: Map<SeriesId, Vec<FeedId>>,
    last: u64,
    slow: Vec<FeedId>,
}

impl Feeds {
    /// Begins a feed: the book as it is now waits in it, and `limit` more bytes of changes may.
    pub fn open(&mut self, series: SeriesId, books: &Books, limit: usize) -> (FeedId, Bells) {
        self.last += 1;
        let id = FeedId(self.last);
        let (snapshot, orders) = books.snapshot(series);
        let mut pipe = Pipe::new(limit + orders.len() * (size_of::<Header>() + size_of::<OrderAdded>()));
        let header = Header {
            seq: snapshot.seq,
            ..Header::default()
        };
        pipe.put(CommandFrame::new(header, &snapshot).bytes());
        for order in &orders {
            pipe.put(CommandFrame::new(header, order).bytes());
        }
        let bells = pipe.bells();
        self.pipes.insert(id, (series, pipe));
        self.followers.entry(series).or_default().push(id);
        (id, bells)
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
            let (_, pipe) = self.pipes.get_mut(id).expect("a follower has a pipe");
            pipe.put(frame.bytes());
            if pipe.is_over() {
                self.slow.push(*id);
            }
        }
    }

    /// Drops those who read too slowly; returns how many.
    pub fn drop_slow(&mut self) -> usize {
        let mut dropped = 0;
        for id in std::mem::take(&mut self.slow) {
            if let Some((_, pipe)) = self
                .pipes
                .get_mut(&id)
                .filter(|(_, pipe)| pipe.closing().is_none())
            {
                pipe.clear();
                let mut last = Output::default();
                last.terminate(TerminateReason::TooSlow, None);
                pipe.put(last.replies.bytes());
                pipe.close(TerminateReason::TooSlow);
                dropped += 1;
            }
        }
        dropped
    }

    /// Takes what waits to be written.
    pub fn take(&mut self, id: FeedId) -> Option<Taken> {
        self.pipes.get_mut(&id).map(|(_, pipe)| pipe.take())
    }

    /// Ends a feed.
    pub fn close(&mut self, id: FeedId) {
        if let Some((series, _)) = self.pipes.remove(&id) {
            let followers = self.followers.get_mut(&series).expect("it followed its series");
            followers.retain(|other| *other != id);
            if followers.is_empty() {
                self.followers.remove(&series);
            }
        }
    }
}
