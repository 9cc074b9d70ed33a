//! The machine before the naive book, with as many commands under way as it gives.

use super::*;
use xq_engine::oracle::{LimitOrder, Oracle};
use xq_protocol::{RestingAdded, RestingDeleted, RestingExecuted, RestingReduced};

const STAGE: Stage = Stage {
    series: SeriesId(3),
    buyer: AccountId(1),
    seller: AccountId(2),
};

/// The naive book as an exchange, and the book that a client keeps of it.
#[derive(Default)]
struct Floor {
    oracle: Oracle,
    book: Book,
    ids: HashMap<ClOrdId, u64>,
}

impl Floor {
    fn place(&mut self, order: &PlaceOrder) -> Vec<BookChange> {
        let id = 100 + u64::try_from(self.ids.len()).expect("few");
        let (side, qty, tif, execution) = (order.side, order.qty.0, order.tif, order.execution);
        let price = i64::try_from(order.limit.0).expect("a small price");
        let trades = self
            .oracle
            .limit(LimitOrder {
                id,
                side,
                price,
                qty,
                tif,
                execution,
            })
            .expect("it is new");
        self.ids.insert(order.cl_ord_id, id);
        let reserved = Reserved::ZERO;
        if order.tif == TimeInForce::Gtc {
            assert!(trades.is_empty(), "what LOBSTER says rests does not trade");
            let (order, price) = (OrderId(id), order.limit);
            let added = RestingAdded {
                order,
                price,
                qty: Qty(qty),
                side,
                reserved,
            };
            return vec![BookChange::Added(added)];
        }
        let executed = |trade: &xq_engine::oracle::Trade| {
            let left = self.oracle.find(trade.maker);
            let leaves = Qty(left.map_or(0, |resting| resting.qty));
            let (order, qty, price) = (OrderId(trade.maker), Qty(trade.qty), order.limit);
            BookChange::Executed(RestingExecuted {
                order,
                price,
                qty,
                leaves,
            })
        };
        trades.iter().map(executed).collect()
    }

    fn cancel(&mut self, cancel: &CancelOrder) -> Vec<BookChange> {
        let id = self.ids[&cancel.cl_ord_id];
        let order = OrderId(id);
        if cancel.reduce_qty.is_zero() {
            self.oracle.cancel(id).expect("it rests");
            return vec![BookChange::Deleted(RestingDeleted { order })];
        }
        self.oracle.reduce(id, cancel.reduce_qty.0).expect("it rests");
        let leaves = Qty(self.oracle.find(id).expect("some of it is left").qty);
        vec![BookChange::Reduced(RestingReduced {
            order,
            leaves,
            reserved: Reserved::ZERO,
        })]
    }

    fn follow(&mut self, change: &BookChange) {
        change.apply(&mut self.book).expect("it follows from the book");
    }

    /// Plays a tape to its end, with as many commands under way as the machine gives.
    fn play(&mut self, drive: &mut Drive<'_>) {
        let mut under_way = VecDeque::new();
        loop {
            let changes = match drive.next(&self.book).expect("the tape is sound") {
                Step::Place(order) => self.place(&order),
                Step::Cancel(cancel) => self.cancel(&cancel),
                Step::Done => return,
                Step::Wait => {
                    let change: BookChange = under_way.pop_front().expect("something is under way");
                    self.follow(&change);
                    drive.changed(&change, &self.book).expect("as it was said");
                    continue;
                }
            };
            under_way.extend(changes);
        }
    }
}

fn items(deeds: &[(Kind, u64, u64, u32, Side)]) -> Vec<Item> {
    let item = |(at, (kind, id, price, qty, side)): (usize, &(Kind, u64, u64, u32, Side))| {
        let told = Told {
            id: *id,
            side: *side,
            price: Price(*price),
            qty: Qty(*qty),
        };
        Item {
            line: at + 1,
            time_ns: 7,
            deed: Deed::Message(*kind, told),
        }
    };
    deeds.iter().enumerate().map(item).collect()
}

fn row(ask: (u64, u64), bid: (u64, u64)) -> Row {
    let level = |(price, qty): (u64, u64)| (qty > 0).then_some((Price(price), qty));
    Row {
        ask: level(ask),
        bid: level(bid),
    }
}

#[test]
fn an_execution_trades_at_the_head_of_the_queue_and_reduces_elsewhere() {
    use Kind::{Add, Delete, Execute, ExecuteHidden, Reduce};
    use Side::{Buy, Sell};
    let mut items = items(&[
        (Add, 51, 101, 10, Sell),
        (Add, 52, 101, 5, Sell),
        (Add, 53, 99, 4, Buy),
        (Execute, 51, 101, 10, Sell),
        (ExecuteHidden, 0, 100, 3, Sell),
        (Add, 54, 101, 7, Sell),
        (Execute, 54, 101, 2, Sell),
        (Reduce, 54, 101, 1, Sell),
        (Reduce, 52, 101, 1, Sell),
        (Execute, 53, 99, 1, Buy),
        (Delete, 53, 99, 3, Buy),
    ]);
    let seed = Told {
        id: 7,
        side: Sell,
        price: Price(110),
        qty: Qty(1),
    };
    items.insert(
        0,
        Item {
            line: 1,
            time_ns: 7,
            deed: Deed::Seed(seed),
        },
    );
    let mut drive = Drive::new(&items, STAGE);
    let mut floor = Floor::default();
    floor.play(&mut drive);
    let expected = Tally {
        messages: 11,
        seeded: 1,
        commands: 11,
        executions: 3,
        filled: 2,
        not_at_head: 1,
        away_from_best: 0,
        crossed: 0,
    };
    assert_eq!(drive.tally(), expected);
    let rows = [
        row((101, 10), (0, 0)),
        row((101, 15), (0, 0)),
        row((101, 15), (99, 4)),
        row((101, 5), (99, 4)),
        row((101, 5), (99, 4)),
        row((101, 12), (99, 4)),
        row((101, 10), (99, 4)),
        row((101, 9), (99, 4)),
        row((101, 8), (99, 4)),
        row((101, 8), (99, 3)),
        row((101, 8), (0, 0)),
    ];
    assert_eq!(drive.rows(), rows);
}

#[test]
fn a_stranger_in_the_series_is_noticed_and_an_unknown_order_is_named() {
    let items = items(&[(Kind::Delete, 51, 101, 10, Side::Sell)]);
    let mut drive = Drive::new(&items, STAGE);
    let book = Book::default();
    assert_eq!(
        drive.next(&book).err(),
        Some(DriveError::NotOpen { line: 1, id: 51 })
    );
    let change = BookChange::Deleted(RestingDeleted { order: OrderId(9) });
    assert!(matches!(
        drive.changed(&change, &book),
        Err(DriveError::Stranger { .. })
    ));
}
