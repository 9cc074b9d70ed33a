//! How a cycle ends: at a chosen moment the process is killed, the power of its disks is cut, or they are full.

use super::copies::{Copies, heard};
use super::cycle::{LOOK_EVERY, Met, Moment, PATIENCE, Way};
use super::power::Disks;
use super::segments::fill;
use crate::exchange::{Running, Trial};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Answers that must come once a full disk has room again.
const ANSWERS_AFTER: usize = 500;

/// A death that is planned.
pub struct Death<'a> {
    /// Who dies.
    pub trial: &'a Trial,
    /// Where its journals and copies lie, unless on the disk of all.
    pub disks: Option<&'a Disks>,
    /// What copies are made with.
    pub copies: &'a Copies<'a>,
    /// How.
    pub way: Way,
    /// When.
    pub moment: Moment,
    /// After so many answers at the earliest.
    pub wanted: usize,
    /// How long a copy is left alone.
    pub alone: Duration,
    /// Whether a full disk has room again before the process is killed.
    pub relief: Relief,
    /// Answers in this cycle; so many more than can be once the sessions failed.
    pub acknowledged: &'a AtomicUsize,
}

/// Whether a full disk has room again before the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// It is killed while the disk is full.
    After,
    /// It takes orders again before.
    Before,
}

impl Death<'_> {
    /// Waits for the moment, and kills.
    ///
    /// # Errors
    /// A moment that does not come.
    pub fn come(&self, running: Running) -> anyhow::Result<Met> {
        self.wait_for(|| self.answered() >= self.wanted, "not enough was acknowledged")?;
        let journals = self.trial.journals();
        let mut copy = None;
        match self.moment {
            Moment::Anywhere => {}
            Moment::SegmentEnd => {
                let at_an_end = || fill(&journals).is_some_and(|fill| fill.is_at_an_end());
                self.wait_for(at_an_end, "no segment ended")?;
            }
            Moment::Snapshot => self.wait_for(|| is_in_snapshot(&journals), "no snapshot was begun")?,
            Moment::Copy(task) => {
                let mut command = self.copies.command(task)?;
                copy = Some((task, command.spawn().context("cannot start `xq`")?));
                std::thread::sleep(self.alone);
            }
        }
        let in_copy = match &mut copy {
            Some((task, child)) => child.try_wait()?.is_none().then_some(*task),
            None => None,
        };
        let mut met = Met {
            in_copy,
            in_snapshot: is_in_snapshot(&journals),
            ..Met::default()
        };
        let child = copy.map(|(_, child)| child);
        match (self.way, self.disks) {
            (Way::PowerCut, Some(disks)) => disks.cut()?,
            (Way::DiskFull, Some(disks)) => return self.fill_up((running, child), disks, met),
            (Way::Kill | Way::PowerCut | Way::DiskFull, _) => {}
        }
        running.kill()?;
        if let Some(mut child) = child {
            child.kill()?;
            child.wait()?;
        }
        met.fill = fill(&journals);
        Ok(met)
    }

    /// Fills the disks: the copy finds no room, orders are refused; then there is room again, or the process is killed
    /// before.
    fn fill_up(
        &self,
        (running, copy): (Running, Option<Child>),
        disks: &Disks,
        mut met: Met,
    ) -> anyhow::Result<Met> {
        let said_before = self.times_said(FULL)?;
        disks.fill()?;
        if let Some(copy) = copy {
            met.copy_refused = heard(copy.wait_with_output()?)?.is_err();
        }
        // What is given up meanwhile, a snapshot or a copy, must not be what gives the journals room again.
        let is_full = || disks.fill().is_ok() && self.times_said(FULL).is_ok_and(|times| times > said_before);
        self.wait_for(is_full, "orders are taken though the disk is full")?;
        if self.relief == Relief::Before {
            let said_before = self.times_said(ROOM)?;
            disks.free()?;
            let has_room = || self.times_said(ROOM).is_ok_and(|times| times > said_before);
            self.wait_for(has_room, "orders are refused though the disk has room")?;
            let answered = self.answered();
            let goes_on = || self.answered() >= answered.saturating_add(ANSWERS_AFTER);
            self.wait_for(goes_on, "nothing is answered though the disk has room")?;
            met.had_room_again = true;
        }
        running.kill()?;
        disks.free()?;
        Ok(met)
    }

    fn answered(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until it is so, or until the sessions have failed.
    fn wait_for(&self, is_so: impl Fn() -> bool, or_else: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.answered() < usize::MAX / 2 && !is_so() {
            ensure!(started.elapsed() < PATIENCE, "{or_else} within {PATIENCE:?}");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn times_said(&self, what: &str) -> anyhow::Result<usize> {
        Ok(self.trial.log()?.matches(what).count())
    }
}

/// What the log says when orders are refused for want of room, and when they are taken again.
const FULL: &str = "the disk is full: orders are refused";
const ROOM: &str = "the disk has room again";

/// Says whether a snapshot is being written.
fn is_in_snapshot(journals: &Path) -> bool {
    journals.join("preparing-snapshot.tmp").exists()
}
