//! Quotes, protection, collars and limits, both ways: the line that says them, and the command that a line says.

use super::Names;
use super::TextError;
use super::command::option;
use super::line::{Built, Line, built};
use super::values::{decimal, duration, instant, read_number};
use super::words::Word;
use crate::*;
use std::fmt::{self, Write};

pub(super) fn write_dynamic_collar(out: &mut impl Write, c: &SetDynamicCollar, names: &Names) -> fmt::Result {
    write!(out, "dynamic-collar {}", names.series(c.series))?;
    option(out, "width", !c.width.is_zero(), c.width)?;
    option(out, "halt", !c.halt_for.is_zero(), duration(c.halt_for))
}

pub(super) fn write_mmp(out: &mut impl Write, c: &SetMmp, names: &Names) -> fmt::Result {
    write!(out, "protection {}", names.account(c.account))?;
    option(out, "trades", !c.trades_max.is_zero(), c.trades_max)?;
    option(out, "qty", !c.qty_max.is_zero(), c.qty_max)?;
    option(out, "notional", !c.notional_max.is_zero(), c.notional_max)?;
    option(out, "window", !c.window.is_zero(), duration(c.window))
}

pub(super) fn write_exposure(out: &mut impl Write, c: &SetExposureLimits, names: &Names) -> fmt::Result {
    write!(out, "exposure {}", names.account(c.account))?;
    option(out, "position", !c.position_max.is_zero(), c.position_max)?;
    option(out, "daily", !c.daily_max.is_zero(), c.daily_max)
}

/// `quote mm COFFEE:10@25.00/12@26.00 TEA:0@0.00/5@9.00 quote=7`: up to the last leg that says anything.
pub(super) fn write_quote(out: &mut impl Write, c: &MassQuote, names: &Names) -> fmt::Result {
    write!(out, "quote {}", names.account(c.account))?;
    let legs = c.legs();
    let told = legs
        .iter()
        .rposition(|leg| *leg != QuoteLeg::default())
        .map_or(0, |last| last + 1);
    for leg in &legs[..told] {
        let currency = names.currency_of(leg.series);
        write!(
            out,
            " {}:{}@{}/{}@{}",
            names.series(leg.series),
            leg.bid_qty,
            decimal(leg.bid.0, currency),
            leg.ask_qty,
            decimal(leg.ask.0, currency)
        )?;
    }
    option(out, "quote", !c.quote.is_zero(), c.quote)
}

/// What follows from quotes, protection, collars and limits.
pub(super) fn write_protection(out: &mut impl Write, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::QuoteAnswered(e) => write!(
            out,
            "quote {} of {}, quoted {} withdrawn {} refused {}",
            e.quote,
            names.account(e.account),
            e.quoted,
            e.withdrawn,
            e.refused
        ),
        Event::QuoteRefused(e) => {
            let reason = RejectReason::from_code(e.code);
            let reason = reason.map_or_else(|| e.code.to_string(), |reason| reason.to_string());
            write!(
                out,
                "quote refused {} {} {reason}",
                names.series(e.series),
                e.side
            )?;
            match e.observed.is_zero() && e.allowed.is_zero() {
                true => Ok(()),
                false => write!(out, ", observed {}, allowed {}", e.observed, e.allowed),
            }
        }
        Event::MmpTripped(e) => write!(
            out,
            "protection of {} set off, trades {} coupons {} notional {}",
            names.account(e.account),
            e.trades,
            e.qty,
            e.notional
        ),
        Event::MmpReset(e) => write!(out, "protection of {} reset", names.account(e.account)),
        Event::LimitsTold(e) => write_limits_told(out, e, names),
        Event::MarketHalted(e) => {
            let price = |price: Price| decimal(price.0, Some(e.currency));
            write!(
                out,
                "halted {}, {} lies outside {} to {}",
                names.series(e.series),
                price(e.price),
                price(e.low),
                price(e.high)
            )?;
            match e.reopen_at.is_zero() {
                true => Ok(()),
                false => write!(out, ", reopens at {}", instant(e.reopen_at)),
            }
        }
        Event::DynamicCollarSet(e) => {
            let (series, width, halt_for) = (e.series, e.width, e.halt_for);
            let set = SetDynamicCollar {
                series,
                width,
                halt_for,
            };
            write_dynamic_collar(out, &set, names)
        }
        Event::MmpSet(e) => {
            let set = SetMmp {
                account: e.account,
                trades_max: e.trades_max,
                qty_max: e.qty_max,
                notional_max: e.notional_max,
                window: e.window,
            };
            write_mmp(out, &set, names)
        }
        Event::ExposureLimitsSet(e) => {
            let set = SetExposureLimits {
                account: e.account,
                reserved: Reserved::ZERO,
                position_max: e.position_max,
                daily_max: e.daily_max,
            };
            write_exposure(out, &set, names)
        }
        other => out.write_str(other.name()),
    }
}

