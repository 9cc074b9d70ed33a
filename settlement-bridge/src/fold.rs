//! Rows that change: orders, accounts, series and balances, folded so that a batch writes each of them once.
//!
//! What a batch brings itself is kept whole; what was there before is kept as what changes of it. A fold that has seen
//! everything from the first command on, as the reconciliation's has, never holds a change.

use crate::encode::{Beyond, Row};
use crate::table::Table;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use xq_protocol::{
    AccountId, AccountOpened, AssetId, Bucket, CancelReason, ClOrdId, Date, ExposureLimitsSet, Hash, Header,
    Nanos, OrderAccepted, OrderId, Phase, Place, Price, Qty, RiskLimitsSet, SelfTradePrevention, Seq,
    SeriesDrafted, SeriesId, SeriesState, TermsAccepted, Transfer,
};

/// When, and by which event, something came to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Born {
    pub(crate) seq: Seq,
    pub(crate) idx: u16,
    pub(crate) at: Nanos,
    pub(crate) date: Date,
}

/// What is known of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderState {
    Open,
    Waiting,
    Filled,
    Canceled(CancelReason),
}

impl OrderState {
    fn text(self) -> &'static str {
        match self {
            OrderState::Open => "open",
            OrderState::Waiting => "waiting",
            OrderState::Filled => "filled",
            OrderState::Canceled(_) => "canceled",
        }
    }

    fn reason(self) -> Option<&'static str> {
        match self {
            OrderState::Open | OrderState::Waiting | OrderState::Filled => None,
            OrderState::Canceled(reason) => Some(reason.text()),
        }
    }

    fn is_end(self) -> bool {
        match self {
            OrderState::Open | OrderState::Waiting => false,
            OrderState::Filled | OrderState::Canceled(_) => true,
        }
    }
}

/// What changes of an order; what is none stays as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OrderChange {
    pub(crate) leaves: Option<Qty>,
    pub(crate) state: Option<OrderState>,
    pub(crate) limit: Option<Price>,
    pub(crate) cl_ord_id: Option<ClOrdId>,
    /// A new total quantity.
    pub(crate) total: Option<Qty>,
    /// Taken from the total quantity.
    pub(crate) less: u64,
    pub(crate) filled: u64,
    pub(crate) amount: u64,
    pub(crate) fees: i64,
    pub(crate) changed: Seq,
}

impl OrderChange {
    fn merge(&mut self, later: &OrderChange) {
        if later.total.is_some() {
            (self.total, self.less) = (later.total, 0);
        }
        self.less += later.less;
        self.leaves = later.leaves.or(self.leaves);
        self.state = later.state.or(self.state);
        self.limit = later.limit.or(self.limit);
        self.cl_ord_id = later.cl_ord_id.or(self.cl_ord_id);
        self.filled += later.filled;
        self.amount = self.amount.saturating_add(later.amount);
        self.fees = self.fees.saturating_add(later.fees);
        self.changed = later.changed;
    }

    /// As a row of the table of changes.
    pub(crate) fn encode(&self, order: OrderId, to: &mut Vec<u8>) -> Result<(), Beyond> {
        let mut row = Row::begin(to, 12);
        row.big(order.0)
            .big_or_null(self.leaves.map(|qty| qty.0.into()))
            .text_or_null(self.state.map(OrderState::text))
            .text_or_null(self.state.and_then(OrderState::reason))
            .big_or_null(self.limit.map(|limit| limit.0));
        match self.cl_ord_id {
            Some(id) => row.padded(&id.0),
            None => row.null(),
        };
        row.big_or_null(self.total.map(|qty| qty.0.into()))
            .big(self.less)
            .big(self.filled)
            .big(self.amount)
            .signed(self.fees)
            .big(self.changed.0)
            .end("what changes of an order")
    }
}

/// An order as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    born: Born,
    accepted: OrderAccepted,
    session: u32,
    terms: Option<(Price, Qty, Qty, SelfTradePrevention)>,
    state: OrderState,
    limit: Price,
    cl_ord_id: ClOrdId,
    qty: u64,
    leaves: Qty,
    filled: u64,
    amount: u64,
    fees: i64,
    changed: Seq,
}

