//! `xq journal quarantine`: sets a command aside that ends every start.

use super::at_rest::{AtRest, Beside, Folder, From};
use super::{Ended, say};
use crate::exit::Exit;
use crate::quarantine::{Papers, Quarantine};
use crate::recovery::frame_of;
use crate::state::Wanted;
use std::path::PathBuf;
use xq_engine::Events;
use xq_journal::snapshots;
use xq_protocol::{COMMANDS, Command, Seq};

/// Sets aside a command that ends every start: from then on it is refused with R113. Two operators sign.
#[derive(clap::Args)]
pub(super) struct SetAside {
    /// The command.
    seq: u64,
    /// PEM files of an operator's certificate and of its key; twice, of two operators.
    #[arg(long, num_args = 2, value_names = ["CERTIFICATE", "KEY"], required = true)]
    operator: Vec<PathBuf>,
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
        let before = From::Newest(Wanted::UpTo(Seq(seq.0.saturating_sub(1))));
        let mut found = AtRest::open(&self.folder.path()?, Beside::Nobody, before)?;
        admit(&found, seq)?;
        let mut reader = found.reader()?;
        let mut events = Events::new();
        loop {
            let at = reader.next_seq();
            let Some(bytes) = reader.next_command(seq)? else {
                let error = anyhow::anyhow!("command {seq} is not there");
                return Err(Ended::with(Exit::Refused, error));
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

fn name_of(command: &Command<'_>) -> &'static str {
    let named = COMMANDS.iter().find(|named| named.0 == command.template());
    named.map_or("?", |named| named.1)
}
