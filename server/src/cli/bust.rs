//! `xq bust`: proposes to undo a trade, with all its facts as the event journal has them.

use super::at_rest::{Beside, Folder};
use super::door::{Door, Outcome};
use super::{Ended, say};
use crate::busts;
use crate::exit::Exit;
use std::path::PathBuf;
use xq_protocol::text::print_command;
use xq_protocol::{BustTrade, Command, CommandFrame, Count, Header, Seq};

/// Proposes to undo a trade of the business day; another participant then approves it (`xq admin 'approve …'`).
///
/// Runs where the journals are: the trade's facts are read there.
#[derive(clap::Args)]
pub(super) struct Bust {
    #[command(flatten)]
    door: Door,
    /// The trade: the command that traded and which of its events the trade is, as in `4711/1`.
    #[arg(value_name = "SEQ/INDEX")]
    trade: String,
    /// Folder of the journals; else the configuration's.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Show what would be proposed, and end.
    #[arg(long)]
    dry_run: bool,
}

impl Bust {
    pub(super) fn run(self) -> Result<(), Ended> {
        let bust = self.find()?;
        let mut names = self.door.names()?;
        let frame = CommandFrame::new(Header::default(), &bust);
        let shown = frame.frame().expect("it was written just now");
        say::line(print_command(&shown, &names))?;
        if self.dry_run {
            return Ok(());
        }
        let command = Command::BustTrade(&bust);
        self.door
            .converse(async |session| match session.say(&command, &mut names).await? {
                Outcome::Done => Ok(()),
                Outcome::Refused => Err(Ended::with(Exit::Refused, anyhow::anyhow!("it was refused"))),
            })
    }

    fn find(&self) -> Result<BustTrade, Ended> {
        let usage = || {
            let error = anyhow::anyhow!("`{}`: a trade is named SEQ/INDEX, as in 4711/1", self.trade);
            Ended::with(Exit::Usage, error)
        };
        let (seq, index) = self.trade.split_once('/').ok_or_else(usage)?;
        let seq = Seq(seq.parse().map_err(|_| usage())?);
        let index: u16 = index.parse().map_err(|_| usage())?;
        let folder = Folder::of(self.data.clone(), self.door.config_file());
        let found = folder.open(Beside::Running)?;
        let mut events = found.events.reader()?;
        if let Some(bust) = busts::undoing(&mut events, (seq, Count(index.into())))? {
            return Ok(bust);
        }
        let error = anyhow::anyhow!("event {index} of command {seq} is no trade");
        Err(Ended::with(Exit::Refused, error))
    }
}
