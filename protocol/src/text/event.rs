//! Events as one line in business words, and one line for each transfer they posted. What goes without saying is not said.

use super::Names;
use super::bust::write_busted;
use super::command::{
    option, write_account_terms, write_config, write_currencies, write_fees, write_instrument, write_key,
    write_limits, write_phase,
};
use super::names::is_free_bank_ref;
use super::protect::write_protection;
use super::values::{date, decimal, instant, label};
use crate::*;
use std::fmt::{self, Display, Write};

/// One event's lines: the fact, then its transfers, separated by ends of line, without one at the end.
pub fn print_event(frame: &Frame<'_>, names: &Names) -> String {
    let mut out = String::new();
    write_event(&mut out, frame, names).expect("a String takes all that is written");
    out
}

/// Writes one event's lines, without an end of line after the last.
///
/// # Errors
/// Those of `out`.
pub fn write_event(out: &mut impl Write, frame: &Frame<'_>, names: &Names) -> fmt::Result {
    let event = match frame.event() {
        Ok(event) => event,
        Err(error) => return write!(out, "no event: {error}"),
    };
    write_fact(out, frame.header, &event, names)?;
    event
        .transfers()
        .try_for_each(|line| write!(out, "\n{}", names.transfer(line)))
}

/// `, word value`, where there is something to say.
fn also(out: &mut impl Write, told: bool, what: &str, value: impl Display) -> fmt::Result {
    match told {
        true => write!(out, ", {what} {value}"),
        false => Ok(()),
    }
}

fn write_fact(out: &mut impl Write, header: &Header, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::OrderAccepted(_)
        | Event::Traded(_)
        | Event::Executed(_)
        | Event::ExecutionBusted(_)
        | Event::TradeBusted(_)
        | Event::OrderCanceled(_)
        | Event::OrderReplaced(_)
        | Event::OrderRested(_)
        | Event::OrderReduced(_)
        | Event::TermsAccepted(_)
        | Event::StopTriggered(_)
        | Event::OrderRefreshed(_)
        | Event::QuoteAnswered(_)
        | Event::QuoteRefused(_)
        | Event::MmpTripped(_)
        | Event::MmpReset(_)
        | Event::LimitsTold(_)
        | Event::MarketHalted(_)
        | Event::MassCanceled(_)
        | Event::Rejected(_) => write_trading(out, event, names),
        Event::JobEnded(_)
        | Event::ExchangeOpened(_)
        | Event::TimeAdvanced(_)
        | Event::DayRolled(_)
        | Event::ConfigSet(_)
        | Event::KeySet(_)
        | Event::Proposed(_)
        | Event::ProposalApproved(_)
        | Event::ProposalExpired(_) => write_control(out, header, event, names),
        Event::SessionEstablished(_)
        | Event::SessionEnded(_)
        | Event::SessionsEnded(_)
        | Event::RequestRepeated(_)
        | Event::NotApplied(_) => write_session(out, header, event, names),
        Event::KillSwitchSet(_)
        | Event::RulesSet(_)
        | Event::OutcomeEnded(_)
        | Event::FreezeSet(_)
        | Event::BalanceFrozen(_)
        | Event::ParticipantRegistered(_)
        | Event::AccountOpened(_)
        | Event::RiskLimitsSet(_)
        | Event::DynamicCollarSet(_)
        | Event::MmpSet(_)
        | Event::ExposureLimitsSet(_)
        | Event::FeeScheduleSet(_)
        | Event::InstrumentSet(_)
        | Event::PhaseSet(_) => write_reference(out, event, names),
        Event::SeriesDrafted(_)
        | Event::EscrowPosted(_)
        | Event::SeriesRegistered(_)
        | Event::UnitsIssued(_)
        | Event::CashCredited(_)
        | Event::UnitsTransferred(_) => write_assets(out, event, names),
    }
}

