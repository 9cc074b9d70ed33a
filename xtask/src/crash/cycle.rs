//! One cycle: start (perhaps killed while it recovers), load with resends, death at a chosen moment.

use super::load::{Draws, Session};
use super::power::SmallDisk;
use super::record::Record;
use super::segments::{Fill, fill};
use super::{ACKNOWLEDGED_MIN, TRADERS};
use crate::exchange::{Running, Trial};
use anyhow::ensure;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// SIGKILL.
    Kill,
    /// What was not synced is gone with the power of the disk.
    PowerCut,
}

impl Way {
    /// A name for folders and headings.
    pub fn name(self) -> &'static str {
        match self {
            Way::Kill => "kill",
            Way::PowerCut => "power-cut",
        }
    }
}

/// When the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// After so many answers.
    Anywhere,
    /// Then, when a segment of the command journal is nearly full or just begun.
    SegmentEnd,
}

/// What happened in all cycles.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cycles.
    pub cycles: u32,
    /// Kills under load, away from segments' ends.
    pub kills_anywhere: u32,
    /// Kills under load at the end of a segment.
    pub kills_at_segment_end: u32,
    /// Kills before the process listened.
    pub kills_in_recovery: u32,
    /// Power cuts.
    pub power_cuts: u32,
    /// Requests asked again.
    pub resent: usize,
    /// Fewest answers in a cycle.
    pub acknowledged_fewest: usize,
    /// How long the last start took.
    recovery: Duration,
}

/// How long a cycle may wait for what it needs to see.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_micros(200);

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
    disk: Option<&'a SmallDisk>,
    number: u32,
    seed: u64,
    draws: &'a mut Draws,
}

impl<'a> Cycle<'a> {
    /// A cycle of this number; with a disk, its power is cut.
    pub fn new(
        (trial, disk): (&'a Trial, Option<&'a SmallDisk>),
        (number, seed): (u32, u64),
        draws: &'a mut Draws,
    ) -> Cycle<'a> {
        Cycle {
            trial,
            disk,
            number,
            seed,
            draws,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever contradicts what was told, or does not come.
    pub fn run(&mut self, records: &mut [Record], tally: &mut Tally) -> anyhow::Result<()> {
        if self.disk.is_none() && self.number.is_multiple_of(3) {
            for _ in 0..=self.draws.below(2) {
                self.kill_in_recovery(tally)?;
            }
        }
        let started = Instant::now();
        let running = start(self.trial)?;
        tally.recovery = started.elapsed();
        let acknowledged = AtomicUsize::new(0);
        let last_fill = self.load_until_death(running, records, (&acknowledged, tally))?;
        let acknowledged = acknowledged.into_inner();
        ensure!(
            acknowledged >= ACKNOWLEDGED_MIN,
            "only {acknowledged} were acknowledged"
        );
        tally.cycles += 1;
        match self.disk {
            Some(disk) => {
                disk.restore()?;
                tally.power_cuts += 1;
            }
            None if last_fill.is_some_and(|fill| fill.is_at_an_end()) => tally.kills_at_segment_end += 1,
            None => tally.kills_anywhere += 1,
        }
        let fewest = tally.acknowledged_fewest;
        tally.acknowledged_fewest = if fewest == 0 {
            acknowledged
        } else {
            fewest.min(acknowledged)
        };
        Ok(())
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
            tally.kills_in_recovery += 1;
        }
        Ok(())
    }

    fn load_until_death(
        &mut self,
        running: Running,
        records: &mut [Record],
        (acknowledged, tally): (&AtomicUsize, &mut Tally),
    ) -> anyhow::Result<Option<Fill>> {
        let moment = match self.number % 3 {
            1 => Moment::SegmentEnd,
            _ => Moment::Anywhere,
        };
        let wanted = ACKNOWLEDGED_MIN + self.draws.below(1_500) as usize;
        let seeds: Vec<u64> = records.iter().map(|_| self.draws.next()).collect();
        let (dead, died) = watch::channel(false);
        let (trial, disk, seed) = (self.trial, self.disk, self.seed);
        std::thread::scope(|scope| {
            let executioner = scope.spawn(move || {
                let killed = wait_for(moment, wanted, (acknowledged, &trial.journals())).and_then(|()| {
                    disk.map_or(Ok(()), SmallDisk::cut)?;
                    running.kill()
                });
                // Nobody listens when the sessions failed: then their error is the one to be told.
                let _ = dead.send(true);
                killed.map(|()| fill(&trial.journals()))
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
            let last_fill = executioner.join().expect("the executioner does not panic");
            let (first, second) = resent?;
            tally.resent += first + second;
            last_fill
        })
    }
}

/// Waits until enough is acknowledged, and for a segment's end where it is wanted.
fn wait_for(
    moment: Moment,
    wanted: usize,
    (acknowledged, journals): (&AtomicUsize, &Path),
) -> anyhow::Result<()> {
    let started = Instant::now();
    let answered = || acknowledged.load(Ordering::Relaxed);
    while answered() < wanted {
        ensure!(
            started.elapsed() < PATIENCE,
            "only {} were acknowledged within {PATIENCE:?}",
            answered()
        );
        std::thread::sleep(LOOK_EVERY);
    }
    let at_an_end = || fill(journals).is_some_and(|fill| fill.is_at_an_end());
    while moment == Moment::SegmentEnd && answered() < usize::MAX / 2 && !at_an_end() {
        ensure!(
            started.elapsed() < PATIENCE,
            "no segment ended within {PATIENCE:?}"
        );
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Says whether a process has a file of this folder open.
fn has_open(pid: u32, folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.any(|target| target.starts_with(folder))
}