impl Order {
    pub(crate) fn new(born: Born, header: &Header, accepted: &OrderAccepted) -> Order {
        Order {
            born,
            accepted: *accepted,
            session: header.session.0,
            terms: None,
            state: OrderState::Open,
            limit: accepted.limit,
            cl_ord_id: accepted.cl_ord_id,
            qty: accepted.qty.0.into(),
            leaves: accepted.qty,
            filled: 0,
            amount: 0,
            fees: 0,
            changed: born.seq,
        }
    }

    fn apply(&mut self, change: &OrderChange) {
        self.leaves = change.leaves.unwrap_or(self.leaves);
        self.state = change.state.unwrap_or(self.state);
        self.limit = change.limit.unwrap_or(self.limit);
        self.cl_ord_id = change.cl_ord_id.unwrap_or(self.cl_ord_id);
        let total = change.total.map_or(self.qty, |qty| qty.0.into());
        self.qty = total.saturating_sub(change.less);
        self.filled += change.filled;
        self.amount = self.amount.saturating_add(change.amount);
        self.fees = self.fees.saturating_add(change.fees);
        self.changed = change.changed;
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>, columns: usize) -> Result<(), Beyond> {
        let (born, order) = (&self.born, &self.accepted);
        let mut row = Row::begin(to, columns);
        row.big(order.order.0)
            .big(born.seq.0)
            .int(born.idx.into())
            .at(born.at)
            .date(born.date)
            .big(self.session)
            .big(order.account.0)
            .big(order.series.0)
            .small_of(order.currency.0)
            .text(order.side.text())
            .text(order.order_type.text())
            .text(order.tif.text())
            .text(order.execution.text())
            .text(order.on_disconnect.text())
            .padded(&self.cl_ord_id.0)
            .big(self.limit.0)
            .numeric_or_null(some(order.expire_at.0));
        match self.terms {
            Some((stop, min, display, prevention)) => row
                .big_or_null(some(stop.0))
                .big_or_null(some(min.0.into()))
                .big_or_null(some(display.0.into()))
                .text(prevention.text()),
            None => row.null().null().null().null(),
        };
        row.big(self.qty)
            .big(self.leaves.0)
            .big(self.filled)
            .big(self.amount)
            .signed(self.fees)
            .text(self.state.text())
            .text_or_null(self.state.reason())
            .big(self.changed.0)
            .end("an order's limit or amount")
    }
}

/// What changes of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AccountChange {
    pub(crate) risk: Option<[u64; 4]>,
    pub(crate) exposure: Option<[u64; 2]>,
    pub(crate) changed: Seq,
}

impl AccountChange {
    pub(crate) fn risk(set: &RiskLimitsSet, changed: Seq) -> AccountChange {
        let (orders, qty) = (set.open_orders_max.0.into(), set.order_qty_max.0.into());
        AccountChange {
            risk: Some([orders, qty, set.order_notional_max.0, set.open_notional_max.0]),
            changed,
            ..AccountChange::default()
        }
    }

    pub(crate) fn exposure(set: &ExposureLimitsSet, changed: Seq) -> AccountChange {
        AccountChange {
            exposure: Some([set.position_max.0, set.daily_max.0]),
            changed,
            ..AccountChange::default()
        }
    }

    fn merge(&mut self, later: &AccountChange) {
        self.risk = later.risk.or(self.risk);
        self.exposure = later.exposure.or(self.exposure);
        self.changed = later.changed;
    }

    fn encode_limits(&self, row: &mut Row<'_>) {
        let risk = self.risk.map_or([None; 4], |limits| limits.map(Some));
        let exposure = self.exposure.map_or([None; 2], |limits| limits.map(Some));
        for limit in risk.into_iter().chain(exposure) {
            row.numeric_or_null(limit);
        }
    }

    /// As a row of the table of changes.
    pub(crate) fn encode(&self, account: AccountId, to: &mut Vec<u8>) -> Result<(), Beyond> {
        let mut row = Row::begin(to, 8);
        row.big(account.0);
        self.encode_limits(&mut row);
        row.big(self.changed.0).end("what changes of an account")
    }
}

/// An account as its row has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    born: Born,
    opened: AccountOpened,
    limits: AccountChange,
}

impl Account {
    fn encode(&self, to: &mut Vec<u8>, columns: usize) -> Result<(), Beyond> {
        let mut row = Row::begin(to, columns);
        row.big(self.opened.account.0)
            .big(self.born.seq.0)
            .at(self.born.at)
            .big(self.opened.owner.0)
            .big_or_null(some(self.opened.operated_by.0.into()))
            .int(self.opened.schedule.0.into());
        self.limits.encode_limits(&mut row);
        row.big(self.limits.changed.0).end("an account")
    }
}

