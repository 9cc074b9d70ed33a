//! What the tests of the journals share: small settings, commands and events that follow from their number.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use xq_journal::frame::sample;
use xq_journal::{
    Append, CommandJournal, CommandReport, CommandSettings, Error, EventCursor, EventSettings, JournalId,
    Seq, SimulatedDisk, Storage, UnrecoveredJournal, Witness,
};

pub const ID: JournalId = JournalId(*b"the test journal");
pub const SEGMENT: u64 = 64 << 10;
pub const BLOCK: usize = 4096;

pub fn command_settings() -> CommandSettings {
    CommandSettings {
        segment_size: SEGMENT,
        batch_bytes: 16 << 10,
        ..CommandSettings::default()
    }
}

pub fn event_settings() -> EventSettings {
    EventSettings {
        segment_size: SEGMENT,
        ..EventSettings::default()
    }
}

/// The command that stands at `seq` in every test journal, as it is read back.
pub fn command(seq: u64) -> Vec<u8> {
    let body = u16::try_from(seq * 7 % 124 * 8).expect("short");
    let mut frame = sample::command(seq, body);
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    frame
}

/// The events of a command; 1,500 has so many that they cross segments.
pub fn events_of(seq: u64) -> Vec<Vec<u8>> {
    let count = if seq == 1500 { 3000 } else { seq % 4 + 1 };
    let event = |index| {
        let cursor = EventCursor {
            seq: Seq(seq),
            index: u16::try_from(index).expect("few events"),
        };
        let frame = sample::event(cursor, u16::try_from((seq + index) % 12 * 8).expect("short"));
        if index + 1 == count {
            sample::last(frame)
        } else {
            frame
        }
    };
    (0..count).map(event).collect()
}

/// Appends the next command, committing where the batch is full.
pub fn append_next(journal: &mut CommandJournal) -> Result<Seq, Error> {
    let frame = command(journal.next_seq().0);
    loop {
        match journal.append(&frame)? {
            Append::Taken(seq) => return Ok(seq),
            Append::BatchFull => journal.commit()?,
        };
    }
}

pub fn recover(
    disk: &SimulatedDisk,
    witnesses: &[Witness],
) -> Result<(CommandJournal, CommandReport), Error> {
    recover_from(disk.storage(), witnesses)
}

pub fn recover_from(
    storage: Arc<dyn Storage>,
    witnesses: &[Witness],
) -> Result<(CommandJournal, CommandReport), Error> {
    UnrecoveredJournal::open(storage, command_settings())?.recover(witnesses, ID)
}

/// Appends and commits `batches` batches of `each` commands.
pub fn write_batches(journal: &mut CommandJournal, batches: u64, each: u64) -> Seq {
    for _ in 0..batches {
        for _ in 0..each {
            append_next(journal).expect("nothing fails here");
        }
        journal.commit().expect("nothing fails here");
    }
    journal.durable()
}

/// A disk with a command journal of `batches` batches of `each` commands, and its last sequence.
pub fn written_disk(batches: u64, each: u64) -> (SimulatedDisk, Seq) {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let (mut journal, _) = recover(&disk, &[]).expect("a fresh journal");
    let last = write_batches(&mut journal, batches, each);
    (disk, last)
}

pub fn witness(seq: u64) -> [Witness; 1] {
    [Witness {
        seq: Seq(seq),
        what: "a surviving event",
    }]
}

pub fn name(number: u64) -> String {
    format!("command-{number:010}.xqj")
}
