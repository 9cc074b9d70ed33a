//! The machine that plays a tape: what to send next, given the book that its reports make; no socket, no clock.
//!
//! Every command it sends makes exactly one change of the book, so the changes come in the order of the commands, and
//! when none is awaited the book reflects all that was said. Only an execution needs that: it asks whether LOBSTER's
//! order is the head of the best queue.

use super::tape::{Deed, Item, Told};
use std::collections::{HashMap, VecDeque};
use xq_client::market::BookChange;
use xq_lobster::Kind;
use xq_protocol::{
    AccountId, Book, CancelOrder, ClOrdId, Execution, Nanos, OnDisconnect, OrderId, OrderType, PlaceOrder,
    Price, Qty, Reserved, SeriesId, Side, TimeInForce,
};

/// Where a tape is played, and for whom: the buyer's and the seller's owners differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The series.
    pub series: SeriesId,
    /// All buy orders are this account's.
    pub buyer: AccountId,
    /// All sell orders are this account's.
    pub seller: AccountId,
}

/// What to do next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Place this order.
    Place(PlaceOrder),
    /// Cancel or reduce this one.
    Cancel(CancelOrder),
    /// Nothing before the book has changed.
    Wait,
    /// All was played, and the book tells so.
    Done,
}

/// Best ask and bid, each a price and what is open at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The best ask.
    pub ask: Option<(Price, u64)>,
    /// The best bid.
    pub bid: Option<(Price, u64)>,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (best, side, before) in [(self.ask, "ask", ""), (self.bid, "bid", ", ")] {
            match best {
                Some((price, qty)) => write!(f, "{before}{side} {price} × {qty}")?,
                None => write!(f, "{before}no {side}")?,
            }
        }
        Ok(())
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages played.
    pub messages: usize,
    /// Orders seeded, of which no arrival is told.
    pub seeded: usize,
    /// Commands sent.
    pub commands: usize,
    /// Executions of visible orders.
    pub executions: usize,
    /// Those done as immediate-or-cancel orders that filled exactly LOBSTER's order.
    pub filled: usize,
    /// Those whose order was not at the head of the queue: it was reduced.
    pub not_at_head: usize,
    /// Executions away from the best price of their side.
    pub away_from_best: usize,
    /// States of the book in which the best bid was not below the best ask.
    pub crossed: usize,
}

/// Why the tape cannot be played on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriveError {
    /// A message about an order that does not rest.
    #[error("line {line}: order {id} does not rest here")]
    NotOpen {
        /// The line.
        line: usize,
        /// LOBSTER's id.
        id: u64,
    },
    /// The book changed otherwise than the command under way says.
    #[error(
        "line {line}: the book changed by {change}, not as this message says (is someone else in the series?)"
    )]
    Otherwise {
        /// The line of the message.
        line: usize,
        /// What changed.
        change: String,
    },
    /// The book changed, and nothing was said.
    #[error("the book changed by {change} while nothing was under way: someone else is in the series")]
    Stranger {
        /// What changed.
        change: String,
    },
}

/// What the next change of the book must be.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// An order comes to rest.
    Rest { line: usize, told: Told, is_seed: bool },
    /// An order loses so much.
    Fall { line: usize, id: u64, fall: Fall },
    /// No change: a hidden order traded here.
    Hidden,
}

/// How an order's quantity falls, and what is left then.
#[derive(Clone, Copy, Debug)]
enum Fall {
    Amend { leaves: Qty },
    Trade { qty: Qty, leaves: Qty },
}

/// An order of the tape that rests.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// None until it was accepted.
    order: Option<OrderId>,
    side: Side,
    /// What is open of it once all that was said has happened.
    leaves: Qty,
}

/// The machine.
pub struct Drive<'a> {
    items: &'a [Item],
    stage: Stage,
    at: usize,
    open: HashMap<u64, Open>,
    awaited: VecDeque<Awaited>,
    shown: Row,
    rows: Vec<Row>,
    tally: Tally,
}