fn write_trading(out: &mut impl Write, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::OrderAccepted(e) => {
            match e.cl_ord_id.is_zero() {
                true => write!(out, "accepted {}", names.order(e.order))?,
                false => write!(out, "accepted {}", label(e.cl_ord_id.0))?,
            }
            let bound = decimal(e.limit.0, Some(e.currency));
            also(out, e.order_type == OrderType::Market, "bound", bound)
        }
        Event::Traded(e) => {
            let (maker, taker) = (names.order(e.maker_order), names.order(e.taker_order));
            let price = decimal(e.price.0, Some(e.currency));
            write!(out, "traded {} @ {price}, maker {maker} taker {taker}", e.qty)
        }
        Event::TradeBusted(_) | Event::ExecutionBusted(_) => write_busted(out, event, names),
        Event::Executed(e) => {
            let price = decimal(e.price.0, Some(e.currency));
            write!(
                out,
                "executed {} {} @ {price}, {}",
                names.order(e.order),
                e.qty,
                e.liquidity
            )?;
            also(out, true, "leaves", e.leaves)?;
            let fee = decimal(e.fee.0.unsigned_abs(), Some(e.currency));
            also(out, e.fee.0 > 0, "fee", &fee)?;
            also(out, e.fee.0 < 0, "rebate", &fee)
        }
        Event::OrderCanceled(e) => {
            write!(out, "canceled {} {}", names.order(e.order), e.qty)?;
            match e.reason {
                CancelReason::Requested => Ok(()),
                reason => write!(out, ", {reason}"),
            }
        }
        Event::OrderReplaced(e) => write_replaced(out, e, names),
        Event::OrderRested(e) => write!(out, "rested {} {}", names.order(e.order), e.leaves),
        Event::OrderReduced(e) => {
            write!(
                out,
                "reduced {} by {}, leaves {}",
                names.order(e.order),
                e.qty,
                e.leaves
            )
        }
        Event::TermsAccepted(e) => write_terms_accepted(out, e, names),
        Event::StopTriggered(e) => {
            let price = |price: Price| decimal(price.0, Some(e.currency));
            write!(out, "triggered {} at {}", names.order(e.order), price(e.stop))?;
            also(out, true, "limit", price(e.limit))?;
            also(out, true, "leaves", e.leaves)
        }
        Event::OrderRefreshed(e) => {
            write!(
                out,
                "refreshed {}, shows {} of {}",
                names.order(e.order),
                e.display_qty,
                e.leaves
            )
        }
        Event::MassCanceled(e) => {
            write!(out, "mass-canceled {}", e.canceled)?;
            also(out, !e.account.is_zero(), "account", names.account(e.account))?;
            also(out, !e.series.is_zero(), "series", names.series(e.series))?;
            also(out, e.sides != Sides::Both, "only", e.sides)?;
            match e.progress {
                Progress::Done => Ok(()),
                Progress::Continues => out.write_str(", continues"),
            }
        }
        Event::Rejected(e) => write_rejected(out, e, names),
        other => write_protection(out, other, names),
    }
}

fn write_terms_accepted(out: &mut impl Write, e: &TermsAccepted, names: &Names) -> fmt::Result {
    write!(out, "terms of {}", names.order(e.order))?;
    also(
        out,
        !e.stop.is_zero(),
        "stop",
        decimal(e.stop.0, Some(e.currency)),
    )?;
    also(out, !e.min_qty.is_zero(), "minimum", e.min_qty)?;
    also(out, !e.display_qty.is_zero(), "shows", e.display_qty)?;
    let prevents = e.self_trade != SelfTradePrevention::CancelNewest;
    also(out, prevents, "self-trade", e.self_trade)
}

fn write_replaced(out: &mut impl Write, e: &OrderReplaced, names: &Names) -> fmt::Result {
    let old = names.order(e.order).to_string();
    let new = label(e.cl_ord_id.0).to_string();
    let price = decimal(e.limit.0, Some(e.currency));
    write!(out, "replaced {old} {} @ {price}", e.total_qty)?;
    if !e.cl_ord_id.is_zero() && old != new {
        write!(out, " as {new}")?;
    }
    also(out, e.leaves != e.total_qty, "leaves", e.leaves)?;
    match e.standing {
        Standing::Book => Ok(()),
        Standing::Waiting => out.write_str(", waits"),
    }
}

/// What the numbers of a refusal are.
enum Measure {
    Money,
    Instant,
    Date,
    Number,
}

fn measure(reason: RejectReason, template: u32) -> Measure {
    use RejectReason as R;
    let money = [
        R::Tick,
        R::CollarStatic,
        R::CollarDynamic,
        R::PriceBounds,
        R::StopPrice,
        R::InsufficientCash,
    ];
    let more_money = [R::OrderNotional, R::OpenNotional, R::EscrowShortfall];
    if money.contains(&reason) || more_money.contains(&reason) {
        return Measure::Money;
    }
    if reason == R::ValidityPeriod && template == u32::from(RollDay::TEMPLATE) {
        return Measure::Date;
    }
    match [R::SeriesExpired, R::ExpireTime, R::ValidityPeriod].contains(&reason) {
        true => Measure::Instant,
        false => Measure::Number,
    }
}

