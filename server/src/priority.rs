//! Real-time priority of the data path where threads share cores.
//!
//! Linux lets a thread that wakes wait until the one that runs has used up its slice, up to milliseconds where the
//! timer ticks 250 times a second. A thread of the data path works for microseconds, then sleeps: under `SCHED_FIFO` it
//! runs as soon as it wakes, and nobody waits long for it.

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy,
};

/// Lowest priority of the journaler: matcher and publisher have the one below it, and the least there is is 1.
pub const PRIORITY_MIN: u8 = 2;
/// Highest priority of the journaler: above it are threads of the kernel that the machine needs.
pub const PRIORITY_MAX: u8 = 90;

/// Gives a thread a real-time priority.
///
/// # Errors
/// Why the system refused: a user other than root needs `RLIMIT_RTPRIO`, or `CAP_SYS_NICE`.
pub(crate) fn raise<T>(thread: &JoinHandle<T>, priority: u8) -> Result<(), String> {
    let value = ThreadPriorityValue::try_from(priority).expect("the configuration was checked");
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread.as_pthread_t(), ThreadPriority::Crossplatform(value), fifo).map_err(
        |error| match error {
            thread_priority::Error::OS(code) => std::io::Error::from_raw_os_error(code).to_string(),
            other => format!("{other:?}"),
        },
    )
}
