//! Random flow through the whole exchange: the naive book agrees on every trade and queue, the laws hold throughout.

mod support;

use std::collections::BTreeMap;
use support::*;
use xq_engine::oracle::{LimitOrder, Oracle};
use xq_protocol::*;

const TRADERS: u32 = 4;

struct Flow {
    venue: Venue,
    oracle: Oracle,
    draws: Draws,
    /// Live orders: the exchange's id, the account.
    live: BTreeMap<u64, (OrderId, u32)>,
    /// What was filled of each order.
    filled: BTreeMap<u64, u32>,
    next: u64,
    trades: usize,
}

impl Flow {
    fn step(&mut self) {
        match self.draws.below(10) {
            0..6 => self.place(),
            6..8 => self.cancel(),
            8 => self.reduce(),
            _ => self.replace(),
        }
    }

    fn place(&mut self) {
        self.next += 1;
        let id = self.next;
        let account = TRADER + u32::try_from(self.draws.below(TRADERS.into())).expect("small");
        // Owners alternate sides, so that nobody meets itself: that rule has scenarios of its own.
        let side = if account.is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        let price = 5_000 + self.draws.below(40) * (1 + 63 * self.draws.below(2));
        let qty = 1 + u32::try_from(self.draws.below(30)).expect("small");
        let tif = [
            TimeInForce::Gtc,
            TimeInForce::Gtc,
            TimeInForce::Gtc,
            TimeInForce::Ioc,
            TimeInForce::Fok,
        ][self.draws.below(5) as usize];
        let post_only = tif == TimeInForce::Gtc && self.draws.below(8) == 0;
        let execution = if post_only {
            Execution::PostOnly
        } else {
            Execution::Any
        };
        let order = PlaceOrder {
            tif,
            execution,
            ..limit(account, side, qty, price, &format!("c{id}"))
        };
        let expected = self.oracle.limit(LimitOrder {
            id,
            side,
            price: i64::try_from(price).expect("small"),
            qty,
            tif,
            execution,
        });
        let events = self.venue.say(ParticipantId(account), &order).to_vec();
        let trades = self.trades_of(&events, Some(id));
        match expected {
            Ok(expected) => assert_eq!(trades, expected, "order {id}"),
            Err(_) => assert!(matches!(events[0].event(), Ok(Event::Rejected(_))), "order {id}"),
        }
        if let Ok(Event::OrderAccepted(accepted)) = events[0].event() {
            self.live.insert(id, (accepted.order, account));
        }
        self.forget_gone();
    }

    fn trades_of(&mut self, events: &[EventFrame], taker: Option<u64>) -> Vec<xq_engine::oracle::Trade> {
        let by_order: BTreeMap<OrderId, u64> =
            self.live.iter().map(|(id, (order, _))| (*order, *id)).collect();
        let trades: Vec<_> = events
            .iter()
            .filter_map(|frame| match frame.event().expect("an event") {
                Event::Traded(t) => Some(xq_engine::oracle::Trade {
                    maker: by_order[&t.maker_order],
                    taker: taker.unwrap_or_else(|| by_order[&t.taker_order]),
                    price: i64::try_from(t.price.0).expect("small"),
                    qty: t.qty.0,
                }),
                _ => None,
            })
            .collect();
        for trade in &trades {
            *self.filled.entry(trade.maker).or_default() += trade.qty;
            *self.filled.entry(trade.taker).or_default() += trade.qty;
        }
        self.trades += trades.len();
        trades
    }

    fn pick(&mut self) -> Option<(u64, OrderId, u32)> {
        let nth = self.draws.below(self.live.len().max(1) as u64) as usize;
        self.live
            .iter()
            .nth(nth)
            .map(|(id, (order, account))| (*id, *order, *account))
    }

    fn cancel(&mut self) {
        let Some((id, order, account)) = self.pick() else {
            return;
        };
        let cancel = CancelOrder {
            account: AccountId(account),
            reduce_qty: Qty::ZERO,
            order,
            cl_ord_id: ClOrdId::ZERO,
        };
        self.venue.ok(ParticipantId(account), &cancel);
        self.oracle.cancel(id).expect("live in both");
        self.live.remove(&id);
    }

