//! Whether trades that were undone happened as the commands that undid them say.
//!
//! The engine keeps no trades: two people of the house have vouched for the facts. The event journal has the trade's own
//! event, with which they are compared when a journal is verified.

use crate::exit::Failure;
use crate::recovery::frame_of;
use xq_journal::{Error, EventReader};
use xq_protocol::{BustTrade, Count, Event, Seq};

/// What undoes the trade that is this event of a command; none where it is no trade or not there.
///
/// # Errors
/// What the journal's reader refuses.
pub(crate) fn undoing(
    events: &mut EventReader,
    (seq, index): (Seq, Count),
) -> Result<Option<BustTrade>, Failure> {
    match events.seek(seq) {
        Err(Error::NotFound { .. }) => return Ok(None),
        sought => sought?,
    }
    while events.cursor().seq == seq {
        let Some(bytes) = events.next_event()? else { break };
        let frame = frame_of(bytes, seq)?;
        if let Ok(Event::Traded(traded)) = frame.event()
            && Count(frame.header.index.into()) == index
        {
            return Ok(Some(BustTrade::of(frame.header, traded)));
        }
    }
    Ok(None)
}

/// What a trade's own event says of its undoing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// It was traded as it was undone.
    Equal,
    /// It is archived or lost.
    Gone,
    /// It was not.
    Differs(String),
}

/// Compares a trade that a command undid with the trade's own event.
///
/// # Errors
/// What the journal's reader refuses.
pub(crate) fn compare(
    events: &mut EventReader,
    (by, undone): &(Seq, BustTrade),
) -> Result<Compared, Failure> {
    let (trade, index) = (undone.trade, undone.index);
    if trade < events.oldest()? || matches!(events.seek(trade), Err(Error::NotFound { .. })) {
        return Ok(Compared::Gone);
    }
    let what = match undoing(events, (trade, index))? {
        Some(traded) if traded == *undone => return Ok(Compared::Equal),
        Some(_) => "whose own event says otherwise",
        None => "which is no trade",
    };
    Ok(Compared::Differs(format!(
        "command {by} undid {trade}/{index}, {what}"
    )))
}
