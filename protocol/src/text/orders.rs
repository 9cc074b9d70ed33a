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
        let order_type = match self.words.flag("market") {
            Some(_) => OrderType::Market,
            None => OrderType::Limit,
        };
        let limit = match (self.words.pair("@", |_| true)?, order_type) {
            (Some(word), _) => Price(self.money_of(word, self.names.currency_of(series))?),
            (None, OrderType::Market) => Price::ZERO,
            (None, OrderType::Limit) => return Err(self.words.missing("`@` and a price, or `market`")),
        };
        let execution = match self.words.flag("post-only") {
            Some(_) => Execution::PostOnly,
            None => Execution::Any,
        };
        let on_disconnect = match self.words.flag("persist") {
            Some(_) => OnDisconnect::Persist,
            None => OnDisconnect::Cancel,
        };
        built(&PlaceOrder {
            account,
            series,
            qty,
            side,
            order_type,
            tif: self.time_in_force()?,
            execution,
            limit,
            expire_at: self.instant("expire")?,
            cl_ord_id: self.cl_ord_id(),
            on_disconnect,
            reserved: Reserved::ZERO,
        })
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
