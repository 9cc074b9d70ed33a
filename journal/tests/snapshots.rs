//! Snapshots: written whole or not at all, refused when they are anything else, and both journals read from behind one.

mod support;

use std::sync::Arc;
use support::{ID, command_settings, event_settings, events_of, recover, write_batches};
use xq_journal::simulated::{Fault, splitmix64};
use xq_journal::{
    ChainHash, CommandReader, CommandSettings, CommandStart, Error, EventReader, EventSettings, EventStart,
    JournalId, SegmentNumber, Seq, SimulatedDisk, Snapshot, SnapshotHead, SnapshotRoom, SnapshotWriter,
    Start, Storage, UnrecoveredEvents, UnrecoveredJournal, Verify, Witness, covered_segments,
    remove_snapshot, snapshots,
};

fn head(seq: u64) -> SnapshotHead {
    SnapshotHead {
        id: ID,
        start: Start {
            seq: Seq(seq),
            commands: CommandStart {
                segment: SegmentNumber(3),
                first_seq: Seq(seq / 2),
                chain: ChainHash([5; 32]),
            },
            events: EventStart {
                segment: SegmentNumber(4),
                offset: 4_096,
                chain: ChainHash([6; 32]),
            },
        },
        time_ns: 77,
    }
}

/// Sections that follow from the command.
fn sections(seq: u64) -> Vec<(u32, Vec<u8>)> {
    let byte = seq.to_le_bytes()[1];
    vec![
        (1, vec![byte; 100]),
        (2, Vec::new()),
        (2, vec![!byte; 3_000]),
        (9, vec![7; 64]),
    ]
}

/// Writes one, then removes what is older than the newest two.
fn write(storage: &Arc<dyn Storage>, seq: u64) -> Result<(), Error> {
    let mut writer = SnapshotWriter::begin(Arc::clone(storage), head(seq), SnapshotRoom::default())?;
    for (kind, bytes) in sections(seq) {
        writer.put(kind, &bytes)?;
    }
    writer.finish()?.make_durable()?;
    let there = snapshots(&**storage)?;
    there
        .into_iter()
        .skip(2)
        .try_for_each(|old| remove_snapshot(&**storage, old))
}

