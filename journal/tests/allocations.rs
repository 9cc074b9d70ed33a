//! Once running, neither journal allocates: not to append, to commit, to change segments, or to read.
#![allow(unsafe_code, reason = "a counting allocator has to be an allocator")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use support::{ID, SEGMENT, event_settings, events_of};
use xq_journal::frame::sample;
use xq_journal::{
    Append, CommandReader, CommandSettings, EventReader, Preparation, Seq, SimulatedDisk, UnrecoveredEvents,
    UnrecoveredJournal, Verify,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator; counting touches a plain thread-local cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn the_command_journal_allocates_nothing_once_running() {
    let folder = tempfile::tempdir().unwrap();
    let storage: std::sync::Arc<dyn xq_journal::Storage> =
        std::sync::Arc::new(xq_journal::FileStorage::open(folder.path()).unwrap());
    let settings = CommandSettings {
        segment_size: SEGMENT,
        prepared_segments: 8,
        ..CommandSettings::default()
    };
    let found = UnrecoveredJournal::open(std::sync::Arc::clone(&storage), settings).unwrap();
    let (mut journal, _) = found.recover(&[], ID).unwrap();
    while journal.pool().prepare().unwrap() == Preparation::Prepared {}
    let frame = sample::command(1, 88);
    let mut write = |batches: u64| {
        for _ in 0..batches {
            (0..20).for_each(|_| assert!(matches!(journal.append(&frame).unwrap(), Append::Taken(_))));
            journal.commit().unwrap();
        }
        (journal.durable(), journal.position().0.0)
    };
    write(2);
    let mut end = (Seq::ZERO, 0);
    assert_eq!(allocations(|| end = write(80)), 0);
    assert!(
        end.0 == Seq(82 * 20) && end.1 > 5,
        "several segments were written: {end:?}"
    );
    let mut reader = CommandReader::open(storage, Verify::Chain, Seq(1)).unwrap();
    assert!(reader.next_command(end.0).unwrap().is_some());
    let in_segment =
        allocations(|| (0..100).for_each(|_| assert!(reader.next_command(end.0).unwrap().is_some())));
    assert_eq!(in_segment, 0);
}

#[test]
fn the_event_journal_allocates_nothing_once_running() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let settings = xq_journal::EventSettings {
        prepared_segments: 8,
        ..event_settings()
    };
    let (mut journal, _) = UnrecoveredEvents::open(disk.storage(), settings, ID)
        .unwrap()
        .recover()
        .unwrap()
        .finish()
        .unwrap();
    while journal.pool().prepare().unwrap() == Preparation::Prepared {}
    let events: Vec<_> = (1..=1100).flat_map(events_of).collect();
    let (first, rest) = events.split_at(10);
    first.iter().for_each(|frame| journal.append(frame).unwrap());
    assert_eq!(
        allocations(|| rest.iter().for_each(|frame| journal.append(frame).unwrap())),
        0
    );
    assert!(
        disk.read("event-0000000003.xqj")
            .is_some_and(|image| image[0] != 0),
        "several segments were written"
    );
    let mut reader = EventReader::open(disk.storage(), journal.position()).unwrap();
    reader.seek(Seq(1)).unwrap();
    let read = allocations(|| {
        for frame in &events {
            assert_eq!(reader.next_event().unwrap().unwrap(), frame);
        }
        reader.seek(Seq(500)).unwrap();
        assert_eq!(reader.next_event().unwrap().unwrap(), events_of_500());
    });
    assert!(read < 10, "{read} allocations: only what is made to compare with");
}

fn events_of_500() -> Vec<u8> {
    events_of(500)[0].clone()
}