impl<'a> Drive<'a> {
    /// At the tape's beginning, before an empty book.
    pub fn new(items: &'a [Item], stage: Stage) -> Drive<'a> {
        Drive {
            items,
            stage,
            at: 0,
            open: HashMap::new(),
            awaited: VecDeque::new(),
            shown: Row::default(),
            rows: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// When the next thing happened: nanoseconds after midnight; none at the tape's end.
    pub fn due_ns(&self) -> Option<u64> {
        self.items.get(self.at).map(|item| item.time_ns)
    }
    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }
    /// Best ask and bid, after each message that changed them and at each hidden execution.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
    /// Line of what was played last; 0 before.
    pub fn line(&self) -> usize {
        self.items[..self.at].last().map_or(0, |item| item.line)
    }

    /// What to do next, before this book.
    ///
    /// # Errors
    /// [`DriveError::NotOpen`].
    pub fn next(&mut self, book: &Book) -> Result<Step, DriveError> {
        while let Some(Item { line, deed, .. }) = self.items.get(self.at).copied() {
            let step = match deed {
                Deed::Seed(told) => self.rest(line, told, true),
                Deed::Message(Kind::Add, told) => self.rest(line, told, false),
                Deed::Message(Kind::Reduce | Kind::Delete, told) => self.fall(line, told)?,
                Deed::Message(Kind::Execute, _) if !self.awaited.is_empty() => return Ok(Step::Wait),
                Deed::Message(Kind::Execute, told) => self.execute(line, told, book)?,
                Deed::Message(Kind::ExecuteHidden, _) => {
                    self.at += 1;
                    self.tally.messages += 1;
                    self.awaited.push_back(Awaited::Hidden);
                    self.emit_hidden();
                    continue;
                }
            };
            self.at += 1;
            self.tally.commands += 1;
            self.tally.messages += usize::from(matches!(deed, Deed::Message(..)));
            return Ok(step);
        }
        Ok(if self.awaited.is_empty() {
            Step::Done
        } else {
            Step::Wait
        })
    }

    fn rest(&mut self, line: usize, told: Told, is_seed: bool) -> Step {
        let open = Open {
            order: None,
            side: told.side,
            leaves: told.qty,
        };
        let before = self.open.insert(told.id, open);
        assert!(before.is_none(), "an id of LOBSTER's arrives once");
        self.tally.seeded += usize::from(is_seed);
        self.awaited.push_back(Awaited::Rest { line, told, is_seed });
        Step::Place(self.order(told, told.side, label('L', told.id), TimeInForce::Gtc))
    }

    fn fall(&mut self, line: usize, told: Told) -> Result<Step, DriveError> {
        let Told { id, qty, .. } = told;
        let Open { side, leaves, .. } = self.take(line, id, qty)?;
        let fall = Fall::Amend { leaves };
        self.awaited.push_back(Awaited::Fall { line, id, fall });
        Ok(Step::Cancel(CancelOrder {
            account: self.account(side),
            reduce_qty: if leaves.is_zero() { Qty::ZERO } else { qty },
            order: OrderId::ZERO,
            cl_ord_id: label('L', id),
        }))
    }

    /// LOBSTER says that this resting order traded: it does here if it is its turn.
    fn execute(&mut self, line: usize, told: Told, book: &Book) -> Result<Step, DriveError> {
        assert!(self.awaited.is_empty(), "the book reflects all that was said");
        let Told { id, side, price, qty } = told;
        let known = self.open.get(&id).and_then(|open| open.order);
        let head = book.head(side);
        let is_next =
            head.is_some_and(|head| Some(head.order) == known && head.price == price && head.qty >= qty);
        self.tally.executions += 1;
        self.tally.away_from_best += usize::from(book.best(side).map(|best| best.price) != Some(price));
        if !is_next {
            self.tally.not_at_head += 1;
            return self.fall(line, told);
        }
        let Open { leaves, .. } = self.take(line, id, qty)?;
        let fall = Fall::Trade { qty, leaves };
        self.awaited.push_back(Awaited::Fall { line, id, fall });
        let number = u64::try_from(line).expect("lines are counted in 64 bits");
        Ok(Step::Place(self.order(
            told,
            side.opposite(),
            label('X', number),
            TimeInForce::Ioc,
        )))
    }

    /// Takes so much of an order that rests; gives what it is then.
    fn take(&mut self, line: usize, id: u64, qty: Qty) -> Result<Open, DriveError> {
        let not_open = DriveError::NotOpen { line, id };
        let Some(open) = self.open.get_mut(&id) else {
            return Err(not_open);
        };
        match open.leaves.0.checked_sub(qty.0) {
            Some(leaves) => open.leaves = Qty(leaves),
            None => return Err(not_open),
        }
        Ok(*open)
    }

    fn account(&self, side: Side) -> AccountId {
        match side {
            Side::Buy => self.stage.buyer,
            Side::Sell => self.stage.seller,
        }
    }

    fn order(&self, told: Told, side: Side, cl_ord_id: ClOrdId, tif: TimeInForce) -> PlaceOrder {
        PlaceOrder {
            account: self.account(side),
            series: self.stage.series,
            qty: told.qty,
            side,
            order_type: OrderType::Limit,
            tif,
            execution: Execution::Any,
            limit: told.price,
            expire_at: Nanos::ZERO,
            cl_ord_id,
            on_disconnect: OnDisconnect::Persist,
            reserved: Reserved::ZERO,
        }
    }

    /// The book has changed, and is as after that change.
    ///
    /// # Errors
    /// The change is not what was said.
    pub fn changed(&mut self, change: &BookChange, book: &Book) -> Result<(), DriveError> {
        let shown = || format!("{change:?}");
        let awaited = self
            .awaited
            .pop_front()
            .ok_or_else(|| DriveError::Stranger { change: shown() })?;
        let is_seed = match awaited {
            Awaited::Rest { line, told, is_seed } => {
                let otherwise = DriveError::Otherwise {
                    line,
                    change: shown(),
                };
                self.rested(told, change).ok_or(otherwise)?;
                is_seed
            }
            Awaited::Fall { line, id, fall } => {
                let otherwise = DriveError::Otherwise {
                    line,
                    change: shown(),
                };
                self.fell(id, fall, change).ok_or(otherwise)?;
                false
            }
            Awaited::Hidden => {
                unreachable!("hidden executions are emitted as soon as nothing stands before them")
            }
        };
        let row = row_of(book);
        self.tally.crossed += usize::from(row.ask.zip(row.bid).is_some_and(|(ask, bid)| bid.0 >= ask.0));
        if !is_seed && row != self.shown {
            self.rows.push(row);
        }
        self.shown = row;
        self.emit_hidden();
        Ok(())
    }

    fn emit_hidden(&mut self) {
        while let Some(Awaited::Hidden) = self.awaited.front() {
            self.awaited.pop_front();
            self.rows.push(self.shown);
        }
    }

    fn rested(&mut self, told: Told, change: &BookChange) -> Option<()> {
        let BookChange::Added(added) = change else {
            return None;
        };
        let as_told = (added.side, added.price, added.qty) == (told.side, told.price, told.qty);
        let open = self.open.get_mut(&told.id).filter(|_| as_told)?;
        open.order = Some(added.order);
        Some(())
    }

    fn fell(&mut self, id: u64, fall: Fall, change: &BookChange) -> Option<()> {
        let (order, is_as_said, left) = match (fall, change) {
            (Fall::Amend { leaves }, BookChange::Reduced(l)) => (l.order, l.leaves == leaves, leaves),
            (Fall::Amend { leaves }, BookChange::Deleted(d)) => (d.order, leaves.is_zero(), leaves),
            (Fall::Trade { qty, leaves }, BookChange::Executed(e)) => {
                (e.order, (e.qty, e.leaves) == (qty, leaves), leaves)
            }
            (Fall::Amend { .. }, BookChange::Added(_) | BookChange::Executed(_) | BookChange::Moved(_))
            | (
                Fall::Trade { .. },
                BookChange::Added(_) | BookChange::Reduced(_) | BookChange::Deleted(_) | BookChange::Moved(_),
            ) => return None,
        };
        let known = self.open.get(&id)?.order;
        if known != Some(order) || !is_as_said {
            return None;
        }
        if left.is_zero() {
            self.open.remove(&id);
        }
        self.tally.filled += usize::from(matches!(fall, Fall::Trade { .. }));
        Some(())
    }
}

fn row_of(book: &Book) -> Row {
    let best = |side| book.best(side).map(|level| (level.price, level.qty));
    Row {
        ask: best(Side::Sell),
        bid: best(Side::Buy),
    }
}

/// A client's order id: a letter and a number, `L16113575`.
fn label(letter: char, number: u64) -> ClOrdId {
    ClOrdId::from_text(&format!("{letter}{number}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
