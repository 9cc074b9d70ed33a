//! The event journal: recovery compares and makes again, damage is told from a crash, readers seek and follow.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{ID, event_settings, events_of};
use xq_journal::frame::sample;
use xq_journal::simulated::Fault;
use xq_journal::{
    Error, EventCursor, EventHasher, EventJournal, EventReader, EventRecovered, EventSettings, FileStorage,
    JournalId, Seq, SimulatedDisk, Storage, UnrecoveredEvents,
};

fn open(disk: &SimulatedDisk) -> Result<UnrecoveredEvents, Error> {
    UnrecoveredEvents::open(disk.storage(), event_settings(), ID)
}

fn recovered(disk: &SimulatedDisk, last: u64) -> Result<(EventJournal, EventRecovered), Error> {
    let mut recovery = open(disk)?.recover()?;
    (1..=last)
        .flat_map(events_of)
        .try_for_each(|frame| recovery.feed(&frame))?;
    recovery.finish()
}

fn written(last: u64) -> (SimulatedDisk, EventJournal) {
    let disk = SimulatedDisk::new(1 << 30, 5);
    let (journal, done) = recovered(&disk, last).expect("fresh");
    assert!(done.appended > last, "more events than commands");
    (disk, journal)
}

fn name(number: u64) -> String {
    format!("event-{number:010}.xqj")
}

fn damage(disk: &SimulatedDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut image = disk.read(name).expect("the file is there");
    change(&mut image);
    disk.put(name, &image);
}

/// The bytes depend on the events alone, not on how they came there.
#[test]
fn the_bytes_are_a_pure_function_of_the_events() {
    let (whole, journal) = written(2500);
    let (parts, _) = written(700);
    for upto in [1500, 1501, 2048, 2500] {
        parts.kill();
        let (again, _) = recovered(&parts, upto).unwrap();
        if upto == 2500 {
            assert_eq!(again.event_hash(), journal.event_hash());
        }
    }
    let segments: Vec<_> = whole
        .names()
        .into_iter()
        .filter(|name| name.starts_with("event-"))
        .collect();
    assert!(segments.len() > 6, "{segments:?}");
    assert_eq!(
        segments,
        parts
            .names()
            .into_iter()
            .filter(|name| name.starts_with("event-"))
            .collect::<Vec<_>>()
    );
    for name in segments {
        assert!(whole.read(&name) == parts.read(&name), "{name} differs");
    }
}

/// What a process that was killed had written and not synced counts as synced after the next start: so it has to be.
#[test]
fn what_a_start_found_whole_survives_the_next_power_cut() {
    for seed in 1..=10 {
        let disk = SimulatedDisk::new(1 << 30, seed);
        let (written, _) = recovered(&disk, 1_600).expect("fresh");
        drop(written);
        disk.kill();
        let (journal, done) = recovered(&disk, 1_600).expect("all is there");
        assert_eq!(done.appended, 0);
        assert!(journal.keeper().synced() > 0);
        disk.cut_power();
        let found = open(&disk).expect("nothing is missing").report();
        assert_eq!(found.last_seq, Seq(1_600), "seed {seed}");
    }
}

#[test]
fn a_different_regenerated_event_is_a_divergence() {
    let (disk, _) = written(1400);
    disk.kill();
    let mut recovery = open(&disk).unwrap().recover().unwrap();
    let mut hasher = EventHasher::new(ID);
    for frame in (1..1200).flat_map(events_of) {
        recovery.feed(&frame).unwrap();
        hasher.update(&frame);
    }
    let mut wrong = events_of(1200)[0].clone();
    *wrong.last_mut().unwrap() ^= 1;
    let error = recovery.feed(&wrong).unwrap_err();
    let Error::Divergence {
        cursor,
        journaled,
        regenerated,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        *cursor,
        EventCursor {
            seq: Seq(1200),
            index: 0
        }
    );
    let hash_with = |frame: &[u8]| {
        let mut hasher = hasher.clone();
        hasher.update(frame);
        hasher.hash()
    };
    assert_eq!(
        (*journaled, *regenerated),
        (hash_with(&events_of(1200)[0]), hash_with(&wrong))
    );
    assert!(
        error.to_string().contains("event-0000000") && error.to_string().contains("(1200, 0)"),
        "{error}"
    );
}

