//! A disk that forgets: it keeps any subset of unsynced 512-byte sectors when the power goes, and fails on order.
//!
//! It stands in for real files in tests of this room and of the server. What it models: a write reaches the page
//! cache at once and the platter at any later time, sector by sector, in any order; a sync forces one file's
//! sectors; names (creations, renames, removals) last from the folder's sync on, and before it any prefix of them
//! may. What it assumes is what journal-format.md assumes: a 512-byte sector is old or new, never a mixture.

use crate::bytes::{narrow, wide};
use crate::memory::{AlignedBuffer, Map};
use crate::pool::lock;
use crate::storage::{Access, Storage, StorageFile};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Bytes that reach the platter together.
pub const SECTOR: usize = 512;

/// What happens at an ordered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with EIO; half of what it was to write may have been written.
    Io,
    /// The call fails with ENOSPC and does nothing.
    NoSpace,
    /// The process dies: this call and all later ones fail, until the disk is restarted.
    Kill,
}

/// How often each kind of call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Writes.
    pub writes: u64,
    /// Syncs of files and of ranges of maps.
    pub syncs: u64,
    /// Creations, renames, removals and folder syncs.
    pub names: u64,
}

impl Calls {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.writes + self.syncs + self.names
    }
}

/// A simulated folder. Clones share it.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What the process sees.
    names: BTreeMap<String, u64>,
    /// What a power cut leaves of the names, and what was done since.
    durable_names: BTreeMap<String, u64>,
    changes: Vec<NameChange>,
    contents: BTreeMap<u64, Content>,
    next_content: u64,
    calls: Calls,
    /// Call number (from 1, over all kinds) and what happens at it.
    fault: Option<(u64, Fault)>,
    faults_hit: u64,
    dead: bool,
    room: u64,
    random: u64,
    /// Counts restarts: handles of a process that died are refused.
    life: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

/// A file's bytes: as the process sees them, and as the platter has them.
#[derive(Debug)]
struct Content {
    cache: Arc<AlignedBuffer>,
    size: usize,
    platter: Vec<u8>,
    platter_size: usize,
}

/// Next number of the splitmix64 sequence: small, seedable, good enough to choose sectors.
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl SimulatedDisk {
    /// An empty disk with room for `room` bytes, whose choices follow from `seed`.
    #[must_use]
    pub fn new(room: u64, seed: u64) -> Self {
        let state = State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            contents: BTreeMap::new(),
            next_content: 1,
            calls: Calls::default(),
            fault: None,
            faults_hit: 0,
            dead: false,
            room,
            random: seed,
            life: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// It as a storage.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        let life = lock(&self.state).life;
        Arc::new(SimulatedFolder {
            disk: self.clone(),
            life,
        })
    }

    /// Lets the `after`-th call from now on (1 is the next) meet a fault.
    pub fn fail_at(&self, after: u64, fault: Fault) {
        let mut state = lock(&self.state);
        let call = state.calls.total() + after;
        state.fault = Some((call, fault));
    }

    /// Takes back an order of [`SimulatedDisk::fail_at`] that was not met.
    pub fn fail_no_more(&self) {
        lock(&self.state).fault = None;
    }

    /// How many faults were met.
    #[must_use]
    pub fn faults_hit(&self) -> u64 {
        lock(&self.state).faults_hit
    }

    /// Calls counted so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        lock(&self.state).calls
    }

    /// Gives the disk another amount of room, bytes over all files.
    pub fn set_room(&self, room: u64) {
        lock(&self.state).room = room;
    }

    /// The process is gone, the machine is not: everything written is there. Old handles are refused.
    pub fn kill(&self) {
        lock(&self.state).restart();
    }

    /// The power goes: of every file, any subset of the sectors that were not synced reaches the platter; of the
    /// changes of names since the last folder sync, any prefix.
    pub fn cut_power(&self) {
        let mut state = lock(&self.state);
        let changes = wide(state.changes.len());
        let kept = narrow(splitmix64(&mut state.random) % (changes + 1));
        state.settle_names(kept);
        state.names = state.durable_names.clone();
        let State { contents, random, .. } = &mut *state;
        contents
            .values_mut()
            .for_each(|content| content.lose_power(random));
        state.restart();
    }

    /// The kernel writes back some sectors, as it may at any time.
    pub fn write_back_some(&self) {
        let State { contents, random, .. } = &mut *lock(&self.state);
        contents
            .values_mut()
            .for_each(|content| content.write_back(random));
    }

    /// A copy of a file's bytes as the process sees them.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let content = &state.contents[state.names.get(name)?];
        Some(content.cache[..content.size].to_vec())
    }

    /// Puts a file there, durable, as if by another hand: to damage a journal on purpose.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = lock(&self.state);
        let id = state.add_content();
        let content = Content {
            size: bytes.len(),
            platter_size: bytes.len(),
            ..Content::of(bytes)
        };
        state.contents.insert(id, content);
        state.names.insert(name.to_owned(), id);
        state.durable_names.insert(name.to_owned(), id);
    }

    /// Takes a file away, durably, as if by another hand.
    pub fn take(&self, name: &str) {
        let mut state = lock(&self.state);
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// Names of all files, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.state).names.keys().cloned().collect()
    }
}

