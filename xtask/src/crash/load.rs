//! The load: what each session asks follows from the seed and the request's number, so that it can be asked again.

use super::record::Record;
use super::venue::{SERIES, account};
use anyhow::Context;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;
use xq_client::{Client, ClientError, Resume, Sender};
use xq_protocol::{
    CancelOrder, ClOrdId, Execution, Nanos, OnDisconnect, OrderId, OrderType, PlaceOrder, Price, Qty, ReqSeq,
    Reserved, Side, TimeInForce,
};

/// Draws: splitmix64 (Steele, Lea, Flood 2014).
pub struct Draws(pub u64);

impl Draws {
    /// The next of them.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// One below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Requests of a session that are under way at once.
const DEPTH: usize = 400;
/// Of so many last requests, some are sent again: fewer than the exchange remembers.
const RESENT_OF: u64 = 2_000;
/// Times that a session tries to connect.
const ATTEMPTS_MAX: u32 = 5;

/// One trader's session over one connection.
pub struct Session<'a> {
    /// Which trader.
    pub trader: usize,
    /// What chance began with.
    pub seed: u64,
    /// What it was told in all.
    pub record: &'a mut Record,
    /// Answers in this cycle, of all sessions.
    pub acknowledged: &'a AtomicUsize,
}

impl Session<'_> {
    /// Connects where it left off, asks some of its last requests again, then new ones, until it is told that the
    /// process died. How many it asked again.
    ///
    /// # Errors
    /// What contradicts what was told before; an exchange that will not serve it any more.
    pub async fn run(
        &mut self,
        config: xq_client::Config,
        mut draws: Draws,
        mut died: watch::Receiver<bool>,
    ) -> anyhow::Result<usize> {
        let resume = Resume {
            next_out_seq: self.record.next_out(),
            next_req_seq: ReqSeq(self.record.next_request()),
            journal_id: self.record.journal_id,
        };
        let config = xq_client::Config {
            resume: Some(resume),
            ..config
        };
        let (sender, mut reports) = connect(config).await?.split();
        let resent = self.ask_again(&sender, &mut draws)?;
        loop {
            self.ask_more(&sender)?;
            let batch = tokio::select! {
                biased;
                _ = died.wait_for(|died| *died) => return Ok(resent),
                batch = reports.next_batch() => batch?,
            };
            let before = self.record.acknowledged();
            batch.iter().try_for_each(|report| self.record.hear(report))?;
            self.acknowledged
                .fetch_add(self.record.acknowledged() - before, Ordering::Relaxed);
        }
    }

    /// Sends a share of the last requests again, answered or not, in their order.
    fn ask_again(&self, sender: &Sender, draws: &mut Draws) -> Result<usize, ClientError> {
        let (next, percent) = (self.record.next_request(), draws.below(51));
        let mut resent = 0;
        for number in next.saturating_sub(RESENT_OF).max(1)..next {
            if draws.below(100) < percent && self.record.answer(number) != super::record::Answer::Refused {
                match command(self.seed, self.trader, number) {
                    Asked::Place(order) => sender.send_as(ReqSeq(number), &order)?,
                    Asked::Cancel(cancel) => sender.send_as(ReqSeq(number), &cancel)?,
                }
                resent += 1;
            }
        }
        Ok(resent)
    }

    fn ask_more(&mut self, sender: &Sender) -> Result<(), ClientError> {
        while sender.unanswered() < DEPTH {
            let number = self.record.next_request();
            match command(self.seed, self.trader, number) {
                Asked::Place(order) => sender.send_as(ReqSeq(number), &order)?,
                Asked::Cancel(cancel) => sender.send_as(ReqSeq(number), &cancel)?,
            }
            self.record.requested(number);
        }
        Ok(())
    }
}

/// Connects, as often as a busy machine may need.
async fn connect(config: xq_client::Config) -> anyhow::Result<Client> {
    let mut attempts = 1;
    loop {
        match Client::connect(config.clone()).await {
            Err(error) if error.is_passing() && attempts < ATTEMPTS_MAX => attempts += 1,
            other => return other.context("cannot connect after the restart"),
        }
    }
}

enum Asked {
    Place(PlaceOrder),
    Cancel(CancelOrder),
}

fn label(number: u64) -> ClOrdId {
    ClOrdId::from_text(&format!("c{number}")).expect("letters and digits, short")
}

/// What a trader asks under this number: one cancel of an earlier order, then three orders around one price.
fn command(seed: u64, trader: usize, number: u64) -> Asked {
    let mut draws = Draws(seed ^ (trader as u64) << 56 ^ number << 8);
    if number.is_multiple_of(4) {
        let earlier = number.saturating_sub(1 + draws.below(12)).max(1);
        return Asked::Cancel(CancelOrder {
            account: account(trader),
            reduce_qty: Qty::ZERO,
            order: OrderId::ZERO,
            cl_ord_id: label(earlier),
        });
    }
    Asked::Place(PlaceOrder {
        account: account(trader),
        series: SERIES,
        qty: Qty(1 + draws.below(9) as u32),
        side: if draws.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        },
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(1_990 + draws.below(21)),
        expire_at: Nanos::ZERO,
        cl_ord_id: label(number),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    })
}