#[test]
fn events_that_no_command_caused_are_refused() {
    let (disk, _) = written(1400);
    disk.kill();
    let error = recovered(&disk, 1399).map(|(_, done)| done).unwrap_err();
    assert!(matches!(error, Error::Corrupt { seq: Seq(1400), .. }), "{error}");
}

#[test]
fn closed_epochs_need_not_be_fed() {
    let (disk, journal) = written(2500);
    disk.kill();
    let mut recovery = open(&disk).unwrap().recover().unwrap();
    assert_eq!(recovery.resume_seq(), Seq(2049));
    recovery.skip_closed_epochs().unwrap();
    (2049..=2500)
        .flat_map(events_of)
        .for_each(|frame| recovery.feed(&frame).unwrap());
    let (again, done) = recovery.finish().unwrap();
    assert!(done.appended == 0 && done.compared > 452 && done.dropped.is_none());
    assert_eq!(
        (again.event_hash(), again.cursor()),
        (journal.event_hash(), journal.cursor())
    );
}

/// A torn page ends the whole part there; what survived behind it is a witness; all of it is made again.
#[test]
fn a_torn_middle_is_made_again_and_what_is_behind_it_bears_witness() {
    let (disk, journal) = written(4000);
    let hash = journal.event_hash();
    disk.kill();
    let before: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
    damage(&disk, &name(2), |image| image[20_000..24_096].fill(0));
    let found = open(&disk).unwrap();
    let report = found.report();
    assert!(report.last_seq < Seq(1500), "{report:?}");
    assert_eq!(
        (report.surviving, found.witness().unwrap().seq),
        (Seq(4000), Seq(4000))
    );
    let (again, done) = recovered(&disk, 4000).unwrap();
    assert!(done.compared > report.last_seq.0 && done.appended > 4000 - report.last_seq.0);
    let dropped = done.dropped.expect("it says what it gave up");
    assert_eq!(
        (dropped.first, dropped.last_whole),
        (report.last_seq.next(), Some(Seq(4000)))
    );
    let (torn, later) = dropped.ranges.split_first().unwrap();
    assert!(
        torn.file == name(2) && (1..=20_000).contains(&torn.offset),
        "{torn:?}"
    );
    let names: Vec<_> = later.iter().map(|range| range.file.clone()).collect();
    let written = before.iter().zip(3..).map(|(_, number)| name(number));
    let expected: Vec<_> = written.take(later.len()).collect();
    assert_eq!(names, expected, "each later segment is named");
    assert!(later.len() > 3 && later.iter().all(|range| range.offset == 0 && range.bytes > 0));
    assert_eq!(again.event_hash(), hash);
    let after: Vec<_> = disk.names().iter().map(|name| disk.read(name)).collect();
    assert!(before == after, "the same bytes as before the damage");
}

/// Every bit of a part of a segment: the whole part ends at or before the flip, and no witness is made up.
#[test]
fn a_flipped_bit_never_passes_for_an_event() {
    let (disk, _) = written(60);
    disk.kill();
    let image = disk.read(&name(1)).unwrap();
    let end = image.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut shorter, mut refused) = (0, 0);
    for byte in (0..end).step_by(3) {
        let mut flipped = image.clone();
        flipped[byte] ^= 1 << (byte % 8);
        disk.put(&name(1), &flipped);
        match open(&disk) {
            Err(error) => {
                assert!(
                    matches!(error, Error::NewerVersion { .. }),
                    "byte {byte}: {error}"
                );
                refused += 1;
            }
            Ok(found) => {
                let report = found.report();
                assert!(report.surviving <= Seq(60), "byte {byte}: {report:?}");
                shorter += u64::from(report.last_seq < Seq(60));
                let (_, done) = recovered(&disk, 60).unwrap();
                assert!(done.compared + done.appended > 60);
                assert!(
                    disk.read(&name(1)).unwrap() == image,
                    "byte {byte} was not mended"
                );
            }
        }
    }
    assert!(
        shorter > 1000 && refused > 0,
        "{shorter} shorter, {refused} refused"
    );
}