impl State {
    fn restart(&mut self) {
        self.dead = false;
        self.fault = None;
        self.life += 1;
    }

    fn add_content(&mut self) -> u64 {
        self.next_content += 1;
        self.next_content
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| wide(self.contents[id].size)).sum()
    }

    /// Counts a call and meets the fault that was ordered for it.
    fn call(&mut self, count: impl FnOnce(&mut Calls)) -> Result<(), Fault> {
        if self.dead {
            return Err(Fault::Kill);
        }
        count(&mut self.calls);
        match self.fault {
            Some((at, fault)) if self.calls.total() >= at => {
                self.fault = None;
                self.faults_hit += 1;
                self.dead = fault == Fault::Kill;
                Err(fault)
            }
            _ => Ok(()),
        }
    }

    fn settle_names(&mut self, kept: usize) {
        let changes = std::mem::take(&mut self.changes);
        for change in changes.into_iter().take(kept) {
            match change {
                NameChange::Create(name, id) => {
                    self.durable_names.insert(name, id);
                }
                NameChange::Rename(from, to) => {
                    if let Some(id) = self.durable_names.remove(&from) {
                        self.durable_names.insert(to, id);
                    }
                }
                NameChange::Remove(name) => {
                    self.durable_names.remove(&name);
                }
            }
        }
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        let mut cache = AlignedBuffer::new(bytes.len());
        cache[..bytes.len()].copy_from_slice(bytes);
        let platter = cache.to_vec();
        Self {
            cache: Arc::new(cache),
            size: 0,
            platter,
            platter_size: 0,
        }
    }

    /// Grows the file. Maps of the smaller file keep the old memory, so nobody maps before the full size.
    fn grow(&mut self, size: usize) {
        if size > self.cache.len() {
            let mut cache = AlignedBuffer::new(size.next_power_of_two());
            cache[..self.size].copy_from_slice(&self.cache[..self.size]);
            self.platter.resize(cache.len(), 0);
            self.cache = Arc::new(cache);
        }
        self.size = self.size.max(size);
    }

    fn sync(&mut self, range: Range<usize>) {
        let range = range.start / SECTOR * SECTOR..range.end.next_multiple_of(SECTOR).min(self.cache.len());
        self.platter[range.clone()].copy_from_slice(&self.cache[range]);
        self.platter_size = self.size;
    }

    fn write_back(&mut self, random: &mut u64) {
        for (new, old) in self.cache.chunks(SECTOR).zip(self.platter.chunks_mut(SECTOR)) {
            if new != old && splitmix64(random).is_multiple_of(2) {
                old.copy_from_slice(new);
            }
        }
    }

    /// Afterwards the process sees what the platter has.
    fn lose_power(&mut self, random: &mut u64) {
        self.write_back(random);
        if splitmix64(random).is_multiple_of(2) {
            self.platter_size = self.size;
        }
        let survivor = Self::of(&self.platter);
        (self.cache, self.size) = (survivor.cache, self.platter_size);
        let size = self.size;
        self.platter[size..].fill(0);
    }
}

fn refusal(fault: Fault) -> io::Error {
    match fault {
        Fault::Io => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
        Fault::NoSpace => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
        Fault::Kill => io::Error::other("the process was killed here"),
    }
}

/// The folder as one life of the process sees it.
#[derive(Debug)]
struct SimulatedFolder {
    disk: SimulatedDisk,
    life: u64,
}