fn write_rejected(out: &mut impl Write, e: &Rejected, names: &Names) -> fmt::Result {
    write!(out, "rejected {e}")?;
    if e.observed.is_zero() && e.allowed.is_zero() {
        return Ok(());
    }
    let reason = RejectReason::from_code(e.code);
    match reason.map_or(Measure::Number, |reason| measure(reason, e.template.0)) {
        Measure::Money => {
            let of_order = names.currency_of_known_order(e.account, e.order, e.cl_ord_id);
            let currency = names.currency_of(e.series).or(of_order);
            let shown = |n: Observed| decimal(n.0, currency);
            write!(
                out,
                ", observed {}, allowed {}",
                shown(e.observed),
                shown(e.allowed)
            )
        }
        Measure::Instant => {
            let shown = |n: Observed| instant(Nanos(n.0));
            write!(
                out,
                ", observed {}, allowed {}",
                shown(e.observed),
                shown(e.allowed)
            )
        }
        Measure::Date => {
            let shown = |n: Observed| u32::try_from(n.0).map_or(n.to_string(), |n| date(Date(n)).to_string());
            write!(
                out,
                ", observed {}, allowed after {}",
                shown(e.observed),
                shown(e.allowed)
            )
        }
        Measure::Number => write!(out, ", observed {}, allowed {}", e.observed, e.allowed),
    }
}

fn write_control(out: &mut impl Write, header: &Header, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::JobEnded(e) => {
            write!(
                out,
                "job ended {} {}, canceled {}",
                e.kind,
                names.command(e.began),
                e.canceled
            )
        }
        Event::ExchangeOpened(e) => {
            write!(out, "opened journal={} rules={}", e.journal_id, e.rules_version)?;
            write_currencies(out, &e.currencies, names)
        }
        Event::TimeAdvanced(e) => {
            write!(out, "time {}", instant(e.now))?;
            also(out, !e.jobs.is_zero(), "jobs", e.jobs)?;
            also(out, !e.open_orders.is_zero(), "open orders", e.open_orders)
        }
        Event::DayRolled(e) => write!(out, "day {}", date(e.date)),
        Event::ConfigSet(e) => {
            out.write_str("config")?;
            write_config(out, &config_of(e))
        }
        Event::KeySet(e) => {
            let (participant, purpose, state, fingerprint) =
                (e.participant, e.purpose, e.state, e.fingerprint);
            let key = SetKey {
                participant,
                purpose,
                state,
                reserved: Reserved::ZERO,
                fingerprint,
            };
            write_key(out, &key, names)
        }
        Event::Proposed(e) if names.has_label(header.seq) => {
            write!(out, "proposed {}", names.command(header.seq))
        }
        Event::Proposed(e) => {
            let (seq, hash, template) = (header.seq, e.hash, e.template);
            let named = COMMANDS
                .iter()
                .find(|c| u32::from(c.0) == template.0)
                .map_or("?", |c| c.1);
            write!(
                out,
                "proposed #{seq} {hash}, {named} by {}",
                names.participant(e.proposer)
            )?;
            also(out, true, "until", instant(e.expires_at))
        }
        Event::ProposalApproved(e) => {
            let (proposer, approver) = (names.participant(e.proposer), names.participant(e.approver));
            write!(
                out,
                "approved {}, proposer {proposer} approver {approver}",
                names.command(e.proposal)
            )
        }
        Event::ProposalExpired(e) => write!(out, "proposal expired {}", names.command(e.proposal)),
        other => out.write_str(other.name()),
    }
}

fn write_session(out: &mut impl Write, header: &Header, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::SessionEstablished(e) => {
            write!(out, "session {} up", names.session(header.session))?;
            also(out, !e.last_req_seq.is_zero(), "last request", e.last_req_seq)?;
            also(
                out,
                u64::from(e.window.0) != e.last_req_seq.0,
                "remembered",
                e.window,
            )
        }
        Event::SessionEnded(e) => {
            write!(out, "session {} down", names.session(header.session))?;
            also(out, !e.cancel_at.is_zero(), "orders end at", instant(e.cancel_at))
        }
        Event::SessionsEnded(e) => {
            write!(out, "restarted, sessions {}", e.sessions)?;
            also(out, !e.cancel_at.is_zero(), "orders end at", instant(e.cancel_at))?;
            also(
                out,
                !e.reopen_at.is_zero(),
                "markets reopen at",
                instant(e.reopen_at),
            )
        }
        Event::RequestRepeated(e) => {
            write!(
                out,
                "repeated request {} of {}",
                e.req_seq,
                names.command(e.original)
            )
        }
        Event::NotApplied(e) => write!(out, "not applied {} to {}", e.from, e.to),
        other => out.write_str(other.name()),
    }
}

fn config_of(e: &ConfigSet) -> SetConfig {
    SetConfig {
        participants_max: e.participants_max,
        accounts_max: e.accounts_max,
        series_max: e.series_max,
        balances_max: e.balances_max,
        orders_max: e.orders_max,
        sessions_max: e.sessions_max,
        level_pages_max: e.level_pages_max,
        bank_refs_max: e.bank_refs_max,
        proposal_ttl: e.proposal_ttl,
        reopen_after: e.reopen_after,
        disconnect_grace: e.disconnect_grace,
    }
}

