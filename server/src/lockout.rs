//! The lock-out after a divergence: a file beside the journals that only a successful `xq verify` removes.

use crate::exit::{Exit, Failure};
use std::sync::Arc;
use xq_journal::{Access, Storage};

/// The file's name. It holds what diverged, as text.
pub(crate) const FILE: &str = "diverged.txt";

/// Refuses to go on while the file is there.
///
/// # Errors
/// [`Failure::LockedOut`]; [`Failure::CannotCreate`] when the folder cannot be read.
pub(crate) fn check(storage: &Arc<dyn Storage>) -> Result<(), Failure> {
    if is_there(storage)? {
        Err(Failure::LockedOut {
            folder: storage.place().to_owned(),
            file: FILE,
        })
    } else {
        Ok(())
    }
}

/// Leaves the file behind if the failure is a divergence. The first one stays: it tells where to look.
pub(crate) fn leave(storage: &Arc<dyn Storage>, failure: &Failure) {
    let is_first = is_there(storage).is_ok_and(|there| !there);
    if failure.exit() != Exit::Divergence || !is_first {
        return;
    }
    let text = format!("{failure}\n");
    let written = storage.create(FILE, Access::Mapped).and_then(|file| {
        file.write_at(0, text.as_bytes())?;
        file.sync()?;
        storage.sync_folder()
    });
    if let Err(error) = written {
        // The failure itself is told in any case, and a start that executes everything again meets it again.
        tracing::error!(file = FILE, %error, "the lock-out could not be written");
    }
}

/// Removes the file; says whether it was there.
///
/// # Errors
/// [`Failure::CannotCreate`] when it cannot be removed.
pub(crate) fn lift(storage: &Arc<dyn Storage>) -> Result<bool, Failure> {
    if !is_there(storage)? {
        return Ok(false);
    }
    let gone = storage.remove(FILE).and_then(|()| storage.sync_folder());
    gone.map_err(|source| failed(storage, source))?;
    Ok(true)
}

/// Ends the process; after a divergence it does not serve again.
pub(crate) fn end_process(storage: &Arc<dyn Storage>, failure: &Failure) -> ! {
    leave(storage, failure);
    failure.end_process()
}

fn is_there(storage: &Arc<dyn Storage>) -> Result<bool, Failure> {
    let names = storage.list().map_err(|source| failed(storage, source))?;
    Ok(names.iter().any(|name| name == FILE))
}

fn failed(storage: &Arc<dyn Storage>, source: std::io::Error) -> Failure {
    Failure::CannotCreate {
        what: format!("{FILE} in journal folder {}", storage.place()),
        source,
    }
}