impl SimulatedFolder {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.disk.state);
        if state.life != self.life || state.dead {
            return Err(refusal(Fault::Kill));
        }
        act(&mut state)
    }

    fn file(&self, content: u64) -> Box<dyn StorageFile> {
        Box::new(SimulatedFile {
            folder: Self {
                disk: self.disk.clone(),
                life: self.life,
            },
            content,
        })
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for SimulatedFolder {
    fn list(&self) -> io::Result<Vec<String>> {
        self.with(|state| Ok(state.names.keys().cloned().collect()))
    }

    fn create(&self, name: &str, _: Access) -> io::Result<Box<dyn StorageFile>> {
        self.with(|state| {
            state.call(|calls| calls.names += 1).map_err(refusal)?;
            let id = state.add_content();
            state.contents.insert(id, Content::of(&[]));
            state.names.insert(name.to_owned(), id);
            state.changes.push(NameChange::Create(name.to_owned(), id));
            Ok(self.file(id))
        })
    }

    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn StorageFile>> {
        self.with(|state| Ok(self.file(*state.names.get(name).ok_or_else(missing)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            state.call(|calls| calls.names += 1).map_err(refusal)?;
            let id = state.names.remove(from).ok_or_else(missing)?;
            state.names.insert(to.to_owned(), id);
            state
                .changes
                .push(NameChange::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|state| {
            state.call(|calls| calls.names += 1).map_err(refusal)?;
            state.names.remove(name).ok_or_else(missing)?;
            state.changes.push(NameChange::Remove(name.to_owned()));
            Ok(())
        })
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.with(|state| {
            state.call(|calls| calls.names += 1).map_err(refusal)?;
            state.settle_names(usize::MAX);
            Ok(())
        })
    }

    fn room(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.room.saturating_sub(state.used())))
    }

    fn place(&self) -> &str {
        "simulated disk"
    }
}

#[derive(Debug)]
struct SimulatedFile {
    folder: SimulatedFolder,
    content: u64,
}

impl SimulatedFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        self.folder.with(|state| act(state, self.content))
    }

    fn grow(state: &mut State, content: u64, size: u64) -> io::Result<()> {
        let now = wide(state.contents[&content].size);
        if size > now && state.used() + (size - now) > state.room {
            return Err(refusal(Fault::NoSpace));
        }
        state
            .contents
            .get_mut(&content)
            .ok_or_else(missing)?
            .grow(narrow(size));
        Ok(())
    }
}

impl StorageFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|state, content| Ok(wide(state.contents[&content].size)))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, content| {
            let met = state.call(|calls| calls.writes += 1);
            // A write that is killed or refused midway has written some of its bytes.
            let length = match met {
                Ok(()) => bytes.len(),
                Err(Fault::NoSpace) => return Err(refusal(Fault::NoSpace)),
                Err(Fault::Io | Fault::Kill) => bytes.len() / 2,
            };
            Self::grow(state, content, offset + wide(length))?;
            let map = Map::of_memory(Arc::clone(&state.contents[&content].cache));
            map.write(narrow(offset), &bytes[..length]);
            met.map_err(refusal)
        })
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        self.with(|state, content| {
            state.call(|calls| calls.writes += 1).map_err(refusal)?;
            Self::grow(state, content, size)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, content| {
            state.call(|calls| calls.syncs += 1).map_err(refusal)?;
            let content = state.contents.get_mut(&content).ok_or_else(missing)?;
            content.sync(0..content.size);
            Ok(())
        })
    }

    fn map(&self) -> io::Result<Map> {
        self.with(|state, content| {
            let content = state.contents.get_mut(&content).ok_or_else(missing)?;
            // The map of a real file ends with the file.
            let length = content.size;
            Ok(Map::of_memory(Arc::clone(&content.cache)).shortened(length))
        })
    }

    fn sync_map(&self, _: &Map, range: Range<usize>) -> io::Result<()> {
        self.with(|state, content| {
            state.call(|calls| calls.syncs += 1).map_err(refusal)?;
            state.contents.get_mut(&content).ok_or_else(missing)?.sync(range);
            Ok(())
        })
    }

    /// The simulated disk writes what it likes whenever it likes: it needs no hint.
    fn begin_writing(&self, _: Range<usize>) {}
}
