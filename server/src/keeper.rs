//! Beside both journals: segments and pages made ready ahead, events written and synced behind, a full disk and full
//! tables noticed.

use crate::exit::Failure;
use crate::fills::Watch;
use crate::matcher::Watched;
use crate::pipeline::{Helper, spawn};
use crate::ring::Gauges;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use xq_journal::{CommandJournal, Due, Error, EventJournal, Preparation, SegmentPool};

/// How often it is looked whether something is to be made ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Rest between two pieces of work: in it the data path has the core and the disk.
const REST: Duration = Duration::from_micros(200);

/// Starts the helpers. Each has one kind of work, so that none that waits for the disk keeps another from its own:
/// two fill segments, one runs ahead of the writer of events and never waits, one syncs events.
pub(crate) fn start(
    commands: &CommandJournal,
    events: &EventJournal,
    gauges: &Arc<Gauges>,
    watched: &Arc<Watched>,
    sync_interval: Duration,
) -> Result<Vec<Helper>, Failure> {
    let pools = [commands.pool(), events.pool()];
    let [of_commands, of_events] = pools.clone();
    let mut weather = Weather {
        pools,
        gauges: Arc::clone(gauges),
        watched: Arc::clone(watched),
        watch: Watch::default(),
    };
    let (mut ahead, behind) = (events.keeper(), events.keeper());
    Ok(vec![
        helper("preparer", move || {
            weather.look();
            prepare(&of_commands)
        })?,
        helper("preparer-events", move || prepare(&of_events))?,
        helper("pages", move || match ahead.run_ahead() {
            Due::Overdue => Ok(Duration::ZERO),
            Due::More => Ok(REST),
            Due::Nothing => Ok(LOOK_EVERY),
        })?,
        helper("syncer", move || {
            behind.sync()?;
            Ok(sync_interval)
        })?,
    ])
}

/// What may stop the exchange from taking orders: noticed, and told in the log.
struct Weather {
    pools: [Arc<SegmentPool>; 2],
    gauges: Arc<Gauges>,
    watched: Arc<Watched>,
    watch: Watch,
}

impl Weather {
    fn look(&mut self) {
        self.watch.warn(&self.watched.fills);
        let is_low = |pool: &Arc<SegmentPool>| pool.is_low_on_space() && pool.free_segments() == 0;
        let low = self.pools.iter().any(is_low);
        if self.gauges.disk_is_low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!("the disk is full: orders are refused, cancels are taken");
            } else {
                tracing::info!("the disk has room again: orders are taken");
            }
        }
    }
}

/// Prepares a segment, if one is wanting; how long to rest then.
fn prepare(pool: &SegmentPool) -> Result<Duration, Failure> {
    match pool.prepare() {
        Ok(Preparation::Prepared) => Ok(Duration::ZERO),
        Ok(Preparation::Enough) | Err(Error::NoSpace { .. }) => Ok(LOOK_EVERY),
        Err(other) => Err(other.into()),
    }
}

/// Starts a thread that works, rests as long as the work says, and works again.
fn helper(
    name: &'static str,
    mut work: impl FnMut() -> Result<Duration, Failure> + Send + 'static,
) -> Result<Helper, Failure> {
    let halt = Arc::new(AtomicBool::new(false));
    let its_halt = Arc::clone(&halt);
    let body = move || {
        while !its_halt.load(Ordering::Acquire) {
            match work() {
                Ok(rest) => std::thread::park_timeout(rest),
                Err(failure) => failure.end_process(),
            }
        }
    };
    let thread = spawn(name, None, body)?;
    Ok(Helper { halt, thread })
}
