//! `xq drop-copy`: all that a participant's sessions are told, for whoever watches over it.

use super::door::Door;
use super::{Ended, say};
use crate::exit::Exit;
use std::path::PathBuf;
use xq_client::{Copied, EventPlace};
use xq_protocol::text::print_event;
use xq_protocol::{EventFrame, ParticipantId, Seq};

/// Prints what a participant's sessions are told, one message a line: its session, its event's place, what it says.
///
/// Ends with the connection; with --cursor the next one goes on where this one stood, and may tell the last event again.
#[derive(clap::Args)]
pub(super) struct DropCopy {
    #[command(flatten)]
    door: Door,
    /// Whose, by number; the own participant's without it. An operator, a risk officer or a regulator may watch anybody.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    of: u32,
    /// From this event on, or `now`.
    #[arg(long, value_name = "SEQ/INDEX", default_value = "0/0", value_parser = place_of)]
    from: EventPlace,
    /// File that keeps how far it was told; it wins over --from once it is there.
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// End once nothing is left to be told.
    #[arg(long)]
    once: bool,
}

fn place_of(text: &str) -> Result<EventPlace, String> {
    if text == "now" {
        return Ok(EventPlace {
            seq: Seq(u64::MAX),
            index: 0,
        });
    }
    let place = text.trim().split_once('/').and_then(|(seq, index)| {
        Some(EventPlace {
            seq: Seq(seq.parse().ok()?),
            index: index.parse().ok()?,
        })
    });
    place.ok_or_else(|| format!("`{text}`: a place is SEQ/INDEX, as in 4711/1, or `now`"))
}

impl DropCopy {
    pub(super) fn run(self) -> Result<(), Ended> {
        let from = self.begins_at()?;
        let mut names = self.door.names()?;
        self.door.converse(async |session| {
            let lost = |error| Ended::with(Exit::Refused, error);
            let copy = session.client().drop_copy(ParticipantId(self.of), from).await;
            let mut copy = copy.map_err(lost)?;
            say::beside_archived(from, copy.next_place());
            loop {
                match copy.next().await.map_err(lost)? {
                    Copied::Message(frame) => {
                        let shown = frame.frame().expect("an event's frame");
                        names.learn(&shown);
                        say::line(line(&frame, &print_event(&shown, &names)))?;
                        self.keep(copy.next_place())?;
                    }
                    Copied::UpTo(_) => {
                        self.keep(copy.next_place())?;
                        if self.once {
                            return Ok(());
                        }
                    }
                }
            }
        })
    }

    fn begins_at(&self) -> Result<EventPlace, Ended> {
        let Some(path) = self.cursor.as_deref().filter(|path| path.exists()) else {
            return Ok(self.from);
        };
        let unfit = |why: String| {
            let error = anyhow::anyhow!("{}: {why}", path.display());
            Ended::with(Exit::Usage, error)
        };
        let text = std::fs::read_to_string(path).map_err(|error| unfit(error.to_string()))?;
        place_of(&text).map_err(unfit)
    }

    /// Writes the cursor beside its file and puts it in its place: it is there whole, before or after.
    fn keep(&self, place: EventPlace) -> Result<(), Ended> {
        let Some(path) = &self.cursor else { return Ok(()) };
        let beside = path.with_extension("new");
        let written = std::fs::write(&beside, format!("{}/{}\n", place.seq, place.index))
            .and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| {
            let error = anyhow::anyhow!("{}: {error}", path.display());
            Ended::with(Exit::CannotCreate, error)
        })
    }
}

fn line(frame: &EventFrame, text: &str) -> String {
    let header = frame.header();
    let (participant, slot) = (header.session.participant(), header.session.slot());
    let said = text.replace('\n', "\n    ");
    format!("{participant}/{slot} {}/{} {said}", header.seq, header.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_command_and_an_event() {
        let place = EventPlace {
            seq: Seq(4_711),
            index: 1,
        };
        assert_eq!(place_of("4711/1\n"), Ok(place));
        assert!(place_of("now").is_ok_and(|place| place.seq == Seq(u64::MAX)));
        for text in ["", "4711", "4711/", "/1", "4711/65536", "-1/0"] {
            assert!(place_of(text).is_err(), "{text}");
        }
    }
}
