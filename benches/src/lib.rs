//! What the benchmarks share: the timed loop, the clocks, the calibration beside which times are told, the machine.

pub mod clock;
pub mod machine;

use xq_perf::frames::FrameTape;
use xq_perf::venue::Running;

/// Applies every command of a tape, as the matcher does with what lies in its ring; tells how many events there were.
///
/// Never inlined: what is counted begins and ends here (`valgrind --toggle-collect`).
#[inline(never)]
pub fn timed_commands(running: &mut Running, tape: &FrameTape) -> usize {
    let mut events = 0;
    for frame in tape.frames() {
        events += std::hint::black_box(running.apply(&frame)).len();
    }
    events
}
