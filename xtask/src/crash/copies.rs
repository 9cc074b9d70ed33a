//! Copies under the same treatment: backups, restores and archives end at any moment, are begun again, and must be whole
//! then; what is restored trades on elsewhere.

use super::check;
use super::cycle::{Cycle, Moment, start};
use super::load::Draws;
use super::record::Record;
use super::tally::{Copied, Tally};
use crate::exchange::Trial;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xq_journal::{FileStorage, Seq, snapshots};

/// Commands that are kept where they are, so that requests that are sent again find their outcome.
const KEPT: u64 = 12_000;
/// Kills of one copy before it is let through.
const KILLS: u32 = 2;
/// How `xq` ends when the disk has no room.
const DISK_FULL: i32 = 75;

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The newest snapshot and what came since, while the exchange runs.
    Backup,
    /// A backup, to where nothing was.
    Restore,
    /// Segments that are not needed any more, while the exchange runs.
    Archive,
}

/// Where copies of a trial's journals go.
pub struct Copies<'a> {
    trial: &'a Trial,
    folder: PathBuf,
    /// How long the last copy of each kind took.
    took: [Duration; 3],
    /// What happened.
    pub copied: Copied,
}

impl<'a> Copies<'a> {
    /// Beside the trial.
    pub fn of(trial: &'a Trial) -> Copies<'a> {
        Copies {
            trial,
            folder: Copies::folder_of(trial),
            took: [Duration::from_millis(20); 3],
            copied: Copied::default(),
        }
    }

    /// The folder of all copies.
    pub fn folder_of(trial: &Trial) -> PathBuf {
        trial.config().with_file_name("copies")
    }

    /// Where archived segments are.
    pub fn archived(&self) -> PathBuf {
        self.folder.join("archive")
    }

    /// Backs the running exchange up and archives what is old, restores the backup elsewhere and trades on there; each
    /// copy is killed before it is let through.
    ///
    /// # Errors
    /// A copy that is not what was copied, or is taken for one.
    pub fn run(&mut self, records: &[Record], (seed, draws): (u64, &mut Draws)) -> anyhow::Result<()> {
        let running = start(self.trial)?;
        let made = self.until_done(Task::Backup, draws)?;
        self.copied.backups += 1;
        self.until_done(Task::Archive, draws)?;
        self.copied.archives += 1;
        running.terminate()?;
        remove(&self.elsewhere())?;
        let again = self.until_done(Task::Restore, draws)?;
        ensure!(
            line(&made, "event hash")? == line(&again, "event hash")?,
            "what is restored has another event hash:\n{made}{again}"
        );
        self.trade_on(records, (seed, draws))?;
        self.copied.restores += 1;
        Ok(())
    }

    /// The restored exchange takes the traders' sessions up where they were, is killed under their load, and must then
    /// have all that they were told, before the backup and since.
    fn trade_on(&self, records: &[Record], (seed, draws): (u64, &mut Draws)) -> anyhow::Result<()> {
        let other = self.trial.beside(&self.elsewhere())?;
        let mut records = records.to_vec();
        let mut copies = Copies::of(&other);
        Cycle::new((&other, None), Moment::Anywhere, (seed, draws))
            .run((&mut records, &mut copies), &mut Tally::default())
            .context("the restored exchange")?;
        start(&other)?.terminate()?;
        other.ask(&["verify", "--config", "xq.toml"])?;
        let together = self.elsewhere().join("whole");
        let earlier = [self.archived(), self.trial.journals()];
        whole(&other.journals(), &earlier, &together)?;
        check::check(&together, &records).context("the restored exchange")?;
        Ok(())
    }

    /// The folder in which the restored exchange runs.
    fn elsewhere(&self) -> PathBuf {
        self.trial.config().with_file_name("elsewhere")
    }

    /// Where a copy of this kind goes.
    fn of_task(&self, task: Task) -> PathBuf {
        match task {
            Task::Backup => self.folder.join("backup"),
            Task::Restore => self.elsewhere().join("data"),
            Task::Archive => self.archived(),
        }
    }

    /// `xq`, to copy: into the same folder where the copy before was not finished, else into an empty one.
    pub fn command(&self, task: Task) -> anyhow::Result<Command> {
        if task != Task::Archive && self.left(task) == Left::Whole {
            remove(&self.of_task(task))?;
        }
        let (backup, to) = (text(&self.of_task(Task::Backup)), text(&self.of_task(task)));
        let mut command = match task {
            Task::Backup => self.trial.xq(&["backup", &to, "--config", "xq.toml"]),
            Task::Restore => self.trial.xq(&["restore", &backup, "--data", &to]),
            Task::Archive => {
                let before = self.archivable()?.to_string();
                let archive = ["journal", "archive", "--before", &before, "--to", &to];
                let mut command = self.trial.xq(&archive);
                command.args(["--config", "xq.toml"]);
                command
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// Before which command segments may go: the older snapshot, and what sessions may ask for again.
    fn archivable(&self) -> anyhow::Result<Seq> {
        let there = snapshots(&FileStorage::open_to_read(&self.trial.journals())?)?;
        let bound = |older: &Seq| Seq(older.0.saturating_sub(KEPT).max(1));
        Ok(there.get(1).map_or(Seq(1), bound))
    }

    /// A moment at which a copy of this kind is probably at work, counted from its start.
    pub fn moment(&self, task: Task, draws: &mut Draws) -> Duration {
        let most = u64::try_from(self.took[task.place()].as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(draws.below(most.max(1)))
    }

    /// Kills a copy some times, then lets it through; what it said.
    fn until_done(&mut self, task: Task, draws: &mut Draws) -> anyhow::Result<String> {
        for _ in 0..KILLS {
            let mut copy = self.command(task)?.spawn().context("cannot start `xq`")?;
            std::thread::sleep(self.moment(task, draws));
            match copy.try_wait()? {
                // Done before its time: a shorter one is tried.
                Some(_) => {
                    heard(copy.wait_with_output()?)?.map_err(anyhow::Error::msg)?;
                    self.took[task.place()] /= 2;
                }
                None => {
                    copy.kill()?;
                    copy.wait()?;
                    self.copied.kills += 1;
                }
            }
            self.judge(task)?;
        }
        let begun = Instant::now();
        let said = match self.ended(self.command(task)?)? {
            Ok(said) => said,
            Err(refused) => bail!("{task:?} failed: {refused}"),
        };
        self.took[task.place()] = begun.elapsed();
        Ok(said)
    }

    /// Runs a copy to its end: what it said, or how it was refused for want of room.
    fn ended(&self, mut command: Command) -> anyhow::Result<Result<String, String>> {
        heard(command.output().context("cannot start `xq`")?)
    }

    /// Looks at what a backup or a restore that ended before its time has left: nothing, what is refused, or all of it.
    ///
    /// # Errors
    /// Half of a copy is taken for one, or a whole one does not hold.
    pub fn judge(&mut self, task: Task) -> anyhow::Result<()> {
        let left = self.left(task);
        if task == Task::Archive || left == Left::Nothing {
            return Ok(());
        }
        let folder = text(&self.of_task(task));
        let verified = self.trial.ask(&["verify", "--data", &folder]);
        if left == Left::Half {
            ensure!(verified.is_err(), "{folder}: half a copy counts");
            self.copied.unfinished += 1;
        } else {
            verified.with_context(|| format!("{folder}: a copy that ended"))?;
        }
        Ok(())
    }

    fn left(&self, task: Task) -> Left {
        let names = names(&self.of_task(task));
        let is_there = |is_it: fn(&String) -> bool| names.iter().any(is_it);
        if is_there(|name| name == "unfinished.txt") {
            return Left::Half;
        }
        match is_there(|name| name.ends_with(".xqj")) {
            true => Left::Whole,
            false => Left::Nothing,
        }
    }
}

/// What a copy has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// It says of itself that it was not finished.
    Half,
    Whole,
}

impl Task {
    fn place(self) -> usize {
        match self {
            Task::Backup => 0,
            Task::Restore => 1,
            Task::Archive => 2,
        }
    }
}

/// How a copy ended: what it said, or how it was refused for want of room.
///
/// # Errors
/// Any other end.
pub fn heard(output: std::process::Output) -> anyhow::Result<Result<String, String>> {
    let [said, error] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    match output.status.code() {
        Some(0) => Ok(Ok(said)),
        Some(DISK_FULL) => Ok(Err(error)),
        _ => bail!("a copy ended with {}: {error}", output.status),
    }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| folder.display().to_string())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn line<'a>(said: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let found = said.lines().find_map(|line| line.strip_prefix(name));
    found
        .map(str::trim)
        .with_context(|| format!("no `{name}` in:\n{said}"))
}

/// Puts journals and the segments before theirs together in a folder, without snapshots: all of it is executed again from
/// the first command on.
///
/// # Errors
/// Files that cannot be copied.
pub fn whole(journals: &Path, earlier: &[PathBuf], to: &Path) -> anyhow::Result<()> {
    remove(to)?;
    std::fs::create_dir_all(to)?;
    let here = names(journals);
    for kind in ["command-", "event-"] {
        let is_segment = |name: &&String| name.starts_with(kind) && name.ends_with(".xqj");
        let first = here.iter().filter(is_segment).min();
        let first = first.with_context(|| format!("{}: no segments", journals.display()))?;
        let copy = |folder: &Path, name: &str| {
            std::fs::copy(folder.join(name), to.join(name)).with_context(|| text(&folder.join(name)))
        };
        for name in here.iter().filter(is_segment) {
            copy(journals, name)?;
        }
        for folder in earlier {
            for name in names(folder)
                .iter()
                .filter(is_segment)
                .filter(|name| *name < first)
            {
                copy(folder, name)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_archived_stands_before_what_is_there_and_never_over_it() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let [journals, archived, to] = ["data", "archive", "whole"].map(|name| folder.path().join(name));
        for (place, number, text) in [
            (&archived, 1, "archived"),
            (&archived, 2, "archived"),
            (&journals, 2, "here"),
            (&journals, 3, "here"),
        ] {
            std::fs::create_dir_all(place).expect("it can be made");
            for kind in ["command", "event"] {
                std::fs::write(place.join(format!("{kind}-000{number}.xqj")), text)
                    .expect("it can be written");
            }
        }
        std::fs::write(journals.join("snapshot-1.xqs"), "no segment").expect("it can be written");
        whole(&journals, &[archived], &to).expect("they are put together");
        let read = |name: &str| std::fs::read_to_string(to.join(name)).expect("it is there");
        assert_eq!(names(&to).len(), 6);
        assert_eq!(
            ["event-0001.xqj", "command-0002.xqj"].map(read),
            ["archived", "here"]
        );
    }
}
