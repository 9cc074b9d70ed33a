//! A small market: one maker that quotes both sides around a price that wanders, and two takers.

use super::venue::{COFFEE, FAIR, MAKER, MAKER_ACCOUNT, TAKER_ACCOUNTS, TAKERS};
use super::view::room_after_notice;
use crate::exchange::Trial;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use xq_client::{Client, ClientError, Report, Reports, Sender};
use xq_perf::flow::SplitMix64;
use xq_protocol::{
    AccountId, CancelOrder, ClOrdId, Event, Execution, Nanos, OnDisconnect, OrderId, OrderType, PlaceOrder,
    Price, Qty, Reserved, Side, TimeInForce,
};

/// Levels that the maker quotes on each side.
const LEVELS: usize = 6;
/// Between two rounds of the maker; in each it moves one quote of each side.
const QUOTE_EVERY: Duration = Duration::from_millis(4);
/// Between two orders of a taker.
const TAKE_EVERY: Duration = Duration::from_millis(6);
/// How far the price wanders from where it began, in ticks.
const WANDER: u64 = 150;

/// What was sent and what was refused.
#[derive(Default)]
pub struct Counts {
    /// Orders and cancels sent.
    pub sent: AtomicU64,
    /// Refusals heard.
    pub refused: AtomicU64,
}

/// Starts maker and takers as tasks of the current runtime.
pub fn open(trial: &Trial, counts: &Arc<Counts>) {
    let maker = trial.client(&MAKER, 1);
    tokio::spawn(keep(Arc::clone(counts), maker, Role::Maker));
    for (guest, account) in TAKERS.iter().zip(TAKER_ACCOUNTS) {
        tokio::spawn(keep(
            Arc::clone(counts),
            trial.client(guest, 1),
            Role::Taker(account),
        ));
    }
}

#[derive(Clone, Copy)]
enum Role {
    Maker,
    Taker(AccountId),
}

/// Trades until the session is closed for good; the client itself comes back after a crash.
async fn keep(counts: Arc<Counts>, config: xq_client::Config, role: Role) {
    let traded = match Client::connect(config).await {
        Ok(client) => {
            let (sender, reports) = client.split();
            match role {
                Role::Maker => make(&counts, &sender, reports).await,
                Role::Taker(account) => take(&counts, &sender, reports, account).await,
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = traded {
        println!("\nA session of the market has ended: {error}");
        print!("{}", room_after_notice());
    }
}

/// One quote of the maker.
#[derive(Clone, Copy)]
struct Quote {
    side: Side,
    /// Ticks from the wandering price.
    distance: u64,
    /// The order that stands for it, once it is accepted.
    order: Option<OrderId>,
    /// The id of the order that stands for it or is on its way.
    id: Option<ClOrdId>,
}

struct Maker {
    quotes: Vec<Quote>,
    by_order: HashMap<OrderId, usize>,
    fair: u64,
    placed: u64,
    draw: SplitMix64,
}

async fn make(counts: &Counts, sender: &Sender, mut reports: Reports) -> Result<(), ClientError> {
    let quote = |at: usize| Quote {
        side: if at.is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        },
        distance: u64::try_from(at / 2).expect("few") + 1,
        order: None,
        id: None,
    };
    let mut maker = Maker {
        quotes: (0..2 * LEVELS).map(quote).collect(),
        by_order: HashMap::new(),
        fair: FAIR.0,
        placed: 0,
        draw: SplitMix64::new(seed()),
    };
    let mut round = interval(QUOTE_EVERY);
    round.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            heard = reports.next_batch() => {
                for report in heard? {
                    refusal(counts, &report);
                    maker.hear(&report);
                }
            }
            _ = round.tick() => maker.quote(counts, sender)?,
        }
    }
}

