//! Parsing of what participants and their bank say: orders, cancels, gifts, money.

use super::TextError;
use super::line::{Built, Line, built};
use super::values::{read_label, read_number};
use crate::*;

impl Line<'_, '_> {
    /// `buy alice 15 COFFEE @ 27.00 ioc as b1`
    pub(super) fn place_order(&mut self, side: Side) -> Built {
        let account = self.account()?;
        let qty = self.qty()?;
        let series = self.series()?;
        let currency = self.names.currency_of(series);
        let order_type = self.flagged(OrderType::ALL, OrderType::text, OrderType::Limit);
        let limit = match (self.words.pair("@", |_| true)?, order_type) {
            (Some(word), _) => Price(self.money_of(word, currency)?),
            (None, OrderType::Market | OrderType::Stop) => Price::ZERO,
            (None, OrderType::Limit | OrderType::StopLimit) => {
                return Err(self.words.missing("`@` and a price, or `market`, or `stop`"));
            }
        };
        let plain = PlaceOrder {
            account,
            series,
            qty,
            side,
            order_type,
            tif: self.time_in_force()?,
            execution: self.flagged(Execution::ALL, Execution::text, Execution::Any),
            limit,
            expire_at: self.instant("expire")?,
            cl_ord_id: self.cl_ord_id(),
            on_disconnect: self.flagged(&[OnDisconnect::Persist], OnDisconnect::text, OnDisconnect::Cancel),
            reserved: Reserved::ZERO,
        };
        self.with_terms(&plain, currency)
    }

    /// `extended at=26.00 min=5 show=10 self-trade=decrement`: any of these words makes it the extended command.
    fn with_terms(&mut self, plain: &PlaceOrder, currency: Option<Currency>) -> Built {
        let extended = self.words.flag("extended").is_some();
        let stop = self.price("at", currency)?;
        let (min_qty, display_qty) = (Qty(self.number("min")?), Qty(self.number("show")?));
        let self_trade = match self.words.option("self-trade") {
            Some(word) => {
                let expected = "cancel-newest, cancel-oldest, cancel-both or decrement";
                Some(word.expect(SelfTradePrevention::from_text(word.text), expected)?)
            }
            None => None,
        };
        let has_terms = !stop.is_zero() || !min_qty.is_zero() || !display_qty.is_zero();
        if !extended && !has_terms && self_trade.is_none() {
            return built(plain);
        }
        built(&PlaceExtendedOrder {
            account: plain.account,
            series: plain.series,
            qty: plain.qty,
            side: plain.side,
            order_type: plain.order_type,
            tif: plain.tif,
            execution: plain.execution,
            limit: plain.limit,
            expire_at: plain.expire_at,
            cl_ord_id: plain.cl_ord_id,
            on_disconnect: plain.on_disconnect,
            self_trade: self_trade.unwrap_or(SelfTradePrevention::CancelNewest),
            reserved: Reserved::ZERO,
            min_qty,
            display_qty,
            reserved2: Reserved::ZERO,
            stop,
        })
    }

    /// The choice whose word stands in the line, else the one that goes without saying.
    fn flagged<T: Copy>(&mut self, all: &[T], text: fn(T) -> &'static str, else_it_is: T) -> T {
        let named = all
            .iter()
            .find(|choice| self.words.flag(text(**choice)).is_some());
        named.copied().unwrap_or(else_it_is)
    }

    /// `tif=ioc`, or just `ioc`.
    fn time_in_force(&mut self) -> Result<TimeInForce, TextError> {
        if let Some(word) = self.words.option("tif") {
            return word.expect(TimeInForce::from_text(word.text), "gtc, day, gtd, ioc or fok");
        }
        let named = TimeInForce::ALL
            .iter()
            .find(|tif| self.words.flag(tif.text()).is_some());
        Ok(named.copied().unwrap_or(TimeInForce::Gtc))
    }

    /// An order by its label or `#number`; `order=#number` beside a label gives both.
    fn order(&mut self) -> Result<(OrderId, ClOrdId), TextError> {
        let expected = "an order: its label, or `#` and its number";
        let word = self.words.take(expected)?;
        if let Some(digits) = word.text.strip_prefix('#') {
            return Ok((
                OrderId(word.expect(read_number(digits), expected)?),
                ClOrdId::ZERO,
            ));
        }
        let cl_ord_id = ClOrdId(word.expect(read_label(word.text), expected)?);
        let order = match self.words.option("order") {
            Some(word) => word.expect(
                word.text.strip_prefix('#').and_then(read_number),
                "`#` and an order's number",
            )?,
            None => 0,
        };
        Ok((OrderId(order), cl_ord_id))
    }

