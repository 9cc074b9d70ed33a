//! Matcher, journaler and publisher allocate nothing once they run.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one counts and passes everything on"
)]

mod in_process;

use in_process::{House, journals, wait_until_ready};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts allocations of the three threads while it is told to.
///
/// Invariant: every call is passed on unchanged to the system's allocator, which keeps the contract; counting touches
/// only atomics, a thread-local without destructor, and a buffer on the stack.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unknown,
    Watched,
    Other,
}

thread_local! {
    static KIND: Cell<Kind> = const { Cell::new(Kind::Unknown) };
}

/// Whether the current thread is one of the three, by the name that the kernel has of it.
fn is_watched() -> bool {
    KIND.with(|kind| {
        if kind.get() == Kind::Unknown {
            let mut name = [0_u8; 16];
            // SAFETY: PR_GET_NAME writes at most 16 bytes, the buffer's length.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            let watched = [&b"matcher\0"[..], b"journaler\0", b"publisher\0"]
                .iter()
                .any(|n| name.starts_with(n));
            kind.set(if watched { Kind::Watched } else { Kind::Other });
        }
        kind.get() == Kind::Watched
    })
}

// SAFETY: see the invariant of `Counting`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(Ordering::Relaxed) && is_watched() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: passed on unchanged.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Segments made ready ahead: more than the flow fills, since a writer that finds none has to make one itself.
const READY: usize = 16;

#[test]
fn the_three_threads_of_the_data_path_allocate_nothing_once_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut journals = journals(folder.path());
    journals.commands.prepared_segments = READY;
    journals.events.prepared_segments = READY;
    let mut house = House::open(&journals);
    // Long enough that every table has met every kind of command, and segments were changed.
    house.flow(0..10_000);
    wait_until_ready(folder.path(), READY);
    COUNTING.store(true, Ordering::SeqCst);
    house.flow(10_000..40_000);
    COUNTING.store(false, Ordering::SeqCst);
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), 0);
    house.stop();
}
