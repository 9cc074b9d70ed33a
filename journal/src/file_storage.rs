//! A folder of real files, locked by its one writer.

use crate::bytes::{narrow, wide};
use crate::memory::Map;
use crate::storage::{Access, Storage, StorageFile};
use rustix::fs::{Advice, FallocateFlags, FlockOperation, fadvise, fallocate, flock, fstatvfs};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a lock is waited for: a process holds it until it has wholly ended, and one that it was starting until that
/// is executed.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// A folder on a real file system.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
    handle: File,
    place: String,
}

impl FileStorage {
    /// Opens the folder of a journal to write it, making it when it is not there, and locks it until dropped. A lock that
    /// somebody holds is waited for, for half a second.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds the lock; else those of the file system.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let storage = Self::open_to_read(folder)?;
        let begun = Instant::now();
        while let Err(refused) = flock(&storage.handle, FlockOperation::NonBlockingLockExclusive) {
            if refused != Errno::WOULDBLOCK || begun.elapsed() > LOCK_PATIENCE {
                return Err(refused.into());
            }
            std::thread::sleep(LOCK_PATIENCE / 50);
        }
        Ok(storage)
    }

    /// Opens the folder to read beside its writer: takes no lock, and must only be given to readers.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open_to_read(folder: &Path) -> io::Result<Self> {
        let handle = File::open(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            handle,
            place: folder.display().to_string(),
        })
    }

    fn open_as(
        &self,
        name: &str,
        access: Access,
        options: &mut OpenOptions,
    ) -> io::Result<Box<dyn StorageFile>> {
        let path = self.folder.join(name);
        if access == Access::Direct {
            let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("open flags fit in 32 bits");
            match options.clone().custom_flags(flags).open(&path) {
                Ok(file) => return Ok(Box::new(RealFile { file, access })),
                // File systems in memory refuse O_DIRECT; written through the cache and synced, a journal is
                // as durable, only slower.
                Err(refused) if refused.kind() == io::ErrorKind::InvalidInput => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Box::new(RealFile {
            file: options.open(&path)?,
            access,
        }))
    }
}

impl Storage for FileStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.open_as(
            name,
            access,
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true),
        )
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.open_as(
            name,
            access,
            OpenOptions::new().read(true).write(access != Access::ReadOnly),
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn room(&self) -> io::Result<u64> {
        let disk = fstatvfs(&self.handle)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn place(&self) -> &str {
        &self.place
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    access: Access,
}

impl StorageFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        Ok(fallocate(&self.file, FallocateFlags::empty(), 0, size)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn map(&self) -> io::Result<Map> {
        if narrow(self.size()?) == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        match self.access {
            Access::Mapped => Map::of_file(&self.file),
            Access::Direct | Access::ReadOnly => Map::of_file_to_read(&self.file),
        }
    }

    fn sync_map(&self, map: &Map, range: Range<usize>) -> io::Result<()> {
        map.flush(range)
    }

    fn begin_writing(&self, range: Range<usize>) {
        if let Some(length) = NonZeroU64::new(wide(range.len())) {
            // To drop pages, Linux first begins to write the dirty ones; those that readers have mapped stay.
            let _ = fadvise(&self.file, wide(range.start), Some(length), Advice::DontNeed);
        }
    }
}
