//! Standard output, whose reader may go away at any time: that ends a subcommand quietly.

use super::Ended;
use crate::exit::Exit;
use std::fmt::Display;
use std::io::{self, Write};

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

/// What an error of standard output means to the program's end.
pub(super) fn unsaid(error: io::Error) -> Ended {
    match error.kind() {
        // `xq dump | head` has all it wanted.
        io::ErrorKind::BrokenPipe => Ended::Unread,
        _ => Ended::with(Exit::CannotCreate, anyhow::anyhow!("standard output: {error}")),
    }
}