fn write_reference(out: &mut impl Write, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::OutcomeEnded(_) => out.write_str("outcome ended"),
        Event::RulesSet(e) => write!(out, "rules {}, before {}", e.version, e.before),
        Event::KillSwitchSet(e) => {
            let verb = match e.state {
                SwitchState::Engaged => "killed",
                SwitchState::Released => "released",
            };
            match e.target {
                KillTarget::Participant => {
                    write!(out, "{verb} participant {}", names.participant(e.participant))
                }
                KillTarget::Series => write!(out, "{verb} series {}", names.series(e.series)),
            }
        }
        Event::FreezeSet(e) => {
            let verb = match e.action {
                FreezeAction::Place => "froze",
                FreezeAction::Lift => "unfroze",
            };
            write!(out, "{verb} {}, case {}", names.account(e.account), e.case)
        }
        Event::BalanceFrozen(e) => match e.action {
            FreezeAction::Place => out.write_str("balance frozen"),
            FreezeAction::Lift => out.write_str("balance unfrozen"),
        },
        Event::ParticipantRegistered(e) => {
            write!(out, "participant {} {}", names.participant(e.participant), e.role)?;
            option(out, "reference", !e.reference.is_zero(), e.reference)
        }
        Event::AccountOpened(e) => {
            let (account, owner, operated_by, schedule) = (e.account, e.owner, e.operated_by, e.schedule);
            let terms = OpenAccount {
                account,
                owner,
                operated_by,
                schedule,
                reserved: Reserved::ZERO,
            };
            write!(out, "account {}", names.account(account))?;
            write_account_terms(out, &terms, names)
        }
        Event::RiskLimitsSet(e) => write_limits(out, &limits_of(e), names),
        Event::DynamicCollarSet(_) | Event::MmpSet(_) | Event::ExposureLimitsSet(_) => {
            write_protection(out, event, names)
        }
        Event::FeeScheduleSet(e) => {
            let (schedule, taker, maker) = (e.schedule, e.taker, e.maker);
            write_fees(
                out,
                &SetFeeSchedule {
                    schedule,
                    reserved: Reserved::ZERO,
                    taker,
                    maker,
                },
            )
        }
        Event::InstrumentSet(e) => write_instrument_set(out, e, names),
        Event::PhaseSet(e) => write_phase(out, e.series, e.phase, names),
        other => out.write_str(other.name()),
    }
}

fn write_assets(out: &mut impl Write, event: &Event<'_>, names: &Names) -> fmt::Result {
    match event {
        Event::SeriesDrafted(e) => write!(out, "drafted {}", label(e.symbol.0)),
        Event::EscrowPosted(e) => {
            write!(out, "escrow {}", names.series(e.series))?;
            also(
                out,
                e.escrow != e.amount,
                "now",
                decimal(e.escrow.0, Some(e.currency)),
            )
        }
        Event::SeriesRegistered(e) => write!(out, "registered {}", names.series(e.series)),
        Event::UnitsIssued(e) => {
            write!(out, "issued {} {}", e.units, names.series(e.series))?;
            also(out, e.outstanding != e.units, "outstanding", e.outstanding)
        }
        Event::CashCredited(e) => {
            write!(out, "credited {}", names.account(e.account))?;
            also(out, !is_free_bank_ref(e.bank_ref), "ref", label(e.bank_ref.0))
        }
        Event::UnitsTransferred(e) => {
            let (from, to) = (names.account(e.from), names.account(e.to));
            write!(
                out,
                "given {} {} by {from} to {to}",
                e.units,
                names.series(e.series)
            )
        }
        other => out.write_str(other.name()),
    }
}

fn limits_of(e: &RiskLimitsSet) -> SetRiskLimits {
    SetRiskLimits {
        account: e.account,
        open_orders_max: e.open_orders_max,
        order_qty_max: e.order_qty_max,
        reserved: Reserved::ZERO,
        order_notional_max: e.order_notional_max,
        open_notional_max: e.open_notional_max,
    }
}

fn write_instrument_set(out: &mut impl Write, e: &InstrumentSet, names: &Names) -> fmt::Result {
    let (series, qty_min, qty_max, collar, reference) =
        (e.series, e.qty_min, e.qty_max, e.collar, e.reference);
    write_instrument(
        out,
        &SetInstrument {
            series,
            qty_min,
            qty_max,
            collar,
            reference,
        },
        names,
    )?;
    let currency = names.currency_of(series);
    let (low, high) = (
        decimal(e.collar_low.0, currency),
        decimal(e.collar_high.0, currency),
    );
    also(out, !e.collar.is_zero(), "from", format_args!("{low} to {high}"))
}
