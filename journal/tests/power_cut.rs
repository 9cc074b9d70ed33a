//! Power cuts, kills, failing syncs and full disks, on a simulated disk: nothing acknowledged is lost or doubled.

mod support;

use std::sync::Arc;
use support::{append_next, command, command_settings, events_of, recover, write_batches};
use xq_journal::simulated::{Fault, splitmix64};
use xq_journal::{
    CommandReader, Error, EventHasher, EventRecovery, EventSettings, Seq, SimulatedDisk, UnrecoveredEvents,
    UnrecoveredJournal, Verify,
};

/// Reads everything back and compares it with what was said.
fn check_contents(disk: &SimulatedDisk, last: Seq) {
    let mut reader = CommandReader::open(disk.storage(), Verify::Chain, Seq(1)).expect("readable");
    for seq in 1..=last.0 {
        let frame = reader
            .next_command(last)
            .expect("intact")
            .expect("up to the last");
        assert_eq!(frame, command(seq), "seq {seq}");
    }
    assert!(reader.next_command(last).expect("intact").is_none());
}

/// Random appends, commits, write-backs and power cuts. Kills the mutant `mutant-skip-sync`.
#[test]
fn power_cuts_lose_nothing_acknowledged() {
    let (mut acknowledged_in_all, mut cuts, mut faults, mut unacknowledged_kept) = (0, 0, 0, 0);
    for seed in 1..=40_u64 {
        let disk = SimulatedDisk::new(1 << 30, seed);
        let mut random = seed;
        let mut acknowledged = Seq::ZERO;
        for _ in 0..8 {
            let (mut journal, report) = recover(&disk, &[]).expect("a power cut is no corruption");
            assert!(
                report.last_seq >= acknowledged,
                "seed {seed}: {report:?} lost what was acknowledged"
            );
            check_contents(&disk, report.last_seq);
            cuts += report.cuts.len();
            unacknowledged_kept += report.last_seq.0 - acknowledged.0;
            acknowledged = report.last_seq;
            disk.fail_at(2 + splitmix64(&mut random) % 60, Fault::Kill);
            while let Ok(seq) = one_round(&disk, &mut journal, &mut random) {
                acknowledged_in_all += seq.0 - acknowledged.0;
                acknowledged = seq;
            }
            disk.cut_power();
        }
        faults += disk.faults_hit();
    }
    assert!(
        acknowledged_in_all > 5_000,
        "{acknowledged_in_all} were acknowledged"
    );
    assert_eq!(faults, 40 * 8, "every fault was met");
    assert!(cuts > 20, "{cuts} torn batches were cut");
    assert!(
        unacknowledged_kept > 20,
        "{unacknowledged_kept} survived although nobody was told"
    );
}

fn one_round(
    disk: &SimulatedDisk,
    journal: &mut xq_journal::CommandJournal,
    random: &mut u64,
) -> Result<Seq, Error> {
    for _ in 0..1 + splitmix64(random) % 20 {
        append_next(journal)?;
    }
    if splitmix64(random).is_multiple_of(3) {
        disk.write_back_some();
    }
    if splitmix64(random).is_multiple_of(8) {
        journal.pool().prepare()?;
    }
    journal.commit()
}

/// Both journals together: the events' witness never contradicts the commands, and recovery makes the events whole.
#[test]
fn power_cuts_leave_events_that_recovery_makes_whole() {
    let settings = EventSettings {
        segment_size: support::SEGMENT,
        ..EventSettings::default()
    };
    let (mut compared, mut appended, mut witnessed) = (0, 0, 0);
    for seed in 1..=12_u64 {
        let disk = SimulatedDisk::new(1 << 30, seed);
        let mut random = seed;
        for _ in 0..6 {
            let found =
                UnrecoveredEvents::open(disk.storage(), settings.clone(), support::ID).expect("readable");
            let witness: Vec<_> = found.witness().into_iter().collect();
            witnessed += witness.len();
            let (mut journal, report) =
                recover(&disk, &witness).expect("events never outlive their commands");
            let mut recovery = found.recover().expect("the disk works");
            let mut hasher = EventHasher::new(support::ID);
            feed(&mut recovery, &mut hasher, report.last_seq);
            let (mut events, done) = recovery.finish().expect("nothing is left over");
            assert_eq!(events.event_hash(), hasher.hash(), "seed {seed}");
            compared += done.compared;
            appended += done.appended;
            let mut keeper = events.keeper();
            for _ in 0..30 + splitmix64(&mut random) % 60 {
                let before = journal.durable();
                let now = write_batches(&mut journal, 1, 1 + splitmix64(&mut random) % 8);
                let caused = (before.0 + 1..=now.0).flat_map(events_of);
                caused.for_each(|frame| events.append(&frame).expect("in order"));
                match splitmix64(&mut random) % 4 {
                    0 => keeper.keep().expect("the disk works"),
                    1 => disk.write_back_some(),
                    _ => {}
                }
            }
            disk.cut_power();
        }
    }
    assert!(
        compared > 10_000 && appended > 1_000 && witnessed > 40,
        "{compared} {appended} {witnessed}"
    );
}

