//! One cycle: start (perhaps killed while it recovers), load with resends, an end at a chosen moment.

use super::TRADERS;
use super::copies::{Copies, Task};
use super::death::{Death, Relief};
use super::load::{Draws, Session};
use super::power::Disks;
use super::record::Record;
use super::segments::Fill;
use super::tally::Tally;
use crate::exchange::{Running, Trial};
use anyhow::ensure;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How a cycle ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// SIGKILL.
    Kill,
    /// What was not synced is gone with the power of the disks.
    PowerCut,
    /// The disks are full; then SIGKILL.
    DiskFull,
}

impl Way {
    /// A name for folders and headings.
    pub fn name(self) -> &'static str {
        match self {
            Way::Kill => "kill",
            Way::PowerCut => "power-cut",
            Way::DiskFull => "disk-full",
        }
    }
}

/// When it ends, after so many answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At once.
    Anywhere,
    /// When a segment of the command journal is nearly full or just begun.
    SegmentEnd,
    /// When a snapshot is being written.
    Snapshot,
    /// While the exchange is copied; the copy ends with it.
    Copy(Task),
}

/// What an end met.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    /// How far the segment of commands was filled, where that can still be seen.
    pub fill: Option<Fill>,
    /// A snapshot was being written.
    pub in_snapshot: bool,
    /// A copy was at work.
    pub in_copy: Option<Task>,
    /// The copy found no room.
    pub copy_refused: bool,
    /// The disk was full, and then had room again.
    pub had_room_again: bool,
}

/// Acknowledged in each cycle, at least.
const ACKNOWLEDGED_MIN: usize = 1_000;
/// How long a cycle may wait for what it needs to see.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the journal.
pub const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Starts the process and waits until it says that it listens: it holds its port for a moment before it recovers, and
/// who connects then is not heard.
pub fn start(trial: &Trial) -> anyhow::Result<Running> {
    let (said_before, started) = (times_listening(trial), Instant::now());
    let mut running = trial.spawn()?;
    running.wait_until_listening()?;
    while times_listening(trial) == said_before {
        ensure!(
            started.elapsed() < PATIENCE,
            "the exchange does not say that it listens"
        );
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(running)
}

/// How often a process of this trial said that it listens.
fn times_listening(trial: &Trial) -> usize {
    let log = trial.config().with_file_name("xq.log");
    std::fs::read_to_string(log)
        .unwrap_or_default()
        .matches("listening at ")
        .count()
}

/// One cycle.
pub struct Cycle<'a> {
    trial: &'a Trial,
    disks: Option<&'a (Way, Disks)>,
    moment: Moment,
    seed: u64,
    draws: &'a mut Draws,
}

impl<'a> Cycle<'a> {
    /// A cycle that ends at this moment; with disks, they are what ends it.
    pub fn new(
        (trial, disks): (&'a Trial, Option<&'a (Way, Disks)>),
        moment: Moment,
        (seed, draws): (u64, &'a mut Draws),
    ) -> Cycle<'a> {
        Cycle {
            trial,
            disks,
            moment,
            seed,
            draws,
        }
    }

