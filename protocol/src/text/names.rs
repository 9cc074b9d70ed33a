//! Names of participants, accounts, series, orders and commands, both ways.

use super::values::{self, is_word};
use crate::{
    AccountId, Asset, AssetId, BankRef, BustTrade, ClOrdId, Command, ConnectionId, Count, Currency, Event,
    Frame, Hash, Header, Nanos, OrderId, ParticipantId, Place, Qty, Seq, SeriesId, SessionId, Transfer,
};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Words that mean something where a name may stand, so nothing can be called so.
const RESERVED: &[&str] = &["house", "venue", "as", "by", "both", "buys", "sells"];

/// Trades that are remembered.
const TRADES_MAX: usize = 1_024;

/// How the references begin that a line without one is given.
const FREE_BANK_REF: &str = "auto-";

/// Says whether a reference was given to a line that had none, so that it goes without saying.
pub(super) fn is_free_bank_ref(bank_ref: BankRef) -> bool {
    bank_ref.to_string().starts_with(FREE_BANK_REF)
}

/// Names of one kind of thing.
#[derive(Clone, Debug, Default)]
struct Table {
    by_name: BTreeMap<String, u32>,
    by_id: BTreeMap<u32, String>,
    last: u32,
}

impl Table {
    fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }
    fn name(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }
    /// Binds a name to a number; the first binding of either stays.
    fn bind(&mut self, name: &str, id: u32) {
        self.used(id);
        if is_name(name) && !self.by_name.contains_key(name) && !self.by_id.contains_key(&id) {
            self.by_name.insert(name.to_owned(), id);
            self.by_id.insert(id, name.to_owned());
        }
    }
    fn used(&mut self, id: u32) {
        self.last = self.last.max(id);
    }
    fn shown(&self, id: u32) -> impl Display + '_ {
        fmt::from_fn(move |f| match self.name(id) {
            Some(name) => f.write_str(name),
            None => write!(f, "#{id}"),
        })
    }
}

/// Says whether something can be called so: a word that begins with a letter and is not reserved.
pub(super) fn is_name(text: &str) -> bool {
    is_word(text) && text.starts_with(|c: char| c.is_ascii_alphabetic()) && !RESERVED.contains(&text)
}

/// An open order.
#[derive(Clone, Copy, Debug)]
struct OrderName {
    label: ClOrdId,
    account: AccountId,
    series: SeriesId,
}

/// What is known by name, learned from events and commands as they pass.
#[derive(Clone, Debug, Default)]
pub struct Names {
    participants: Table,
    accounts: Table,
    series: Table,
    traders: BTreeMap<AccountId, ParticipantId>,
    series_currency: BTreeMap<SeriesId, Currency>,
    orders: BTreeMap<OrderId, OrderName>,
    order_labels: BTreeMap<(AccountId, ClOrdId), OrderId>,
    labels: BTreeMap<Seq, String>,
    proposals: BTreeMap<String, (Seq, Hash)>,
    trades: BTreeMap<(Seq, Count), BustTrade>,
    keys: BTreeMap<ParticipantId, Hash>,
    connections: BTreeMap<SessionId, ConnectionId>,
    home: Option<Currency>,
    now: Nanos,
    bank_refs: u64,
}

impl Names {
    /// Nothing is known.
    pub fn new() -> Names {
        Names::default()
    }

    /// Calls a participant by a name.
    pub fn name_participant(&mut self, name: &str, id: ParticipantId) {
        self.participants.bind(name, id.0);
    }
    /// Calls an account by a name.
    pub fn name_account(&mut self, name: &str, id: AccountId) {
        self.accounts.bind(name, id.0);
    }
    /// Calls a series by its symbol, and says in which currency it trades.
    pub fn name_series(&mut self, symbol: &str, id: SeriesId, currency: Currency) {
        self.series.bind(symbol, id.0);
        self.series_currency.entry(id).or_insert(currency);
    }
    /// Calls a command, once sequenced, by the label that its line gave it.
    pub fn name_command(&mut self, label: &str, seq: Seq) {
        self.labels.insert(seq, label.to_owned());
    }

    /// Takes in what a passing frame, command or event, tells about names, time and currencies.
    pub fn learn(&mut self, frame: &Frame<'_>) {
        self.now = self.now.max(frame.header.time);
        if let Ok(event) = frame.event() {
            self.learn_event(frame.header, &event);
        } else if let Ok(command) = frame.command() {
            self.learn_command(frame.header, &command);
        }
    }

