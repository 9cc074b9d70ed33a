//! A disk whose power can be cut: ext4 in a file, mounted through a loop device, for the journals alone.

use super::canary::Canary;
use anyhow::{Context, bail, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of the disk.
const SIZE: u64 = 512 << 20;

/// The mounted disk; dropped, it is unmounted.
pub struct SmallDisk {
    image: PathBuf,
    mounted_at: PathBuf,
}

impl SmallDisk {
    /// Makes and mounts it.
    ///
    /// # Errors
    /// Without root, `mkfs.ext4` or loop devices.
    pub fn make(image: &Path, mounted_at: &Path) -> anyhow::Result<SmallDisk> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a power cut needs root: a file system in a file is mounted, and shut down"
        );
        std::fs::create_dir_all(mounted_at)?;
        File::create(image)?.set_len(SIZE)?;
        call(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))?;
        let disk = SmallDisk {
            image: image.to_owned(),
            mounted_at: mounted_at.to_owned(),
        };
        disk.mount()?;
        disk.canary().settle()?;
        Ok(disk)
    }

    fn canary(&self) -> Canary<'_> {
        Canary::of(&self.mounted_at)
    }

    fn mount(&self) -> anyhow::Result<()> {
        call(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&self.image)
                .arg(&self.mounted_at),
        )
    }

    /// Cuts the power: from now on every call fails, and what was not synced is gone.
    ///
    /// # Errors
    /// The kernel's.
    #[allow(unsafe_code, reason = "one call of the kernel that no safe wrapper has")]
    pub fn cut(&self) -> anyhow::Result<()> {
        use rustix::ioctl::{Setter, ioctl};
        /// `FS_IOC_SHUTDOWN`, `_IOR('X', 125, __u32)`.
        const SHUTDOWN: u32 = 0x8004_587d;
        /// Without flushing the journal first.
        const DROP_UNSYNCED: u32 = 2;
        self.canary().write_unsynced()?;
        let folder = File::open(&self.mounted_at)?;
        // SAFETY: this call reads one u32 behind the pointer that it is given, which is what Setter passes.
        let cut = unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(DROP_UNSYNCED)) };
        cut.with_context(|| format!("{}: the power cannot be cut", self.mounted_at.display()))
    }

    /// Gives the power back: what was synced is there again, and what was not is proven to be gone.
    ///
    /// # Errors
    /// When a process still has a file open there, or when nothing was lost: then no power was cut.
    pub fn restore(&self) -> anyhow::Result<()> {
        call(Command::new("umount").arg(&self.mounted_at))?;
        self.mount()?;
        self.canary().must_have_died()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that was not ended may keep it busy; then the kernel unmounts it afterwards.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.mounted_at)
            .status();
    }
}

/// Unmounts what an earlier run may have left there.
pub fn unmount(folder: &Path) -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let is_there = |line: &str| {
        line.split(' ')
            .nth(1)
            .is_some_and(|place| Path::new(place) == folder)
    };
    match mounts.lines().any(is_there) {
        true => call(Command::new("umount").arg(folder)),
        false => Ok(()),
    }
}

fn call(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
