//! How a thread of the pipeline waits for work: spinning on a core of its own, or sharing cores and sleeping briefly.

use crossbeam::utils::CachePadded;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

/// Longest sleep of a thread that shares its core: nobody is sure to wake it, since the ring cannot.
pub const PARK_MAX: Duration = Duration::from_micros(100);
const SPINS: u32 = 64;

/// How threads are laid out on cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Matcher, journaler and publisher have a core each and never sleep.
    Pinned,
    /// Threads share cores: they spin briefly, then sleep at most [`PARK_MAX`].
    Shared,
}

impl Layout {
    /// Cores that the pinned layout takes: matcher, journaler, publisher, and one for the doors.
    pub const PINNED_CORES: usize = 4;

    /// The layout that goes with so many cores.
    pub fn for_cores(cores: usize) -> Layout {
        if cores >= Self::PINNED_CORES {
            Layout::Pinned
        } else {
            Layout::Shared
        }
    }
}

#[derive(Debug, Default)]
struct Bed {
    asleep: CachePadded<AtomicBool>,
    sleeper: OnceLock<Thread>,
}

/// Wakes a thread that sleeps; costs one load while it is awake.
#[derive(Clone, Debug, Default)]
pub struct Waker {
    bed: Arc<Bed>,
}

impl Waker {
    /// Wakes the thread, if it sleeps. A wake-up that comes while it falls asleep may be missed: it then
    /// wakes by itself after [`PARK_MAX`].
    #[inline]
    pub fn wake(&self) {
        if self.bed.asleep.load(Ordering::Relaxed) && self.bed.asleep.swap(false, Ordering::AcqRel) {
            // The thread put itself into the bed before it said that it sleeps.
            if let Some(sleeper) = self.bed.sleeper.get() {
                sleeper.unpark();
            }
        }
    }
}

#[cfg(test)]
impl Waker {
    /// As a thread says before it sleeps.
    pub(crate) fn lie_down(&self) {
        self.bed.asleep.store(true, Ordering::Relaxed);
    }
    pub(crate) fn is_asleep(&self) -> bool {
        self.bed.asleep.load(Ordering::Relaxed)
    }
}

/// One thread's waiting: [`Waiter::idle`] after each look that found nothing, [`Waiter::busy`] after one that did.
#[derive(Debug)]
pub struct Waiter {
    layout: Layout,
    idles: u32,
    waker: Waker,
}

impl Waiter {
    /// For the thread that will call it; `waker` is what others wake it with.
    pub fn new(layout: Layout, waker: Waker) -> Waiter {
        Waiter {
            layout,
            idles: 0,
            waker,
        }
    }

    /// To be called once by the thread itself: makes its short sleeps short.
    pub fn settle(&self) {
        if self.layout == Layout::Shared {
            // Without this the kernel may make a sleep of 100 µs half again as long. That it may be refused
            // changes nothing but latency.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
        }
    }

    /// Nothing was found: waits a little, longer each time.
    #[inline]
    pub fn idle(&mut self) {
        if self.layout == Layout::Pinned || self.idles < SPINS {
            self.idles = self.idles.saturating_add(1);
            std::hint::spin_loop();
            return;
        }
        self.rest();
    }

    #[cold]
    fn rest(&mut self) {
        let bed = &self.waker.bed;
        if !bed.asleep.load(Ordering::Relaxed) {
            // Says that it sleeps, then lets the caller look once more: only after that it does sleep.
            bed.sleeper.get_or_init(std::thread::current);
            bed.asleep.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        } else {
            std::thread::park_timeout(PARK_MAX);
            bed.asleep.store(false, Ordering::Relaxed);
        }
    }

    /// Something was found: the next wait begins with spinning again.
    #[inline]
    pub fn busy(&mut self) {
        if self.idles >= SPINS {
            self.waker.bed.asleep.store(false, Ordering::Relaxed);
        }
        self.idles = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_sleeping_thread_sees_what_happened_with_or_without_being_woken() {
        for wake in [true, false] {
            let (waker, flag) = (Waker::default(), Arc::new(AtomicU64::new(0)));
            let (its_waker, its_flag) = (waker.clone(), Arc::clone(&flag));
            let thread = std::thread::spawn(move || {
                let mut waiter = Waiter::new(Layout::Shared, its_waker);
                waiter.settle();
                let mut rounds = 0_u64;
                while its_flag.load(Ordering::Acquire) == 0 {
                    waiter.idle();
                    rounds += 1;
                }
                waiter.busy();
                rounds
            });
            while !waker.bed.asleep.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            flag.store(1, Ordering::Release);
            if wake {
                waker.wake();
            }
            assert!(thread.join().expect("it ends") > u64::from(SPINS));
        }
    }

    #[test]
    fn two_cores_are_shared_and_four_are_not() {
        assert_eq!(Layout::for_cores(2), Layout::Shared);
        assert_eq!(Layout::for_cores(4), Layout::Pinned);
    }
}
