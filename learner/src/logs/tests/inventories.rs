//! What an inventory knows beside a log.

use super::*;
use crate::gaps::Gaps;
use crate::history::{self, Life, Window};
use crate::prefixes::Prefixes;

/// As S3 delivers it (Amazon S3 User Guide, "Locating your inventory list").
const MANIFEST: &str = r#"{
  "sourceBucket": "photos",
  "destinationBucket": "arn:aws:s3:::inventories",
  "version": "2016-11-30",
  "creationTimestamp": "1767312000000",
  "fileFormat": "CSV",
  "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass",
  "files": [{ "key": "lists/photos/daily/data/one.csv.gz", "size": 1, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc" }]
}"#;

/// A row of its schema.
fn row(key: &str, size: u64, written: &str) -> String {
    format!(
        "\"photos\",\"{key}\",\"v\",\"true\",\"false\",\"{size}\",\"{written}\",\"e\",\"STANDARD\"\n"
    )
}

/// A log and an inventory with a manifest.
fn both(lines: &str, rows: &str) -> Result<Log, Error> {
    let folder = Folder::new();
    let log = folder.file("log", lines.as_bytes());
    let manifest =
        folder.file("lists/photos/daily/2026-01-02T00-00Z/manifest.json", MANIFEST.as_bytes());
    folder.file("lists/photos/daily/data/one.csv.gz", &gzip(rows.as_bytes()));
    let of_folder = files::read(&log, manifest.parent(), |_| {})?;
    let of_file = files::read(&log, Some(&manifest), |_| {})?;
    assert_eq!(content(&of_folder), content(&of_file));
    Ok(of_file)
}

fn lives(log: &Log) -> Vec<(&str, Life)> {
    let window = Window::of(log, None).unwrap();
    let accesses = log.accesses.to_vec();
    let of_each = accesses.chunk_by(|one, next| one.object == next.object);
    let whole = of_each.flat_map(|accesses| history::lives(log, window.until_s, accesses).unwrap());
    let all = whole.filter_map(|life| life.within(window));
    let mut all: Vec<_> = all.map(|life| (log.names.key(life.object), life)).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

/// From the first second of 2026 to its second day.
fn log() -> String {
    line(0, "REST.GET.OBJECT", "read", 5, 5) + &line(90_000, "REST.PUT.OBJECT", "written", 0, 6)
}

#[test]
fn what_nobody_read_lives_from_when_it_was_written() {
    let rows = [
        row("old+one/%C3%BC", 7, "2025-06-01T00:00:00.000Z"),
        row("new", 8, "2026-01-01T12:00:00.000Z"),
        row("read", 5, "2025-06-01T00:00:00.000Z"),
        row("written", 6, "2026-01-02T01:00:00.000Z"),
        row("after", 9, "2026-03-01T00:00:00.000Z"),
        row("former", 9, "2025-06-01T00:00:00.000Z").replace("\"true\"", "\"false\""),
        "photos,gone,v,true,true,,2025-06-01T00:00:00.000Z,,\n".to_owned(),
    ];
    let log = both(&log(), &rows.concat()).unwrap();
    let june = 1_748_736_000;
    let found: Vec<_> = lives(&log)
        .into_iter()
        .map(|(key, life)| (key, life.size_bytes, life.from_s, life.is_new, life.idle_since_s))
        .collect();
    let noon = START_S + 43_200;
    assert_eq!(
        found,
        [
            ("new", 8, noon, true, noon),
            ("old one/ü", 7, START_S, false, june),
            ("read", 5, START_S, false, june),
            ("written", 6, START_S + 90_000, true, START_S + 90_000),
        ]
    );
    assert_eq!(log.told.listed, 3);
    // It is the time of the log that counts, not that of what it lists.
    assert_eq!((log.first_s, log.last_s), (START_S, START_S + 90_000));
    let window = Window::of(&log, None).unwrap();
    let gaps = Gaps::new(&log, window, &Prefixes::new(&log.names)).unwrap();
    let known = |group| gaps.known(group, 0).into_values().map(|sum| sum.seconds).sum::<u128>();
    let of_all = gaps.groups().map(known).max().unwrap();
    assert_eq!(of_all, 2 * u128::from(START_S - june), "both gaps have lasted since June");
}

#[test]
fn sizes_that_a_log_does_not_tell_come_from_the_inventory() {
    let unknown = |second, operation: &str, key: &str| {
        line(second, operation, key, 4, 0).replace(" 4 0 7", " 4 - 7")
    };
    let lines = [
        log(),
        unknown(10, "REST.COPY.OBJECT", "copied"),
        unknown(20, "REST.GET.OBJECT", "ranged"),
        unknown(30, "REST.DELETE.OBJECT", "deleted"),
        unknown(40, "REST.DELETE.OBJECT", "nowhere"),
        unknown(50, "REST.GET.OBJECT", "guessed"),
    ];
    let keys = ["copied", "ranged", "deleted"];
    let rows = keys.map(|key| row(key, 70, "2025-06-01T00:00:00.000Z")).concat();
    let log = both(&lines.concat(), &rows).unwrap();
    let found: Vec<_> = lives(&log).into_iter().map(|(key, life)| (key, life.size_bytes)).collect();
    assert_eq!(
        found,
        [
            ("copied", 70),
            ("deleted", 70),
            ("guessed", 4),
            ("ranged", 70),
            ("read", 5),
            ("written", 6)
        ]
    );
    assert_eq!((log.told.guessed, log.told.sizeless), (1, 1));
    assert_eq!(log.told.warnings().len(), 2);
}

#[test]
fn what_was_read_before_it_was_written_was_there_before() {
    let lines = log() + &line(50, "REST.GET.OBJECT", "k", 5, 5);
    let log = both(&lines, &row("k", 5, "2026-01-01T12:00:00.000Z")).unwrap();
    let lives = lives(&log);
    assert_eq!((lives[0].1.from_s, lives[0].1.is_new, lives[0].1.reads.len()), (START_S, false, 1));
}

#[test]
fn one_file_has_bucket_key_and_size_or_says_what_it_has() {
    let folder = Folder::new();
    let log = folder.file("log", log().as_bytes());
    let with =
        |rows: &str| files::read(&log, Some(&folder.file("list.csv", rows.as_bytes())), |_| {});
    let keys = |log: Log| {
        lives(&log).iter().map(|(key, life)| (key.to_string(), life.size_bytes)).collect::<Vec<_>>()
    };
    let expected =
        [("cold", 3), ("read", 5), ("written", 6)].map(|(key, size)| (key.to_owned(), size));
    assert_eq!(keys(with("photos,cold,3\n").unwrap()), expected);
    assert_eq!(keys(with("Size,ETag,Bucket,Key\n3,e,photos,cold\n").unwrap()), expected);
    let told = |rows: &str| with(rows).unwrap_err().to_string();
    assert!(
        told("Bucket,Key\nphotos,cold\n").contains("has no column \"Size\" (it has Bucket, Key)")
    );
    let garbage = told("photos,cold,3,STANDARD\n");
    assert!(
        garbage.contains("is no row of Bucket, Key, Size (it has not as many columns)"),
        "{garbage}"
    );
}

#[test]
fn a_manifest_that_cannot_be_followed_says_what_to_do() {
    let folder = Folder::new();
    let log = folder.file("log", log().as_bytes());
    let told = |manifest: &str| {
        let path = folder.file("manifest.json", manifest.as_bytes());
        files::read(&log, Some(&path), |_| {}).unwrap_err().to_string()
    };
    assert!(
        told(MANIFEST)
            .contains("names the file lists/photos/daily/data/one.csv.gz, which is neither")
    );
    assert!(told(&MANIFEST.replace("\"CSV\"", "\"Parquet\"")).contains("set its format to CSV"));
    assert!(told(&MANIFEST.replace("Size,", "")).contains("has no column \"Size\""));
    assert!(told("{\"files\": []}").contains("is not as the manifest of an inventory has to be"));
    let away = MANIFEST.replace("lists/photos/daily/data/one.csv.gz", "../../etc/..");
    assert!(told(&away).contains("names the file"));
}

/// A DELETE needs no size where something was deleted before, but that was left out.
#[test]
fn what_is_left_out_leaves_no_delete_behind() {
    let delete = line(20, "REST.DELETE.OBJECT", "k", 0, 9).replace(" 0 9 7 ", " - - 7 ");
    let parts = line(10, "REST.COPY.PART_GET", "k", 0, 9).replace(" 0 9 7 ", " - - 7 ");
    let other = line(0, "REST.PUT.OBJECT", "other", 0, 9);
    let folder = Folder::new();
    let lines = other + &parts + &delete + &delete;
    let log = read(&folder.file("log", lines.as_bytes())).unwrap();
    assert_eq!((log.accesses.len(), log.told.sizeless), (1, 3));
    assert_eq!(lives(&log).len(), 1);
}

#[test]
fn a_table_of_the_contract_takes_sizes_of_an_inventory_too() {
    let folder = Folder::new();
    let table = format!("{}\n100,photos,k,GET,,\n200,photos,k,GET,,\n", csv::HEADER);
    let table = folder.file("log.csv", table.as_bytes());
    let list = folder.file("list.csv", b"photos,k,9\nphotos,cold,3\n");
    let log = files::read(&table, Some(&list), |_| {}).unwrap();
    let sizes: Vec<_> =
        lives(&log).iter().map(|(_, life)| (life.size_bytes, life.reads.len())).collect();
    assert_eq!(sizes, [(3, 0), (9, 2)]);
    let log = read(&table).unwrap();
    let window = Window::of(&log, None).unwrap();
    let error =
        history::lives(&log, window.until_s, &log.accesses.to_vec()).unwrap_err().to_string();
    assert!(error.contains("bring an inventory"), "{error}");
}