    fn learn_event(&mut self, header: &Header, event: &Event<'_>) {
        match event {
            Event::ExchangeOpened(e) => self.home = e.currencies.0.first().copied(),
            Event::ParticipantRegistered(e) => self.participants.used(e.participant.0),
            Event::AccountOpened(e) => self.opened(e.account, e.owner, e.operated_by),
            Event::SeriesDrafted(e) => {
                self.name_series(&e.symbol.to_string(), e.series, e.currency);
                self.series_currency.insert(e.series, e.currency);
            }
            Event::OrderAccepted(e) => self.order_is(e.order, e.cl_ord_id, e.account, e.series),
            Event::OrderReplaced(e) => self.order_is(e.order, e.cl_ord_id, e.account, e.series),
            Event::OrderCanceled(e) => self.order_gone(e.order, Qty::ZERO),
            Event::Traded(e) => {
                self.traded(BustTrade::of(header, e));
                self.order_gone(e.maker_order, e.maker_leaves);
                self.order_gone(e.taker_order, e.taker_leaves);
            }
            Event::KeySet(e) => self.key_is(e.participant, e.fingerprint),
            Event::SessionEstablished(e) => self.connected(header.session, e.connection),
            Event::Proposed(e) => {
                let label = self.labels.get(&header.seq).cloned();
                let label = label.unwrap_or_else(|| format!("#{}", header.seq));
                self.proposals.insert(label, (header.seq, e.hash));
            }
            // The rest names nothing new.
            _ => {}
        }
    }

    fn learn_command(&mut self, header: &Header, command: &Command<'_>) {
        match command {
            Command::Genesis(c) => self.home = c.currencies.0.first().copied(),
            Command::RegisterParticipant(c) => self.participants.used(c.participant.0),
            Command::OpenAccount(c) => self.opened(c.account, c.owner, c.operated_by),
            Command::DraftSeries(c) => self.name_series(&c.symbol.to_string(), c.series, c.currency),
            Command::SetKey(c) => self.key_is(c.participant, c.fingerprint),
            Command::SessionUp(c) => self.connected(header.session, c.connection),
            // The rest names nothing new.
            _ => {}
        }
    }

    pub(super) fn opened(&mut self, account: AccountId, owner: ParticipantId, operated_by: ParticipantId) {
        self.accounts.used(account.0);
        let trader = if operated_by.is_zero() { owner } else { operated_by };
        self.traders.entry(account).or_insert(trader);
    }
    fn order_is(&mut self, order: OrderId, label: ClOrdId, account: AccountId, series: SeriesId) {
        self.order_gone(order, Qty::ZERO);
        self.order_labels.insert((account, label), order);
        self.orders.insert(
            order,
            OrderName {
                label,
                account,
                series,
            },
        );
    }
    /// Forgets an order of which nothing is left, so that what is kept is bounded by what is open.
    fn order_gone(&mut self, order: OrderId, leaves: Qty) {
        if leaves.is_zero()
            && let Some(name) = self.orders.remove(&order)
        {
            self.order_labels.remove(&(name.account, name.label));
        }
    }
    /// Remembers a trade, so that a line may name it; the oldest of too many is forgotten.
    fn traded(&mut self, trade: BustTrade) {
        if self.trades.len() >= TRADES_MAX {
            self.trades.pop_first();
        }
        self.trades.insert((trade.trade, trade.index), trade);
    }
    pub(super) fn key_is(&mut self, participant: ParticipantId, fingerprint: Hash) {
        self.keys.insert(participant, fingerprint);
    }
    pub(super) fn connected(&mut self, session: SessionId, connection: ConnectionId) {
        let last = self.connections.entry(session).or_default();
        *last = (*last).max(connection);
    }

