//! `xq explain ORDER`: an order's life: what was said, what followed, when, and which amounts moved.

use super::Ended;
use super::at_rest::{Beside, Folder};
use super::dump::{followed, said};
use crate::exit::Exit;
use crate::recovery::frame_of;
use std::sync::Arc;
use xq_journal::{CommandReader, Verify};
use xq_protocol::text::Names;
use xq_protocol::{Event, OrderId, Seq};

/// Tells an order's life; may run beside the exchange.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// The order's number.
    order: u64,
    #[command(flatten)]
    folder: Folder,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Ended> {
        let found = self.folder.open(Beside::Running)?;
        let (last, order) = (found.commands.last_seq, OrderId(self.order));
        let mut commands = CommandReader::open(Arc::clone(&found.storage), Verify::Order, Seq(1))?;
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
                if event.event().is_ok_and(|event| concerns(&event, order)) {
                    lines.push(followed(&event, &names));
                }
            }
            if lines.len() > 1 {
                println!("{}", lines.join("\n"));
                steps += 1;
            }
        }
        if steps == 0 {
            let error = anyhow::anyhow!("no event names order {order}");
            return Err(Ended::with(Exit::Refused, error));
        }
        Ok(())
    }
}

/// Whether an event is part of the order's life.
fn concerns(event: &Event<'_>, order: OrderId) -> bool {
    match event {
        Event::OrderAccepted(e) => e.order == order,
        Event::Traded(e) => e.maker_order == order || e.taker_order == order,
        Event::Executed(e) => e.order == order,
        Event::OrderCanceled(e) => e.order == order,
        Event::OrderReplaced(e) => e.order == order,
        Event::OrderRested(e) => e.order == order,
        Event::OrderReduced(e) => e.order == order,
        Event::Rejected(e) => e.order == order,
        // The others are about no single order.
        _ => false,
    }
}