    fn way(&self) -> Way {
        self.disks.map_or(Way::Kill, |(way, _)| *way)
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever contradicts what was told, or does not come.
    pub fn run(
        &mut self,
        (records, copies): (&mut [Record], &mut Copies<'_>),
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let is_to_be_killed_before = matches!(self.moment, Moment::Anywhere | Moment::Copy(Task::Archive));
        if self.way() == Way::Kill && is_to_be_killed_before {
            for _ in 0..=self.draws.below(2) {
                self.kill_in_recovery(tally)?;
            }
        }
        let started = Instant::now();
        let behind_before = starts_behind(self.trial);
        let running = start(self.trial)?;
        tally.recovery = started.elapsed();
        tally.behind_snapshot += u32::from(starts_behind(self.trial) > behind_before);
        let refused_before = snapshots_refused(self.trial);
        let acknowledged = AtomicUsize::new(0);
        let (met, resent) = self.load_until_death(running, (records, copies), &acknowledged)?;
        let acknowledged = acknowledged.into_inner();
        ensure!(
            acknowledged >= ACKNOWLEDGED_MIN,
            "only {acknowledged} were acknowledged"
        );
        tally.resent += resent;
        tally.snapshots_refused += u32::from(snapshots_refused(self.trial) > refused_before);
        tally.count(self.way(), &met, acknowledged);
        // Of a disk whose power is cut nothing can be listed before it is given back.
        if let Some((Way::PowerCut, disks)) = self.disks {
            disks.restore()?;
        }
        match self.moment {
            Moment::Copy(task) => copies.judge(task),
            Moment::Anywhere | Moment::SegmentEnd | Moment::Snapshot => Ok(()),
        }
    }

    /// Starts the process, waits until it has its journals open, and kills it a little later.
    fn kill_in_recovery(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        let said_before = times_listening(self.trial);
        let running = self.trial.spawn()?;
        let (pid, spawned) = (running.pid(), Instant::now());
        while !has_open(pid, &self.trial.journals()) {
            ensure!(
                spawned.elapsed() < PATIENCE,
                "the process does not open its journals"
            );
            std::thread::yield_now();
        }
        // Up to the time that the last start took, so that any step of recovery may be the last one.
        let most = u64::try_from(tally.recovery.as_micros()).unwrap_or(u64::MAX);
        let until = Instant::now() + Duration::from_micros(self.draws.below(most));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        running.kill()?;
        if times_listening(self.trial) == said_before {
            tally.in_recovery += 1;
        }
        Ok(())
    }

    /// What the end met, and how many requests were asked again.
    fn load_until_death(
        &mut self,
        running: Running,
        (records, copies): (&mut [Record], &Copies<'_>),
        acknowledged: &AtomicUsize,
    ) -> anyhow::Result<(Met, usize)> {
        let death = Death {
            trial: self.trial,
            disks: self.disks.map(|(_, disks)| disks),
            copies,
            way: self.way(),
            moment: self.moment,
            wanted: ACKNOWLEDGED_MIN + self.draws.below(1_500) as usize,
            alone: match self.moment {
                Moment::Copy(task) => copies.moment(task, self.draws),
                Moment::Anywhere | Moment::SegmentEnd | Moment::Snapshot => Duration::ZERO,
            },
            relief: match self.draws.below(4) {
                0 => Relief::After,
                _ => Relief::Before,
            },
            acknowledged,
        };
        let seeds: Vec<u64> = records.iter().map(|_| self.draws.next()).collect();
        let (dead, died) = watch::channel(false);
        let (trial, seed) = (self.trial, self.seed);
        std::thread::scope(|scope| {
            let executioner = scope.spawn(move || {
                let met = death.come(running);
                // Nobody listens when the sessions failed: then their error is the one to be told.
                let _ = dead.send(true);
                met
            });
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let resent = runtime.block_on(async {
                let sessions = records
                    .iter_mut()
                    .zip(seeds)
                    .enumerate()
                    .map(|(trader, (record, chance))| {
                        let (config, died) = (trial.client(&TRADERS[trader], 0), died.clone());
                        async move {
                            let mut session = Session {
                                trader,
                                seed,
                                record,
                                acknowledged,
                            };
                            session.run(config, Draws(chance), died).await
                        }
                    });
                let [first, second] = sessions.collect::<Vec<_>>().try_into().ok().expect("two traders");
                tokio::try_join!(first, second)
            });
            if resent.is_err() {
                // The executioner waits for answers that will not come: give it all it waits for.
                acknowledged.fetch_add(usize::MAX / 2, Ordering::Relaxed);
            }
            let met = executioner.join().expect("the executioner does not panic");
            let (first, second) = resent?;
            Ok((met?, first + second))
        })
    }
}

/// How often a process of this trial began with a snapshot.
fn starts_behind(trial: &Trial) -> usize {
    let log = trial.config().with_file_name("xq.log");
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let is_behind = |line: &&str| line.contains("recovered and listening") && line.contains("\"snapshot\":");
    log.lines().filter(is_behind).count()
}

/// How often a snapshot of this trial could not be written.
fn snapshots_refused(trial: &Trial) -> usize {
    trial
        .log()
        .unwrap_or_default()
        .matches("no snapshot was taken")
        .count()
}

/// Says whether a process has a file of this folder open.
fn has_open(pid: u32, folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.any(|target| target.starts_with(folder))
}
