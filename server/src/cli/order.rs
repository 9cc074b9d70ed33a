//! `xq order`: places or cancels one order.

use super::Ended;
use super::door::{Door, Outcome};
use crate::exit::Exit;
use xq_protocol::text::Names;
use xq_protocol::{
    AccountId, CancelOrder, ClOrdId, Command, Execution, Nanos, OnDisconnect, OrderId, OrderType,
    PlaceExtendedOrder, PlaceOrder, Price, Qty, Reserved, SelfTradePrevention, SeriesId, Side, TimeInForce,
};

/// Places or cancels an order.
#[derive(clap::Args)]
pub(super) struct Order {
    #[command(flatten)]
    door: Door,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Buys.
    Buy(Place),
    /// Sells.
    Sell(Place),
    /// Cancels an order, or takes some of its quantity.
    Cancel(Cancel),
}

#[derive(clap::Args)]
struct Place {
    /// For which account.
    #[arg(long)]
    account: u32,
    /// Of which series.
    #[arg(long)]
    series: u32,
    /// How many coupons.
    #[arg(long)]
    qty: u32,
    /// Worst price, in minor units; a market or stop order without it.
    #[arg(long)]
    limit: Option<u64>,
    /// The order's own id, 1 to 16 printable characters.
    #[arg(long)]
    id: String,
    /// gtc, day, ioc or fok; without it, gtc for an order with a limit or a stop, ioc for a market order.
    #[arg(long)]
    tif: Option<String>,
    /// Refuse rather than take.
    #[arg(long, conflicts_with = "reprice")]
    post_only: bool,
    /// Give way by one tick rather than take.
    #[arg(long)]
    reprice: bool,
    /// Wait until the last trade's price reaches this, in minor units.
    #[arg(long)]
    stop: Option<u64>,
    /// Trade at least so many at once, or be refused.
    #[arg(long)]
    min: Option<u32>,
    /// Show so many at a time.
    #[arg(long)]
    show: Option<u32>,
    /// What becomes of it when it meets an order of its own participant: cancel-newest, cancel-oldest, cancel-both or
    /// decrement.
    #[arg(long)]
    self_trade: Option<String>,
    /// Keep it when the session ends: else the end of this very command would cancel it.
    #[arg(long)]
    persist: bool,
}

#[derive(clap::Args)]
struct Cancel {
    /// Whose order.
    #[arg(long)]
    account: u32,
    /// Its number, as it was told when the order was accepted.
    #[arg(long, required_unless_present = "id", conflicts_with = "id")]
    order: Option<u64>,
    /// The order's own id, in place of its number.
    #[arg(long)]
    id: Option<String>,
    /// How many coupons to take away; all when left out.
    #[arg(long, default_value_t = 0)]
    reduce: u32,
}

impl Order {
    pub(super) fn run(self) -> Result<(), Ended> {
        match &self.what {
            What::Buy(place) => self.place(place, Side::Buy),
            What::Sell(place) => self.place(place, Side::Sell),
            What::Cancel(cancel) => self.say(&Command::CancelOrder(&cancel.command()?)),
        }
    }

    fn place(&self, place: &Place, side: Side) -> Result<(), Ended> {
        let order = place.order(side)?;
        match place.has_terms() {
            true => self.say(&Command::PlaceExtendedOrder(&place.extended(&order)?)),
            false => self.say(&Command::PlaceOrder(&order)),
        }
    }

    fn say(&self, command: &Command<'_>) -> Result<(), Ended> {
        let mut names = Names::new();
        let outcome = self
            .door
            .converse(async |session| session.say(command, &mut names).await)?;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused => Err(Ended::with(Exit::Refused, anyhow::anyhow!("refused"))),
        }
    }
}

impl Place {
    fn order(&self, side: Side) -> Result<PlaceOrder, Ended> {
        let wanted = "gtc, day, ioc or fok is wanted";
        let rests = self.limit.is_some() || self.stop.is_some();
        let usual = if rests { "gtc" } else { "ioc" };
        let asked = self.tif.as_deref().unwrap_or(usual);
        let tif = TimeInForce::from_text(asked).filter(|tif| *tif != TimeInForce::Gtd);
        Ok(PlaceOrder {
            account: AccountId(self.account),
            series: SeriesId(self.series),
            qty: Qty(self.qty),
            side,
            order_type: match (self.limit, self.stop) {
                (Some(_), None) => OrderType::Limit,
                (None, None) => OrderType::Market,
                (Some(_), Some(_)) => OrderType::StopLimit,
                (None, Some(_)) => OrderType::Stop,
            },
            tif: tif.ok_or_else(|| usage(format!("`{asked}`: {wanted}")))?,
            execution: match (self.post_only, self.reprice) {
                (false, false) => Execution::Any,
                (true, _) => Execution::PostOnly,
                (false, true) => Execution::PostOnlyReprice,
            },
            limit: Price(self.limit.unwrap_or(0)),
            expire_at: Nanos::ZERO,
            cl_ord_id: id_of(&self.id)?,
            on_disconnect: if self.persist {
                OnDisconnect::Persist
            } else {
                OnDisconnect::Cancel
            },
            reserved: Reserved::ZERO,
        })
    }
}

impl Place {
    fn has_terms(&self) -> bool {
        let quantities = self.min.is_some() || self.show.is_some();
        self.stop.is_some() || quantities || self.self_trade.is_some()
    }

    fn extended(&self, order: &PlaceOrder) -> Result<PlaceExtendedOrder, Ended> {
        let wanted = "cancel-newest, cancel-oldest, cancel-both or decrement is wanted";
        let self_trade = match self.self_trade.as_deref() {
            Some(text) => {
                SelfTradePrevention::from_text(text).ok_or_else(|| usage(format!("`{text}`: {wanted}")))?
            }
            None => SelfTradePrevention::CancelNewest,
        };
        Ok(PlaceExtendedOrder {
            account: order.account,
            series: order.series,
            qty: order.qty,
            side: order.side,
            order_type: order.order_type,
            tif: order.tif,
            execution: order.execution,
            limit: order.limit,
            expire_at: order.expire_at,
            cl_ord_id: order.cl_ord_id,
            on_disconnect: order.on_disconnect,
            self_trade,
            reserved: Reserved::ZERO,
            min_qty: Qty(self.min.unwrap_or(0)),
            display_qty: Qty(self.show.unwrap_or(0)),
            reserved2: Reserved::ZERO,
            stop: Price(self.stop.unwrap_or(0)),
        })
    }
}

impl Cancel {
    fn command(&self) -> Result<CancelOrder, Ended> {
        Ok(CancelOrder {
            account: AccountId(self.account),
            reduce_qty: Qty(self.reduce),
            order: OrderId(self.order.unwrap_or(0)),
            cl_ord_id: self.id.as_deref().map_or(Ok(ClOrdId::ZERO), id_of)?,
        })
    }
}

fn id_of(text: &str) -> Result<ClOrdId, Ended> {
    ClOrdId::from_text(text)
        .ok_or_else(|| usage(format!("`{text}`: 1 to 16 printable characters are wanted")))
}

fn usage(what: String) -> Ended {
    Ended::with(Exit::Usage, anyhow::anyhow!(what))
}
