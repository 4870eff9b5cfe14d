//! An S3 Inventory (Amazon S3 User Guide, "Amazon S3 Inventory list", "Locating your inventory list"): tables of objects without a
//! header, whose columns a `manifest.json` tells. Without a manifest a file has the columns `Bucket, Key, Size`, or a header that
//! names its own. Keys are URL-encoded.

use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use serde::Deserialize;

use crate::error::Error;
use crate::logs::builder::{Builder, shown};
use crate::logs::files::{Input, Origin, Reading};
use crate::logs::keys::{self, Plus};
use crate::logs::{SIZE_MAX, TIME_MAX_S, times};

/// The columns of a file that comes without a manifest and without a header.
pub const SCHEMA: &str = "Bucket, Key, Size";

const MANIFEST: &str = "manifest.json";
const KIND: &str = "the manifest of an inventory";

/// A manifest of some thousand files has less.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// How many folders above the manifest its files are looked for.
const FOLDERS_UP_MAX: usize = 8;

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(rename = "fileFormat")]
    format: String,
    #[serde(rename = "fileSchema")]
    schema: String,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Deserialize)]
struct ManifestFile {
    key: String,
}

/// Where a table has what matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    names: String,
    count: usize,
    bucket: usize,
    key: usize,
    size: usize,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
    written: Option<usize>,
}

/// Reads an inventory: the folder of its manifest, the manifest, or one file.
pub fn read(path: &Path, builder: &mut Builder) -> Result<(), Error> {
    let mut reading = Reading::new(|_| {});
    let path = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    let mut input = reading.open(&path)?;
    if !input.begins_with(b'{')? {
        return table(input, None, builder);
    }
    let manifest = manifest(input)?;
    let shown = path.display().to_string();
    if !manifest.format.eq_ignore_ascii_case("csv") {
        return Err(Error::InventoryFormat { path: shown, format: manifest.format });
    }
    let columns = Columns::of(&manifest.schema, &shown)?;
    for file in &manifest.files {
        let key = file.key.clone();
        let file =
            found(&path, &key).ok_or_else(|| Error::InventoryFile { path: shown.clone(), key })?;
        table(reading.open(&file)?, Some(&columns), builder)?;
    }
    Ok(())
}

fn manifest(input: Input) -> Result<Manifest, Error> {
    let Input { origin, reader } = input;
    serde_json::from_reader(reader.take(MANIFEST_BYTES_MAX)).map_err(|source| {
        match source.is_io() {
            true => origin.failed(source.into()),
            false => Error::Json { path: origin.path, kind: KIND, source },
        }
    })
}

/// A file of a manifest: beside it, in a folder `data` beside it or one above, or as far below some folder above as its key says.
fn found(manifest: &Path, key: &str) -> Option<PathBuf> {
    let name = key.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..")?;
    let folder = manifest.parent()?;
    let near = [
        folder.join(name),
        folder.join("data").join(name),
        folder.join("..").join("data").join(name),
    ];
    let is_inside = !key.split('/').any(|part| part == "..");
    let above = folder.ancestors().take(FOLDERS_UP_MAX).filter(|_| is_inside);
    let mut all = near.into_iter().chain(above.map(|folder| folder.join(key)));
    all.find(|path| path.is_file())
}

impl Columns {
    /// Of `Bucket, Key, Size`.
    fn of(names: &str, path: &str) -> Result<Self, Error> {
        let all: Vec<&str> = names.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let place = |wanted: &str| all.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        let needed = |column: &'static str| {
            let found = || all.join(", ");
            place(column).ok_or_else(|| Error::InventoryColumn {
                path: path.to_owned(),
                column,
                found: found(),
            })
        };
        Ok(Self {
            names: all.join(", "),
            count: all.len(),
            bucket: needed("Bucket")?,
            key: needed("Key")?,
            size: needed("Size")?,
            is_latest: place("IsLatest"),
            is_delete_marker: place("IsDeleteMarker"),
            written: place("LastModifiedDate"),
        })
    }
}

/// What was found of a table.
#[derive(Default)]
struct Rows {
    count: u64,
    garbage: u64,
    first: Option<(String, &'static str)>,
}

/// Reads a file. Without columns its first row may name them.
fn table(input: Input, columns: Option<&Columns>, builder: &mut Builder) -> Result<(), Error> {
    let Input { origin, reader } = input;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let mut record = StringRecord::new();
    let mut columns = columns.cloned();
    let mut rows = Rows::default();
    while next(&mut reader, &mut record, &origin)? {
        let text = || record.iter().collect::<Vec<_>>().join(",");
        let known = match &columns {
            Some(known) => known,
            None => {
                let is_header = record.iter().any(|name| name.trim().eq_ignore_ascii_case("key"));
                let names = if is_header { text() } else { SCHEMA.to_owned() };
                let known = columns.insert(Columns::of(&names, &origin.path)?);
                if is_header {
                    continue;
                }
                known
            }
        };
        rows.count += 1;
        if let Err(why) = take(&record, known, builder) {
            rows.garbage += 1;
            rows.first.get_or_insert_with(|| (shown(&text()), why));
        }
    }
    match (rows.first, columns) {
        (Some((found, why)), Some(Columns { names: columns, .. }))
            if rows.garbage == rows.count =>
        {
            let (path, rows) = (origin.path, rows.count);
            Err(Error::InventoryGarbage { path, found, columns, why, rows })
        }
        _ => Ok(()),
    }
}

/// False: there is no row any more. One that is no UTF-8 is an empty one.
fn next<R: Read>(
    reader: &mut csv::Reader<R>,
    record: &mut StringRecord,
    origin: &Origin,
) -> Result<bool, Error> {
    match reader.read_record(record).map_err(csv::Error::into_kind) {
        Ok(is_there) => Ok(is_there),
        Err(csv::ErrorKind::Io(source)) => Err(origin.failed(source)),
        Err(_) => {
            record.clear();
            Ok(true)
        }
    }
}

/// Takes an object that is there, or says why a row is none. Former versions and delete markers are not there.
fn take(
    record: &StringRecord,
    columns: &Columns,
    builder: &mut Builder,
) -> Result<(), &'static str> {
    if record.len() != columns.count {
        return Err("it has not as many columns");
    }
    let of = |column: Option<usize>| column.and_then(|column| record.get(column));
    let is =
        |column, wanted: &str| of(column).is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    if is(columns.is_latest, "false") || is(columns.is_delete_marker, "true") {
        return Ok(());
    }
    let size = of(Some(columns.size)).unwrap_or_default().trim();
    let size_bytes: u64 = size.parse().map_err(|_| "its size is no number of bytes")?;
    if size_bytes > SIZE_MAX {
        return Err("its size is more than any object has");
    }
    let written_s = match of(columns.written).map(str::trim) {
        None | Some("") => None,
        Some(text) => {
            let at_s = times::of_iso_8601(text).filter(|at_s| *at_s <= TIME_MAX_S);
            Some(at_s.ok_or("its LastModifiedDate is no time")?)
        }
    };
    let (bucket, key) = (of(Some(columns.bucket)), of(Some(columns.key)));
    let (bucket, key) = (bucket.unwrap_or_default(), key.unwrap_or_default());
    if bucket.is_empty() || key.is_empty() {
        return Err("it names no bucket or no key");
    }
    builder.listed((bucket, &keys::decoded(key, Plus::Space)), size_bytes, written_s);
    Ok(())
}
