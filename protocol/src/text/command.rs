//! Commands as the line that says them; parsing that line gives the command back, byte for byte.

use super::Names;
use super::bust::write_bust;
use super::names::is_name;
use super::protect::{write_dynamic_collar, write_exposure, write_mmp, write_quote};
use super::values::{date, decimal, duration, hex, instant, label};
use crate::*;
use std::fmt::{self, Display, Write};

/// One command's line; a frame that holds none is described as such.
pub fn print_command(frame: &Frame<'_>, names: &Names) -> String {
    let mut out = String::new();
    write_command(&mut out, frame, names).expect("a String takes all that is written");
    out
}

/// Writes one command's line, without an end of line. A sequenced command names its speaker and its label, where the
/// line without them would mean another.
///
/// # Errors
/// Those of `out`.
pub fn write_command(out: &mut impl Write, frame: &Frame<'_>, names: &Names) -> fmt::Result {
    let command = match frame.command() {
        Ok(command) => command,
        Err(error) => return write!(out, "no command: {error}"),
    };
    let header = frame.header;
    write_body(out, header, &command, names)?;
    if header.seq.is_zero() {
        return Ok(());
    }
    let is_order = matches!(
        command,
        Command::PlaceOrder(_) | Command::PlaceExtendedOrder(_) | Command::ReplaceOrder(_)
    );
    if names.has_label(header.seq) && !is_order {
        write!(out, " as {}", names.command(header.seq))?;
    }
    if names.default_speaker(header, &command) != Some(header.session) {
        write!(out, " by {}", names.session(header.session))?;
    }
    Ok(())
}

fn write_body(out: &mut impl Write, header: &Header, command: &Command<'_>, names: &Names) -> fmt::Result {
    match command {
        Command::Genesis(c) => write_genesis(out, c, names),
        Command::Tick(_) if header.time.is_zero() => out.write_str("tick"),
        Command::Tick(_) => write!(out, "at {}", instant(header.time)),
        Command::RollDay(c) => write!(out, "roll-day {}", date(c.date)),
        Command::SessionUp(c) => {
            let session = names.session(header.session);
            write!(
                out,
                "session {session} up connection={} key={}",
                c.connection, c.fingerprint
            )
        }
        Command::SessionDown(c) => {
            let session = names.session(header.session);
            write!(out, "session {session} down connection={}", c.connection)
        }
        Command::AllSessionsDown(_) => out.write_str("restart"),
        Command::SetConfig(c) => {
            out.write_str("set-config")?;
            write_config(out, c)
        }
        Command::SetRules(c) => write!(out, "rules {}", c.version),
        Command::SetKey(c) => write_key(out, c, names),
        Command::Approve(c) => write_approve(out, c, names),
        Command::KillSwitch(c) => write_kill_switch(out, c, names),
        Command::SetFreeze(c) => write_freeze(out, c, names),
        Command::RegisterParticipant(c) => {
            write!(out, "participant {} {}", names.participant(c.participant), c.role)?;
            option(out, "reference", !c.reference.is_zero(), c.reference)
        }
        Command::OpenAccount(c) => {
            write!(out, "account {}", names.account(c.account))?;
            write_account_terms(out, c, names)
        }
        Command::SetRiskLimits(c) => write_limits(out, c, names),
        Command::SetFeeSchedule(c) => write_fees(out, c),
        Command::SetInstrument(c) => write_instrument(out, c, names),
        Command::SetPhase(c) => write_phase(out, c.series, c.phase, names),
        Command::DraftSeries(c) => write_draft(out, c, names),
        Command::PostEscrow(c) => {
            let amount = decimal(c.amount.0, names.currency_of(c.series));
            write!(out, "escrow {} {amount}", names.series(c.series))?;
            write!(out, " ref={} date={}", label(c.bank_ref.0), date(c.value_date))
        }
        Command::RegisterSeries(c) => write!(out, "register {}", names.series(c.series)),
        Command::IssueUnits(c) => {
            let (series, account) = (names.series(c.series), names.account(c.account));
            write!(out, "issue-units {series} {account} {}", c.qty)
        }
        Command::CreditCash(c) => {
            let amount = names.amount(c.currency.into(), c.amount);
            write!(out, "deposit {} {amount}", names.account(c.account))?;
            write!(out, " ref={} date={}", label(c.bank_ref.0), date(c.value_date))
        }
        Command::TransferUnits(c) => {
            let (from, to) = (names.account(c.from), names.account(c.to));
            write!(out, "gift {from} {to} {} {}", c.qty, names.series(c.series))
        }
        Command::PlaceOrder(c) => {
            write_place(out, c, names)?;
            write_label(out, c.cl_ord_id)
        }
        Command::PlaceExtendedOrder(c) => write_extended(out, c, names),
        Command::SetDynamicCollar(c) => write_dynamic_collar(out, c, names),
        Command::SetMmp(c) => write_mmp(out, c, names),
        Command::SetExposureLimits(c) => write_exposure(out, c, names),
        Command::MassQuote(c) => write_quote(out, c, names),
        Command::ResetMmp(c) => write!(out, "reset-protection {}", names.account(c.account)),
        Command::QueryLimits(c) => {
            write!(out, "query-limits {}", names.account(c.account))?;
            option(out, "series", !c.series.is_zero(), names.series(c.series))
        }
        Command::BustTrade(c) => write_bust(out, c, names),
        Command::CancelOrder(c) => write_cancel(out, c, names),
        Command::ReplaceOrder(c) => write_replace(out, c, names),
        Command::MassCancel(c) => {
            let account = (c.account, names.account(c.account).to_string());
            let account = if account.0.is_zero() { "*" } else { &account.1 };
            write_mass_cancel(out, account, c.series, c.sides, names)
        }
    }
}

