//! Clocks: thread CPU time, which other programs on the machine do not lengthen, and a fixed loop to compare with.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// CPU time that this thread has used.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("CPU time is positive");
    let nanos = u32::try_from(time.tv_nsec).expect("nanoseconds of a second");
    Duration::new(seconds, nanos)
}

/// Runs something; tells its result and the CPU time of this thread that it took.
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let result = run();
    (result, thread_time() - start)
}

/// Steps of the calibration loop.
const STEPS: u32 = 50_000_000;

/// Nanoseconds a step of a fixed loop: splitmix64, each step waiting for the one before it. A slower machine, or a
/// moment when it is slower, shows here as it does in what is measured beside it.
pub fn calibration_ns() -> f64 {
    let ((), took) = timed(|| {
        let mut state = 42_u64;
        for _ in 0..STEPS {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            state ^= state >> 31;
        }
        std::hint::black_box(state);
    });
    took.as_secs_f64() * 1e9 / f64::from(STEPS)
}

/// Gaps that a spinning thread saw in its time: what the machine itself adds to every latency.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hiccups {
    /// Longer than 10 µs.
    pub over_10_us: u32,
    /// Longer than 100 µs.
    pub over_100_us: u32,
    /// Longer than 1 ms.
    pub over_1_ms: u32,
}

/// Spins for a while and counts the gaps.
pub fn hiccups(length: Duration) -> Hiccups {
    let mut seen = Hiccups::default();
    let start = Instant::now();
    let mut last = start;
    while last - start < length {
        let now = Instant::now();
        let gap = now - last;
        seen.over_10_us += u32::from(gap > Duration::from_micros(10));
        seen.over_100_us += u32::from(gap > Duration::from_micros(100));
        seen.over_1_ms += u32::from(gap > Duration::from_millis(1));
        last = now;
    }
    seen
}

/// Nanoseconds between two readings of the clock with nothing in between: the median of many.
pub fn empty_reading_ns() -> u64 {
    let mut gaps: Vec<_> = (0..10_001).map(|_| Instant::now().elapsed()).collect();
    gaps.sort_unstable();
    u64::try_from(gaps[gaps.len() / 2].as_nanos()).expect("a short time")
}