#[test]
fn foreign_renamed_missing_and_newer_segments_are_refused() {
    let refused = |change: &dyn Fn(&SimulatedDisk), said: &[&str]| {
        let (disk, _) = written(1600);
        disk.kill();
        change(&disk);
        let text = open(&disk).map(|found| found.report()).unwrap_err().to_string();
        said.iter()
            .for_each(|part| assert!(text.contains(part), "{text:?} lacks {part:?}"));
    };
    refused(&|disk| disk.take(&name(2)), &["event-0000000002.xqj", "missing"]);
    refused(
        &|disk| disk.put(&name(2), &disk.read(&name(3)).unwrap()),
        &["event-0000000002.xqj", "holds segment 3"],
    );
    refused(
        &|disk| damage(disk, &name(1), |image| image[12] = 9),
        &["event-0000000001.xqj", "version 9"],
    );
    refused(
        &|disk| damage(disk, &name(2), |image| image.truncate(9000)),
        &["event-0000000002.xqj", "9000 bytes"],
    );
    let (disk, _) = written(10);
    let other = JournalId(*b"another journal!");
    let error = UnrecoveredEvents::open(disk.storage(), event_settings(), other)
        .map(|f| f.report())
        .unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

#[test]
fn disorder_is_refused_and_harms_nothing() {
    let (_disk, mut journal) = written(3);
    let hash = journal.event_hash();
    let at = |seq, index| EventCursor { seq: Seq(seq), index };
    for wrong in [at(3, 0), at(5, 0), at(4, 1)] {
        let error = journal.append(&sample::event(wrong, 8)).unwrap_err();
        assert!(matches!(error, Error::OutOfOrder { .. }), "{error}");
    }
    for (bad, what) in [
        (vec![0; 39], "shorter"),
        (vec![0; 48], "length"),
        (sample::event(at(4, 0), 96), "longer"),
    ] {
        let text = journal.append(&bad).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    }
    assert_eq!(journal.event_hash(), hash);
    journal
        .append(&sample::last(sample::event(at(4, 0), 88)))
        .unwrap();
    assert_eq!(journal.cursor(), at(5, 0));
}

#[test]
fn recovery_of_events_can_be_killed_at_any_call() {
    let (disk, journal) = written(1600);
    let hash = journal.event_hash();
    disk.kill();
    damage(&disk, &name(3), |image| image[30_000..34_096].fill(7));
    let mut killed = 0;
    for call in 1.. {
        let before = disk.faults_hit();
        disk.fail_at(call, Fault::Kill);
        let ended = recovered(&disk, 1600);
        if disk.faults_hit() == before {
            assert_eq!(ended.unwrap().0.event_hash(), hash);
            break;
        }
        assert!(ended.is_err());
        killed += 1;
        if call % 2 == 0 {
            disk.cut_power()
        } else {
            disk.kill()
        }
    }
    assert!(killed >= 5, "{killed} kills");
}

#[test]
fn a_reader_on_another_thread_follows_and_seeks_back() {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).unwrap());
    let settings = xq_journal::EventSettings {
        segment_size: 1 << 20,
        prepared_segments: 2,
        ..xq_journal::EventSettings::default()
    };
    let found = UnrecoveredEvents::open(Arc::clone(&storage), settings, ID).unwrap();
    let (mut journal, _) = found.recover().unwrap().finish().unwrap();
    let (position, mut keeper, last) = (journal.position(), journal.keeper(), 20_000);
    let done = AtomicBool::new(false);
    let (read, hash) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                keeper.keep().unwrap();
                std::thread::yield_now();
            }
        });
        let reading = scope.spawn(|| {
            let mut reader = EventReader::open(Arc::clone(&storage), position).unwrap();
            let mut hasher = EventHasher::new(ID);
            let mut read = 0;
            while reader.cursor().seq <= Seq(last) {
                while let Some(frame) = reader.next_event().unwrap() {
                    hasher.update(frame);
                    read += 1;
                }
                if let Some(back) = reader.cursor().seq.0.checked_sub(3000) {
                    let here = reader.cursor().seq;
                    reader.seek(Seq(back + 1)).unwrap();
                    assert_eq!(reader.next_event().unwrap().unwrap(), events_of(back + 1)[0]);
                    reader.seek(here).unwrap();
                }
                std::thread::yield_now();
            }
            (read, hasher.hash())
        });
        (1..=last)
            .flat_map(events_of)
            .for_each(|frame| journal.append(&frame).unwrap());
        let result = reading.join().unwrap();
        done.store(true, Ordering::Release);
        result
    });
    assert!(read > last && hash == journal.event_hash());
    journal.sync().unwrap();
}

