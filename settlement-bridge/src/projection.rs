//! The projection: what rows an event gives. Pure: it copies what events say and computes nothing.
//!
//! Sums are folded, never derived: a balance is the sum of its transfers, an order's filled quantity that of its trades.

use crate::encode::{Beyond, Row};
use crate::fold::{AccountChange, Born, Fold, Order, OrderChange, OrderState, SeriesChange, place_of};
use crate::table::{TABLES, Table};
use xq_journal::{ChainHash, EventCursor};
use xq_protocol::text::{Names, print_event};
use xq_protocol::*;

/// Why an event cannot be written: it stops the bridge, and nothing behind it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {cursor}: {reason}")]
pub struct Poison {
    /// Which event.
    pub cursor: EventCursor,
    /// What is wrong with it.
    pub reason: String,
}

/// What follows from the events before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// The business day; zero before the first.
    pub(crate) date: Date,
    /// Hash of all events up to and with the command, where it begins a business day.
    pub(crate) chain: ChainHash,
}

/// Rows of some commands.
#[derive(Debug)]
pub(crate) struct Projected {
    /// Rows by table, those of folded tables not yet among them.
    pub(crate) tables: [Vec<u8>; TABLES],
    pub(crate) fold: Fold,
    pub(crate) context: Context,
    /// Rows that are appended.
    pub(crate) appended: usize,
    /// Trades among them.
    pub(crate) trades: u64,
    /// Columns of each table, looked up once.
    widths: [usize; TABLES],
}

impl Projected {
    pub(crate) fn new(context: Context) -> Projected {
        Projected {
            tables: [const { Vec::new() }; TABLES],
            fold: Fold::default(),
            context,
            appended: 0,
            trades: 0,
            widths: Table::ALL.map(|table| table.columns().len()),
        }
    }

    /// Adds the rows of an event.
    pub(crate) fn add(&mut self, frame: &Frame<'_>) -> Result<(), Poison> {
        let poison = |reason: String| Poison {
            cursor: EventCursor {
                seq: frame.header.seq,
                index: frame.header.index,
            },
            reason,
        };
        let event = frame.event().map_err(|error| poison(error.to_string()))?;
        self.lines(frame.header, &event)
            .and_then(|()| self.event(frame, &event))
            .map_err(|Beyond(what)| poison(format!("{what} is larger than its column can hold")))
    }

