//! The journals on real files: written, closed, opened again, read beside the writer.

use std::sync::Arc;
use xq_journal::frame::sample;
use xq_journal::{
    Append, CommandJournal, CommandReader, CommandSettings, EventCursor, EventHasher, EventSettings,
    FileStorage, JournalId, Seq, Storage, UnrecoveredEvents, UnrecoveredJournal, Verify,
};

const ID: JournalId = JournalId(*b"the test journal");

fn small() -> CommandSettings {
    CommandSettings {
        segment_size: 64 << 10,
        batch_bytes: 16 << 10,
        ..CommandSettings::default()
    }
}

fn append(journal: &mut CommandJournal, frame: &[u8]) -> Seq {
    loop {
        match journal.append(frame).expect("the frame is good") {
            Append::Taken(seq) => return seq,
            Append::BatchFull => {
                journal.commit().expect("the disk is there");
            }
        }
    }
}

#[test]
fn commands_come_back_in_order_over_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).unwrap());
    let mut last = Seq::ZERO;
    for _ in 0..3 {
        let found = UnrecoveredJournal::open(Arc::clone(&storage), small()).unwrap();
        let (mut journal, report) = found.recover(&[], ID).unwrap();
        assert_eq!((report.last_seq, journal.id(), report.cuts.len()), (last, ID, 0));
        for tag in last.0 + 1..=last.0 + 1000 {
            let body = u16::try_from(tag % 100 * 8).unwrap();
            assert_eq!(append(&mut journal, &sample::command(tag, body)), Seq(tag));
            if tag % 7 == 0 {
                assert_eq!(journal.commit().unwrap(), Seq(tag));
            }
        }
        last = journal.commit().unwrap();
        let mut reader = CommandReader::open(Arc::clone(&storage), Verify::Chain, Seq(1)).unwrap();
        for tag in 1..=last.0 {
            let mut expected = sample::command(tag, u16::try_from(tag % 100 * 8).unwrap());
            expected[8..16].copy_from_slice(&tag.to_le_bytes());
            assert_eq!(reader.next_command(last).unwrap().unwrap(), expected, "seq {tag}");
        }
        assert!(reader.next_command(last).unwrap().is_none());
        for to in [1, last.0, last.0 / 2, 3, last.0 - 1] {
            reader.seek(Seq(to)).unwrap();
            assert_eq!(sample::seq(reader.next_command(last).unwrap().unwrap()), Seq(to));
        }
    }
    assert_eq!(last, Seq(3000));
}

/// The events of a command: how many and how long follows from its number.
fn events_of(seq: u64) -> Vec<Vec<u8>> {
    let count = if seq == 1500 { 3000 } else { seq % 4 + 1 };
    (0..count)
        .map(|index| {
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
        })
        .collect()
}

#[test]
fn events_are_compared_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).unwrap());
    let settings = EventSettings {
        segment_size: 64 << 10,
        ..EventSettings::default()
    };
    let mut hasher = EventHasher::new(ID);
    let mut written = 0;
    for upto in [0, 1000, 1024, 3000, 5000] {
        let found = UnrecoveredEvents::open(Arc::clone(&storage), settings.clone(), ID).unwrap();
        assert_eq!(found.report().last_seq, Seq(written));
        assert_eq!(found.report().event_hash, hasher.hash());
        let mut recovery = found.recover().unwrap();
        (1..=written)
            .flat_map(events_of)
            .for_each(|frame| recovery.feed(&frame).unwrap());
        let (mut journal, done) = recovery.finish().unwrap();
        assert_eq!(done.appended, 0);
        let mut keeper = journal.keeper();
        let mut beside = xq_journal::EventReader::open(Arc::clone(&storage), journal.position()).unwrap();
        beside.seek(Seq(written + 1)).unwrap();
        for seq in written + 1..=upto {
            for frame in events_of(seq) {
                journal.append(&frame).unwrap();
                hasher.update(&frame);
            }
            if seq % 100 == 0 {
                keeper.keep().unwrap();
            }
            for frame in events_of(seq) {
                assert_eq!(beside.next_event().unwrap().unwrap(), frame);
            }
            assert!(beside.next_event().unwrap().is_none());
        }
        assert_eq!(journal.event_hash(), hasher.hash());
        for to in [1, upto / 2, upto, 1025, 1501]
            .into_iter()
            .filter(|to| (1..=upto).contains(to))
        {
            beside.seek(Seq(to)).unwrap();
            assert_eq!(beside.next_event().unwrap().unwrap(), events_of(to)[0]);
        }
        journal.sync().unwrap();
        written = upto;
    }
    assert_eq!(written, 5000);
}
