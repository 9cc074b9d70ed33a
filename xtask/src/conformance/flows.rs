//! The flows come out as pinned: SHA-256 and mix of the first million commands of each.

use super::Count;
use std::path::Path;
use xq_perf::flow::{Flow, FlowName, Mix, lobster, pins};
use xq_perf::lobster::read_messages;

/// Builds every flow and compares it with its pin.
pub fn pinned(data: &Path) -> anyhow::Result<Vec<Count>> {
    let messages = read_messages(&data.join(super::lobster::AAPL_MESSAGES))?;
    let mut counts = Vec::new();
    for pin in pins::FULL {
        let flow = match FlowName::from_text(pin.flow) {
            Some(name) => name.build(pin.commands),
            None => lobster(&messages, pin.commands),
        };
        let mut count = Count::new(describe(&flow), 1);
        let outcome = pin.check(&flow);
        count.require(outcome.is_ok(), || outcome.err().unwrap_or_default());
        counts.push(count);
    }
    Ok(counts)
}

/// The name of a flow and its mix in parts of a thousand commands.
fn describe(flow: &Flow) -> String {
    let Mix {
        gtc,
        ioc,
        cancel,
        moved,
        reduce,
        trades,
        ..
    } = flow.mix;
    let per_mille = |count: u64| count * 1_000 / flow.mix.commands();
    let [gtc, ioc, cancel, moved, reduce, trades] = [gtc, ioc, cancel, moved, reduce, trades].map(per_mille);
    format!(
        "{}: ‰ {gtc} gtc {ioc} ioc {cancel} cancel {moved} move {reduce} reduce, {trades} trades",
        flow.name
    )
}