fn assert_holds(storage: &Arc<dyn Storage>, seq: Seq) {
    let snapshot = Snapshot::open(&**storage, seq, Some(ID)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(*snapshot.head(), head(seq.0));
    let there: Vec<_> = snapshot
        .sections()
        .map(|(kind, bytes)| (kind, bytes.to_vec()))
        .collect();
    assert_eq!(there, sections(seq.0));
}

#[test]
fn what_is_written_is_read() {
    let storage = SimulatedDisk::new(1 << 30, 1).storage();
    assert_eq!(snapshots(&*storage).expect("the disk is sound"), []);
    for round in 1..=4_u64 {
        write(&storage, round * 1_024).expect("the disk is sound");
        let newest = snapshots(&*storage).expect("the disk is sound");
        assert_eq!(newest.first(), Some(&Seq(round * 1_024)));
        assert_eq!(
            newest.len(),
            usize::try_from(round.min(2)).expect("the disk is sound")
        );
        newest.into_iter().for_each(|seq| assert_holds(&storage, seq));
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    write(&disk.storage(), 1_024).expect("the disk is sound");
    let name = disk.names().pop().expect("the disk is sound");
    let whole = disk.read(&name).expect("the disk is sound");
    let open = || Snapshot::open(&*disk.storage(), Seq(1_024), Some(ID)).map(|_| ());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.put(&name, &bytes);
        let refused = open().expect_err("a byte is another");
        assert!(
            matches!(refused, Error::Corrupt { .. } | Error::NewerVersion { .. }),
            "{at}: {refused}"
        );
        disk.put(&name, &whole[..at]);
        assert!(matches!(open(), Err(Error::Corrupt { .. })), "cut at {at}");
    }
    disk.put(&name, &whole);
    open().expect("the disk is sound");
    let other = Snapshot::open(&*disk.storage(), Seq(1_024), Some(JournalId([9; 16]))).unwrap_err();
    assert!(matches!(other, Error::Foreign { .. }), "{other}");
    disk.put("snapshot-00000000000000002048.xqs", &whole);
    let misnamed = Snapshot::open(&*disk.storage(), Seq(2_048), Some(ID)).unwrap_err();
    assert!(misnamed.to_string().contains("covers command 1024"), "{misnamed}");
    let mut newer = whole.clone();
    newer[12] = 3;
    disk.put(&name, &newer);
    assert!(matches!(
        open(),
        Err(Error::NewerVersion {
            found: 3,
            supported: 2,
            ..
        })
    ));
}

/// Kills, power cuts and a full disk at every call of writing: the older ones stay whole, the new one is whole or has
/// no name.
#[test]
fn a_snapshot_is_whole_or_not_there() {
    let (mut hit, mut cuts_that_left_it) = (0, 0);
    for fault in [Fault::Kill, Fault::NoSpace, Fault::Io] {
        for call in 1..=20_u64 {
            let disk = SimulatedDisk::new(1 << 30, call);
            write(&disk.storage(), 1_024).expect("the disk is sound");
            write(&disk.storage(), 2_048).expect("the disk is sound");
            let before = disk.faults_hit();
            disk.fail_at(call, fault);
            let written = write(&disk.storage(), 3_072);
            let met = disk.faults_hit() > before;
            hit += u64::from(met);
            assert!(met || written.is_ok(), "{fault:?} at {call}: {written:?}");
            if matches!((fault, &written), (Fault::NoSpace, Err(_))) {
                // What befalls the folder is no matter of the snapshot alone.
                let of_folder = ["syncing the folder", "removing an older snapshot"];
                let told = match &written {
                    Err(Error::Io { action, .. }) => of_folder.contains(action),
                    other => matches!(other, Err(Error::NoSpace { .. })),
                };
                assert!(told, "{written:?}");
            }
            if fault == Fault::Kill && call % 2 == 0 {
                disk.kill()
            } else {
                disk.cut_power()
            }
            let storage = disk.storage();
            let there = snapshots(&*storage).expect("the disk is sound");
            there.iter().for_each(|seq| assert_holds(&storage, *seq));
            assert!(
                there.len() >= 2 && there.contains(&Seq(2_048)),
                "{fault:?} at {call}: {there:?}"
            );
            assert!(written.is_err() || there[0] == Seq(3_072), "{fault:?} at {call}");
            cuts_that_left_it += usize::from(written.is_err() && there[0] == Seq(3_072));
            write(&storage, 4_096).expect("the disk is sound");
            assert_holds(&disk.storage(), Seq(4_096));
        }
    }
    assert!(hit > 25 && cuts_that_left_it > 0, "{hit} faults were met");
}

/// Both journals of `last` commands, and where they are read from behind each epoch's end.
fn journals(disk: &SimulatedDisk, last: u64) -> Vec<Start> {
    let (mut commands, _) = recover(disk, &[]).expect("the disk is sound");
    while commands.durable().0 < last {
        let left = last - commands.durable().0;
        write_batches(&mut commands, 1, left.min(7));
    }
    let found = UnrecoveredEvents::open(disk.storage(), event_settings(), ID).expect("the disk is sound");
    let (mut events, _) = found
        .recover()
        .expect("the disk is sound")
        .finish()
        .expect("the disk is sound");
    let mut reader = EventReader::open(disk.storage(), events.position()).expect("the disk is sound");
    let mut said = CommandReader::open(disk.storage(), Verify::Chain, Seq(1)).expect("the disk is sound");
    let mut starts = Vec::new();
    for seq in 1..=last {
        events_of(seq)
            .iter()
            .for_each(|event| events.append(event).expect("the disk is sound"));
        said.next_command(Seq(last))
            .expect("the disk is sound")
            .expect("the disk is sound");
        while reader.next_event().expect("the disk is sound").is_some() {}
        let behind = reader.start();
        assert_eq!(behind.is_some(), seq % 1_024 == 0, "seq {seq}");
        starts.extend(behind.map(|events| Start {
            seq: Seq(seq),
            commands: said.start_of(Seq(seq)).expect("the disk is sound"),
            events,
        }));
    }
    events.sync().expect("the disk is sound");
    starts
}

fn recover_behind(
    disk: &SimulatedDisk,
    start: Option<Start>,
) -> Result<(Seq, ChainHash, ChainHash, u64), Error> {
    let settings = EventSettings {
        start,
        ..event_settings()
    };
    let events = UnrecoveredEvents::open(disk.storage(), settings, ID)?;
    let witness = start.map(|start| Witness {
        seq: start.seq,
        what: "a snapshot",
    });
    let commands = CommandSettings {
        start: start.map(|start| start.commands),
        ..command_settings()
    };
    let found = UnrecoveredJournal::open(disk.storage(), commands)?;
    let (_, report) = found.recover(witness.as_slice(), ID)?;
    let mut recovery = events.recover()?;
    for seq in start.map_or(0, |start| start.seq.0) + 1..=report.last_seq.0 {
        for event in events_of(seq) {
            recovery.feed(&event)?;
        }
    }
    let (journal, done) = recovery.finish()?;
    Ok((report.last_seq, report.chain, journal.event_hash(), done.compared))
}

#[test]
fn both_journals_are_read_from_behind_a_snapshot_and_what_was_before_may_be_gone() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let starts = journals(&disk, 5_000);
    assert_eq!(starts.len(), 4);
    let whole = recover_behind(&disk, None).expect("the disk is sound");
    for start in &starts {
        let behind = recover_behind(&disk, Some(*start)).expect("the disk is sound");
        assert_eq!(
            (behind.0, behind.1, behind.2),
            (whole.0, whole.1, whole.2),
            "behind {}",
            start.seq
        );
        assert!(behind.3 < whole.3);
    }
    let start = starts[2];
    assert!(start.commands.segment.0 > 2 && start.events.segment.0 > 2);
    let all =
        UnrecoveredEvents::open_to_read(disk.storage(), event_settings(), ID).expect("the disk is sound");
    let mut lagging = all.reader().expect("the disk is sound");
    lagging
        .next_event()
        .expect("the disk is sound")
        .expect("the disk is sound");
    for name in disk.names() {
        let number = name
            .trim_end_matches(".xqj")
            .rsplit('-')
            .next()
            .expect("the disk is sound")
            .parse()
            .unwrap_or(u64::MAX);
        let first = if name.starts_with("command-") {
            start.commands.segment
        } else {
            start.events.segment
        };
        if number < first.0 {
            disk.storage().remove(&name).expect("the disk is sound");
        }
    }
    let behind = recover_behind(&disk, Some(start)).expect("the disk is sound");
    assert_eq!((behind.0, behind.1, behind.2), (whole.0, whole.1, whole.2));
    assert!(
        recover_behind(&disk, None).is_err(),
        "without it, the beginning is missing"
    );
    readers_begin_with_the_oldest(&disk, start, lagging);
}

