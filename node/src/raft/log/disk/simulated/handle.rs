//! An open file of the simulated disk. It is dead once its process is.

use std::io;

use super::super::File;
use super::{IO_ERROR, Inode, NO_SPACE, Simulated, State, countdown};

pub struct Handle {
    pub disk: Simulated,
    pub inode: u64,
    pub life: u64,
}

impl Handle {
    fn with<T>(&self, run: impl FnOnce(&mut State, &mut Inode) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        let gone = || io::Error::other("the process that opened this file is gone");
        if self.life != state.life {
            return Err(gone());
        }
        let mut inode = state.inodes.remove(&self.inode).ok_or_else(gone)?;
        let result = run(&mut state, &mut inode);
        state.inodes.insert(self.inode, inode);
        result
    }

    /// Whether this file may grow to so many bytes.
    fn room(&self, size_bytes: u64) -> io::Result<()> {
        let Some(space) = self.disk.state.lock().faults.space_bytes else {
            return Ok(());
        };
        let own = self.size_bytes()?;
        let others = self.disk.used_bytes().saturating_sub(own);
        match size_bytes > own && others + size_bytes > space {
            true => Err(io::Error::from_raw_os_error(NO_SPACE)),
            false => Ok(()),
        }
    }
}

impl File for Handle {
    fn size_bytes(&self) -> io::Result<u64> {
        self.with(|_, inode| Ok(inode.current.len() as u64))
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        let room = self.room(size_bytes);
        self.with(|state, inode| {
            state.writing()?;
            room?;
            inode.current.resize(size_bytes as usize, 0);
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|state, inode| {
            countdown(&mut state.faults.reads_before_error, IO_ERROR)?;
            let at = offset as usize;
            let bytes =
                inode.current.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.room(offset + bytes.len() as u64)?;
        self.with(|state, inode| {
            let power = state.writing();
            // A write that the power failure met may have reached the disk in any part; a later one
            // in none.
            let len = match power {
                Ok(()) => bytes.len(),
                Err(_) if state.power_is_off => 0,
                Err(_) => state.random() as usize % (bytes.len() + 1),
            };
            state.power_is_off |= power.is_err();
            let at = offset as usize;
            if inode.current.len() < at + len {
                inode.current.resize(at + len, 0);
            }
            inode.current[at..at + len].copy_from_slice(&bytes[..len]);
            inode.unsynced.push((at, len));
            power
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, inode| {
            state.writing()?;
            let failed = countdown(&mut state.faults.syncs_before_error, IO_ERROR);
            let unsynced = std::mem::take(&mut inode.unsynced);
            // As kernels do: what a failed sync met counts as clean, and no later one writes it.
            failed?;
            inode.durable.resize(inode.current.len(), 0);
            for (at, len) in unsynced {
                inode.durable[at..at + len].copy_from_slice(&inode.current[at..at + len]);
            }
            Ok(())
        })
    }
}
