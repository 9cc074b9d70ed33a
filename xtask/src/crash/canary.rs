//! What must die in a power cut: bytes that no one synced. One that lives says that the power was never cut, and that
//! nothing was proven of what lived beside it.

use anyhow::{Context, ensure};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of each file.
const LENGTH: usize = 64 << 10;
const SYNCED: u8 = b's';
const UNSYNCED: u8 = b'u';

/// Two files of a disk: one synced and later overwritten, one written anew just before the cut.
pub struct Canary<'a> {
    folder: &'a Path,
}

impl<'a> Canary<'a> {
    /// In this folder.
    pub fn of(folder: &'a Path) -> Canary<'a> {
        Canary { folder }
    }

    /// Writes and syncs what every cut must leave.
    pub fn settle(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.overwritten())?;
        file.write_all(&[SYNCED; LENGTH])?;
        file.sync_all()?;
        Ok(File::open(self.folder)?.sync_all()?)
    }

    /// Writes, a moment before the cut, what it must take: over the synced bytes, and in a new file.
    pub fn write_unsynced(&self) -> anyhow::Result<()> {
        let old = File::options().write(true).open(self.overwritten())?;
        old.write_all_at(&[UNSYNCED; LENGTH], 0)?;
        File::create(self.fresh())?.write_all(&[UNSYNCED; LENGTH])?;
        Ok(())
    }

    /// Requires, when the power is back, that only synced bytes are there.
    pub fn must_have_died(&self) -> anyhow::Result<()> {
        let old =
            std::fs::read(self.overwritten()).with_context(|| self.overwritten().display().to_string())?;
        ensure!(
            old.len() == LENGTH && !old.contains(&0),
            "{}: what was synced did not survive",
            self.overwritten().display()
        );
        ensure!(
            old.iter().all(|byte| *byte == SYNCED),
            "{}: unsynced bytes survived: no power was cut",
            self.overwritten().display()
        );
        // An empty file may have come through with a neighbour's sync; its bytes may not.
        let new = std::fs::read(self.fresh()).unwrap_or_default();
        ensure!(
            new.len() < LENGTH && !new.contains(&UNSYNCED),
            "{}: unsynced bytes survived: no power was cut",
            self.fresh().display()
        );
        Ok(())
    }

    fn overwritten(&self) -> PathBuf {
        self.folder.join("canary-overwritten")
    }

    fn fresh(&self) -> PathBuf {
        self.folder.join("canary-fresh")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_bytes_that_live_and_synced_ones_that_die_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let canary = Canary::of(folder.path());
        canary.settle().expect("it is written");
        canary.must_have_died().expect("nothing unsynced was written");
        // No power is cut here, so everything lives.
        canary.write_unsynced().expect("it is written");
        let alive = canary.must_have_died().expect_err("the old file lives");
        assert!(alive.to_string().contains("canary-overwritten"), "{alive}");
        canary.settle().expect("it is written");
        let alive = canary.must_have_died().expect_err("the new file lives");
        assert!(alive.to_string().contains("canary-fresh"), "{alive}");
        std::fs::write(canary.fresh(), []).expect("it can be written");
        canary.must_have_died().expect("only its name lives");
        std::fs::write(canary.overwritten(), [SYNCED; 10]).expect("it can be written");
        assert!(canary.must_have_died().is_err(), "synced bytes are missing");
    }
}
