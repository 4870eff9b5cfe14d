//! Logs of many files, with and without an inventory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod inventories;
mod reads;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::error::Error;

/// A folder that goes when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vaultaire-learner-logs-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, in folders of its own.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may have been removed already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A line of a server access log, so many seconds into 2026.
fn line(second: u64, operation: &str, key: &str, sent: u64, size: u64) -> String {
    let (day, of_day) = (second / 86_400 + 1, second % 86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!(
        "owner photos [{day:02}/Jan/2026:{hour:02}:{minute:02}:{second:02} +0000] 192.0.2.3 requester ID {operation} {key} \"GET /{key} HTTP/1.1\" 200 - {sent} {size} 7 5 \"-\" \"agent\" - host\n"
    )
}

/// The beginning of 2026.
const START_S: u64 = 1_767_225_600;

fn read(path: &Path) -> Result<Log, Error> {
    files::read(path, None, |_| {})
}

fn told(path: &Path) -> String {
    read(path).unwrap_err().to_string()
}

/// Bucket, key, time, operation, size and bytes sent.
type Content<'a> = (&'a str, &'a str, u64, Operation, Option<u64>, Option<u64>);

/// Everything but where it was read.
fn content(log: &Log) -> Vec<Content<'_>> {
    let mut all: Vec<_> = log
        .accesses
        .to_vec()
        .into_iter()
        .map(|one| {
            let (bucket, key) = (log.names.bucket(one.object), log.names.key(one.object));
            (bucket, key, one.at_s(), one.operation, one.size_bytes(), one.sent_bytes())
        })
        .collect();
    // Objects are numbered as they come.
    all.sort_by_key(|one| (one.1, one.2));
    all
}

#[test]
fn an_access_is_small() {
    assert_eq!(size_of::<Access>(), 32);
}

#[test]
fn files_that_overlap_are_one_log() {
    let lines: Vec<String> = (0..200)
        .map(|number| {
            let operation = ["REST.PUT.OBJECT", "REST.GET.OBJECT", "REST.GET.OBJECT"][number % 3];
            line(number as u64 * 700, operation, &format!("k{}", number % 7), 9, 9)
        })
        .collect();
    let folder = Folder::new();
    let whole = folder.file("whole", lines.concat().as_bytes());
    for name in ["parts/2026/b", "parts/2026/a.gz", "parts/c", "parts/.hidden"] {
        let own =
            |number: usize| ["parts/2026/b", "parts/2026/a.gz", "parts/c"][number % 3] == name;
        let numbered = lines.iter().enumerate().rev();
        let part: String =
            numbered.filter(|(number, _)| own(*number)).map(|(_, line)| line.as_str()).collect();
        match name.ends_with(".gz") {
            true => {
                // As some write them: one gzip behind another.
                let (first, second) = part.split_at(part.len() / 2);
                folder.file(name, &[gzip(first.as_bytes()), gzip(second.as_bytes())].concat())
            }
            false => folder.file(name, part.as_bytes()),
        };
    }
    folder.file("parts/empty", b"");
    folder.file("parts/empty.gz", &gzip(b""));
    let (whole, parts) = (read(&whole).unwrap(), read(&folder.path().join("parts")).unwrap());
    assert_eq!(content(&whole), content(&parts));
    assert_eq!(whole.told, parts.told);
    assert_eq!(whole.told.lines, 200);
    assert_eq!((whole.first_s, whole.last_s), (parts.first_s, parts.last_s));
    assert_eq!(parts.sources.len(), 3);
    assert_eq!(
        parts.place(parts.sources[1].lines_before + 4),
        format!("line 4 of {}", parts.sources[1].path)
    );
    assert_eq!(whole.place(4), "line 4");
}

#[test]
fn tables_may_be_compressed_and_in_a_folder() {
    let folder = Folder::new();
    let table = |lines: &str| format!("\u{feff}{}\n{lines}", csv::HEADER);
    folder.file("b.csv", table("100,b,k,PUT,5,\n300,b,k,GET,,2\n300,b,k,GET,,1\n").as_bytes());
    folder.file("a.csv.gz", &gzip(table("200,b,k,GET,,\n190,b,k,GET,,\n").as_bytes()));
    let log = read(folder.path()).unwrap();
    let own: Vec<_> =
        log.accesses.to_vec().into_iter().map(|one| (one.at_s(), one.sent_bytes())).collect();
    // The contract's lines are priced as they stand: no two of them are one read.
    assert_eq!(own, [(100, None), (190, None), (200, None), (300, Some(2)), (300, Some(1))]);
    assert_eq!(log.told.backwards, 1);
}

#[test]
fn progress_is_told_in_bytes_as_they_are_stored() {
    let folder = Folder::new();
    let lines: String = (0..50).map(|second| line(second, "REST.GET.OBJECT", "k", 9, 9)).collect();
    folder.file("a", lines.as_bytes());
    folder.file("b.gz", &gzip(lines.as_bytes()));
    let mut last = 0;
    files::read(folder.path(), None, |read| {
        assert!(read >= last);
        last = read;
    })
    .unwrap();
    assert_eq!(last, files::size_bytes(folder.path()).unwrap());
    assert_eq!(last, (lines.len() + gzip(lines.as_bytes()).len()) as u64);
}

#[test]
fn what_is_no_log_is_refused_with_the_name_of_the_file() {
    let folder = Folder::new();
    assert!(told(folder.path()).contains("there is no file in this folder"));
    let good = line(0, "REST.GET.OBJECT", "k", 9, 9);
    folder.file("a", good.as_bytes());
    let table = folder.file("b", format!("{}\n9,b,k,PUT,1,\n", csv::HEADER).as_bytes());
    let mixed = told(folder.path());
    assert!(mixed.contains("b is a table of accesses, but"), "{mixed}");
    assert!(mixed.contains("a is an S3 server access log"), "{mixed}");
    folder.file("b", b"once upon a time\nthere was a log\n");
    let unknown = told(folder.path());
    assert!(unknown.contains("b begins with \"once upon a time\""), "{unknown}");
    let cut = gzip(good.repeat(2_000).as_bytes());
    std::fs::write(&table, &cut[..cut.len() / 2]).unwrap();
    let broken = told(folder.path());
    assert!(broken.contains("b is not whole, or no gzip"), "{broken}");
    assert!(told(&folder.path().join("nothing")).contains("nothing"));
    std::fs::write(&table, b"").unwrap();
    assert!(told(&table).contains("is empty"));
}

#[test]
fn a_log_of_no_accesses_says_what_it_is_of() {
    let folder = Folder::new();
    let heads = line(0, "REST.HEAD.OBJECT", "k", 0, 9) + &line(0, "REST.GET.NEW", "k", 0, 9);
    let found = told(&folder.file("heads", heads.as_bytes()));
    assert!(found.contains("none of 2 lines reads, writes or deletes an object"), "{found}");
    assert!(found.contains("one is \"REST.GET.NEW\""), "{found}");
    let no_key = line(0, "REST.GET.OBJECT", "-", 9, 9).repeat(3);
    let found = told(&folder.file("keys", no_key.as_bytes()));
    assert!(
        found.contains("is no line of a log (it names no key), nor is any other of 3"),
        "{found}"
    );
}