#[test]
fn a_failed_sync_of_events_is_fatal() {
    let (disk, mut journal) = written(500);
    let mut keeper = journal.keeper();
    keeper.keep().unwrap();
    let synced = keeper.synced();
    assert!(synced > 0);
    (501..=600)
        .flat_map(events_of)
        .for_each(|frame| journal.append(&frame).unwrap());
    while journal.pool().prepare().unwrap() == xq_journal::Preparation::Prepared {}
    disk.fail_at(1, Fault::Io);
    let error = keeper.keep().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Io {
                action: "syncing events",
                ..
            }
        ),
        "{error}"
    );
    let calls = disk.calls();
    assert!(matches!(keeper.keep(), Err(Error::Poisoned { .. })));
    assert!(matches!(journal.sync(), Err(Error::Poisoned { .. })));
    assert_eq!(
        (disk.calls(), keeper.synced(), disk.faults_hit()),
        (calls, synced, 1),
        "nothing is tried again"
    );
}

/// A start may find its writer in the first block of a later segment: what it writes there is synced from then on.
#[test]
fn a_start_in_a_later_segment_syncs_what_follows() {
    const BLOCK: u64 = 2 << 20;
    let settings = || EventSettings {
        segment_size: BLOCK,
        ..EventSettings::default()
    };
    let disk = SimulatedDisk::new(1 << 30, 5);
    let start = |last: u64| {
        let found = UnrecoveredEvents::open(disk.storage(), settings(), ID).unwrap();
        let mut recovery = found.recover().unwrap();
        let events = (1..=last).flat_map(events_of);
        events.for_each(|frame| recovery.feed(&frame).unwrap());
        recovery.finish().unwrap().0
    };
    let mut last = 8_000;
    while !disk.names().contains(&name(2)) {
        last += 1_000;
        drop(start(last));
    }
    let mut journal = start(last);
    let keeper = journal.keeper();
    assert_eq!(keeper.synced(), BLOCK, "what lies in the first segment");
    for frame in (last + 1..last + 200).flat_map(events_of) {
        journal.append(&frame).unwrap();
    }
    keeper.sync().unwrap();
    assert!(
        keeper.synced() > BLOCK,
        "pages of the second, as there is no whole block"
    );
}

#[test]
fn a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileStorage::open(folder.path()).unwrap();
    let second = FileStorage::open(folder.path()).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    assert!(
        FileStorage::open_to_read(folder.path())
            .unwrap()
            .list()
            .unwrap()
            .is_empty()
    );
    drop(first);
    FileStorage::open(folder.path()).unwrap();
}

/// What recovery found whole and a disk damaged since: known before any of it is read.
#[test]
fn a_command_damaged_since_is_found_before_its_events_are_read() {
    let (disk, _) = written(60);
    let (journal, _) = recovered(&disk, 60).unwrap();
    let mut image = disk.read(&name(1)).unwrap();
    let event = &events_of(30)[0];
    let at = image.windows(event.len()).position(|bytes| bytes == event);
    image[at.unwrap() + event.len() - 1] ^= 1;
    disk.put(&name(1), &image);
    let mut reader = EventReader::open(disk.storage(), journal.position()).unwrap();
    for seq in 1..=60 {
        reader.seek(Seq(seq)).unwrap();
        let refused = reader.verify_command().err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), seq == 30, "command {seq}: {refused:?}");
        assert_eq!(
            reader.cursor(),
            EventCursor {
                seq: Seq(seq),
                index: 0
            }
        );
        assert!(reader.next_event().unwrap().is_some());
    }
}