/// A segment of events that begins inside a command leaves the first of that command's events in the one before.
#[test]
fn a_segment_is_covered_when_nothing_of_the_bound_stands_in_it() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let starts = journals(&disk, 3_000);
    let number = |at: usize, bytes: &[u8]| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let events = disk.names().into_iter().filter(|name| name.starts_with("event-"));
    let firsts: Vec<_> = events
        .map(|name| disk.read(&name).expect("it is listed"))
        .map(|bytes| (number(48, &bytes), u16::from_le_bytes([bytes[56], bytes[57]])))
        .collect();
    let (inside, at_start) = (
        firsts
            .iter()
            .position(|first| first.1 > 0)
            .expect("command 1,500 crosses segments"),
        firsts
            .iter()
            .skip(1)
            .position(|first| first.1 == 0)
            .expect("others do not")
            + 1,
    );
    let covered = |before: u64| -> usize {
        let names = covered_segments(&*disk.storage(), &starts[1], Seq(before)).expect("the disk is sound");
        names.iter().filter(|name| name.starts_with("event-")).count()
    };
    let first = firsts[inside].0;
    assert!(
        covered(first) < inside,
        "the bound's own events are not all elsewhere"
    );
    assert!(covered(first + 1) >= inside);
    assert_eq!(covered(firsts[at_start].0), at_start);
    assert_eq!(covered(firsts[at_start].0 - 1), at_start - 1);
}

#[test]
fn a_snapshot_is_not_begun_where_there_is_no_room_for_it() {
    let disk = SimulatedDisk::new(10_000, 1);
    let calls = disk.calls();
    let room = |expected, spare| SnapshotRoom { expected, spare };
    for (expected, spare) in [(10_001, 0), (5_000, 5_001), (u64::MAX, 1)] {
        let begun = SnapshotWriter::begin(disk.storage(), head(1_024), room(expected, spare));
        assert!(matches!(begun, Err(Error::NoSpace { .. })));
    }
    assert_eq!(disk.calls(), calls, "nothing was touched");
    SnapshotWriter::begin(disk.storage(), head(1_024), room(5_000, 5_000)).expect("there is room");
}