    fn row(&mut self, table: Table) -> Row<'_> {
        self.appended += 1;
        let place = table.place();
        Row::begin(&mut self.tables[place], self.widths[place])
    }

    /// A row that begins with place, time and business day.
    fn dated(&mut self, table: Table, header: &Header) -> Row<'_> {
        let date = self.context.date;
        let mut row = self.row(table);
        row.big(header.seq.0)
            .int(header.index.into())
            .at(header.time)
            .date(date);
        row
    }

    /// The ledger's lines, and the balances they change.
    fn lines(&mut self, header: &Header, event: &Event<'_>) -> Result<(), Beyond> {
        let (date, cause) = (self.context.date, event.template());
        for (line, transfer) in (0..).zip(event.transfers()) {
            let ((debit, debit_owner), (credit, credit_owner)) =
                (place_of(transfer.debit), place_of(transfer.credit));
            self.row(Table::Transfers)
                .big(header.seq.0)
                .int(header.index.into())
                .small(line)
                .at(header.time)
                .date(date)
                .small(debit)
                .big(debit_owner)
                .small(credit)
                .big(credit_owner)
                .big(transfer.asset.0)
                .big(transfer.amount.0)
                .small_of(cause)
                .end("an amount")?;
            self.fold.transfer(&transfer, header.seq);
        }
        Ok(())
    }

    fn event(&mut self, frame: &Frame<'_>, event: &Event<'_>) -> Result<(), Beyond> {
        let header = frame.header;
        let born = Born {
            seq: header.seq,
            idx: header.index,
            at: header.time,
            date: self.context.date,
        };
        match event {
            Event::OrderAccepted(e) => self.fold.accept(Order::new(born, header, e)),
            Event::TermsAccepted(e) => self.fold.terms(e, header.seq),
            Event::Traded(e) => self.trade(header, e)?,
            Event::TradeBusted(e) => self.bust(header, e)?,
            Event::OrderCanceled(_)
            | Event::OrderReplaced(_)
            | Event::OrderRested(_)
            | Event::OrderReduced(_)
            | Event::StopTriggered(_) => self.order(header.seq, event),
            Event::Rejected(_) | Event::QuoteRefused(_) => self.reject(header, event)?,
            Event::DayRolled(e) => self.day(header, e)?,
            Event::SessionEstablished(_) | Event::SessionEnded(_) | Event::SessionsEnded(_) => {
                self.session(header, event)?;
            }
            Event::FreezeSet(e) => self
                .dated(Table::Freezes, header)
                .big(e.account.0)
                .text(e.action.text())
                .numeric(e.case.0)
                .end("a freeze")?,
            Event::ParticipantRegistered(e) => self
                .row(Table::Participants)
                .big(e.participant.0)
                .big(header.seq.0)
                .at(header.time)
                .text(e.role.text())
                .bytes(&e.reference.0)
                .end("a participant")?,
            Event::AccountOpened(e) => self.fold.open_account(born, e),
            Event::RiskLimitsSet(e) => self
                .fold
                .change_account(e.account, &AccountChange::risk(e, header.seq)),
            Event::ExposureLimitsSet(e) => {
                self.fold
                    .change_account(e.account, &AccountChange::exposure(e, header.seq));
            }
            Event::SeriesDrafted(_)
            | Event::EscrowPosted(_)
            | Event::SeriesRegistered(_)
            | Event::UnitsIssued(_)
            | Event::PhaseSet(_)
            | Event::InstrumentSet(_)
            | Event::DynamicCollarSet(_)
            | Event::MarketHalted(_) => self.series(frame, event, born)?,
            Event::ExchangeOpened(e) => {
                self.currencies(header, e)?;
                self.log(frame)?;
            }
            // Time that passes is in the cursor. What one side of a trade is told is never journaled.
            Event::TimeAdvanced(_) | Event::Executed(_) | Event::ExecutionBusted(_) => {}
            Event::MassCanceled(_)
            | Event::JobEnded(_)
            | Event::OrderRefreshed(_)
            | Event::QuoteAnswered(_)
            | Event::MmpTripped(_)
            | Event::MmpReset(_)
            | Event::LimitsTold(_)
            | Event::RequestRepeated(_)
            | Event::NotApplied(_)
            | Event::ConfigSet(_)
            | Event::KeySet(_)
            | Event::Proposed(_)
            | Event::ProposalApproved(_)
            | Event::ProposalExpired(_)
            | Event::KillSwitchSet(_)
            | Event::RulesSet(_)
            | Event::OutcomeEnded(_)
            | Event::BalanceFrozen(_)
            | Event::FeeScheduleSet(_)
            | Event::MmpSet(_)
            | Event::CashCredited(_)
            | Event::UnitsTransferred(_) => self.log(frame)?,
        }
        Ok(())
    }

    fn trade(&mut self, header: &Header, e: &Traded) -> Result<(), Beyond> {
        let date = self.context.date;
        self.trades += 1;
        self.dated(Table::Trades, header)
            .date(date)
            .big(e.series.0)
            .small_of(e.currency.0)
            .text(e.taker_side.text())
            .big(e.price.0)
            .big(e.qty.0)
            .big(e.amount.0)
            .big(e.maker_order.0)
            .big(e.taker_order.0)
            .big(e.maker_account.0)
            .big(e.taker_account.0)
            .big(e.maker_session.0)
            .big(header.session.0)
            .signed(e.maker_fee.0)
            .signed(e.taker_fee.0)
            .big(e.released.0)
            .end("a trade's price or amount")?;
        let sides = [
            (e.maker_order, e.maker_leaves, e.maker_fee),
            (e.taker_order, e.taker_leaves, e.taker_fee),
        ];
        for (order, leaves, fee) in sides {
            let change = OrderChange {
                leaves: Some(leaves),
                state: leaves.is_zero().then_some(OrderState::Filled),
                filled: e.qty.0.into(),
                amount: e.amount.0,
                fees: fee.0,
                changed: header.seq,
                ..OrderChange::default()
            };
            self.fold.change_order(order, &change);
        }
        Ok(())
    }

    fn bust(&mut self, header: &Header, e: &TradeBusted) -> Result<(), Beyond> {
        self.dated(Table::Busts, header)
            .big(e.trade.0)
            .int(i32::try_from(e.index.0).unwrap_or(i32::MAX))
            .big(e.series.0)
            .small_of(e.currency.0)
            .big(e.price.0)
            .big(e.qty.0)
            .big(e.amount.0)
            .signed(e.maker_fee.0)
            .signed(e.taker_fee.0)
            .end("an undone trade's price or amount")
    }

    /// What becomes of an order besides trading.
    fn order(&mut self, changed: Seq, event: &Event<'_>) {
        let unchanged = OrderChange {
            changed,
            ..OrderChange::default()
        };
        let (order, change) = match event {
            Event::OrderCanceled(e) => {
                let (leaves, state) = (Some(Qty::ZERO), Some(OrderState::Canceled(e.reason)));
                (
                    e.order,
                    OrderChange {
                        leaves,
                        state,
                        ..unchanged
                    },
                )
            }
            Event::OrderReplaced(e) => {
                let change = OrderChange {
                    leaves: Some(e.leaves),
                    total: Some(e.total_qty),
                    limit: Some(e.limit),
                    cl_ord_id: Some(e.cl_ord_id),
                    ..unchanged
                };
                (e.order, change)
            }
            Event::OrderRested(e) => {
                let leaves = Some(e.leaves);
                (e.order, OrderChange { leaves, ..unchanged })
            }
            Event::OrderReduced(e) => {
                let (leaves, less) = (Some(e.leaves), e.qty.0.into());
                (
                    e.order,
                    OrderChange {
                        leaves,
                        less,
                        ..unchanged
                    },
                )
            }
            Event::StopTriggered(e) => {
                let (leaves, state, limit) = (Some(e.leaves), Some(OrderState::Open), Some(e.limit));
                (
                    e.order,
                    OrderChange {
                        leaves,
                        state,
                        limit,
                        ..unchanged
                    },
                )
            }
            other => unreachable!("{} is no change of an order", other.name()),
        };
        self.fold.change_order(order, &change);
    }

    fn reject(&mut self, header: &Header, event: &Event<'_>) -> Result<(), Beyond> {
        let mut row = self.dated(Table::Rejects, header);
        row.big(header.session.0);
        match event {
            Event::Rejected(e) => row
                .int(i32::try_from(e.template.0).unwrap_or(i32::MAX))
                .small_of(e.code.0)
                .big(e.account.0)
                .big(e.series.0)
                .numeric(e.order.0)
                .null()
                .padded(&e.cl_ord_id.0)
                .numeric(e.observed.0)
                .numeric(e.allowed.0),
            Event::QuoteRefused(e) => row
                .int(MassQuote::TEMPLATE.into())
                .small_of(e.code.0)
                .big(e.account.0)
                .big(e.series.0)
                .numeric(0)
                .numeric(e.quote.0)
                .padded(&[])
                .numeric(e.observed.0)
                .numeric(e.allowed.0),
            other => unreachable!("{} is no refusal", other.name()),
        };
        row.end("a reject code")
    }

    fn day(&mut self, header: &Header, e: &DayRolled) -> Result<(), Beyond> {
        self.context.date = e.date;
        let chain = self.context.chain;
        self.row(Table::BusinessDays)
            .date(e.date)
            .big(header.seq.0)
            .at(header.time)
            .bytes(&chain.0)
            .end("a business day")
    }

    fn session(&mut self, header: &Header, event: &Event<'_>) -> Result<(), Beyond> {
        let (session, state, connection, cancel_at) = match event {
            Event::SessionEstablished(e) => (header.session, "up", e.connection, None),
            Event::SessionEnded(e) => (header.session, "down", e.connection, Some(e.cancel_at.0)),
            Event::SessionsEnded(e) => (SessionId::HOUSE, "down", ConnectionId::ZERO, Some(e.cancel_at.0)),
            other => unreachable!("{} is not about a session", other.name()),
        };
        self.row(Table::Sessions)
            .big(header.seq.0)
            .int(header.index.into())
            .at(header.time)
            .big(session.0)
            .text(state)
            .numeric(connection.0)
            .numeric_or_null(cancel_at)
            .end("a session")
    }

    /// What becomes of a series: its row, and its history.
    fn series(&mut self, frame: &Frame<'_>, event: &Event<'_>, born: Born) -> Result<(), Beyond> {
        let changed = born.seq;
        let unchanged = SeriesChange {
            changed,
            ..SeriesChange::default()
        };
        let (series, change) = match event {
            Event::SeriesDrafted(e) => {
                self.fold.draft(born, e);
                let code = e.symbol.to_string();
                self.asset(frame.header, (e.series.into(), e.currency), &code, 0)?;
                (e.series, None)
            }
            Event::EscrowPosted(e) => {
                let (state, escrow) = (Some(SeriesState::Escrowed), Some(e.escrow.0));
                (
                    e.series,
                    Some(SeriesChange {
                        state,
                        escrow,
                        ..unchanged
                    }),
                )
            }
            Event::SeriesRegistered(e) => {
                let (state, terms_hash) = (Some(SeriesState::Registered), Some(e.terms_hash));
                (
                    e.series,
                    Some(SeriesChange {
                        state,
                        terms_hash,
                        ..unchanged
                    }),
                )
            }
            Event::UnitsIssued(e) => {
                let outstanding = Some(e.outstanding.0);
                (
                    e.series,
                    Some(SeriesChange {
                        outstanding,
                        ..unchanged
                    }),
                )
            }
            Event::PhaseSet(e) => {
                let phase = Some(e.phase);
                let change = SeriesChange { phase, ..unchanged };
                (e.series, (!e.series.is_zero()).then_some(change))
            }
            Event::MarketHalted(e) => {
                let phase = Some(Phase::Halt);
                (e.series, Some(SeriesChange { phase, ..unchanged }))
            }
            Event::InstrumentSet(e) => (e.series, None),
            Event::DynamicCollarSet(e) => (e.series, None),
            other => unreachable!("{} is not about a series", other.name()),
        };
        if let Some(change) = change {
            self.fold.change_series(series, &change);
        }
        let detail = print_event(frame, &Names::new());
        self.dated(Table::SeriesHistory, frame.header)
            .big(series.0)
            .int(event.template().into())
            .text(&detail)
            .end("a series' number")
    }

    fn currencies(&mut self, header: &Header, e: &ExchangeOpened) -> Result<(), Beyond> {
        for currency in e.currencies.0.into_iter().filter(|currency| !currency.is_zero()) {
            let (code, exponent) = (currency.code().unwrap_or("?"), currency.exponent().unwrap_or(0));
            self.asset(header, (currency.into(), currency), code, exponent)?;
        }
        Ok(())
    }

    fn asset(
        &mut self,
        header: &Header,
        (asset, currency): (AssetId, Currency),
        code: &str,
        exponent: u8,
    ) -> Result<(), Beyond> {
        let mut row = self.row(Table::Assets);
        row.big(asset.0).big(header.seq.0);
        match asset.asset() {
            Asset::Cash(_) => row.text("cash").null(),
            Asset::Coupon(series) => row.text("coupon").big(series.0),
        };
        row.small_of(currency.0)
            .text(code)
            .small(exponent.into())
            .end("an asset")
    }

    fn log(&mut self, frame: &Frame<'_>) -> Result<(), Beyond> {
        let detail = print_event(frame, &Names::new());
        let header = frame.header;
        self.dated(Table::Log, header)
            .big(header.session.0)
            .int(header.template_id.into())
            .text(&detail)
            .end("a session")
    }
}