fn feed(recovery: &mut EventRecovery, hasher: &mut EventHasher, last: Seq) {
    for frame in (1..=last.0).flat_map(events_of) {
        recovery
            .feed(&frame)
            .expect("the same commands give the same events");
        hasher.update(&frame);
    }
}

/// Recovery is killed, or loses power, at each of its calls in turn; then it recovers to the same end.
#[test]
fn recovery_can_be_killed_at_any_call_any_number_of_times() {
    let (mut killed, mut seeds_with_cuts) = (0, 0);
    for seed in 1..=30_u64 {
        let torn = torn_disk(seed);
        let expected = {
            let (disk, _) = torn_disk(seed);
            let (_, report) = recover(&disk, &[]).expect("a torn batch is cut");
            report
        };
        seeds_with_cuts += u64::from(!expected.cuts.is_empty());
        let (disk, acknowledged) = torn;
        assert!(expected.last_seq >= acknowledged);
        for call in 1.. {
            let before = disk.faults_hit();
            disk.fail_at(call, Fault::Kill);
            let ended = UnrecoveredJournal::open(disk.storage(), command_settings())
                .and_then(|found| found.recover(&[], support::ID));
            let hit = disk.faults_hit() > before;
            assert_eq!(hit, ended.is_err(), "seed {seed} call {call}");
            if call % 2 == 0 {
                disk.cut_power()
            } else {
                disk.kill()
            }
            if !hit {
                break;
            }
            killed += 1;
        }
        let (mut journal, report) = recover(&disk, &[]).expect("the same as the first time");
        assert_eq!(
            (report.last_seq, report.chain),
            (expected.last_seq, expected.chain),
            "seed {seed}"
        );
        assert!(report.cuts.is_empty(), "what was cut is gone");
        let last = write_batches(&mut journal, 3, 5);
        check_contents(&disk, last);
    }
    assert!(
        killed >= 30 && seeds_with_cuts >= 5,
        "{killed} kills, {seeds_with_cuts} with a cut"
    );
}

/// A disk whose last batch was being written when the power went.
fn torn_disk(seed: u64) -> (SimulatedDisk, Seq) {
    let disk = SimulatedDisk::new(1 << 30, seed);
    let (mut journal, _) = recover(&disk, &[]).expect("fresh");
    let acknowledged = write_batches(&mut journal, 1 + seed, 20);
    for _ in 0..20 {
        append_next(&mut journal).expect("room is prepared");
    }
    disk.fail_at(2, Fault::Kill);
    journal.commit().expect_err("killed before the sync returned");
    disk.cut_power();
    (disk, acknowledged)
}

#[test]
fn a_failed_sync_or_write_is_fatal() {
    for (call, action) in [(1, "writing a batch"), (2, "syncing a batch")] {
        let disk = SimulatedDisk::new(1 << 30, 7);
        let (mut journal, _) = recover(&disk, &[]).unwrap();
        let acknowledged = write_batches(&mut journal, 3, 5);
        append_next(&mut journal).unwrap();
        disk.fail_at(call, Fault::Io);
        let error = journal.commit().unwrap_err();
        assert!(
            matches!(&error, Error::Io { action: done, seq, .. } if *done == action && *seq == Seq(16)),
            "{error}"
        );
        assert!(error.to_string().contains("command-0000000001.xqj"), "{error}");
        let syncs = disk.calls();
        assert!(matches!(
            journal.commit(),
            Err(Error::Poisoned { seq: Seq(16), .. })
        ));
        assert!(matches!(append_next(&mut journal), Err(Error::Poisoned { .. })));
        assert_eq!(disk.calls(), syncs, "nothing is tried again");
        assert_eq!(disk.faults_hit(), 1);
        drop(journal);
        disk.cut_power();
        let (_, report) = recover(&disk, &[]).unwrap();
        assert!((acknowledged..=Seq(16)).contains(&report.last_seq));
    }
}

