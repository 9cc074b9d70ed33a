//! The newest commands in memory: read there by who is right behind the writer, on the disk by who is not.

use std::sync::Arc;
use xq_journal::frame::sample;
use xq_journal::{
    Append, CommandJournal, CommandReader, CommandSettings, CommandTail, Committed, JournalId, Seq,
    SimulatedDisk, TailReader, UnrecoveredJournal, Verify,
};

/// Commands committed at once.
const BATCH: u64 = 10;

struct Following {
    disk: SimulatedDisk,
    journal: CommandJournal,
    tail: Arc<CommandTail>,
    reader: TailReader,
}

impl Following {
    /// A reader at the first command, behind a writer that keeps so many bytes for it.
    fn new(bytes_max: usize) -> Following {
        let settings = CommandSettings {
            segment_size: 64 << 10,
            ..CommandSettings::default()
        };
        let disk = SimulatedDisk::new(64 << 20, 1);
        let opened = UnrecoveredJournal::open(disk.storage(), settings).expect("nothing is there");
        let (journal, _) = opened.recover(&[], JournalId([1; 16])).expect("nothing is there");
        let tail = Arc::new(CommandTail::of(bytes_max));
        let reader = TailReader::open(disk.storage(), Arc::clone(&tail), Seq(1)).expect("it is readable");
        Following {
            disk,
            journal,
            tail,
            reader,
        }
    }

    /// Commits as many commands as a batch has, at a segment's end in two.
    fn commit(&mut self) {
        let end = self.journal.next_seq().0 + BATCH;
        while self.journal.next_seq().0 < end {
            let tag = self.journal.next_seq().0;
            match self.journal.append(&frame_of(tag)).expect("the disk is sound") {
                Append::Taken(seq) => {
                    assert_eq!(seq, Seq(tag));
                    assert_eq!(self.journal.committed().frames, b"", "more was appended");
                }
                Append::BatchFull => self.sync(),
            }
        }
        self.sync();
    }

    fn sync(&mut self) {
        let first = self.journal.durable().next();
        let last = self.journal.commit().expect("the disk is sound");
        let committed = self.journal.committed();
        assert_eq!((committed.first, committed.last), (first, last));
        self.tail.push(&committed);
    }

    /// Reads all that is durable, each command as it was said; how many came from the disk.
    fn read(&mut self) -> u64 {
        let (before, durable) = (self.reader.from_disk(), self.journal.durable());
        while self.reader.next_seq() <= durable {
            let seq = self.reader.next_seq();
            let frame = self.reader.next_command(durable).expect("it is readable");
            assert_eq!(frame.expect("it is durable"), numbered(seq.0));
        }
        assert!(
            self.reader
                .next_command(durable)
                .expect("it is readable")
                .is_none()
        );
        self.reader.from_disk() - before
    }
}

fn frame_of(tag: u64) -> Vec<u8> {
    sample::command(tag, u16::try_from(tag % 100 * 8).expect("short"))
}

fn numbered(seq: u64) -> Vec<u8> {
    let mut frame = frame_of(seq);
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    frame
}

#[test]
fn who_is_right_behind_reads_nothing_from_the_disk() {
    let mut following = Following::new(1 << 20);
    for _ in 0..300 {
        following.commit();
        assert_eq!(following.read(), 0);
    }
    let (segment, _) = following.journal.position();
    assert!(segment.0 > 3, "segments came and went");
}

#[test]
fn who_lags_finds_on_the_disk_what_memory_had_no_room_for() {
    let mut following = Following::new(20 << 10);
    (0..200).for_each(|_| following.commit());
    let from_disk = following.read();
    assert!(from_disk > 1_000 && from_disk < 2_000, "{from_disk}");
    following.commit();
    assert_eq!(following.read(), 0, "there is room again");
}

#[test]
fn holes_in_memory_are_filled_from_the_disk() {
    let mut following = Following::new(1 << 20);
    for round in 0..40 {
        let kept = Arc::clone(&following.tail);
        following.commit();
        // Nobody keeps these.
        following.tail = Arc::default();
        (0..round % 5).for_each(|_| following.commit());
        following.tail = kept;
        following.commit();
        assert_eq!(following.read(), round % 5 * BATCH, "round {round}");
    }
}

#[test]
fn who_begins_in_the_middle_of_a_batch_finds_its_place() {
    let mut following = Following::new(1 << 20);
    (0..20).for_each(|_| following.commit());
    for from in [1, 95, 100, 101, 150] {
        let tail = Arc::new(CommandTail::of(1 << 20));
        let storage = following.disk.storage();
        let mut reader = TailReader::open(storage, Arc::clone(&tail), Seq(from)).expect("it is readable");
        let frames: Vec<u8> = (91..=110).flat_map(numbered).collect();
        tail.push(&Committed {
            first: Seq(91),
            last: Seq(110),
            frames: &frames,
        });
        for seq in from..=200 {
            let frame = reader.next_command(Seq(200)).expect("it is readable");
            assert_eq!(frame.expect("it is durable"), numbered(seq));
        }
        let in_memory = 111_u64.saturating_sub(from.max(91));
        assert_eq!(reader.from_disk(), 201 - from - in_memory, "from {from}");
    }
}

#[test]
fn nothing_is_kept_while_nobody_follows() {
    let tail = Arc::new(CommandTail::default());
    let following = Following::new(1 << 20);
    let frames = numbered(1);
    let committed = Committed {
        first: Seq(1),
        last: Seq(1),
        frames: &frames,
    };
    tail.push(&committed);
    let reader = TailReader::open(following.disk.storage(), Arc::clone(&tail), Seq(1));
    let mut reader = reader.expect("it is readable");
    tail.push(&committed);
    let frame = reader.next_command(Seq(1)).expect("it is in memory");
    assert_eq!(frame.expect("it is durable"), frames);
    assert_eq!(reader.from_disk(), 0);
}

#[test]
fn where_a_snapshot_begins_to_read_is_the_segment_of_its_last_command() {
    let mut following = Following::new(1 << 20);
    (0..300).for_each(|_| following.commit());
    let mut starts = Vec::new();
    for seq in (1..=3_000).step_by(7) {
        let start = following.reader.start_of(Seq(seq)).expect("it is there");
        assert!(start.first_seq <= Seq(seq));
        starts.push(start.segment);
        let storage = following.disk.storage();
        let mut reader =
            CommandReader::open(storage, Verify::Chain, start.first_seq).expect("it is readable");
        for expected in start.first_seq.0..=seq {
            let frame = reader.next_command(Seq(3_000)).expect("it is readable");
            assert_eq!(sample::seq(frame.expect("it is durable")), Seq(expected));
        }
    }
    starts.dedup();
    assert!(starts.len() > 3, "{starts:?}");
}