/// What changes of a series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SeriesChange {
    pub(crate) state: Option<SeriesState>,
    pub(crate) phase: Option<Phase>,
    pub(crate) terms_hash: Option<Hash>,
    pub(crate) escrow: Option<u64>,
    pub(crate) outstanding: Option<u64>,
    pub(crate) changed: Seq,
}

impl SeriesChange {
    fn merge(&mut self, later: &SeriesChange) {
        // A series keeps the most it has come to: escrow that is posted once more makes no draft of it.
        self.state = later.state.max(self.state);
        self.phase = later.phase.or(self.phase);
        self.terms_hash = later.terms_hash.or(self.terms_hash);
        self.escrow = later.escrow.or(self.escrow);
        self.outstanding = later.outstanding.or(self.outstanding);
        self.changed = later.changed;
    }

    /// As a row of the table of changes.
    pub(crate) fn encode(&self, series: SeriesId, to: &mut Vec<u8>) -> Result<(), Beyond> {
        let mut row = Row::begin(to, 7);
        row.big(series.0)
            .text_or_null(self.state.map(SeriesState::text))
            .text_or_null(self.phase.map(Phase::text));
        match self.terms_hash {
            Some(hash) => row.bytes(&hash.0),
            None => row.null(),
        };
        row.big_or_null(self.escrow)
            .big_or_null(self.outstanding)
            .big(self.changed.0)
            .end("a series' escrow or units")
    }
}

/// A series as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    born: Born,
    drafted: SeriesDrafted,
    now: SeriesChange,
}

impl Series {
    fn encode(&self, to: &mut Vec<u8>, columns: usize) -> Result<(), Beyond> {
        let (drafted, now) = (&self.drafted, &self.now);
        let mut row = Row::begin(to, columns);
        row.big(drafted.series.0)
            .big(self.born.seq.0)
            .at(self.born.at)
            .big(drafted.issuer.0)
            .text(&drafted.symbol.to_string())
            .small_of(drafted.currency.0)
            .big(drafted.lot.0)
            .numeric(drafted.tick.0)
            .numeric(drafted.face.0)
            .numeric(drafted.redeem_value.0)
            .numeric(drafted.issue_cap.0)
            .instant(drafted.valid_from)
            .numeric(drafted.valid_from.0)
            .instant(drafted.valid_to)
            .numeric(drafted.valid_to.0)
            .text(now.state.unwrap_or(SeriesState::Draft).text())
            .text_or_null(now.phase.map(Phase::text));
        match now.terms_hash {
            Some(hash) => row.bytes(&hash.0),
            None => row.null(),
        };
        row.big(now.escrow.unwrap_or(0))
            .big(now.outstanding.unwrap_or(0))
            .big(now.changed.0)
            .end("a series' escrow or units")
    }
}

/// A place of the ledger as the tables number it.
pub(crate) fn place_of(place: Place) -> (i16, u32) {
    match place {
        Place::Account(account, Bucket::Available) => (1, account.0),
        Place::Account(account, Bucket::Held) => (2, account.0),
        Place::Account(account, Bucket::Frozen) => (3, account.0),
        Place::Custody => (4, 0),
        Place::FreeEscrow(issuer) => (5, issuer.0),
        Place::Escrow(series) => (6, series.0),
        Place::Fees => (7, 0),
        Place::Rebates => (8, 0),
        Place::Registrar => (9, 0),
    }
}

type Balances = HashMap<(i16, u32, AssetId), (i128, Seq), FixedState>;

/// What changed, each row once.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    /// Orders that came with it, by number, in no order.
    pub(crate) orders: HashMap<OrderId, Order, FixedState>,
    pub(crate) order_changes: HashMap<OrderId, OrderChange, FixedState>,
    accounts: BTreeMap<AccountId, Account>,
    pub(crate) account_changes: BTreeMap<AccountId, AccountChange>,
    series: BTreeMap<SeriesId, Series>,
    pub(crate) series_changes: BTreeMap<SeriesId, SeriesChange>,
    pub(crate) balances: Balances,
}

impl Fold {
    pub(crate) fn accept(&mut self, order: Order) {
        self.orders.insert(order.accepted.order, order);
    }