/// ` orders 2 of 10`, and ` orders 2` where there is no limit.
fn write_use(out: &mut impl Write, what: &str, used: u64, max: u64) -> fmt::Result {
    match max {
        0 => write!(out, ", {what} {used}"),
        max => write!(out, ", {what} {used} of {max}"),
    }
}

fn write_limits_told(out: &mut impl Write, e: &LimitsTold, names: &Names) -> fmt::Result {
    write!(out, "limits of {}", names.account(e.account))?;
    write_use(
        out,
        "open orders",
        e.open_orders.0.into(),
        e.open_orders_max.0.into(),
    )?;
    write_use(out, "open notional", e.open_notional.0, e.open_notional_max.0)?;
    write_use(out, "traded and open", e.traded.0, e.daily_max.0)?;
    if e.series.is_zero() {
        return Ok(());
    }
    write_use(out, "position", e.position.0, e.position_max.0)
}

const LEG: &str = "a leg: SERIES:QTY@BID/QTY@ASK, a side of quantity 0 withdraws it";

impl Line<'_, '_> {
    /// `dynamic-collar COFFEE width=500 halt=30s`
    pub(super) fn set_dynamic_collar(&mut self) -> Built {
        built(&SetDynamicCollar {
            series: self.series()?,
            width: Bps(self.number("width")?),
            halt_for: self.duration("halt")?,
        })
    }

    /// `protection mm trades=5 qty=100 notional=1000000 window=1s`
    pub(super) fn set_mmp(&mut self) -> Built {
        built(&SetMmp {
            account: self.account()?,
            trades_max: self.count("trades")?,
            qty_max: Amount(self.number("qty")?),
            notional_max: Amount(self.number("notional")?),
            window: self.duration("window")?,
        })
    }

    /// `exposure alice position=100 daily=1000000`
    pub(super) fn set_exposure_limits(&mut self) -> Built {
        built(&SetExposureLimits {
            account: self.account()?,
            reserved: Reserved::ZERO,
            position_max: Amount(self.number("position")?),
            daily_max: Amount(self.number("daily")?),
        })
    }

    /// `reset-protection mm`
    pub(super) fn reset_mmp(&mut self) -> Built {
        built(&ResetMmp {
            account: self.account()?,
            reserved: Reserved::ZERO,
        })
    }

    /// `query-limits alice series=COFFEE`
    pub(super) fn query_limits(&mut self) -> Built {
        let account = self.account()?;
        let series = match self.words.option("series") {
            Some(word) => self.series_of(word)?,
            None => SeriesId::ZERO,
        };
        built(&QueryLimits { account, series })
    }

    /// `quote mm COFFEE:10@25.00/12@26.00 quote=7`
    pub(super) fn mass_quote(&mut self) -> Built {
        let account = self.account()?;
        let quote = QuoteId(self.number("quote")?);
        let mut legs = [QuoteLeg::default(); LEGS];
        let mut next = legs.iter_mut();
        while self.words.peek().is_some_and(|word| word.text.contains(':')) {
            let word = self.words.take(LEG)?;
            let place = next.next();
            *word.expect(place, "at most sixteen legs")? = self.leg_of(word)?;
        }
        built(&MassQuote::of(account, quote, &legs))
    }

    fn leg_of(&self, word: Word<'_>) -> Result<QuoteLeg, TextError> {
        let part = |text| Word { text, ..word };
        let (series, sides) = word.expect(word.text.split_once(':'), LEG)?;
        let series = self.series_of(part(series))?;
        let currency = self.names.currency_of(series);
        let side = |text: &str| {
            let (qty, price) = word.expect(text.split_once('@'), LEG)?;
            let qty = Qty(word.expect(read_number(qty), LEG)?);
            let price = Price(self.money_of(Word { text: price, ..word }, currency)?);
            Ok((qty, price))
        };
        let (bid, ask) = word.expect(sides.split_once('/'), LEG)?;
        let ((bid_qty, bid), (ask_qty, ask)) = (side(bid)?, side(ask)?);
        Ok(QuoteLeg {
            series,
            bid_qty,
            ask_qty,
            bid,
            ask,
        })
    }
}
