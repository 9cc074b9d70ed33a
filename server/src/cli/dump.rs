//! `xq dump`: what was said, and what followed, as text.

use super::at_rest::{Beside, Folder};
use super::{Ended, say};
use crate::recovery::frame_of;
use std::io::{BufWriter, Write};
use xq_protocol::text::{Names, instant, print_command, print_event};
use xq_protocol::{Frame, Message, Tick};

/// Prints commands and their events; may run beside the exchange.
#[derive(clap::Args)]
pub(super) struct Dump {
    #[command(flatten)]
    folder: Folder,
    /// First command.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Last command; else all there are.
    #[arg(long, default_value_t = u64::MAX)]
    to: u64,
    /// Leave out what the timer says, and what follows from it when it is nothing.
    #[arg(long)]
    no_ticks: bool,
}

impl Dump {
    pub(super) fn run(self) -> Result<(), Ended> {
        let found = self.folder.open(Beside::Running)?;
        let last = found.commands.last_seq;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut names = Names::new();
        let mut commands = found.reader()?;
        let mut events = found.events.reader()?;
        // Names are learned from the beginning on, whatever is printed.
        while commands.next_seq().0 <= self.to {
            let seq = commands.next_seq();
            let Some(bytes) = commands.next_command(last)? else {
                break;
            };
            let frame = frame_of(bytes, seq)?;
            let mut lines = vec![said(&frame, &names)];
            names.learn(&frame);
            while events.cursor().seq == seq {
                let Some(bytes) = events.next_event()? else {
                    break;
                };
                let event = frame_of(bytes, seq)?;
                names.learn(&event);
                lines.push(followed(&event, &names));
            }
            let is_idle = frame.header.template_id == Tick::TEMPLATE && lines.len() <= 2;
            if seq.0 >= self.from && !(self.no_ticks && is_idle) {
                for line in lines {
                    writeln!(out, "{line}").map_err(say::unsaid)?;
                }
            }
        }
        out.flush().map_err(say::unsaid)
    }
}

/// `seq time session text`
pub(super) fn said(frame: &Frame<'_>, names: &Names) -> String {
    let header = frame.header;
    let text = print_command(frame, names);
    format!(
        "{} {} session {} {text}",
        header.seq,
        instant(header.time),
        header.session
    )
}

/// `    index text`
pub(super) fn followed(event: &Frame<'_>, names: &Names) -> String {
    print_event(event, names)
        .lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
