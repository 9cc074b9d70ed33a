//! The order feed of one series and the book it keeps.

use crate::ClientError;
use crate::book::Book;
use crate::link::{ask, unexpected};
use crate::wire::Inbound;
use quinn::{Connection, RecvStream};
use xq_protocol::{
    FeedRequest, Header, OrderAdded, OrderDeleted, OrderExecuted, OrderLowered, Reserved, SeriesId,
    SessionMessage,
};

/// A book as it changes. It ends with its connection: ask for another one then.
pub struct Feed {
    recv: RecvStream,
    inbound: Inbound,
    book: Book,
}

/// One change of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookChange {
    /// An order rests.
    Added(OrderAdded),
    /// A resting order traded.
    Executed(OrderExecuted),
    /// A resting order has less quantity.
    Lowered(OrderLowered),
    /// A resting order is gone.
    Deleted(OrderDeleted),
}

impl Feed {
    pub(crate) async fn open(connection: &Connection, series: SeriesId) -> Result<Feed, ClientError> {
        let request = FeedRequest {
            series,
            reserved: Reserved::ZERO,
        };
        let mut recv = ask(connection, &request).await?;
        let mut inbound = Inbound::new(64 << 10);
        let head = inbound.wait(&mut recv).await?;
        let message = head.session_message();
        let Ok(SessionMessage::FeedSnapshot(snapshot)) = message else {
            return Err(unexpected(&head, message));
        };
        let (orders, book) = (snapshot.orders.0, Book::default());
        let mut feed = Feed { recv, inbound, book };
        for _ in 0..orders {
            feed.next().await?;
        }
        Ok(feed)
    }

    /// The next change; the book has followed it. The header tells its command and time.
    ///
    /// # Errors
    /// The connection was lost, or this reader was too slow and dropped.
    pub async fn next(&mut self) -> Result<(Header, BookChange), ClientError> {
        let frame = self.inbound.wait(&mut self.recv).await?;
        let message = frame.session_message();
        let change = match message {
            Ok(SessionMessage::OrderAdded(added)) => BookChange::Added(*added),
            Ok(SessionMessage::OrderExecuted(executed)) => BookChange::Executed(*executed),
            Ok(SessionMessage::OrderLowered(lowered)) => BookChange::Lowered(*lowered),
            Ok(SessionMessage::OrderDeleted(deleted)) => BookChange::Deleted(*deleted),
            other => return Err(unexpected(&frame, other)),
        };
        let header = *frame.header;
        if let Ok(message) = message {
            self.book.follow(header.seq, &message);
        }
        Ok((header, change))
    }

    /// The book, as after the last change.
    pub fn book(&self) -> &Book {
        &self.book
    }
}
