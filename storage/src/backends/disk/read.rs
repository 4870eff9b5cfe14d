//! Reading a blob. What the page cache holds is read at once on the caller's thread; the kernel refuses what would
//! wait for the disk, and only that takes a blocking thread. Large blobs are pulled chunk by
//! chunk, so a slow reader holds one chunk and no thread.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};
use vaultaire_proto::BackendKey;

use super::layout::Place;
use super::root::{Lane, Root};
use crate::backend::{ByteStream, Object, once, resolve_range};
use crate::error::Error;

/// Up to this size a blob is one chunk where the page cache has it.
const SINGLE_CHUNK_BYTES: u64 = 64 * 1024;

/// The largest chunk that is copied from the page cache on the caller's thread: some 20 µs.
const CACHED_CHUNK_BYTES: u64 = 128 * 1024;

/// The chunk that is read from the disk in one hop to a blocking thread.
const DISK_CHUNK_BYTES: u64 = 512 * 1024;

const PLAIN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// How to open blobs: without noting the time of access where that is allowed, since noting it writes.
pub fn flags(top: &OwnedFd) -> OFlags {
    let quiet = PLAIN | OFlags::NOATIME;
    match rustix::fs::openat(top, "identity.json", quiet, Mode::empty()) {
        Ok(_opened) => quiet,
        Err(_not_the_owner) => PLAIN,
    }
}

/// Whether this kernel can open a file only if that needs no disk.
pub fn cache_can_be_tried(top: &OwnedFd, flags: OFlags) -> bool {
    let opened =
        rustix::fs::openat2(top, "identity.json", flags, Mode::empty(), ResolveFlags::CACHED);
    matches!(opened, Ok(_) | Err(Errno::AGAIN))
}

/// Opens a blob and tells its size.
pub async fn open(root: &Arc<Root>, key: &BackendKey) -> Result<(File, u64), Error> {
    let path = Place::of(key).path();
    if root.tries_cache.load(Ordering::Relaxed) {
        let top = root.directories.top();
        match rustix::fs::openat2(top, &path, root.read_flags, Mode::empty(), ResolveFlags::CACHED)
        {
            Err(Errno::AGAIN) => {}
            opened => return with_size(root, key, opened),
        }
    }
    let key = key.clone();
    root.blocking(Lane::Read, "get", move |root| {
        let opened =
            rustix::fs::openat(root.directories.top(), &path, root.read_flags, Mode::empty());
        with_size(root, &key, opened)
    })
    .await
}

/// Reads a blob or a part of it.
pub async fn get(
    root: &Arc<Root>,
    key: &BackendKey,
    range: Option<Range<u64>>,
) -> Result<Object, Error> {
    let (file, size_bytes) = open(root, key).await?;
    let range = resolve_range(range, size_bytes)?;
    let length = range.end - range.start;
    if length <= SINGLE_CHUNK_BYTES && root.tries_cache.load(Ordering::Relaxed) {
        let chunk = read_cached(root, &file, range.start, length);
        if chunk.len() as u64 == length {
            return Ok(Object { size_bytes, range, stream: once(chunk) });
        }
    }
    if length > DISK_CHUNK_BYTES {
        let _advice = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
    }
    let reader = Reader {
        root: root.clone(),
        key: key.clone(),
        file: Arc::new(file),
        offset: range.start,
        end: range.end,
    };
    Ok(Object { size_bytes, range, stream: reader.into_stream() })
}

fn with_size(
    root: &Root,
    key: &BackendKey,
    opened: Result<OwnedFd, Errno>,
) -> Result<(File, u64), Error> {
    let failed = |error: io::Error| Error::file(root.id, "open", key.as_str(), error);
    match opened {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            let size_bytes = file.metadata().map_err(failed)?.len();
            Ok((file, size_bytes))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => {
            Err(Error::NotFound { backend: root.id, key: key.clone() })
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// The bytes that the page cache has at the offset, at most `length`; none where it has none.
fn read_cached(root: &Root, file: &File, offset: u64, length: u64) -> Bytes {
    let length = usize::try_from(length.min(CACHED_CHUNK_BYTES)).expect("a chunk fits into memory");
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let position = offset + filled as u64;
        let mut slices = [IoSliceMut::new(rest)];
        match rustix::io::preadv2(file.as_fd(), &mut slices, position, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                // This file system cannot tell what it has cached.
                root.tries_cache.store(false, Ordering::Relaxed);
                break;
            }
            // The blocking read that follows meets the same error and reports it.
            Err(_failure) => break,
        }
    }
    buffer.truncate(filled);
    Bytes::from(buffer)
}

/// Pulls a blob chunk by chunk.
struct Reader {
    root: Arc<Root>,
    key: BackendKey,
    file: Arc<File>,
    offset: u64,
    end: u64,
}

impl Reader {
    fn into_stream(self) -> ByteStream {
        Box::pin(futures::stream::try_unfold(self, |mut reader| async move {
            if reader.offset >= reader.end {
                return Ok(None);
            }
            let chunk = reader.next().await?;
            reader.offset += chunk.len() as u64;
            Ok(Some((chunk, reader)))
        }))
    }

    async fn next(&mut self) -> Result<Bytes, Error> {
        let left = self.end - self.offset;
        if self.root.tries_cache.load(Ordering::Relaxed) {
            let chunk = read_cached(&self.root, &self.file, self.offset, left);
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
        let (file, key, offset) = (self.file.clone(), self.key.clone(), self.offset);
        let length = left.min(DISK_CHUNK_BYTES);
        self.root
            .blocking(Lane::Read, "get", move |root| read_disk(root, &key, &file, offset, length))
            .await
    }
}

fn read_disk(
    root: &Root,
    key: &BackendKey,
    file: &File,
    offset: u64,
    length: u64,
) -> Result<Bytes, Error> {
    let length = usize::try_from(length).expect("a chunk fits into memory");
    let failed = |error: Errno| Error::file(root.id, "read", key.as_str(), error.into());
    // Not zeroed first: that would be one more pass over every byte.
    let mut buffer = Vec::with_capacity(length);
    while buffer.len() < length {
        let position = offset + buffer.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut buffer), position) {
            Ok(0) => {
                return Err(Error::Corrupt {
                    subject: format!("blob {key} of backend {}", root.id),
                    reason: "its file ends early".to_owned(),
                });
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // A vector may have room for more than it was asked for, and the file may go on.
    buffer.truncate(length);
    Ok(Bytes::from(buffer))
}
