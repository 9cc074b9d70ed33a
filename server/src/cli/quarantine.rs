//! `xq journal quarantine`: sets a command aside that ends every start.

use super::at_rest::{AtRest, Beside, Folder, From};
use super::{Ended, say};
use crate::exit::{Exit, Failure};
use crate::quarantine::{Papers, Quarantine};
use crate::recovery::frame_of;
use crate::state::Wanted;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xq_engine::Events;
use xq_journal::snapshots;
use xq_protocol::{COMMANDS, Seq};

/// Sets aside a command that ends every start: from then on it is refused with R113. Two operators sign.
///
/// Another process tries the command first: one that can be executed is not set aside, since what followed from it may have
/// been told.
#[derive(clap::Args)]
pub(super) struct SetAside {
    /// The command.
    seq: u64,
    /// PEM files of an operator's certificate and of its key; twice, of two operators.
    #[arg(long, num_args = 2, value_names = ["CERTIFICATE", "KEY"], required = true)]
    operator: Vec<PathBuf>,
    /// Do not try it first: it ends the exchange not every time, or never comes to an end.
    #[arg(long)]
    untried: bool,
    #[command(flatten)]
    folder: Folder,
}

impl SetAside {
    pub(super) fn run(self) -> Result<(), Ended> {
        let [one, one_key, other, other_key] = self.operator.as_slice() else {
            let error = anyhow::anyhow!("two operators sign: `--operator CERTIFICATE KEY` is wanted twice");
            return Err(Ended::with(Exit::Usage, error));
        };
        let seq = Seq(self.seq);
        let folder = self.folder.path()?;
        admit(&before(&folder, seq)?, seq)?;
        if !self.untried {
            admit_tried(&folder, seq)?;
        }
        let mut found = before(&folder, seq)?;
        let mut reader = found.reader()?;
        let mut events = Events::new();
        loop {
            let at = reader.next_seq();
            let Some(bytes) = reader.next_command(seq)? else {
                return Err(not_there(seq));
            };
            let frame = frame_of(bytes, at)?;
            if at < seq {
                found.state.apply(at, &frame, &mut events)?;
                continue;
            }
            let papers = [(one, one_key), (other, other_key)];
            let papers = papers.map(|(certificate, key)| Papers { certificate, key });
            let quarantine = Quarantine::read(&found.storage, found.id)?;
            quarantine.add(&found.storage, (seq, &frame), papers, &found.state.known)?;
            let name = frame.command().map_or("no command", |command| name_of(&command));
            return say::line(format_args!(
                "set aside      command {seq}, {name} of session {}, request {}",
                frame.header.session, frame.header.req_seq
            ));
        }
    }
}

/// Executes the commands up to one, as a start would, and ends.
#[derive(clap::Args)]
pub(super) struct Try {
    /// The command.
    seq: u64,
    #[command(flatten)]
    folder: Folder,
}

impl Try {
    pub(super) fn run(self) -> Result<(), Ended> {
        let seq = Seq(self.seq);
        let mut found = before(&self.folder.path()?, seq)?;
        let (mut reader, mut events) = (found.reader()?, Events::new());
        while let (at, Some(bytes)) = (reader.next_seq(), reader.next_command(seq)?) {
            found.state.apply(at, &frame_of(bytes, at)?, &mut events)?;
        }
        if reader.next_seq() <= seq {
            return Err(not_there(seq));
        }
        say::line(format_args!("executed       command {seq}: a start gets past it"))
    }
}

fn not_there(seq: Seq) -> Ended {
    Ended::with(Exit::Refused, anyhow::anyhow!("command {seq} is not there"))
}

/// The journals, read from the newest snapshot before a command on.
fn before(folder: &Path, seq: Seq) -> Result<AtRest, Ended> {
    let wanted = Wanted::UpTo(Seq(seq.0.saturating_sub(1)));
    AtRest::open(folder, Beside::Nobody, From::Newest(wanted))
}

/// The signal by which a process ends that panics.
const SIGABRT: i32 = 6;

/// Requires that executing a command ends another process.
fn admit_tried(folder: &Path, seq: Seq) -> Result<(), Ended> {
    say::beside(format_args!("another process tries command {seq}"));
    let cannot = |source| Failure::CannotCreate {
        what: format!("another process that tries command {seq}"),
        source,
    };
    let mut trial = std::env::current_exe().map(Command::new).map_err(cannot)?;
    trial
        .args(["journal", "try", &seq.to_string(), "--data"])
        .arg(folder);
    let ended = trial.stdout(Stdio::null()).status().map_err(cannot)?;
    let error = match ended.code() {
        // A panic aborts.
        None if ended.signal() == Some(SIGABRT) => return Ok(()),
        Some(0) => anyhow::anyhow!(
            "command {seq} can be executed: what followed from it may have been told, even when its events are lost; \
             --untried sets it aside all the same"
        ),
        Some(_) | None => {
            anyhow::anyhow!("the process that tried command {seq} did not come so far: {ended}")
        }
    };
    Err(Ended::with(Exit::Refused, error))
}

/// Only what nobody was told of can be set aside.
fn admit(found: &AtRest, seq: Seq) -> Result<(), Ended> {
    let refuse = |error| Err(Ended::with(Exit::Refused, error));
    let last = found.commands.last_seq;
    if seq <= Seq(1) || seq > last {
        return refuse(anyhow::anyhow!("commands 2 to {last} are there"));
    }
    let told = found.events.report().surviving;
    let covered = snapshots(&*found.storage)?.first().copied().unwrap_or(Seq::ZERO);
    if seq <= told.max(covered) {
        return refuse(anyhow::anyhow!(
            "command {seq} was executed, and what followed was told: events are there up to command {told}, a snapshot \
             covers those up to {covered}"
        ));
    }
    Ok(())
}

fn name_of(command: &xq_protocol::Command<'_>) -> &'static str {
    let named = COMMANDS.iter().find(|named| named.0 == command.template());
    named.map_or("?", |named| named.1)
}
