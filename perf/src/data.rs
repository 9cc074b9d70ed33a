//! Where the data of other people lies: `XQ_DATA`, or `../shared/data` from the project's root.

use std::path::{Path, PathBuf};
pub use xq_lobster::{DataError, read};

/// The data folder. Fails with the path it looked for.
pub fn data_folder() -> Result<PathBuf, DataError> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("XQ_DATA").map_or(beside, PathBuf::from);
    if path.is_dir() {
        Ok(path)
    } else {
        Err(DataError::Missing { path })
    }
}
