//! Standard output, whose reader may go away at any time: that ends a subcommand quietly.

use super::Ended;
use crate::exit::Exit;
use std::fmt::Display;
use std::io::{self, Write};
use xq_client::EventPlace;
use xq_protocol::Seq;

/// Prints a line.
///
/// # Errors
/// What standard output refused; quiet when nobody reads it any more.
pub(super) fn line(text: impl Display) -> Result<(), Ended> {
    writeln!(io::stdout().lock(), "{text}").map_err(unsaid)
}

/// Prints text that ends its lines itself.
///
/// # Errors
/// As [`line`].
pub(super) fn text(text: impl Display) -> Result<(), Ended> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(unsaid)
}

/// Prints a line for whoever looks on, beside what standard output is for; nothing ends when nobody does.
pub(super) fn beside(text: impl Display) {
    let _ = writeln!(io::stderr(), "xq: {text}");
}

/// Tells of what a drop copy does not tell, since it is archived.
pub(super) fn beside_archived(wanted: EventPlace, began: EventPlace) {
    if began.seq > wanted.seq.max(Seq(1)) {
        beside(format_args!(
            "told from command {} on: what comes before is archived",
            began.seq
        ));
    }
}

/// What an error of standard output means to the program's end.
pub(super) fn unsaid(error: io::Error) -> Ended {
    match error.kind() {
        // `xq dump | head` has all it wanted.
        io::ErrorKind::BrokenPipe => Ended::Unread,
        _ => Ended::with(Exit::CannotCreate, anyhow::anyhow!("standard output: {error}")),
    }
}