    /// The participant of this name.
    pub fn participant_id(&self, name: &str) -> Option<ParticipantId> {
        self.participants.id(name).map(ParticipantId)
    }
    /// The account of this name.
    pub fn account_id(&self, name: &str) -> Option<AccountId> {
        self.accounts.id(name).map(AccountId)
    }
    /// The series of this symbol.
    pub fn series_id(&self, symbol: &str) -> Option<SeriesId> {
        self.series.id(symbol).map(SeriesId)
    }
    /// A participant's name, if it has one.
    pub fn participant_name(&self, id: ParticipantId) -> Option<&str> {
        self.participants.name(id.0)
    }
    /// An account's name, if it has one.
    pub fn account_name(&self, id: AccountId) -> Option<&str> {
        self.accounts.name(id.0)
    }
    /// A series' symbol, if it is known.
    pub fn series_name(&self, id: SeriesId) -> Option<&str> {
        self.series.name(id.0)
    }
    /// The currency a series trades in.
    pub fn currency_of(&self, series: SeriesId) -> Option<Currency> {
        self.series_currency.get(&series).copied()
    }
    /// The venue's first currency, which amounts need not name.
    pub fn home(&self) -> Option<Currency> {
        self.home
    }
    /// The latest time that was heard of.
    pub fn now(&self) -> Nanos {
        self.now
    }
    /// Time went on, as a line says.
    pub(super) fn set_now(&mut self, now: Nanos) {
        self.now = now;
    }
    pub(super) fn set_home(&mut self, home: Currency) {
        self.home = Some(home);
    }
    /// In which currency an open order's price is written: its series'; none when the order is not known.
    pub(super) fn currency_of_known_order(
        &self,
        account: AccountId,
        order: OrderId,
        label: ClOrdId,
    ) -> Option<Currency> {
        let by_label = self.order_labels.get(&(account, label)).copied();
        let name = self.orders.get(&by_label.unwrap_or(order))?;
        self.currency_of(name.series)
    }
    /// The same, and the venue's first currency when the order is not known.
    pub(super) fn currency_of_order(
        &self,
        account: AccountId,
        order: OrderId,
        label: ClOrdId,
    ) -> Option<Currency> {
        self.currency_of_known_order(account, order, label).or(self.home)
    }
    /// The proposal that a label stands for.
    pub fn proposal(&self, label: &str) -> Option<(Seq, Hash)> {
        self.proposals.get(label).copied()
    }
    /// The trade that is this event of this command, as it would be undone, if it is remembered.
    pub fn trade(&self, seq: Seq, index: Count) -> Option<&BustTrade> {
        self.trades.get(&(seq, index))
    }
    /// The command of this label.
    pub(super) fn labelled(&self, label: &str) -> Option<Seq> {
        let (seq, _) = self.labels.iter().find(|(_, known)| *known == label)?;
        Some(*seq)
    }
    /// The participant who trades for an account: its platform, or else its owner.
    pub fn trader_of(&self, account: AccountId) -> Option<ParticipantId> {
        self.traders.get(&account).copied()
    }
    /// A participant's key, as last set.
    pub fn key_of(&self, participant: ParticipantId) -> Option<Hash> {
        self.keys.get(&participant).copied()
    }
    /// The last connection of a session.
    pub fn connection_of(&self, session: SessionId) -> ConnectionId {
        self.connections.get(&session).copied().unwrap_or_default()
    }

    pub(super) fn free_participant(&self) -> ParticipantId {
        ParticipantId(self.participants.last.saturating_add(1))
    }
    pub(super) fn free_account(&self) -> AccountId {
        AccountId(self.accounts.last.saturating_add(1))
    }
    pub(super) fn free_series(&self) -> SeriesId {
        SeriesId(self.series.last.saturating_add(1))
    }
    pub(super) fn free_bank_ref(&mut self) -> String {
        self.bank_refs += 1;
        format!("{FREE_BANK_REF}{}", self.bank_refs)
    }

    /// Who says a command when its line names nobody; none when that depends on names that are not known.
    pub fn default_speaker(&self, header: &Header, command: &Command<'_>) -> Option<SessionId> {
        let first_session = |participant: Option<ParticipantId>| SessionId::of(participant?, 0);
        match command {
            Command::Genesis(_) | Command::Tick(_) | Command::AllSessionsDown(_) => Some(SessionId::HOUSE),
            Command::SessionUp(_) | Command::SessionDown(_) => Some(header.session),
            Command::PlaceOrder(c) => first_session(self.trader_of(c.account)),
            Command::PlaceExtendedOrder(c) => first_session(self.trader_of(c.account)),
            Command::MassQuote(c) => first_session(self.trader_of(c.account)),
            Command::SetMmp(c) => first_session(self.trader_of(c.account)),
            Command::ResetMmp(c) => first_session(self.trader_of(c.account)),
            Command::QueryLimits(c) => first_session(self.trader_of(c.account)),
            Command::CancelOrder(c) => first_session(self.trader_of(c.account)),
            Command::ReplaceOrder(c) => first_session(self.trader_of(c.account)),
            Command::MassCancel(c) => first_session(self.trader_of(c.account)),
            Command::TransferUnits(c) => first_session(self.trader_of(c.from)),
            Command::PostEscrow(_) | Command::CreditCash(_) => first_session(self.participant_id("bank")),
            Command::Approve(_) => first_session(self.participant_id("operator2")),
            Command::RollDay(_)
            | Command::BustTrade(_)
            | Command::SetDynamicCollar(_)
            | Command::SetExposureLimits(_)
            | Command::SetConfig(_)
            | Command::SetKey(_)
            | Command::SetRules(_)
            | Command::KillSwitch(_)
            | Command::RegisterParticipant(_)
            | Command::OpenAccount(_)
            | Command::SetRiskLimits(_)
            | Command::SetFeeSchedule(_)
            | Command::SetInstrument(_)
            | Command::SetPhase(_)
            | Command::DraftSeries(_)
            | Command::RegisterSeries(_)
            | Command::IssueUnits(_)
            | Command::SetFreeze(_) => first_session(self.participant_id("operator")),
        }
    }