    pub(crate) fn terms(&mut self, terms: &TermsAccepted, changed: Seq) {
        // They follow the acceptance in the same command, and a command is never cut.
        let Some(order) = self.orders.get_mut(&terms.order) else {
            return;
        };
        order.terms = Some((terms.stop, terms.min_qty, terms.display_qty, terms.self_trade));
        order.changed = changed;
        if !terms.stop.is_zero() {
            order.state = OrderState::Waiting;
        }
    }

    pub(crate) fn change_order(&mut self, order: OrderId, change: &OrderChange) {
        match self.orders.get_mut(&order) {
            Some(known) => known.apply(change),
            None => self.order_changes.entry(order).or_default().merge(change),
        }
    }

    /// The order, when it came with this fold and is at its end.
    pub(crate) fn take_ended(&mut self, order: OrderId) -> Option<Order> {
        let ended = self.orders.get(&order).is_some_and(|order| order.state.is_end());
        if ended { self.orders.remove(&order) } else { None }
    }

    pub(crate) fn open_account(&mut self, born: Born, opened: &AccountOpened) {
        let limits = AccountChange {
            changed: born.seq,
            ..AccountChange::default()
        };
        let (account, opened) = (opened.account, *opened);
        self.accounts.insert(account, Account { born, opened, limits });
    }

    pub(crate) fn change_account(&mut self, account: AccountId, change: &AccountChange) {
        match self.accounts.get_mut(&account) {
            Some(known) => known.limits.merge(change),
            None => self.account_changes.entry(account).or_default().merge(change),
        }
    }

    pub(crate) fn draft(&mut self, born: Born, drafted: &SeriesDrafted) {
        let now = SeriesChange {
            changed: born.seq,
            ..SeriesChange::default()
        };
        let (series, drafted) = (drafted.series, *drafted);
        self.series.insert(series, Series { born, drafted, now });
    }

    pub(crate) fn change_series(&mut self, series: SeriesId, change: &SeriesChange) {
        match self.series.get_mut(&series) {
            Some(known) => known.now.merge(change),
            None => self.series_changes.entry(series).or_default().merge(change),
        }
    }

    pub(crate) fn transfer(&mut self, line: &Transfer, seq: Seq) {
        let amount = i128::from(line.amount.0);
        for (place, moved) in [(line.debit, -amount), (line.credit, amount)] {
            let (place, owner) = place_of(place);
            let balance = self.balances.entry((place, owner, line.asset)).or_default();
            *balance = (balance.0 + moved, seq);
        }
    }

    /// Writes the rows that came with it, those of orders in the order in which they were accepted.
    pub(crate) fn encode_new(&self, to: &mut [Vec<u8>]) -> Result<(), Beyond> {
        let columns = |table: Table| table.columns().len();
        let mut orders: Vec<&Order> = self.orders.values().collect();
        orders.sort_unstable_by_key(|order| (order.born.seq, order.born.idx));
        let width = columns(Table::Orders);
        for order in orders {
            order.encode(&mut to[Table::Orders.place()], width)?;
        }
        for account in self.accounts.values() {
            account.encode(&mut to[Table::Accounts.place()], columns(Table::Accounts))?;
        }
        for series in self.series.values() {
            series.encode(&mut to[Table::Series.place()], columns(Table::Series))?;
        }
        Ok(())
    }

    /// Writes what the balances changed by, or all of them when the fold has seen everything.
    pub(crate) fn encode_balances(&self, to: &mut Vec<u8>) -> Result<(), Beyond> {
        let mut balances: Vec<_> = self.balances.iter().collect();
        balances.sort_unstable_by_key(|(key, _)| **key);
        for ((place, owner, asset), (amount, seq)) in balances {
            let amount = i64::try_from(*amount).map_err(|_| Beyond("a balance"))?;
            Row::begin(to, 5)
                .small(*place)
                .big(*owner)
                .big(asset.0)
                .signed(amount)
                .big(seq.0)
                .end("a balance")?;
        }
        Ok(())
    }

    /// How many rows it writes.
    pub(crate) fn rows(&self) -> usize {
        let Fold {
            orders,
            order_changes,
            accounts,
            account_changes,
            series,
            series_changes,
            balances,
        } = self;
        orders.len()
            + order_changes.len()
            + accounts.len()
            + account_changes.len()
            + series.len()
            + series_changes.len()
            + balances.len()
    }
}

fn some(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}
