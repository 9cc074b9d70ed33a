//! `xq admin`: any command, in the scenarios' notation, over a session.

use super::door::{Door, Outcome};
use super::{Ended, say};
use crate::exit::Exit;
use std::path::PathBuf;
use xq_protocol::text::parse_command;

/// Says commands to the running exchange, one a line.
#[derive(clap::Args)]
pub(super) struct Admin {
    #[command(flatten)]
    door: Door,
    /// The command, as in `phase #1 continuous`, or `account alice id=10 owner=alice`.
    #[arg(
        value_name = "TEXT",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    text: Option<String>,
    /// File of commands; empty lines and those that begin with # say nothing.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Admin {
    pub(super) fn run(self) -> Result<(), Ended> {
        let text = match (&self.text, &self.file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|e| Ended::with(Exit::Usage, anyhow::anyhow!("{}: {e}", path.display())))?,
            (None, None) => String::new(),
        };
        let lines: Vec<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(place, line)| (place + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let mut names = self.door.names()?;
        self.door.converse(async |session| {
            for (number, line) in &lines {
                let parsed = parse_command(line, &mut names)
                    .map_err(|e| Ended::with(Exit::Usage, anyhow::anyhow!("line {number}: {e}")))?;
                let frame = parsed.frame.frame().expect("a parsed command is a frame");
                let command = frame.command().expect("a parsed command is a command");
                names.learn(&frame);
                say::line(line)?;
                if session.say(&command, &mut names).await? == Outcome::Refused {
                    let error = anyhow::anyhow!("line {number} was refused; nothing after it was said");
                    return Err(Ended::with(Exit::Refused, error));
                }
            }
            Ok(())
        })
    }
}