/// A process killed between a write and its sync leaves a batch that only the page cache has. Once recovery has
/// counted it, others may be told of it, so that a power cut must not take it back.
#[test]
fn what_recovery_found_survives_a_power_cut() {
    for seed in 1..=40 {
        let disk = SimulatedDisk::new(1 << 30, seed);
        let (mut journal, _) = recover(&disk, &[]).unwrap();
        let acknowledged = write_batches(&mut journal, 3, 5);
        (0..9).for_each(|_| {
            append_next(&mut journal).unwrap();
        });
        disk.fail_at(2, Fault::Kill);
        journal.commit().unwrap_err();
        drop(journal);
        disk.kill();
        let (_, report) = recover(&disk, &[]).unwrap();
        assert_eq!(report.last_seq.0, acknowledged.0 + 9, "the write was whole");
        disk.cut_power();
        let (_, after) = recover(&disk, &[]).unwrap();
        assert_eq!(after.last_seq, report.last_seq, "seed {seed}");
        check_contents(&disk, after.last_seq);
    }
}

#[test]
fn a_full_disk_shows_before_it_is_met_and_harms_nothing() {
    let disk = SimulatedDisk::new(3 * support::SEGMENT + 4096, 3);
    let (mut journal, _) = recover(&disk, &[]).unwrap();
    let pool = journal.pool();
    while pool
        .prepare()
        .is_ok_and(|done| done == xq_journal::Preparation::Prepared)
    {}
    assert_eq!((pool.free_segments(), pool.is_low_on_space()), (2, false));
    let mut noticed = None;
    let refused = loop {
        if let Err(error) = append_next(&mut journal) {
            break error;
        }
        if let Err(error) = pool.prepare() {
            assert!(matches!(error, Error::NoSpace { .. }), "{error}");
            noticed.get_or_insert(journal.next_seq());
        }
    };
    assert!(noticed.is_some_and(|seq| seq.0 > 50) && pool.is_low_on_space());
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    let full_at = journal.durable();
    assert!(
        full_at.0 > noticed.unwrap().0 + 50,
        "two segments lie between the warning and the refusal"
    );
    disk.set_room(1 << 30);
    let more = write_batches(&mut journal, 10, 10);
    assert_eq!(more.0, full_at.0 + 100);
    assert!(!pool.is_low_on_space());
    check_contents(&disk, more);
    drop(journal);
    disk.cut_power();
    assert_eq!(recover(&disk, &[]).unwrap().1.last_seq, more);
}

#[test]
fn one_sync_a_batch_and_none_for_an_empty_one() {
    let disk = SimulatedDisk::new(1 << 30, 3);
    let (mut journal, _) = recover(&disk, &[]).unwrap();
    let before = disk.calls();
    write_batches(&mut journal, 8, 3);
    assert_eq!(journal.commit().unwrap(), Seq(24));
    let after = disk.calls();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (8, 8));
    assert_eq!(journal.written().commits, 8);
}

#[test]
fn released_segments_are_filled_anew() {
    let (disk, last) = support::written_disk(60, 10);
    let files = disk.names().len();
    assert!(files >= 4);
    let (mut journal, _) = recover(&disk, &[]).unwrap();
    let pool = journal.pool();
    for number in 1..=2 {
        pool.release(xq_journal::SegmentNumber(number)).unwrap();
    }
    while pool.prepare().unwrap() == xq_journal::Preparation::Prepared {}
    assert_eq!(
        disk.names()
            .iter()
            .filter(|name| name.starts_with("released"))
            .count(),
        0
    );
    let more = write_batches(&mut journal, 30, 10);
    assert_eq!(more.0, last.0 + 300);
    drop(journal);
    disk.cut_power();
    let missing = recover(&disk, &[]).unwrap_err();
    assert!(
        matches!(missing, Error::Stray { .. } | Error::MissingSegment { .. }),
        "{missing}"
    );
    let mut oldest = CommandReader::open_oldest(disk.storage(), Verify::Chain).unwrap();
    let frame = oldest.next_command(more).unwrap().unwrap();
    let first = Seq(u64::from_le_bytes(frame[8..16].try_into().unwrap()));
    let settings = xq_journal::CommandSettings {
        start: Some(oldest.start_of(first).unwrap()),
        ..command_settings()
    };
    let found = UnrecoveredJournal::open(disk.storage(), settings).unwrap();
    assert_eq!(found.inspect(&[]).unwrap().last_seq, more);
    let storage: Arc<_> = disk.storage();
    let mut reader = CommandReader::open(Arc::clone(&storage), Verify::Chain, more).unwrap();
    assert_eq!(reader.next_command(more).unwrap().unwrap(), command(more.0));
    assert!(matches!(reader.seek(Seq(1)), Err(Error::NotFound { .. })));
}