    /// A participant: its name or `#12`.
    pub fn participant(&self, id: ParticipantId) -> impl Display + '_ {
        self.participants.shown(id.0)
    }
    /// An account: its name or `#12`.
    pub fn account(&self, id: AccountId) -> impl Display + '_ {
        self.accounts.shown(id.0)
    }
    /// A series: its symbol or `#3`.
    pub fn series(&self, id: SeriesId) -> impl Display + '_ {
        self.series.shown(id.0)
    }
    /// An order: its label or `#4294967297`.
    pub fn order(&self, id: OrderId) -> impl Display + '_ {
        fmt::from_fn(move |f| match self.orders.get(&id) {
            Some(name) if !name.label.is_zero() => write!(f, "{}", values::label(name.label.0)),
            Some(_) | None => write!(f, "#{id}"),
        })
    }
    /// A command: its label or `#17`.
    pub fn command(&self, seq: Seq) -> impl Display + '_ {
        fmt::from_fn(move |f| match self.labels.get(&seq) {
            Some(label) => f.write_str(label),
            None => write!(f, "#{seq}"),
        })
    }
    /// Says whether a command has a label.
    pub(super) fn has_label(&self, seq: Seq) -> bool {
        self.labels.contains_key(&seq)
    }
    /// A session: its participant, and `/3` when it is not the first of its sixteen; `house`.
    pub fn session(&self, id: SessionId) -> impl Display + '_ {
        fmt::from_fn(move |f| match (id == SessionId::HOUSE, id.slot()) {
            (true, _) => f.write_str("house"),
            (false, 0) => write!(f, "{}", self.participant(id.participant())),
            (false, slot) => write!(f, "{}/{slot}", self.participant(id.participant())),
        })
    }
    /// A currency: its code or `#999`.
    pub fn currency(&self, currency: Currency) -> impl Display {
        fmt::from_fn(move |f| match currency.code() {
            Some(code) => f.write_str(code),
            None => write!(f, "#{currency}"),
        })
    }
    /// How much of an asset: `405.00`, `405.00 USD`, `10 COFFEE`.
    pub fn amount(&self, asset: AssetId, amount: crate::Amount) -> impl Display + '_ {
        fmt::from_fn(move |f| match asset.asset() {
            Asset::Coupon(series) => write!(f, "{amount} {}", self.series(series)),
            Asset::Cash(currency) => {
                write!(f, "{}", values::decimal(amount.0, Some(currency)))?;
                if self.home == Some(currency) {
                    return Ok(());
                }
                write!(f, " {}", self.currency(currency))
            }
        })
    }
    /// A place of the chart of accounts: `alice`, `alice.held`, `escrow.COFFEE`, `fees`.
    pub fn place(&self, place: Place) -> impl Display + '_ {
        fmt::from_fn(move |f| match place {
            Place::Account(account, bucket) => {
                write!(f, "{}", self.account(account))?;
                match bucket {
                    crate::Bucket::Available => Ok(()),
                    crate::Bucket::Held => f.write_str(".held"),
                    crate::Bucket::Frozen => f.write_str(".frozen"),
                }
            }
            Place::FreeEscrow(issuer) => write!(f, "free-escrow.{}", self.participant(issuer)),
            Place::Escrow(series) => write!(f, "escrow.{}", self.series(series)),
            Place::Custody | Place::Fees | Place::Rebates | Place::Registrar => write!(f, "{place}"),
        })
    }
    /// A line of the ledger: `alice -> alice.held: 405.00`.
    pub fn transfer(&self, line: Transfer) -> impl Display + '_ {
        fmt::from_fn(move |f| {
            let (debit, credit) = (self.place(line.debit), self.place(line.credit));
            write!(f, "{debit} -> {credit}: {}", self.amount(line.asset, line.amount))
        })
    }
}