/// ` key=value`, unless it is what it would be when left out.
pub(super) fn option(out: &mut impl Write, key: &str, told: bool, value: impl Display) -> fmt::Result {
    match told {
        true => write!(out, " {key}={value}"),
        false => Ok(()),
    }
}

fn counts(out: &mut impl Write, counts: &[(&str, Count)]) -> fmt::Result {
    counts
        .iter()
        .try_for_each(|(key, count)| option(out, key, !count.is_zero(), count))
}

fn durations(out: &mut impl Write, durations: &[(&str, Nanos)]) -> fmt::Result {
    durations
        .iter()
        .try_for_each(|(key, length)| option(out, key, !length.is_zero(), duration(*length)))
}

fn write_genesis(out: &mut impl Write, c: &Genesis, names: &Names) -> fmt::Result {
    out.write_str("genesis")?;
    option(out, "journal", !c.journal_id.is_zero(), c.journal_id)?;
    counts(
        out,
        &[
            ("rules", c.rules_version),
            ("participants", c.participants_max),
            ("accounts", c.accounts_max),
            ("series", c.series_max),
            ("balances", c.balances_max),
            ("orders", c.orders_max),
            ("sessions", c.sessions_max),
            ("level-pages", c.level_pages_max),
            ("proposals", c.proposals_max),
            ("bank-refs", c.bank_refs_max),
        ],
    )?;
    durations(
        out,
        &[
            ("proposal-ttl", c.proposal_ttl),
            ("reopen-after", c.reopen_after),
            ("disconnect-grace", c.disconnect_grace),
        ],
    )?;
    write_currencies(out, &c.currencies, names)
}

/// ` currencies=CNY,USD`: up to the last that is not zero.
pub(super) fn write_currencies(out: &mut impl Write, currencies: &Currencies, names: &Names) -> fmt::Result {
    let told = currencies
        .0
        .iter()
        .rposition(|c| !c.is_zero())
        .map_or(0, |last| last + 1);
    for (i, currency) in currencies.0.iter().take(told).enumerate() {
        let before = if i == 0 { " currencies=" } else { "," };
        write!(out, "{before}{}", names.currency(*currency))?;
    }
    Ok(())
}

pub(super) fn write_config(out: &mut impl Write, c: &SetConfig) -> fmt::Result {
    counts(
        out,
        &[
            ("participants", c.participants_max),
            ("accounts", c.accounts_max),
            ("series", c.series_max),
            ("balances", c.balances_max),
            ("orders", c.orders_max),
            ("sessions", c.sessions_max),
            ("level-pages", c.level_pages_max),
            ("bank-refs", c.bank_refs_max),
        ],
    )?;
    durations(
        out,
        &[
            ("proposal-ttl", c.proposal_ttl),
            ("reopen-after", c.reopen_after),
            ("disconnect-grace", c.disconnect_grace),
        ],
    )
}

pub(super) fn write_key(out: &mut impl Write, c: &SetKey, names: &Names) -> fmt::Result {
    let verb = match c.state {
        KeyState::Valid => "key",
        KeyState::Revoked => "revoke-key",
    };
    write!(
        out,
        "{verb} {} {}",
        names.participant(c.participant),
        c.fingerprint
    )
}

fn write_approve(out: &mut impl Write, c: &Approve, names: &Names) -> fmt::Result {
    let known = names.command(c.proposal).to_string();
    match names.has_label(c.proposal) && names.proposal(&known) == Some((c.proposal, c.hash)) {
        true => write!(out, "approve {known}"),
        false => write!(out, "approve #{} {}", c.proposal, c.hash),
    }
}

