//! The border to the disk: what a journal asks of a folder of files, and nothing more.

use crate::memory::Map;
use std::fmt::Debug;
use std::io;

/// How a file is going to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By aligned `write_at` that bypasses the page cache where the file system can.
    Direct,
    /// Through a map.
    Mapped,
    /// Not at all.
    ReadOnly,
}

/// A folder that holds a journal. Real files in [`crate::FileStorage`], a disk that loses power in
/// [`crate::SimulatedDisk`].
pub trait Storage: Send + Sync + Debug {
    /// Names of all files in it, in no order.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, or empties the one of that name.
    ///
    /// # Errors
    /// Those of the file system.
    fn create(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// Those of the file system.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>>;

    /// Gives a file another name, replacing what had it. Durable after [`Storage::sync_folder`].
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Storage::sync_folder`].
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_folder(&self) -> io::Result<()>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// Those of the file system.
    fn room(&self) -> io::Result<u64>;

    /// Where it is, for messages.
    fn place(&self) -> &str;
}

/// A file of a [`Storage`].
pub trait StorageFile: Send + Sync + Debug {
    /// Size in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn size(&self) -> io::Result<u64>;

    /// Writes all bytes at an offset, growing the file as needed. With [`Access::Direct`] address, offset and
    /// length are multiples of 512 or what the device asks for.
    ///
    /// # Errors
    /// Those of the file system; what reached the disk is unknown then.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reserves room and size without writing, so that a map of it never meets a full disk.
    ///
    /// # Errors
    /// Those of the file system.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Waits until all that was written, and the size, is on the disk.
    ///
    /// # Errors
    /// Those of the file system. Fatal: pages may be lost, and a second sync would not notice.
    fn sync(&self) -> io::Result<()>;

    /// Maps the whole file; to write into it, it was opened with [`Access::Mapped`].
    ///
    /// # Errors
    /// Those of the file system.
    fn map(&self) -> io::Result<Map>;

    /// Writes a range of a map of this file to the disk and waits.
    ///
    /// # Errors
    /// Those of the file system; fatal like those of [`StorageFile::sync`].
    fn sync_map(&self, map: &Map, range: std::ops::Range<usize>) -> io::Result<()>;

    /// Begins to write a range of the file, whole pages that whoever maps it has left, to the disk and does not wait, so
    /// that a later sync finds little to do. A hint: nothing is durable by it, and what goes wrong is told by that sync.
    fn begin_writing(&self, range: std::ops::Range<usize>);
}
