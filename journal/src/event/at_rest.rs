//! An event journal as readers find it: its whole part, and what stands behind that.

use super::hasher::EventHasher;
use super::keeper::EventPosition;
use super::reader::EventReader;
use super::recovery::{EventReport, EventsDropped, UnrecoveredEvents};
use crate::Error;
use crate::bytes::wide;
use std::sync::Arc;

/// The whole part of an event journal that nobody writes.
#[derive(Debug)]
pub struct EventsAtRest {
    found: UnrecoveredEvents,
    position: Arc<EventPosition>,
}

impl EventsAtRest {
    /// What was found, with a position at the end of its whole part.
    pub(super) fn of(found: UnrecoveredEvents, position: Arc<EventPosition>) -> Self {
        Self { found, position }
    }

    /// What was found.
    #[must_use]
    pub fn report(&self) -> EventReport {
        self.found.report()
    }

    /// What stands behind the whole part: a start will drop it and make its events again.
    #[must_use]
    pub fn unfit(&self) -> Option<EventsDropped> {
        self.found.dropped()
    }

    /// The files that hold the whole part, and how many bytes of each do.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let Some(end) = self.found.scan.end else {
            return Vec::new();
        };
        let whole = self.found.segments.iter().take(end.view + 1).enumerate();
        whole
            .map(|(view, found)| {
                let used = if view == end.view {
                    end.offset
                } else {
                    found.map.length()
                };
                (found.name.clone(), wide(used))
            })
            .collect()
    }

    /// The hasher after the last event, to go on with those that are missing.
    #[must_use]
    pub fn hasher(&self) -> EventHasher {
        self.found.scan.hasher.clone()
    }

    /// A reader that stands before the first event, or the first that no snapshot covers, and ends after the last whole
    /// command.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn reader(&self) -> Result<EventReader, Error> {
        let mut reader = EventReader::open(Arc::clone(&self.found.storage), Arc::clone(&self.position))?;
        if let Some(start) = self.found.settings.start {
            reader.seek(start.seq.next())?;
        }
        Ok(reader)
    }
}