fn write_kill_switch(out: &mut impl Write, c: &KillSwitch, names: &Names) -> fmt::Result {
    let verb = match c.state {
        SwitchState::Engaged => "kill",
        SwitchState::Released => "release",
    };
    let (participant, series) = (names.participant(c.participant), names.series(c.series));
    match c.target {
        KillTarget::Participant => {
            write!(out, "{verb} participant {participant}")?;
            option(out, "series", !c.series.is_zero(), series)
        }
        KillTarget::Series => {
            write!(out, "{verb} series {series}")?;
            option(out, "participant", !c.participant.is_zero(), participant)
        }
    }
}

fn write_freeze(out: &mut impl Write, c: &SetFreeze, names: &Names) -> fmt::Result {
    let verb = match c.action {
        FreezeAction::Place => "freeze",
        FreezeAction::Lift => "unfreeze",
    };
    write!(out, "{verb} {}", names.account(c.account))?;
    option(out, "case", !c.case.is_zero(), c.case)
}

/// ` owner=bob operator=shop schedule=3`; an owner of the account's own name is not told.
pub(super) fn write_account_terms(out: &mut impl Write, c: &OpenAccount, names: &Names) -> fmt::Result {
    let same = names
        .account_name(c.account)
        .is_some_and(|name| names.participant_id(name) == Some(c.owner));
    option(out, "owner", !same, names.participant(c.owner))?;
    option(
        out,
        "operator",
        !c.operated_by.is_zero(),
        names.participant(c.operated_by),
    )?;
    option(out, "schedule", !c.schedule.is_zero(), c.schedule)
}

pub(super) fn write_limits(out: &mut impl Write, c: &SetRiskLimits, names: &Names) -> fmt::Result {
    write!(out, "limits {}", names.account(c.account))?;
    option(out, "orders", !c.open_orders_max.is_zero(), c.open_orders_max)?;
    option(out, "qty", !c.order_qty_max.is_zero(), c.order_qty_max)?;
    option(
        out,
        "order-notional",
        !c.order_notional_max.is_zero(),
        c.order_notional_max,
    )?;
    option(
        out,
        "open-notional",
        !c.open_notional_max.is_zero(),
        c.open_notional_max,
    )
}

pub(super) fn write_fees(out: &mut impl Write, c: &SetFeeSchedule) -> fmt::Result {
    write!(out, "fees {}", c.schedule)?;
    option(out, "taker", !c.taker.is_zero(), c.taker)?;
    option(out, "maker", !c.maker.is_zero(), c.maker)
}

pub(super) fn write_instrument(out: &mut impl Write, c: &SetInstrument, names: &Names) -> fmt::Result {
    write!(out, "instrument {}", names.series(c.series))?;
    option(out, "min", !c.qty_min.is_zero(), c.qty_min)?;
    option(out, "max", !c.qty_max.is_zero(), c.qty_max)?;
    option(out, "collar", !c.collar.is_zero(), c.collar)?;
    let reference = decimal(c.reference.0, names.currency_of(c.series));
    option(out, "reference", !c.reference.is_zero(), reference)
}

pub(super) fn write_phase(
    out: &mut impl Write,
    series: SeriesId,
    phase: Phase,
    names: &Names,
) -> fmt::Result {
    match series.is_zero() {
        true => write!(out, "phase venue {phase}"),
        false => write!(out, "phase {} {phase}", names.series(series)),
    }
}

fn write_draft(out: &mut impl Write, c: &DraftSeries, names: &Names) -> fmt::Result {
    let symbol = label(c.symbol.0).to_string();
    let called = names.series_name(c.series);
    match called {
        // A symbol that cannot be a name stands as an option beside the number.
        None if !is_name(&symbol) => write!(out, "draft #{}", c.series)?,
        None => write!(out, "draft {symbol}")?,
        Some(name) => write!(out, "draft {name}")?,
    }
    write!(
        out,
        " {} {}",
        names.participant(c.issuer),
        names.currency(c.currency)
    )?;
    let numbered = called.is_none() && !is_name(&symbol);
    option(out, "id", called.is_none() && !numbered, c.series)?;
    let told = called.map_or(numbered && !c.symbol.0.iter().all(|b| *b == 0), |name| {
        name != symbol
    });
    option(out, "symbol", told, &symbol)?;
    let price = |price: Price| decimal(price.0, Some(c.currency));
    option(out, "face", !c.face.is_zero(), price(c.face))?;
    option(out, "tick", !c.tick.is_zero(), price(c.tick))?;
    option(out, "lot", !c.lot.is_zero(), c.lot)?;
    option(out, "redeem", !c.redeem_value.is_zero(), price(c.redeem_value))?;
    option(out, "cap", !c.issue_cap.is_zero(), c.issue_cap)?;
    option(out, "from", !c.valid_from.is_zero(), instant(c.valid_from))?;
    option(out, "to", !c.valid_to.is_zero(), instant(c.valid_to))?;
    option(out, "terms", !c.terms_hash.is_zero(), hex(&c.terms_hash.0))
}

