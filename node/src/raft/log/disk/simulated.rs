//! A disk in memory that behaves as badly as a real one may: what was not synced can be lost, kept or
//! torn by a power failure, also after its process was killed and another has read it; space runs out,
//! syncs and reads fail. Everything follows from the seed. It keeps no time and starts no threads.

mod handle;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::handle::Handle;
use super::{Disk, File, Lock};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;

/// What to break, from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// This many more writing operations work; the next one is cut short and after it the power is
    /// off.
    pub power_off_after: Option<u64>,
    /// Bytes that all files together may have.
    pub space_bytes: Option<u64>,
    /// This many more syncs of files work.
    pub syncs_before_error: Option<u64>,
    /// This many more syncs of the directory work.
    pub directory_syncs_before_error: Option<u64>,
    /// This many more reads work.
    pub reads_before_error: Option<u64>,
}

/// What the durable files are: a starting point for many runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(pub BTreeMap<PathBuf, Vec<u8>>);

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Writes since the last sync: offset and length.
    unsynced: Vec<(usize, usize)>,
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
enum Renaming {
    Create(PathBuf, u64),
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
    Remove(PathBuf),
}

/// Which part of the unsynced writes a power failure leaves.
#[derive(Clone, Copy, Debug)]
enum Tear {
    AnySectors,
    FirstBytes,
}

#[derive(Debug, Default)]
struct State {
    random: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<Renaming>,
    next_inode: u64,
    faults: Faults,
    power_is_off: bool,
    /// Handles of an earlier one are dead.
    life: u64,
    writing_operations: u64,
}

#[derive(Clone, Debug)]
pub struct Simulated {
    state: Arc<Mutex<State>>,
}

impl Simulated {
    pub fn new(seed: u64) -> Simulated {
        Simulated::from_image(seed, &Image::default())
    }

    pub fn from_image(seed: u64, image: &Image) -> Simulated {
        let disk =
            Simulated { state: Arc::new(Mutex::new(State { random: seed, ..State::default() })) };
        disk.state.lock().load(image);
        disk
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// What is left of them: those that have struck are gone.
    pub fn faults(&self) -> Faults {
        self.state.lock().faults
    }

    /// What all files have.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// Writes, syncs, creations, renames and removals so far: to count out crash points.
    pub fn writing_operations(&self) -> u64 {
        self.state.lock().writing_operations
    }

    /// What a power failure right now may leave; draws anew on each call.
    pub fn image_after_power_failure(&self) -> Image {
        self.state.lock().image_after_power_failure()
    }

    /// What the end of the process alone leaves: everything that was written.
    pub fn image(&self) -> Image {
        let state = self.state.lock();
        let file =
            |(path, inode): (&PathBuf, &u64)| (path.clone(), state.inodes[inode].current.clone());
        Image(state.names.iter().map(file).collect())
    }

    /// The process dies and starts again without faults: open files are dead, all that was written
    /// can be read, and what was not synced can still be lost by a later power failure.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        (state.life, state.power_is_off) = (state.life + 1, false);
        state.faults = Faults::default();
    }

    /// Cuts the power and starts again without faults: open files are dead, the image is what is
    /// left.
    pub fn restart(&self, image: &Image) {
        let mut state = self.state.lock();
        state.faults = Faults::default();
        state.load(image);
    }
}

impl State {
    /// SplitMix64: small, and the same on every version of every library.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn load(&mut self, image: &Image) {
        self.life += 1;
        self.power_is_off = false;
        self.inodes.clear();
        self.names.clear();
        self.unsynced_names.clear();
        for (path, bytes) in &image.0 {
            let inode =
                Inode { durable: bytes.clone(), current: bytes.clone(), unsynced: Vec::new() };
            self.next_inode += 1;
            self.inodes.insert(self.next_inode, inode);
            self.names.insert(path.clone(), self.next_inode);
        }
        self.durable_names = self.names.clone();
    }

    /// Any of the unsynced changes of names hold; of the unsynced writes of each file none, all, or
    /// any sectors.
    fn image_after_power_failure(&mut self) -> Image {
        let mut names = self.durable_names.clone();
        for renaming in self.unsynced_names.clone() {
            if self.random().is_multiple_of(2) {
                continue;
            }
            match renaming {
                Renaming::Create(path, inode) => _ = names.insert(path, inode),
                Renaming::Remove(path) => _ = names.remove(&path),
                Renaming::Rename { from, to, inode } => {
                    names.remove(&from);
                    names.insert(to, inode);
                }
            }
        }
        let mut files = BTreeMap::new();
        for (path, inode) in names {
            let style = self.random() % 4;
            let inode = self.inodes[&inode].clone();
            let bytes = match style {
                0 => inode.durable,
                1 => inode.current,
                2 => self.torn(inode, Tear::AnySectors),
                _ => self.torn(inode, Tear::FirstBytes),
            };
            files.insert(path, bytes);
        }
        Image(files)
    }

    /// Sectors of unsynced writes chosen at random; or all up to a random byte and nothing after
    /// it.
    fn torn(&mut self, inode: Inode, tear: Tear) -> Vec<u8> {
        let mut bytes = inode.durable;
        bytes.resize(inode.current.len(), 0);
        let mut budget = match inode.unsynced.iter().map(|(_, len)| len).sum::<usize>() {
            0 => 0,
            all => self.random() as usize % all,
        };
        for (offset, len) in inode.unsynced {
            let end = offset + len;
            let mut at = offset;
            while at < end {
                let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
                let take = match tear {
                    Tear::AnySectors if self.random().is_multiple_of(2) => next - at,
                    Tear::AnySectors => 0,
                    Tear::FirstBytes => budget.min(next - at),
                };
                bytes[at..at + take].copy_from_slice(&inode.current[at..at + take]);
                budget = budget.saturating_sub(take);
                at = next;
            }
        }
        bytes
    }

    /// Counts a writing operation; an error when the power is off or goes off within it.
    fn writing(&mut self) -> io::Result<()> {
        self.writing_operations += 1;
        match &mut self.faults.power_off_after {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].current.len() as u64).sum()
    }
}

fn countdown(left: &mut Option<u64>, code: i32) -> io::Result<()> {
    match left {
        Some(0) => Err(io::Error::from_raw_os_error(code)),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Disk for Simulated {
    fn create_directory(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _directory: &Path) -> io::Result<Lock> {
        Ok(Box::new(()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        state.writing()?;
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode::default());
        state.names.insert(path.to_owned(), inode);
        state.unsynced_names.push(Renaming::Create(path.to_owned(), inode));
        Ok(self.handle(&state, inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.state.lock();
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&state, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.writing()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        let (from, to) = (from.to_owned(), to.to_owned());
        state.unsynced_names.push(Renaming::Rename { from, to, inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.writing()?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.unsynced_names.push(Renaming::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.writing()?;
        countdown(&mut state.faults.directory_syncs_before_error, IO_ERROR)?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

impl Simulated {
    fn handle(&self, state: &State, inode: u64) -> Arc<dyn File> {
        Arc::new(Handle { disk: self.clone(), inode, life: state.life })
    }
}
