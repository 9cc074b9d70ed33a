//! Disks whose power can be cut, and that can be full: ext4 in files, mounted through loop devices, for the journals alone
//! and for their copies.

use super::canary::Canary;
use anyhow::{Context, bail, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of each disk.
const SIZE: u64 = 512 << 20;
/// The least that is taken of the room that is left: one block.
const PIECE_MIN: u64 = 4_096;

/// The disk of the journals, and the one of their copies.
pub struct Disks([SmallDisk; 2]);

impl Disks {
    /// Makes and mounts them there.
    ///
    /// # Errors
    /// Without root, `mkfs.ext4` or loop devices.
    pub fn make([journals, copies]: [&Path; 2]) -> anyhow::Result<Disks> {
        let make = |folder: &Path| SmallDisk::make(&folder.with_extension("img"), folder);
        Ok(Disks([make(journals)?, make(copies)?]))
    }

    /// Cuts the power of both: from now on every call fails, and what was not synced is gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.0.iter().try_for_each(SmallDisk::cut)
    }

    /// Gives the power back: what was synced is there again, and what was not is proven to be gone.
    ///
    /// # Errors
    /// When a process still has a file open there, or when nothing was lost: then no power was cut.
    pub fn restore(&self) -> anyhow::Result<()> {
        self.0.iter().try_for_each(SmallDisk::restore)
    }

    /// Takes all room that is left.
    ///
    /// # Errors
    /// The kernel's.
    pub fn fill(&self) -> anyhow::Result<()> {
        self.0.iter().try_for_each(SmallDisk::fill)
    }

    /// Gives back what was taken.
    ///
    /// # Errors
    /// The kernel's.
    pub fn free(&self) -> anyhow::Result<()> {
        self.0.iter().try_for_each(SmallDisk::free)
    }
}

/// A mounted disk; dropped, it is unmounted.
struct SmallDisk {
    image: PathBuf,
    mounted_at: PathBuf,
}

impl SmallDisk {
    fn make(image: &Path, mounted_at: &Path) -> anyhow::Result<SmallDisk> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "this needs root: a file system in a file is mounted, and shut down or filled"
        );
        std::fs::create_dir_all(mounted_at)?;
        File::create(image)?.set_len(SIZE)?;
        call(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image))?;
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

    #[allow(unsafe_code, reason = "one call of the kernel that no safe wrapper has")]
    fn cut(&self) -> anyhow::Result<()> {
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

    fn restore(&self) -> anyhow::Result<()> {
        call(Command::new("umount").arg(&self.mounted_at))?;
        self.mount()?;
        self.canary().must_have_died()
    }

    fn ballast(&self) -> PathBuf {
        self.mounted_at.join("ballast")
    }

    fn fill(&self) -> anyhow::Result<()> {
        let path = self.ballast();
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let room = statvfs(&self.mounted_at)?;
        let mut piece = (room.f_bavail * room.f_frsize).next_power_of_two();
        while piece >= PIECE_MIN {
            match fallocate(&file, FallocateFlags::empty(), file.metadata()?.len(), piece) {
                Ok(()) => {}
                Err(Errno::NOSPC) => piece /= 2,
                Err(other) => return Err(other).with_context(|| path.display().to_string()),
            }
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
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
