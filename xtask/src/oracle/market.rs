//! Random orders with further terms, and quotes, through a whole exchange beside the naive market.

use anyhow::ensure;
use std::collections::{BTreeMap, VecDeque};
use xq_engine::oracle::market::{Arriving, Fact, Market, Refusal};
use xq_perf::flow::SplitMix64;
use xq_perf::frames::FrameTape;
use xq_perf::staffed::{CNY, PARTICIPANTS, Staffed};
use xq_protocol::*;

const ACCOUNTS: u32 = 4;
const SERIES: SeriesId = SeriesId(1);
const CASH: Amount = Amount(1 << 58);
const UNITS: Qty = Qty(1 << 30);
const CENTRE: i64 = 2_000;
/// Commands between two comparisons of all queues, and two checks of the laws.
const QUEUES_EVERY: u64 = 8;
const LAWS_EVERY: u64 = 512;
/// Commands after which nothing is left over from before.
const FRESH_EVERY: u64 = 20_000;

/// What a run was made of, so that an empty success shows.
#[derive(Debug, Default)]
pub struct Tally {
    pub trades: u64,
    pub refreshed: u64,
    pub triggered: u64,
    /// Orders that gave way to their participant's own, whole or in part.
    pub prevented: u64,
    pub refused: u64,
    pub quotes: u64,
}

/// An order of the exchange, as the test knows it.
#[derive(Clone, Copy)]
struct Known {
    order: OrderId,
    account: u32,
    filled: u32,
    replaceable: bool,
}

struct Pair {
    staffed: Staffed,
    naive: Market,
    draw: SplitMix64,
    last_id: u64,
    known: BTreeMap<u64, Known>,
    given: BTreeMap<OrderId, u64>,
    /// The order of each account and side that stands as its quote.
    quotes: BTreeMap<(u32, Side), u64>,
    tally: Tally,
}