fn write_place(out: &mut impl Write, c: &PlaceOrder, names: &Names) -> fmt::Result {
    let (account, series) = (names.account(c.account), names.series(c.series));
    write!(out, "{} {account} {} {series}", c.side, c.qty)?;
    let limit = decimal(c.limit.0, names.currency_of(c.series));
    match c.order_type {
        OrderType::Limit => write!(out, " @ {limit}")?,
        OrderType::Market | OrderType::Stop if c.limit.is_zero() => write!(out, " {}", c.order_type)?,
        OrderType::Market | OrderType::Stop | OrderType::StopLimit => {
            write!(out, " {} @ {limit}", c.order_type)?;
        }
    }
    if c.tif != TimeInForce::Gtc {
        write!(out, " {}", c.tif)?;
    }
    option(out, "expire", !c.expire_at.is_zero(), instant(c.expire_at))?;
    if c.execution != Execution::Any {
        write!(out, " {}", c.execution)?;
    }
    if c.on_disconnect == OnDisconnect::Persist {
        out.write_str(" persist")?;
    }
    Ok(())
}

/// An order with further terms; one without any says so, or the line would mean the plain command.
fn write_extended(out: &mut impl Write, c: &PlaceExtendedOrder, names: &Names) -> fmt::Result {
    write_place(out, &c.plain(), names)?;
    out.write_str(" extended")?;
    let stop = decimal(c.stop.0, names.currency_of(c.series));
    option(out, "at", !c.stop.is_zero(), stop)?;
    option(out, "min", !c.min_qty.is_zero(), c.min_qty)?;
    option(out, "show", !c.display_qty.is_zero(), c.display_qty)?;
    let prevents = c.self_trade != SelfTradePrevention::CancelNewest;
    option(out, "self-trade", prevents, c.self_trade)?;
    write_label(out, c.cl_ord_id)
}

fn write_label(out: &mut impl Write, cl_ord_id: ClOrdId) -> fmt::Result {
    match cl_ord_id.is_zero() {
        true => Ok(()),
        false => write!(out, " as {}", label(cl_ord_id.0)),
    }
}

/// `b1`, `#5`, or both.
fn write_order(out: &mut impl Write, order: OrderId, cl_ord_id: ClOrdId) -> fmt::Result {
    match (order.is_zero(), cl_ord_id.is_zero()) {
        (_, true) => write!(out, " #{order}"),
        (true, false) => write!(out, " {}", label(cl_ord_id.0)),
        (false, false) => write!(out, " {} order=#{order}", label(cl_ord_id.0)),
    }
}

fn write_cancel(out: &mut impl Write, c: &CancelOrder, names: &Names) -> fmt::Result {
    let account = names.account(c.account);
    match c.reduce_qty.is_zero() {
        true => {
            write!(out, "cancel {account}")?;
            write_order(out, c.order, c.cl_ord_id)
        }
        false => {
            write!(out, "reduce {account}")?;
            write_order(out, c.order, c.cl_ord_id)?;
            write!(out, " by {}", c.reduce_qty)
        }
    }
}

fn write_replace(out: &mut impl Write, c: &ReplaceOrder, names: &Names) -> fmt::Result {
    write!(out, "replace {}", names.account(c.account))?;
    write_order(out, c.order, c.orig_cl_ord_id)?;
    let currency = names.currency_of_order(c.account, c.order, c.orig_cl_ord_id);
    write!(out, " {} @ {}", c.total_qty, decimal(c.limit.0, currency))?;
    write_label(out, c.cl_ord_id)
}

fn write_mass_cancel(
    out: &mut impl Write,
    account: &str,
    series: SeriesId,
    sides: Sides,
    names: &Names,
) -> fmt::Result {
    write!(out, "mass-cancel {account}")?;
    if !series.is_zero() {
        write!(out, " {}", names.series(series))?;
    }
    match sides {
        Sides::Both => Ok(()),
        Sides::Buys | Sides::Sells => write!(out, " {sides}"),
    }
}
