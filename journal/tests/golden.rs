//! Golden files: the bytes of both formats, pinned. `XQ_BLESS=1` writes them anew, after a change of version.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{ID, command, events_of, write_batches};
use xq_journal::{
    COMMAND_FORMAT, ChainHash, CommandReader, CommandSettings, CommandStart, EVENT_FORMAT, EventSettings,
    EventStart, FileStorage, SNAPSHOT_FORMAT, SegmentNumber, Seq, SimulatedDisk, Snapshot, SnapshotHead,
    SnapshotRoom, SnapshotWriter, Start, UnrecoveredEvents, UnrecoveredJournal, Verify, inspect_image,
};

const SMALL: u64 = 32 << 10;

/// Compares bytes, trailing zeros left out, with a golden file.
fn check(file: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(file);
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("something was written")
        + 1;
    if std::env::var_os("XQ_BLESS").is_some() {
        fs::write(&path, &bytes[..used]).expect("the golden folder can be written");
    }
    let golden = fs::read(&path).expect("the golden file is there");
    let differs = golden.iter().zip(bytes).position(|(golden, byte)| golden != byte);
    assert_eq!(
        (differs, golden.len()),
        (None, used),
        "{file}: first differing offset, length"
    );
}

fn read_golden(file: &str, size: u64) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
    let mut image = fs::read(path).expect("the golden file is there");
    assert!(image.len() > 4096, "a golden file holds something");
    image.resize(usize::try_from(size).expect("small"), 0);
    image
}

#[test]
fn the_bytes_of_a_command_segment_are_pinned() {
    let settings = CommandSettings {
        segment_size: SMALL,
        ..CommandSettings::default()
    };
    let disk = SimulatedDisk::new(1 << 30, 1);
    let found = UnrecoveredJournal::open(disk.storage(), settings).unwrap();
    let (mut journal, _) = found.recover(&[], ID).unwrap();
    assert_eq!(write_batches(&mut journal, 3, 3), Seq(9));
    check("command-v1.bin", &disk.read("command-0000000001.xqj").unwrap());
    assert_eq!(COMMAND_FORMAT, 1);
}

#[test]
fn the_bytes_of_an_event_segment_are_pinned() {
    let settings = EventSettings {
        segment_size: 1 << 20,
        ..EventSettings::default()
    };
    let disk = SimulatedDisk::new(1 << 30, 1);
    let found = UnrecoveredEvents::open(disk.storage(), settings, ID).unwrap();
    let (mut journal, _) = found.recover().unwrap().finish().unwrap();
    (1..=1026)
        .flat_map(events_of)
        .for_each(|frame| journal.append(&frame).unwrap());
    let image = disk.read("event-0000000001.xqj").unwrap();
    assert_eq!(journal.cursor().seq, Seq(1027));
    // The header, the first records, and what stands around the end of the first epoch.
    let epoch = image
        .chunks(8)
        .position(|word| word.starts_with(&[0xFF, 0xFF, 0, 0]))
        .unwrap()
        * 8;
    let mut pinned = image[..2048].to_vec();
    pinned.extend_from_slice(&image[epoch - 1024..epoch + 1024]);
    check("event-v2.bin", &pinned);
    assert_eq!(EVENT_FORMAT, 2);
}

#[test]
fn the_bytes_of_a_snapshot_are_pinned() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let segment = SegmentNumber(2);
    let commands = CommandStart {
        segment,
        first_seq: Seq(1_000),
        chain: ChainHash([3; 32]),
    };
    let events = EventStart {
        segment,
        offset: 9_000,
        chain: ChainHash([4; 32]),
    };
    let head = SnapshotHead {
        id: ID,
        start: Start {
            seq: Seq(1_024),
            commands,
            events,
        },
        time_ns: 5,
    };
    let mut writer = SnapshotWriter::begin(disk.storage(), head, SnapshotRoom::default()).unwrap();
    writer.put(1, b"a section").unwrap();
    writer.put(2, &[6; 5_000]).unwrap();
    let written = writer.finish().unwrap().make_durable().unwrap();
    assert_eq!(written.sections, 2);
    let image = disk.read(&written.file).unwrap();
    check("snapshot-v2.bin", &image);
    assert_eq!(SNAPSHOT_FORMAT, 2);
    let golden = read_golden("snapshot-v2.bin", written.bytes);
    disk.put(&written.file, &golden);
    let snapshot = Snapshot::open(&*disk.storage(), Seq(1_024), Some(ID)).unwrap();
    assert_eq!(*snapshot.head(), head);
}

/// Snapshots come and go: one of an older format is passed over, and said to be that.
#[test]
fn the_golden_snapshot_of_an_older_format_is_refused_by_name() {
    let disk = SimulatedDisk::new(1 << 20, 1);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/snapshot-v1.bin");
    let golden = fs::read(path).expect("the golden file is there");
    disk.put(&xq_journal::snapshot_name(Seq(1_024)), &golden);
    let refused = Snapshot::open(&*disk.storage(), Seq(1_024), Some(ID)).unwrap_err();
    assert!(refused.to_string().contains("of an older format"), "{refused}");
}

/// Journals written by earlier versions of the program stay readable.
#[test]
fn the_golden_command_segment_is_read() {
    let image = read_golden("command-v1.bin", SMALL);
    let report = inspect_image(&image, 1, &[]).unwrap();
    assert_eq!(
        (report.id, report.last_seq, report.cuts.len()),
        (Some(ID), Seq(9), 0)
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("command-0000000001.xqj"), &image).unwrap();
    let storage = std::sync::Arc::new(FileStorage::open_to_read(folder.path()).unwrap());
    let mut reader = CommandReader::open(storage, Verify::Chain, Seq(1)).unwrap();
    for seq in 1..=9 {
        assert_eq!(reader.next_command(Seq(9)).unwrap().unwrap(), command(seq));
    }
}