/// Plays so many random commands; fails at the first difference and at the first broken law.
pub fn compare(commands: u64, seed: u64) -> anyhow::Result<Tally> {
    let mut pair = Pair::new(seed);
    for number in 1..=commands {
        if number % FRESH_EVERY == 0 {
            let (tally, draw) = (std::mem::take(&mut pair.tally), pair.draw.fraction());
            pair = Pair::new(u64::from(draw));
            pair.tally = tally;
        }
        pair.step(number)?;
        if number % QUEUES_EVERY == 0 {
            pair.compare_queues(number)?;
        }
        if number % LAWS_EVERY == 0 {
            pair.staffed.running.exchange.check();
            pair.staffed.tape = FrameTape::default();
        }
    }
    Ok(pair.tally)
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut staffed = Staffed::open(&genesis());
        staffed.set_fees(Ppm(1_000), Ppm(200));
        let units = Amount(u64::from(UNITS.0) * u64::from(ACCOUNTS));
        staffed.open_series(SERIES, Price(10_000), units);
        for account in (1..=ACCOUNTS).map(AccountId) {
            staffed.open_account(account);
            staffed.credit(account, CASH);
            staffed.issue(SERIES, account, UNITS);
        }
        Pair {
            staffed,
            naive: Market::default(),
            draw: SplitMix64::new(seed),
            last_id: 0,
            known: BTreeMap::new(),
            given: BTreeMap::new(),
            quotes: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn step(&mut self, number: u64) -> anyhow::Result<()> {
        match self.draw.below(100) {
            0..50 => self.place(number),
            50..58 => self.quote(number),
            58..78 => self.cancel(number),
            78..86 => self.reduce(number),
            _ => self.replace(number),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn price(&mut self) -> i64 {
        CENTRE + i64::from(self.draw.below(17)) - 8
    }

    fn qty(&mut self) -> u32 {
        1 + self.draw.below(20)
    }

    /// An order of any kind that the exchange's terms allow.
    fn arriving(&mut self) -> Arriving {
        let (id, owner) = (self.next_id(), 1 + self.draw.below(ACCOUNTS));
        let side = Side::ALL[self.draw.index(2)];
        let (price, qty) = (self.price(), self.qty());
        let self_trade = SelfTradePrevention::ALL[self.draw.index(4)];
        let mut order = Arriving {
            id,
            owner,
            side,
            price,
            qty,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
            self_trade,
            min_qty: 0,
            display: 0,
            stop: None,
        };
        match self.draw.below(20) {
            0..6 => {}
            6..10 => order.display = 1 + self.draw.below(qty),
            10 | 11 => order.min_qty = 1 + self.draw.below(qty),
            12 => order.execution = Execution::PostOnly,
            13 => order.execution = Execution::PostOnlyReprice,
            14 => order.tif = TimeInForce::Ioc,
            15 => order.tif = TimeInForce::Fok,
            _ => {
                // A stop on its limit's near side; mostly beyond the last trade, sometimes not.
                let near = i64::from(self.draw.below(5));
                order.stop = Some(match side {
                    Side::Buy => price - near,
                    Side::Sell => price + near,
                });
            }
        }
        order
    }

    fn place(&mut self, number: u64) -> anyhow::Result<()> {
        let order = self.arriving();
        let place = PlaceExtendedOrder {
            account: AccountId(order.owner),
            series: SERIES,
            qty: Qty(order.qty),
            side: order.side,
            order_type: match order.stop {
                Some(_) => OrderType::StopLimit,
                None => OrderType::Limit,
            },
            tif: order.tif,
            execution: order.execution,
            limit: price_of(order.price),
            expire_at: Nanos::ZERO,
            cl_ord_id: ClOrdId(u128::from(order.id).to_le_bytes()),
            on_disconnect: OnDisconnect::Cancel,
            self_trade: order.self_trade,
            reserved: Reserved::ZERO,
            min_qty: Qty(order.min_qty),
            display_qty: Qty(order.display),
            reserved2: Reserved::ZERO,
            stop: order.stop.map_or(Price::ZERO, price_of),
        };
        let found = self.say(&place, &[(order.id, order.execution == Execution::Any)]);
        let expected = self.naive.place(order);
        self.tally.refused += u64::from(expected.is_err());
        ensure!(
            found == expected.clone().map_err(code),
            "command {number} {order:?}: {found:?}, should be {expected:?}"
        );
        self.settle(expected.unwrap_or_default());
        Ok(())
    }

    /// Says a command; tells the facts that followed, or why it was refused. Orders accepted are these, in order.
    fn say<M: Message>(&mut self, body: &M, accepted: &[(u64, bool)]) -> Result<Vec<Fact>, RejectReason> {
        let mut accepted: VecDeque<_> = accepted.iter().copied().collect();
        let events = self.staffed.trade(body).to_vec();
        let mut facts = Vec::new();
        for frame in &events {
            match frame.event().expect("the exchange tells events") {
                Event::OrderAccepted(e) => {
                    let (id, replaceable) = accepted.pop_front().expect("no other order was placed");
                    self.given.insert(e.order, id);
                    let known = Known {
                        order: e.order,
                        account: e.account.0,
                        filled: 0,
                        replaceable,
                    };
                    self.known.insert(id, known);
                }
                Event::Traded(e) => facts.push(Fact::Traded {
                    maker: self.filled(e.maker_order, e.qty),
                    taker: self.filled(e.taker_order, e.qty),
                    price: price_shown(e.price),
                    qty: e.qty.0,
                }),
                Event::OrderCanceled(e) => facts.push(Fact::Canceled {
                    id: self.given[&e.order],
                    qty: e.qty.0,
                }),
                Event::OrderReduced(e) => facts.push(Fact::Reduced {
                    id: self.given[&e.order],
                    by: e.qty.0,
                }),
                Event::OrderRefreshed(e) => facts.push(Fact::Refreshed {
                    id: self.given[&e.order],
                    shown: e.display_qty.0,
                }),
                Event::StopTriggered(e) => facts.push(Fact::Triggered {
                    id: self.given[&e.order],
                }),
                Event::Rejected(e) => {
                    return Err(RejectReason::from_code(e.code).expect("a code of the list"));
                }
                // They say no more than the facts do.
                _ => {}
            }
        }
        Ok(facts)
    }

    fn filled(&mut self, order: OrderId, qty: Qty) -> u64 {
        let id = self.given[&order];
        self.known.get_mut(&id).expect("it was accepted").filled += qty.0;
        id
    }

    /// Counts what happened, and forgets orders that are gone.
    fn settle(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            match fact {
                Fact::Traded { .. } => self.tally.trades += 1,
                Fact::Refreshed { .. } => self.tally.refreshed += 1,
                Fact::Triggered { .. } => self.tally.triggered += 1,
                Fact::Canceled { .. } | Fact::Reduced { .. } => self.tally.prevented += 1,
            }
        }
        if self.known.len() > 400 {
            self.known.retain(|id, _| self.naive.find(*id).is_some());
            let known = &self.known;
            self.given.retain(|_, id| known.contains_key(id));
        }
    }

    /// An order that is open, and whether it rests.
    fn some_open(&mut self) -> Option<(u64, Known)> {
        let ids: Vec<u64> = self.known.keys().copied().collect();
        let tries = (0..8).map(|_| ids.get(self.draw.index(ids.len().max(1))).copied());
        let tries: Vec<u64> = tries.flatten().collect();
        let id = tries.into_iter().find(|id| self.naive.find(*id).is_some())?;
        Some((id, self.known[&id]))
    }

    fn cancel(&mut self, number: u64) -> anyhow::Result<()> {
        self.cancel_some(number, 0)
    }

    fn reduce(&mut self, number: u64) -> anyhow::Result<()> {
        let by = self.qty();
        self.cancel_some(number, by)
    }

    fn cancel_some(&mut self, number: u64, by: u32) -> anyhow::Result<()> {
        let Some((id, known)) = self.some_open() else {
            return Ok(());
        };
        let command = CancelOrder {
            account: AccountId(known.account),
            reduce_qty: Qty(by),
            order: known.order,
            cl_ord_id: ClOrdId::ZERO,
        };
        let found = self.say(&command, &[]);
        let expected: Vec<Fact> = match by {
            0 => self.naive.cancel(id).into_iter().collect(),
            by => self.naive.reduce(id, by).into_iter().collect(),
        };
        ensure!(
            found.as_ref() == Ok(&expected),
            "command {number} takes {by} of {id}: {found:?}, should be {expected:?}"
        );
        Ok(())
    }

    fn replace(&mut self, number: u64) -> anyhow::Result<()> {
        let Some((id, known)) = self.some_open() else {
            return Ok(());
        };
        let (price, qty) = (self.price(), self.qty());
        let (open, rests) = self.naive.find(id).expect("it is open");
        if !rests || !known.replaceable || (price, qty) == (open.price, open.qty) {
            return Ok(());
        }
        let command = ReplaceOrder {
            account: AccountId(known.account),
            total_qty: Qty(known.filled + qty),
            order: known.order,
            limit: price_of(price),
            orig_cl_ord_id: ClOrdId::ZERO,
            cl_ord_id: ClOrdId::ZERO,
        };
        let found = self.say(&command, &[]);
        let expected = self.naive.replace(id, price, qty);
        ensure!(
            found.as_ref() == Ok(&expected),
            "command {number} replaces {id} by {qty} @ {price}: {found:?}, should be {expected:?}"
        );
        self.settle(expected);
        Ok(())
    }

    /// A two-sided quote, a side of which may be withdrawn, or which may be crossed against itself.
    fn quote(&mut self, number: u64) -> anyhow::Result<()> {
        let account = 1 + self.draw.below(ACCOUNTS);
        let sides = [Side::Buy, Side::Sell].map(|side| {
            let (price, qty) = (self.price(), self.qty() * self.draw.below(5).min(1));
            (side, if qty == 0 { 0 } else { price }, qty)
        });
        let [(_, bid, bid_qty), (_, ask, ask_qty)] = sides;
        let mut legs = [QuoteLeg::default(); LEGS];
        legs[0] = QuoteLeg {
            series: SERIES,
            bid_qty: Qty(bid_qty),
            ask_qty: Qty(ask_qty),
            bid: price_of(bid),
            ask: price_of(ask),
        };
        let (expected, placed) = self.naive_quote(account, &sides);
        let command = MassQuote::of(AccountId(account), QuoteId(number), &legs);
        let found = self.say(&command, &placed);
        ensure!(
            found.as_ref() == Ok(&expected),
            "command {number}, quote {sides:?} of {account}: {found:?}, should be {expected:?}"
        );
        self.tally.quotes += 1;
        self.settle(expected);
        Ok(())
    }

    /// What a quote does to the naive market, and the orders that it places.
    fn naive_quote(&mut self, account: u32, sides: &[(Side, i64, u32); 2]) -> (Vec<Fact>, Vec<(u64, bool)>) {
        let (mut facts, mut placed) = (Vec::new(), Vec::new());
        let [(_, bid, bid_qty), (_, ask, ask_qty)] = *sides;
        let is_crossed = bid_qty > 0 && ask_qty > 0 && bid >= ask;
        let mut anew = Vec::new();
        for (side, price, qty) in *sides {
            let standing = self.quotes.get(&(account, side)).copied();
            let standing = standing.and_then(|id| self.naive.find(id).map(|(open, _)| (id, open)));
            let stays = |(_, open): (u64, xq_engine::oracle::market::Open)| {
                open.price == price && qty > 0 && qty <= open.qty
            };
            match standing {
                Some((id, open)) if !is_crossed && stays((id, open)) => {
                    if qty < open.qty {
                        facts.extend(self.naive.reduce(id, open.qty - qty));
                    }
                }
                other => {
                    facts.extend(other.and_then(|(id, _)| self.naive.cancel(id)));
                    if qty > 0 && !is_crossed {
                        anew.push((side, price, qty));
                    }
                }
            }
        }
        for (side, price, qty) in anew {
            let id = self.next_id();
            self.quotes.insert((account, side), id);
            placed.push((id, false));
            let order = Arriving {
                id,
                owner: account,
                side,
                price,
                qty,
                tif: TimeInForce::Gtc,
                execution: Execution::Any,
                self_trade: SelfTradePrevention::CancelNewest,
                min_qty: 0,
                display: 0,
                stop: None,
            };
            facts.extend(self.naive.place(order).expect("a plain order is accepted"));
        }
        (facts, placed)
    }

    fn compare_queues(&self, number: u64) -> anyhow::Result<()> {
        let exchange = &self.staffed.running.exchange;
        let mut open = self.naive.waiting();
        for side in [Side::Buy, Side::Sell] {
            let expected = self.naive.queue(side);
            let expected: Vec<_> = expected.iter().map(|o| (o.id, o.price, o.qty, o.shown)).collect();
            let found = exchange.queue(SERIES, side, usize::MAX);
            let found: Vec<_> = found
                .iter()
                .map(|o| (self.given[&o.order], price_shown(o.price), o.leaves.0, o.shown.0))
                .collect();
            open += expected.len();
            ensure!(
                expected == found,
                "after command {number}: {side} queue {found:?} for {expected:?}"
            );
        }
        ensure!(
            u64::from(exchange.open_orders()) == u64::try_from(open)?,
            "after command {number}: {} orders are open, should be {open}",
            exchange.open_orders()
        );
        Ok(())
    }
}

fn price_of(price: i64) -> Price {
    Price(u64::try_from(price).expect("prices are positive"))
}

fn price_shown(price: Price) -> i64 {
    i64::try_from(price.0).expect("at most the face value")
}

/// What the exchange calls a refusal of the naive market.
fn code(refusal: Refusal) -> RejectReason {
    match refusal {
        Refusal::WouldTake => RejectReason::WouldTake,
        Refusal::Unfillable => RejectReason::FokUnfillable,
        Refusal::BelowMinimum => RejectReason::MinQtyUnfillable,
        Refusal::StopReached => RejectReason::StopPrice,
    }
}

fn genesis() -> Genesis {
    let mut currencies = Currencies::default();
    currencies.0[0] = CNY;
    Genesis {
        journal_id: JournalId([8; 16]),
        rules_version: Count(xq_engine::RULES_VERSION),
        participants_max: Count(PARTICIPANTS + ACCOUNTS),
        accounts_max: Count(ACCOUNTS),
        series_max: Count(1),
        balances_max: Count(4 * ACCOUNTS),
        orders_max: Count(1 << 14),
        sessions_max: Count(PARTICIPANTS),
        level_pages_max: Count(64),
        proposals_max: Count(4),
        bank_refs_max: Count(64),
        proposal_ttl: Nanos(3_600_000_000_000),
        reopen_after: Nanos(10_000_000_000),
        disconnect_grace: Nanos(5_000_000_000),
        currencies,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_agrees_with_the_naive_market_and_everything_happens() {
        let tally = compare(30_000, 5).expect("they agree");
        let counts = [tally.trades, tally.refreshed, tally.triggered, tally.prevented];
        assert!(counts.iter().all(|count| *count > 300), "{tally:?}");
        assert!(tally.refused > 300 && tally.quotes > 300, "{tally:?}");
    }
}
