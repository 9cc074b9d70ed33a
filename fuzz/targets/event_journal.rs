//! Any bytes as the one segment of an event journal: opened as recovery and readers do; whole, cut or named.

use super::Verdict;
use xq_journal::{EventSettings, JournalId, SimulatedDisk, UnrecoveredEvents};

/// The journal that a segment must belong to.
pub const ID: JournalId = JournalId(*b"the fuzz journal");
/// Bytes of a segment.
pub const SEGMENT: u64 = 32 << 10;

/// The settings of the journal that a segment belongs to.
pub fn settings() -> EventSettings {
    EventSettings {
        segment_size: SEGMENT,
        ..EventSettings::default()
    }
}

pub fn run(bytes: &[u8]) -> Verdict {
    let disk = SimulatedDisk::new(1 << 30, 1);
    disk.put("event-0000000001.xqj", bytes);
    let read = match UnrecoveredEvents::open_to_read(disk.storage(), settings(), ID) {
        Ok(found) => {
            let (mut reader, mut read) = (found.reader().expect("the disk is well"), 0);
            while let Some(frame) = reader.next_event().expect("what was found whole can be read") {
                assert!(frame.len().is_multiple_of(8));
                read += 1;
            }
            read
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            0
        }
    };
    // Recovery cuts what a crash may have left; an error says what a crash does not leave.
    if let Err(error) =
        UnrecoveredEvents::open(disk.storage(), settings(), ID).and_then(|found| found.recover())
    {
        assert!(!error.to_string().is_empty());
    }
    Verdict::taken_if(|| read > 0)
}