impl Maker {
    /// Moves the price at times, and one quote of each side to where it belongs now.
    fn quote(&mut self, counts: &Counts, sender: &Sender) -> Result<(), ClientError> {
        if self.draw.below(25) == 0 {
            let up = self.draw.below(2) == 0;
            self.fair = if up { self.fair + 1 } else { self.fair - 1 };
            self.fair = self.fair.clamp(FAIR.0 - WANDER, FAIR.0 + WANDER);
        }
        let level = self.draw.index(LEVELS);
        for at in [2 * level, 2 * level + 1] {
            let quote = self.quotes[at];
            if let Some(cl_ord_id) = quote.id {
                let (account, reduce_qty, order) = (MAKER_ACCOUNT, Qty::ZERO, OrderId::ZERO);
                sender.queue(&CancelOrder {
                    account,
                    reduce_qty,
                    order,
                    cl_ord_id,
                })?;
                count(&counts.sent);
            }
            let order = self.order(at);
            self.quotes[at].id = Some(order.cl_ord_id);
            self.quotes[at].order = None;
            // None: as many are unanswered as the exchange remembers; the next round will do.
            if sender.queue(&order)?.is_none() {
                self.quotes[at].id = None;
            }
            count(&counts.sent);
        }
        sender.flush();
        Ok(())
    }

    fn order(&mut self, at: usize) -> PlaceOrder {
        self.placed += 1;
        let Quote { side, distance, .. } = self.quotes[at];
        let price = match side {
            Side::Buy => self.fair - distance,
            Side::Sell => self.fair + distance,
        };
        let id = ClOrdId::from_text(&format!("q{}-{}", at, self.placed % 100_000_000_000));
        PlaceOrder {
            account: MAKER_ACCOUNT,
            series: COFFEE,
            qty: Qty(20 + self.draw.below(80)),
            side,
            order_type: OrderType::Limit,
            tif: TimeInForce::Gtc,
            execution: Execution::PostOnly,
            limit: Price(price),
            expire_at: Nanos::ZERO,
            cl_ord_id: id.expect("at most 16 characters"),
            on_disconnect: OnDisconnect::Cancel,
            reserved: Reserved::ZERO,
        }
    }

    /// Follows which quotes stand.
    fn hear(&mut self, report: &Report) {
        match report.event() {
            Some(Event::OrderAccepted(accepted)) => {
                let at = self
                    .quotes
                    .iter()
                    .position(|quote| quote.id == Some(accepted.cl_ord_id));
                if let Some(at) = at {
                    self.quotes[at].order = Some(accepted.order);
                    self.by_order.insert(accepted.order, at);
                }
            }
            Some(Event::Executed(executed)) if executed.leaves.is_zero() => self.gone(executed.order),
            Some(Event::OrderCanceled(canceled)) => self.gone(canceled.order),
            Some(Event::Rejected(rejected)) => {
                let refused = self
                    .quotes
                    .iter_mut()
                    .find(|quote| quote.id == Some(rejected.cl_ord_id));
                if let Some(quote) = refused.filter(|quote| quote.order.is_none()) {
                    quote.id = None;
                }
            }
            // The rest does not say whether a quote stands.
            Some(_) | None => {}
        }
    }

    fn gone(&mut self, order: OrderId) {
        if let Some(at) = self.by_order.remove(&order)
            && self.quotes[at].order == Some(order)
        {
            (self.quotes[at].order, self.quotes[at].id) = (None, None);
        }
    }
}

/// Takes at the market, a little, now on this side and now on that.
async fn take(
    counts: &Counts,
    sender: &Sender,
    mut reports: Reports,
    account: AccountId,
) -> Result<(), ClientError> {
    let mut draw = SplitMix64::new(seed() ^ u64::from(account.0));
    let mut round = interval(TAKE_EVERY);
    round.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut placed = 0_u64;
    loop {
        tokio::select! {
            heard = reports.next_batch() => heard?.iter().for_each(|report| refusal(counts, report)),
            _ = round.tick() => {
                placed += 1;
                let side = if draw.below(2) == 0 { Side::Buy } else { Side::Sell };
                let order = PlaceOrder {
                    account,
                    series: COFFEE,
                    qty: Qty(1 + draw.below(40)),
                    side,
                    order_type: OrderType::Market,
                    tif: TimeInForce::Ioc,
                    execution: Execution::Any,
                    limit: Price::ZERO,
                    expire_at: Nanos::ZERO,
                    cl_ord_id: ClOrdId::from_text(&format!("t{placed}")).expect("at most 16 characters"),
                    on_disconnect: OnDisconnect::Cancel,
                    reserved: Reserved::ZERO,
                };
                sender.queue(&order)?;
                sender.flush();
                count(&counts.sent);
            }
        }
    }
}

fn refusal(counts: &Counts, report: &Report) {
    if matches!(report, Report::Refused(_)) || matches!(report.event(), Some(Event::Rejected(_))) {
        count(&counts.refused);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Another market in each run.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs())
}
