//! A moment of the exchange, as the command line names it: a command's number, or an instant.

use super::Ended;
use crate::exit::Exit;
use std::str::FromStr;
use std::sync::Arc;
use xq_journal::{CommandReader, Storage, Verify};
use xq_protocol::text::read_instant;
use xq_protocol::{Frame, Nanos, Seq};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Seq),
    Time(Nanos),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let number = text.parse().map(|seq| Moment::At(Seq(seq))).ok();
        // Fractions of a second may be left out.
        let whole = text.strip_suffix('Z').map(|text| format!("{text}.000000000Z"));
        let instant = read_instant(text).or_else(|| read_instant(&whole?));
        let found = number.or_else(|| instant.map(Moment::Time));
        found.ok_or_else(|| "a command's number, or an instant as 2026-01-02T03:04:05Z".to_owned())
    }
}

impl Moment {
    /// The first command at or after it, among those that are there.
    pub(super) fn seq(self, storage: &Arc<dyn Storage>) -> Result<Seq, Ended> {
        let time = match self {
            Moment::At(seq) => return Ok(seq),
            Moment::Time(time) => time,
        };
        let mut reader = CommandReader::open_oldest(Arc::clone(storage), Verify::Order)?;
        loop {
            let seq = reader.next_seq();
            // Behind the last command nothing is to be read: none came since.
            let Ok(Some(bytes)) = reader.next_command(Seq::MAX) else {
                return Ok(seq);
            };
            let (frame, _) = Frame::split(bytes).map_err(|e| Ended::with(Exit::Divergence, e))?;
            if frame.header.time >= time {
                return Ok(seq);
            }
        }
    }
}
