//! A trade that is undone, both ways.

use super::command::option;
use super::line::{Built, Line, built};
use super::values::{decimal, read_number};
use super::{Names, TextError};
use crate::*;
use std::fmt::{self, Write};

/// How a trade is named.
const TRADE: &str =
    "a trade: its command's label, or `#` and sequence, then `/` and which of its events it is";

/// `bust t1/1` where the trade is remembered, and else with all its facts.
pub(super) fn write_bust(out: &mut impl Write, c: &BustTrade, names: &Names) -> fmt::Result {
    write!(out, "bust {}", names.trade_name(c.trade, c.index))?;
    if names.trade(c.trade, c.index) == Some(c) {
        return Ok(());
    }
    let price = decimal(c.price.0, names.currency_of(c.series));
    write!(
        out,
        " {} {} {} {price}",
        names.series(c.series),
        c.taker_side,
        c.qty
    )?;
    let maker = (c.maker_account, c.maker_order, c.maker_session, c.maker_fee);
    let taker = (c.taker_account, c.taker_order, c.taker_session, c.taker_fee);
    for (who, (account, order, session, fee)) in [("maker", maker), ("taker", taker)] {
        option(out, who, true, names.account(account))?;
        option(out, &format!("{who}-order"), !order.is_zero(), order)?;
        option(
            out,
            &format!("{who}-session"),
            session != SessionId::HOUSE,
            names.session(session),
        )?;
        option(out, &format!("{who}-fee"), fee.0 > 0, fee.0)?;
        option(out, &format!("{who}-rebate"), fee.0 < 0, fee.0.unsigned_abs())?;
    }
    Ok(())
}

/// What became of a trade, to all and to one side.
pub(super) fn write_busted(out: &mut impl Write, event: &Event<'_>, names: &Names) -> fmt::Result {
    let (trade, index, qty, price, currency) = match event {
        Event::TradeBusted(e) => (e.trade, e.index, e.qty, e.price, e.currency),
        Event::ExecutionBusted(e) => (e.trade, e.index, e.qty, e.price, e.currency),
        other => return out.write_str(other.name()),
    };
    let price = decimal(price.0, Some(currency));
    write!(out, "busted {}, {qty} @ {price}", names.trade_name(trade, index))?;
    if let Event::ExecutionBusted(e) = event {
        write!(out, ", {}", e.liquidity)?;
    }
    Ok(())
}

impl Names {
    /// `t1/1`, or `#17/1`.
    fn trade_name(&self, seq: Seq, index: Count) -> String {
        format!("{}/{index}", self.command(seq))
    }
}

impl Line<'_, '_> {
    /// `bust t1/1`, or with all facts.
    pub(super) fn bust_trade(&mut self) -> Built {
        let word = self.words.take(TRADE)?;
        let (command, index) = word.expect(word.text.split_once('/'), TRADE)?;
        let seq = match command.strip_prefix('#') {
            Some(digits) => read_number(digits).map(Seq),
            None => self.names.labelled(command),
        };
        let trade = word.expect(seq, TRADE)?;
        let index = Count(word.expect(read_number(index), TRADE)?);
        if self.words.peek().is_some() {
            return self.trade_told(trade, index);
        }
        let known = "a trade that was seen, or all facts of it: series, taker's side, quantity, price, maker=, taker=";
        built(word.expect(self.names.trade(trade, index), known)?)
    }

    fn trade_told(&mut self, trade: Seq, index: Count) -> Built {
        let series = self.series()?;
        let taker_side = self.choice(Side::from_text, "the taker's side: buy or sell")?;
        let qty = self.qty()?;
        let price = Price(self.money(self.names.currency_of(series))?);
        let (maker_account, maker_session) = (self.party("maker")?, self.party_session("maker-session")?);
        let (taker_account, taker_session) = (self.party("taker")?, self.party_session("taker-session")?);
        let maker_fee = self.fee("maker-fee", "maker-rebate")?;
        let taker_fee = self.fee("taker-fee", "taker-rebate")?;
        built(&BustTrade {
            trade,
            index,
            series,
            price,
            qty,
            maker_session,
            maker_order: OrderId(self.number("maker-order")?),
            taker_order: OrderId(self.number("taker-order")?),
            maker_fee,
            taker_fee,
            maker_account,
            taker_account,
            taker_session,
            taker_side,
            reserved: Reserved::ZERO,
        })
    }

    fn party(&mut self, key: &'static str) -> Result<AccountId, TextError> {
        match self.words.option(key) {
            Some(word) => self.account_of(word),
            None => Ok(AccountId::ZERO),
        }
    }

    fn party_session(&mut self, key: &'static str) -> Result<SessionId, TextError> {
        match self.words.option(key) {
            Some(word) => self.session_of(word),
            None => Ok(SessionId::HOUSE),
        }
    }

    /// In minor units: a fee, or else a rebate.
    fn fee(&mut self, fee: &'static str, rebate: &'static str) -> Result<Fee, TextError> {
        let paid = self.number::<i64>(fee)?;
        let Some(word) = self.words.option(rebate) else {
            return Ok(Fee(paid));
        };
        let fee = read_number(word.text).and_then(|got| paid.checked_sub_unsigned(got));
        word.expect(fee, "an amount in minor units").map(Fee)
    }
}