fn readers_begin_with_the_oldest(disk: &SimulatedDisk, start: Start, mut lagging: EventReader) {
    // Readers begin with the oldest there is, and say of what is older that it is gone.
    let at_rest = UnrecoveredEvents::open_to_read(
        disk.storage(),
        EventSettings {
            start: Some(start),
            ..event_settings()
        },
        ID,
    );
    let mut reader = at_rest
        .expect("the disk is sound")
        .reader()
        .expect("the disk is sound");
    assert_eq!(reader.cursor().seq, start.seq.next());
    assert!(matches!(reader.seek(Seq(1)), Err(Error::NotFound { .. })));
    reader.seek(start.seq.next()).expect("the disk is sound");
    assert_eq!(
        reader
            .next_event()
            .expect("the disk is sound")
            .expect("the disk is sound"),
        events_of(start.seq.0 + 1)[0]
    );
    // One that had mapped what is gone begins anew where it goes anywhere.
    assert!(lagging.oldest().expect("the disk is sound") <= start.seq.next());
    lagging.seek(start.seq.next()).expect("the disk is sound");
    assert_eq!(
        lagging
            .next_event()
            .expect("the disk is sound")
            .expect("the disk is sound"),
        events_of(start.seq.0 + 1)[0]
    );
    let oldest = CommandReader::open_oldest(disk.storage(), Verify::Chain).expect("the disk is sound");
    assert_eq!(oldest.oldest(), Some(start.commands.first_seq));
    assert_eq!(oldest.id().expect("the disk is sound"), Some(ID));
}

#[test]
fn a_start_that_the_journals_do_not_hold_is_refused() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let starts = journals(&disk, 3_000);
    let (first, second) = (starts[0], starts[1]);
    let mixed = Start {
        events: first.events,
        ..second
    };
    assert!(matches!(
        recover_behind(&disk, Some(mixed)),
        Err(Error::NotCovered { .. })
    ));
    let far = EventStart {
        segment: SegmentNumber(99),
        ..second.events
    };
    let far = Start {
        events: far,
        ..second
    };
    assert!(matches!(
        recover_behind(&disk, Some(far)),
        Err(Error::NotCovered { .. })
    ));
    let chain = ChainHash([1; 32]);
    let forged = Start {
        commands: CommandStart {
            chain,
            ..second.commands
        },
        ..second
    };
    assert!(matches!(
        recover_behind(&disk, Some(forged)),
        Err(Error::Corrupt { .. })
    ));
    let later = Start {
        seq: Seq(9_999_360),
        ..second
    };
    assert!(recover_behind(&disk, Some(later)).is_err());
}

/// Power cuts while both journals grow and snapshots are taken of what is synced: recovery behind the newest always
/// gives what recovery from the beginning gives.
#[test]
fn power_cuts_leave_a_snapshot_that_the_journals_hold() {
    let mut behind_a_snapshot = 0;
    for seed in 1..=10_u64 {
        let disk = SimulatedDisk::new(1 << 30, seed);
        let mut random = seed;
        let starts = journals(&disk, 2_100 + splitmix64(&mut random) % 2_000);
        disk.fail_at(1 + splitmix64(&mut random) % 20, Fault::Kill);
        for start in &starts {
            let head = SnapshotHead {
                start: *start,
                ..head(0)
            };
            let writer = SnapshotWriter::begin(disk.storage(), head, SnapshotRoom::default());
            let put = writer.and_then(|mut writer| {
                writer.put(1, &[1; 500])?;
                writer.finish()?.make_durable()
            });
            if put.is_err() {
                break;
            }
        }
        disk.cut_power();
        let whole = recover_behind(&disk, None).expect("the disk is sound");
        for seq in snapshots(&*disk.storage()).expect("the disk is sound") {
            let head = *Snapshot::open(&*disk.storage(), seq, Some(ID))
                .expect("the disk is sound")
                .head();
            let behind = recover_behind(&disk, Some(head.start)).expect("the disk is sound");
            assert_eq!(
                (behind.0, behind.1, behind.2),
                (whole.0, whole.1, whole.2),
                "seed {seed}"
            );
            behind_a_snapshot += 1;
        }
    }
    assert!(behind_a_snapshot > 5, "{behind_a_snapshot} snapshots survived");
}