    /// `cancel alice b1`
    pub(super) fn cancel_order(&mut self) -> Built {
        let account = self.account()?;
        let (order, cl_ord_id) = self.order()?;
        built(&CancelOrder {
            account,
            reduce_qty: Qty::ZERO,
            order,
            cl_ord_id,
        })
    }

    /// `reduce alice b1 by 5`
    pub(super) fn reduce_order(&mut self) -> Built {
        let account = self.account()?;
        let (order, cl_ord_id) = self.order()?;
        let by = self.words.take("`by` and a quantity")?;
        by.expect((by.text == "by").then_some(()), "`by` and a quantity")?;
        let reduce_qty = self.qty()?;
        built(&CancelOrder {
            account,
            reduce_qty,
            order,
            cl_ord_id,
        })
    }

    /// `replace alice b1 12 @ 26.00 as b2`
    pub(super) fn replace_order(&mut self) -> Built {
        let account = self.account()?;
        let (order, orig_cl_ord_id) = self.order()?;
        let total_qty = self.qty()?;
        let Some(price) = self.words.pair("@", |_| true)? else {
            return Err(self.words.missing("`@` and a price"));
        };
        let currency = self.names.currency_of_order(account, order, orig_cl_ord_id);
        let limit = Price(self.money_of(price, currency)?);
        built(&ReplaceOrder {
            account,
            total_qty,
            order,
            limit,
            orig_cl_ord_id,
            cl_ord_id: self.cl_ord_id(),
        })
    }

    /// `mass-cancel alice COFFEE buys`, `mass-cancel * by alice`
    pub(super) fn mass_cancel(&mut self) -> Built {
        let word = self.words.take("an account, or `*` for all")?;
        let account = match word.text {
            "*" => AccountId::ZERO,
            _ => self.account_of(word)?,
        };
        let mut sides = Sides::Both;
        for choice in Sides::ALL {
            if self.words.flag(choice.text()).is_some() {
                sides = *choice;
            }
        }
        let mut series = SeriesId::ZERO;
        if self.next_is_word() {
            let word = self.words.take("a series, or `*` for all")?;
            if word.text != "*" {
                series = self.series_of(word)?;
            }
        }
        built(&MassCancel {
            account,
            series,
            sides,
            reserved: Reserved::ZERO,
        })
    }

    /// `gift alice bob 5 COFFEE`
    pub(super) fn transfer_units(&mut self) -> Built {
        let (from, to) = (self.account()?, self.account()?);
        let qty = self.qty()?;
        let series = self.series()?;
        built(&TransferUnits {
            from,
            to,
            series,
            qty,
        })
    }

    /// `deposit alice 1000.00 CNY ref=R1 date=2026-01-02`
    pub(super) fn credit_cash(&mut self) -> Built {
        let account = self.account()?;
        let amount = self.words.take("an amount")?;
        let currency = match self.next_is_word() {
            true => self
                .words
                .take("a currency")
                .and_then(|word| self.currency_of(word))?,
            false => match self.names.home() {
                Some(home) => home,
                None => return Err(self.words.missing("a currency: the venue's first is not known")),
            },
        };
        built(&CreditCash {
            account,
            currency,
            reserved: Reserved::ZERO,
            amount: Amount(self.money_of(amount, Some(currency))?),
            bank_ref: self.bank_ref()?,
            value_date: self.value_date()?,
            reserved2: Reserved::ZERO,
        })
    }

    /// `escrow COFFEE 800000.00 ref=R2 date=2026-01-02`
    pub(super) fn post_escrow(&mut self) -> Built {
        let series = self.series()?;
        let currency = self.names.currency_of(series);
        built(&PostEscrow {
            series,
            reserved: Reserved::ZERO,
            amount: Amount(self.money(currency)?),
            bank_ref: self.bank_ref()?,
            value_date: self.value_date()?,
            reserved2: Reserved::ZERO,
        })
    }
}
