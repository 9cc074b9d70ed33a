//! What happened in a campaign: counted, shown, and compared with what must have happened, since what was not met was
//! not survived.

use super::check::Found;
use super::copies::Task;
use super::cycle::{Met, Moment, Way};
use anyhow::ensure;
use std::time::Duration;

/// Of so many cycles …
const SHARE_OF: u32 = 200;
/// … so many deaths at a segment's end, during recovery and during a snapshot, and half as many during each copy.
const SHARE: u32 = 20;

/// What happened in all cycles.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cycles.
    pub cycles: u32,
    /// Kills under load, away from segments' ends.
    anywhere: u32,
    /// Kills under load at the end of a segment.
    at_segment_end: u32,
    /// Kills before the process listened.
    pub in_recovery: u32,
    /// Power cuts.
    power_cuts: u32,
    /// Times that the disks were full and orders refused.
    disk_full: u32,
    /// Of those, when orders were taken again once there was room.
    had_room_again: u32,
    /// Cycles in which a snapshot could not be written.
    pub snapshots_refused: u32,
    /// Ends that left a snapshot half written, or gave it no room.
    in_snapshot: u32,
    /// Ends while the exchange was backed up, and while it was archived.
    in_backup: u32,
    in_archive: u32,
    /// Copies that found no room.
    copies_refused: u32,
    /// Starts that began with a snapshot.
    pub behind_snapshot: u32,
    /// Requests asked again.
    pub resent: usize,
    /// Fewest answers in a cycle.
    acknowledged_fewest: usize,
    /// How long the last start took.
    pub recovery: Duration,
}

/// What happened to copies that were killed by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copied {
    /// Backups that were finished and verified.
    pub backups: u32,
    /// Backups restored elsewhere, with the same event hash, that traded on there.
    pub restores: u32,
    /// Archives that were finished.
    pub archives: u32,
    /// Copies that were killed before they had ended.
    pub kills: u32,
    /// Backups and restores, ended before their time, that said that they are not finished.
    pub unfinished: u32,
}

impl Tally {
    /// Counts a cycle that ended so.
    pub fn count(&mut self, way: Way, met: &Met, acknowledged: usize) {
        self.cycles += 1;
        self.acknowledged_fewest = match self.acknowledged_fewest {
            0 => acknowledged,
            fewest => fewest.min(acknowledged),
        };
        match way {
            Way::Kill if met.fill.is_some_and(|fill| fill.is_at_an_end()) => self.at_segment_end += 1,
            Way::Kill => self.anywhere += 1,
            Way::PowerCut => self.power_cuts += 1,
            Way::DiskFull => self.disk_full += 1,
        }
        self.had_room_again += u32::from(met.had_room_again);
        self.in_snapshot += u32::from(met.in_snapshot);
        self.in_backup += u32::from(met.in_copy == Some(Task::Backup));
        self.in_archive += u32::from(met.in_copy == Some(Task::Archive));
        self.copies_refused += u32::from(met.copy_refused);
    }

    /// Requires that every fault was met often enough.
    ///
    /// # Errors
    /// Names the one that was not.
    pub fn all_was_hit(&self, way: Way, copied: &Copied) -> anyhow::Result<()> {
        let due = self.cycles * SHARE / SHARE_OF;
        let mut wanted = vec![
            ("ends during a snapshot", self.in_snapshot, due),
            ("ends during a backup", self.in_backup, due / 2),
            ("ends during an archive", self.in_archive, due / 2),
            ("starts behind a snapshot", self.behind_snapshot, self.cycles / 2),
            ("copies killed", copied.kills, copied.backups),
            ("copies left half made", copied.unfinished, copied.backups / 10),
        ];
        match way {
            Way::Kill => wanted.extend([
                ("kills at a segment's end", self.at_segment_end, due),
                ("kills during recovery", self.in_recovery, due),
            ]),
            Way::PowerCut => wanted.push(("power cuts", self.power_cuts, self.cycles)),
            Way::DiskFull => wanted.extend([
                ("full disks", self.disk_full, self.cycles),
                ("disks that had room again", self.had_room_again, self.cycles / 3),
                ("snapshots that could not be written", self.snapshots_refused, due),
                ("copies that found no room", self.copies_refused, due / 2),
            ]),
        }
        for (what, met, least) in wanted {
            ensure!(met >= least, "only {met} {what}, of {least} at least");
        }
        Ok(())
    }

    /// Shows all of it.
    pub fn show(&self, copied: &Copied, found: &Found) {
        let of_cycles = [
            ("cycles", self.cycles),
            ("kills at any moment", self.anywhere),
            ("kills at a segment's end", self.at_segment_end),
            ("kills during recovery", self.in_recovery),
            ("power cuts, each lost what was not synced", self.power_cuts),
            ("full disks, orders refused", self.disk_full),
            ("of those, orders taken again", self.had_room_again),
            ("ends during a snapshot", self.in_snapshot),
            ("snapshots that could not be written", self.snapshots_refused),
            ("starts behind a snapshot", self.behind_snapshot),
            ("ends during a backup", self.in_backup),
            ("ends during an archive", self.in_archive),
            ("copies that found no room", self.copies_refused),
            ("backups made and verified", copied.backups),
            ("restored, same event hash, traded on", copied.restores),
            ("archives", copied.archives),
            ("copies killed", copied.kills),
            ("half copies, each refused", copied.unfinished),
        ];
        let of_requests = [
            ("acknowledged, fewest in a cycle", self.acknowledged_fewest as u64),
            ("acknowledged", found.acknowledged),
            ("resent", self.resent as u64),
            ("answered again as at first", found.repeated),
            ("told, all as the journal says", found.told),
            ("commands", found.commands),
            ("events, all as executed again", found.events),
            ("acknowledged and lost", 0),
            ("executed twice", 0),
            ("assets that do not sum to zero", 0),
        ];
        let of_cycles = of_cycles.map(|(what, count)| (what, u64::from(count)));
        for (what, count) in of_cycles.into_iter().chain(of_requests) {
            println!("  {what:<42}{count:>12}");
        }
        println!("  event hash {}", found.event_hash);
    }
}

impl Moment {
    /// When the cycle of this number ends: each moment comes in turn, and recovery is killed before every third.
    pub fn of(number: u32) -> Moment {
        match number % 6 {
            0 => Moment::Copy(Task::Archive),
            1 | 4 => Moment::SegmentEnd,
            2 => Moment::Snapshot,
            3 => Moment::Anywhere,
            _ => Moment::Copy(Task::Backup),
        }
    }
}
