//! A refusal: why, what was observed, what is allowed.

use crate::events::Events;
use xq_protocol::{
    AccountId, ClOrdId, Command, Count, Observed, OrderId, RejectReason, Rejected, Reserved, SeriesId,
};

/// Why a command changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub reason: RejectReason,
    pub observed: u64,
    pub allowed: u64,
}

impl From<RejectReason> for Refusal {
    fn from(reason: RejectReason) -> Refusal {
        Refusal {
            reason,
            observed: 0,
            allowed: 0,
        }
    }
}

/// Refuses with what was observed and what is allowed.
#[cold]
pub(crate) fn beyond(reason: RejectReason, observed: u64, allowed: u64) -> Refusal {
    Refusal {
        reason,
        observed,
        allowed,
    }
}

/// What a command is about, for its refusal.
#[derive(Default)]
struct Subject {
    account: AccountId,
    series: SeriesId,
    order: OrderId,
    cl_ord_id: ClOrdId,
}

fn subject(command: &Command<'_>) -> Subject {
    let none = Subject::default();
    match command {
        Command::PlaceOrder(c) => Subject {
            account: c.account,
            series: c.series,
            cl_ord_id: c.cl_ord_id,
            ..none
        },
        Command::PlaceExtendedOrder(c) => Subject {
            account: c.account,
            series: c.series,
            cl_ord_id: c.cl_ord_id,
            ..none
        },
        Command::MassQuote(c) => Subject {
            account: c.account,
            ..none
        },
        Command::SetMmp(c) => Subject {
            account: c.account,
            ..none
        },
        Command::ResetMmp(c) => Subject {
            account: c.account,
            ..none
        },
        Command::QueryLimits(c) => Subject {
            account: c.account,
            series: c.series,
            ..none
        },
        Command::BustTrade(c) => Subject {
            series: c.series,
            ..none
        },
        Command::SetExposureLimits(c) => Subject {
            account: c.account,
            ..none
        },
        Command::SetDynamicCollar(c) => Subject {
            series: c.series,
            ..none
        },
        Command::CancelOrder(c) => Subject {
            account: c.account,
            order: c.order,
            cl_ord_id: c.cl_ord_id,
            ..none
        },
        Command::ReplaceOrder(c) => {
            let named = if c.cl_ord_id.is_zero() {
                c.orig_cl_ord_id
            } else {
                c.cl_ord_id
            };
            Subject {
                account: c.account,
                order: c.order,
                cl_ord_id: named,
                ..none
            }
        }
        Command::MassCancel(c) => Subject {
            account: c.account,
            series: c.series,
            ..none
        },
        Command::OpenAccount(c) => Subject {
            account: c.account,
            ..none
        },
        Command::SetRiskLimits(c) => Subject {
            account: c.account,
            ..none
        },
        Command::SetFreeze(c) => Subject {
            account: c.account,
            ..none
        },
        Command::CreditCash(c) => Subject {
            account: c.account,
            ..none
        },
        Command::TransferUnits(c) => Subject {
            account: c.from,
            series: c.series,
            ..none
        },
        Command::SetInstrument(c) => Subject {
            series: c.series,
            ..none
        },
        Command::SetPhase(c) => Subject {
            series: c.series,
            ..none
        },
        Command::DraftSeries(c) => Subject {
            series: c.series,
            ..none
        },
        Command::PostEscrow(c) => Subject {
            series: c.series,
            ..none
        },
        Command::RegisterSeries(c) => Subject {
            series: c.series,
            ..none
        },
        Command::IssueUnits(c) => Subject {
            account: c.account,
            series: c.series,
            ..none
        },
        Command::KillSwitch(c) => Subject {
            series: c.series,
            ..none
        },
        Command::Genesis(_)
        | Command::Tick(_)
        | Command::RollDay(_)
        | Command::SessionUp(_)
        | Command::SessionDown(_)
        | Command::AllSessionsDown(_)
        | Command::SetConfig(_)
        | Command::SetKey(_)
        | Command::SetRules(_)
        | Command::Approve(_)
        | Command::RegisterParticipant(_)
        | Command::SetFeeSchedule(_) => none,
    }
}

/// Tells that a command was refused; `command` is none when its frame is no command at all.
#[cold]
pub(crate) fn tell(refusal: Refusal, template: u16, command: Option<&Command<'_>>, events: &mut Events) {
    let subject = command.map(subject).unwrap_or_default();
    events.emit(&Rejected {
        template: Count(u32::from(template)),
        code: refusal.reason.code(),
        reserved: Reserved::ZERO,
        cl_ord_id: subject.cl_ord_id,
        order: subject.order,
        account: subject.account,
        series: subject.series,
        observed: Observed(refusal.observed),
        allowed: Observed(refusal.allowed),
    });
}