    fn reduce(&mut self) {
        let Some((id, order, account)) = self.pick() else {
            return;
        };
        let by = 1 + u32::try_from(self.draws.below(10)).expect("small");
        let reduce = CancelOrder {
            account: AccountId(account),
            reduce_qty: Qty(by),
            order,
            cl_ord_id: ClOrdId::ZERO,
        };
        self.venue.ok(ParticipantId(account), &reduce);
        self.oracle.reduce(id, by).expect("live in both");
        self.forget_gone();
    }

    fn replace(&mut self) {
        let Some((id, order, account)) = self.pick() else {
            return;
        };
        let queue = |side| self.venue.exchange.queue(SERIES, side, usize::MAX);
        let resting = queue(Side::Buy)
            .into_iter()
            .chain(queue(Side::Sell))
            .find(|r| r.order == order);
        let resting = resting.expect("live in both");
        let price = resting.price.0 - 3 + self.draws.below(7);
        let leaves = 1 + u32::try_from(self.draws.below(u64::from(resting.leaves.0) * 2)).expect("small");
        let filled = *self.filled.get(&id).unwrap_or(&0);
        let total_qty = Qty(filled + leaves);
        let replace = ReplaceOrder {
            account: AccountId(account),
            total_qty,
            order,
            limit: Price(price),
            orig_cl_ord_id: ClOrdId::ZERO,
            cl_ord_id: ClOrdId::ZERO,
        };
        let events = self.venue.say(ParticipantId(account), &replace).to_vec();
        if let Ok(Event::Rejected(_)) = events[0].event() {
            return;
        }
        let trades = self.trades_of(&events, Some(id));
        let price = i64::try_from(price).expect("small");
        assert_eq!(
            trades,
            self.oracle.replace(id, price, leaves).expect("live in both"),
            "replace {id}"
        );
        self.forget_gone();
    }

    fn forget_gone(&mut self) {
        let queue = |side| self.venue.exchange.queue(SERIES, side, usize::MAX);
        let resting: Vec<_> = queue(Side::Buy)
            .into_iter()
            .chain(queue(Side::Sell))
            .map(|r| r.order)
            .collect();
        self.live.retain(|_, (order, _)| resting.contains(order));
    }

    fn compare(&self) {
        for side in [Side::Buy, Side::Sell] {
            let fast: Vec<_> = self.venue.exchange.queue(SERIES, side, usize::MAX);
            let naive: Vec<_> = self.oracle.queue(side).collect();
            assert_eq!(fast.len(), naive.len());
            for (fast, naive) in fast.iter().zip(&naive) {
                assert_eq!(self.live[&naive.id].0, fast.order);
                assert_eq!(
                    (naive.price, naive.qty),
                    (i64::try_from(fast.price.0).expect("small"), fast.leaves.0)
                );
            }
        }
        self.venue.exchange.check();
    }
}

fn run(seed: u64, commands: usize) {
    println!("seed {seed}");
    let mut venue = Venue::trading(TRADERS);
    let fees = SetFeeSchedule {
        schedule: ScheduleId::ZERO,
        reserved: Reserved::ZERO,
        taker: Ppm(1_234),
        maker: Ppm(if seed.is_multiple_of(2) { 567 } else { -234 }),
    };
    let proposed = venue.say(OPERATOR, &fees)[0];
    let Ok(Event::Proposed(proposal)) = proposed.event() else {
        panic!("fees need two operators")
    };
    let approve = Approve {
        proposal: proposed.header().seq,
        hash: proposal.hash,
    };
    venue.ok(OPERATOR_2, &approve);
    let mut flow = Flow {
        venue,
        oracle: Oracle::new(),
        draws: Draws(seed),
        live: BTreeMap::new(),
        filled: BTreeMap::new(),
        next: 0,
        trades: 0,
    };
    for _ in 0..commands {
        flow.step();
        flow.compare();
    }
    assert!(flow.trades > commands / 10, "the flow trades: {}", flow.trades);
}

#[test]
fn the_naive_book_agrees_and_the_laws_hold() {
    for seed in 1..=6 {
        run(seed, 1_500);
    }
}
