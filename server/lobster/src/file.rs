//! Files of data, and why one cannot be had.

use std::path::{Path, PathBuf};

/// Why a file of the data folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder, or a file in it, is not there.
    #[error("{}: not found (set XQ_DATA to the data folder)", .path.display())]
    Missing {
        /// The path looked for.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line that does not say what it should.
    #[error("{}:{line}: {what}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The bytes of one file. Fails with the path it looked for.
pub fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::Missing {
            path: path.to_owned(),
        },
        _ => DataError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })
}
