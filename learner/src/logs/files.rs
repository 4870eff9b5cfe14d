//! What a log may be: a file, or a folder of files, each of them plain or compressed with gzip, all in one of the formats. A file's
//! format is found by how it begins, whatever it is called.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::error::Error;
use crate::logs::accesses::IN_MEMORY_MAX;
use crate::logs::builder::{Builder, Rules, shown};
use crate::logs::{Log, cloudtrail, csv, inventory, s3};

/// How often progress is told.
pub const PROGRESS_LINES: u64 = 65_536;

/// Of one log. A year of one bucket's server access logs, a file for each ten minutes and some, has fewer.
pub const FILES_MAX: usize = 1_000_000;

/// Folders in folders: `AWSLogs/account/CloudTrail/region/year/month/day` are seven.
pub const FOLDERS_DEEP_MAX: usize = 16;

/// How much of a file is looked at to find its format.
const BEGINNING_BYTES: u64 = 16 << 10;

const BUFFER_BYTES: usize = 256 << 10;

/// How every gzip begins (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where an input comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub path: String,
    pub is_compressed: bool,
}

impl Origin {
    /// What it means that it could not be read.
    pub fn failed(&self, source: io::Error) -> Error {
        let path = self.path.clone();
        let is_broken = matches!(
            source.kind(),
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
        );
        match self.is_compressed && is_broken {
            true => Error::Compressed { path, source },
            false => Error::File { path, source },
        }
    }
}

/// A file, readable.
pub struct Input {
    pub origin: Origin,
    pub reader: Box<dyn BufRead>,
}

impl Input {
    /// Whether this comes first, behind blanks and a byte order mark. Nothing is taken away.
    pub fn begins_with(&mut self, wanted: u8) -> Result<bool, Error> {
        let beginning = self.beginning()?;
        Ok(text(&beginning).trim_start().as_bytes().first() == Some(&wanted))
    }

    /// The beginning, which will be read again.
    fn beginning(&mut self) -> Result<Vec<u8>, Error> {
        let mut beginning = Vec::new();
        let read = self.reader.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning);
        read.map_err(|source| self.origin.failed(source))?;
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(beginning.clone()).chain(rest));
        Ok(beginning)
    }
}

/// Opens files, and tells how many bytes of all of them were read.
pub struct Reading<F> {
    progress: F,
    read: Rc<Cell<u64>>,
}

impl<F: FnMut(u64)> Reading<F> {
    pub fn new(progress: F) -> Self {
        Self { progress, read: Rc::default() }
    }

    pub fn tell(&mut self) {
        (self.progress)(self.read.get());
    }

    pub fn open(&mut self, path: &Path) -> Result<Input, Error> {
        let mut origin = Origin { path: path.display().to_string(), is_compressed: false };
        let file = File::open(path).map_err(|source| origin.failed(source))?;
        let counted = Counted { file, read: Rc::clone(&self.read) };
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, counted);
        let first = reader.fill_buf().map_err(|source| origin.failed(source))?;
        origin.is_compressed = first.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead> = match origin.is_compressed {
            true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader))),
            false => Box::new(reader),
        };
        Ok(Input { origin, reader })
    }
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    ServerLog,
    CloudTrail,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "a table of accesses",
            Self::ServerLog => "an S3 server access log",
            Self::CloudTrail => cloudtrail::KIND,
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Table => Rules::Contract,
            Self::ServerLog | Self::CloudTrail => Rules::Provider,
        }
    }

    /// None: it is none of them. A line of a server access log may come after some that are broken.
    fn of(beginning: &[u8]) -> Option<Self> {
        let text = text(beginning);
        let first = text.lines().next().unwrap_or_default();
        let mut lines = beginning.split(|byte| *byte == b'\n');
        match () {
            () if csv::is_header(first) => Some(Self::Table),
            () if text.trim_start().starts_with('{') => Some(Self::CloudTrail),
            () if lines.any(|line| s3::request(line).is_ok()) => Some(Self::ServerLog),
            () => None,
        }
    }
}

/// Reads a log, and what an inventory knows beside it. `progress` hears how many bytes of its files were read, as they are
/// stored, now and then.
pub fn read(
    path: &Path,
    inventory: Option<&Path>,
    progress: impl FnMut(u64),
) -> Result<Log, Error> {
    read_within(IN_MEMORY_MAX, path, inventory, progress)
}

/// The same with so many accesses in memory at once, at most.
pub fn read_within(
    in_memory_max: usize,
    path: &Path,
    inventory: Option<&Path>,
    progress: impl FnMut(u64),
) -> Result<Log, Error> {
    let mut reading = Reading::new(progress);
    let mut known: Option<(Format, String, Builder)> = None;
    for file in files(path)? {
        let mut input = reading.open(&file)?;
        let beginning = input.beginning()?;
        // S3 writes no empty file, but copying may leave one.
        if text(&beginning).trim().is_empty() {
            continue;
        }
        let path = input.origin.path.clone();
        let format = Format::of(&beginning).ok_or_else(|| {
            let found = shown(text(&beginning).lines().next().unwrap_or_default());
            Error::Format { path: path.clone(), found, wanted: csv::HEADER }
        })?;
        let (first, first_path, builder) = known.get_or_insert_with(|| {
            (format, path.clone(), Builder::new(format.rules(), in_memory_max))
        });
        if *first != format {
            let (kind, other_kind) = (format.name(), first.name());
            return Err(Error::Mixed { path, kind, other_path: first_path.clone(), other_kind });
        }
        let mut tell = || reading.tell();
        match format {
            Format::Table => csv::read_into(input, builder, &mut tell)?,
            Format::ServerLog => s3::read_into(input, builder, &mut tell)?,
            Format::CloudTrail => cloudtrail::read_into(input, builder, &mut tell)?,
        }
        builder.kept()?;
        reading.tell();
    }
    let path = path.display().to_string();
    let Some((_, _, mut builder)) = known else { return Err(Error::Empty { path }) };
    if let Some(inventory) = inventory {
        inventory::read(inventory, &mut builder)?;
    }
    builder.finish(path)
}

/// How many bytes there are to read.
pub fn size_bytes(path: &Path) -> Result<u64, Error> {
    let sizes = files(path)?.into_iter().map(|file| {
        let size = fs::metadata(&file).map(|file| file.len());
        size.map_err(|source| Error::File { path: file.display().to_string(), source })
    });
    sizes.sum()
}

/// All files of a log, in the order of their names. What begins with a dot is none of it.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let shown = |path: &Path| path.display().to_string();
    let failed = |path: &Path, source| Error::File { path: shown(path), source };
    let mut files = Vec::new();
    let mut left = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = left.pop() {
        let is_folder = fs::metadata(&path).map_err(|source| failed(&path, source))?.is_dir();
        if files.len() >= FILES_MAX || depth > FOLDERS_DEEP_MAX {
            let (max, depth) = (FILES_MAX, FOLDERS_DEEP_MAX);
            return Err(Error::TooManyFiles { path: shown(&path), max, depth });
        }
        if !is_folder {
            files.push(path);
            continue;
        }
        for entry in fs::read_dir(&path).map_err(|source| failed(&path, source))? {
            let entry = entry.map_err(|source| failed(&path, source))?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                left.push((entry.path(), depth + 1));
            }
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Error::NoFile { path: shown(path) }),
        false => Ok(files),
    }
}

/// As far as it is one.
fn text(beginning: &[u8]) -> &str {
    let valid = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.trim_start_matches(csv::BYTE_ORDER_MARK)
}
