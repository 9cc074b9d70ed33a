//! `xq explain ORDER`: an order's life: what was said, what followed, when, and which amounts moved.

use super::at_rest::{Beside, Folder};
use super::dump::{followed, said};
use super::{Ended, say};
use crate::exit::Exit;
use crate::recovery::frame_of;
use std::collections::BTreeSet;
use xq_protocol::text::Names;
use xq_protocol::{ClOrdId, Event, OrderId};

/// Tells an order's life; may run beside the exchange.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// The order: its number, or its client's id, under which all orders are told that ever bore it.
    order: String,
    #[command(flatten)]
    folder: Folder,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Ended> {
        let found = self.folder.open(Beside::Running)?;
        let last = found.commands.last_seq;
        let mut sought = Sought::of(&self.order);
        let mut commands = found.reader()?;
        let mut events = found.events.reader()?;
        let (mut names, mut steps) = (Names::new(), 0);
        loop {
            let seq = commands.next_seq();
            let Some(bytes) = commands.next_command(last)? else {
                break;
            };
            let frame = frame_of(bytes, seq)?;
            let mut lines = vec![said(&frame, &names)];
            names.learn(&frame);
            while events.cursor().seq == seq {
                let Some(bytes) = events.next_event()? else {
                    break;
                };
                let event = frame_of(bytes, seq)?;
                names.learn(&event);
                let fact = event.event().ok();
                if fact.is_some_and(|fact| sought.is_met_by(&fact)) {
                    lines.push(followed(&event, &names));
                }
                if let Some(Event::OrderAccepted(accepted)) = fact.filter(|fact| sought.is_met_by(fact)) {
                    lines.push(format!("    its number is {}", accepted.order));
                }
            }
            if lines.len() > 1 {
                say::line(lines.join("\n"))?;
                steps += 1;
            }
        }
        if steps == 0 {
            let error = anyhow::anyhow!("no event names order {}", self.order);
            return Err(Ended::with(Exit::Refused, error));
        }
        Ok(())
    }
}

/// The orders whose life is told.
struct Sought {
    orders: BTreeSet<OrderId>,
    label: Option<ClOrdId>,
}

impl Sought {
    fn of(text: &str) -> Sought {
        let number: Option<u64> = text.parse().ok();
        Sought {
            orders: number.map(OrderId).into_iter().collect(),
            label: ClOrdId::from_text(text),
        }
    }

    /// Whether an event is part of it; learns which orders bear the client's id.
    fn is_met_by(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::OrderAccepted(e) if Some(e.cl_ord_id) == self.label => {
                self.orders.insert(e.order);
                true
            }
            event => self.orders.iter().any(|order| concerns(event, *order)),
        }
    }
}

/// Whether an event is part of the order's life.
fn concerns(event: &Event<'_>, order: OrderId) -> bool {
    match event {
        Event::OrderAccepted(e) => e.order == order,
        Event::Traded(e) => e.maker_order == order || e.taker_order == order,
        Event::Executed(e) => e.order == order,
        Event::ExecutionBusted(e) => e.order == order,
        Event::TradeBusted(e) => e.maker_order == order || e.taker_order == order,
        Event::OrderCanceled(e) => e.order == order,
        Event::OrderReplaced(e) => e.order == order,
        Event::OrderRested(e) => e.order == order,
        Event::OrderReduced(e) => e.order == order,
        Event::TermsAccepted(e) => e.order == order,
        Event::StopTriggered(e) => e.order == order,
        Event::OrderRefreshed(e) => e.order == order,
        Event::Rejected(e) => e.order == order,
        // About no single order.
        Event::MassCanceled(_)
        | Event::MmpTripped(_)
        | Event::QuoteAnswered(_)
        | Event::QuoteRefused(_)
        | Event::MmpReset(_)
        | Event::LimitsTold(_)
        | Event::DynamicCollarSet(_)
        | Event::MarketHalted(_)
        | Event::MmpSet(_)
        | Event::ExposureLimitsSet(_)
        | Event::JobEnded(_)
        | Event::ExchangeOpened(_)
        | Event::TimeAdvanced(_)
        | Event::DayRolled(_)
        | Event::SessionEstablished(_)
        | Event::SessionEnded(_)
        | Event::SessionsEnded(_)
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
        | Event::FreezeSet(_)
        | Event::BalanceFrozen(_)
        | Event::ParticipantRegistered(_)
        | Event::AccountOpened(_)
        | Event::RiskLimitsSet(_)
        | Event::FeeScheduleSet(_)
        | Event::InstrumentSet(_)
        | Event::PhaseSet(_)
        | Event::SeriesDrafted(_)
        | Event::EscrowPosted(_)
        | Event::SeriesRegistered(_)
        | Event::UnitsIssued(_)
        | Event::CashCredited(_)
        | Event::UnitsTransferred(_) => false,
    }
}
