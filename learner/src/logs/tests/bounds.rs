//! However little is in memory at once, everything that comes out is the same.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use serde_json::json;
use vaultaire_proto::money::NanoUsd;
use vaultaire_proto::prices::books;

use super::*;
use crate::decisions::{Decision, Keep};
use crate::guard;
use crate::logs::accesses::IN_MEMORY_MAX;
use crate::logs::times::of_iso_8601;
use crate::progress::Progress;
use crate::simulate::{self, Options};

/// A request: a day and a second of it, an object, what is done, its size, and how many parts of a thousand are sent.
type Request = (u64, u64, usize, usize, u64, u64);

/// Some days of a few objects, with many reads within ten minutes, in no order.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request =
        (0_u64..28, 0_u64..3_000, 0_usize..9, 0_usize..8, 1_u64..400_000_000, 0_u64..1_400);
    prop::collection::vec(request, 1..160)
}

const OBJECTS: [&str; 9] =
    ["a/0", "a/1.jpg", "a/2", "b/c/3", "b/c/4", "5", "b/6", "7.parquet", "8"];

/// The file of a format. Requests of providers leave out some sizes, and copy objects onto themselves.
fn file(format: files::Format, requests: &[Request]) -> Vec<u8> {
    let lines = requests.iter().map(|request| match format {
        files::Format::Table => table_line(*request),
        files::Format::ServerLog => server_line(*request),
        files::Format::CloudTrail => event(*request),
    });
    let lines: Vec<String> = lines.collect();
    let text = match format {
        files::Format::Table => format!("{}\n{}", csv::HEADER, lines.concat()),
        files::Format::ServerLog => lines.concat(),
        files::Format::CloudTrail => format!("{{\"Records\": [{}]}}", lines.join(",")),
    };
    text.into_bytes()
}

fn table_line((day, second, object, operation, size, sent): Request) -> String {
    let name = ["PUT", "GET", "GET", "GET", "GET", "GET", "GET", "DELETE"][operation];
    let sent = if sent % 3 == 0 { String::new() } else { (size * sent / 1_000).to_string() };
    let (at, bucket) = (START_S + day * 86_400 + second, ["photos", "logs"][object % 2]);
    format!("{at},{bucket},{},{name},{size},{sent}\n", OBJECTS[object])
}

fn server_line((day, second, object, operation, size, sent): Request) -> String {
    let name = match operation {
        0 => "REST.PUT.OBJECT",
        1 => "REST.POST.UPLOAD",
        2 => "REST.COPY.PART_GET",
        7 => "REST.DELETE.OBJECT",
        _ => "REST.GET.OBJECT",
    };
    let text = line(day * 86_400 + second, name, OBJECTS[object], size * sent / 1_000, size);
    let text = if object % 2 == 0 { text } else { text.replace(" photos ", " logs ") };
    // Half of the sizes are missing.
    if sent % 2 == 0 { text } else { text.replace(&format!(" {size} 7 "), " - 7 ") }
}

fn event((day, second, object, operation, size, sent): Request) -> String {
    let (name, came, went) = match operation {
        0 => ("PutObject", size, 0),
        1 => ("CompleteMultipartUpload", 0, 0),
        2 => ("UploadPartCopy", 0, 0),
        // Onto itself too: two accesses of one object in one line.
        3 => ("CopyObject", 0, 0),
        7 => ("DeleteObject", 0, 0),
        _ => ("GetObject", 0, size * sent / 1_000),
    };
    let (hour, minute, second_of) = (second / 3_600, second / 60 % 60, second % 60);
    let bucket = ["photos", "logs"][object % 2];
    let copied = OBJECTS[(object + 2 * (size % 2) as usize) % OBJECTS.len()];
    let event = json!({
        "eventTime": format!("2026-01-{:02}T{hour:02}:{minute:02}:{second_of:02}Z", day + 1),
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "requestParameters": {
            "bucketName": bucket,
            "key": OBJECTS[object],
            "x-amz-copy-source": format!("/{bucket}/{copied}"),
        },
        "additionalEventData": { "bytesTransferredIn": came, "bytesTransferredOut": went },
    });
    event.to_string()
}

/// Some that the log knows, and some that it does not.
fn inventory(listed: &[(usize, u64, u64)]) -> String {
    let row = |(object, size, day): &(usize, u64, u64)| {
        let key = OBJECTS.get(*object).map_or(format!("cold/{object}"), |key| (*key).to_owned());
        let bucket = ["photos", "logs"][object % 2];
        format!("{bucket},{key},{size},2026-01-{:02}T10:00:00.000Z\n", day + 1)
    };
    let rows: String = listed.iter().map(row).collect();
    format!("Bucket,Key,Size,LastModifiedDate\n{rows}")
}

/// The report, as programs read it, and each decision.
fn simulated(log: &Log, events_max: usize) -> (String, Vec<Decision>) {
    let options = Options {
        charge_from_s: Some((log.first_s + log.last_s) / 2),
        policies: Vec::new(),
        allow_archive: true,
        egress: Some(NanoUsd(90_000_000)),
        seed: 1,
        model: None,
        threads: NonZeroUsize::new(3).unwrap(),
        events_max,
    };
    let (keep, progress) = (Keep { decisions: true, records: None }, Progress::default());
    let outcome = simulate::run(log, &books::builtin(), &options, keep, &progress).unwrap();
    let decisions = outcome.decisions.map(Result::unwrap).collect();
    (serde_json::to_string(&outcome.report).unwrap(), decisions)
}

/// The accesses of each object of each share.
fn shares(log: &Log, shares: usize) -> Vec<Vec<Vec<Access>>> {
    let of_share = |share: accesses::Share<'_>| {
        let (mut objects, mut found) = (share.objects(), Vec::new());
        while let Some(of_one) = objects.next_object().unwrap() {
            found.push(of_one.to_vec());
        }
        found
    };
    log.accesses.shares(shares).into_iter().map(of_share).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 72, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_little_is_in_memory_the_result_is_the_same(
        requests in requests(),
        later in requests(),
        listed in prop::collection::vec((0_usize..14, 1_u64..1 << 30, 0_u64..28), 0..12),
        format in 0_usize..3,
        in_memory_max in 1_usize..40,
        events_max in 1_usize..60,
    ) {
        use files::Format::{CloudTrail, ServerLog, Table};
        let format = [Table, ServerLog, CloudTrail][format];
        let folder = Folder::new();
        folder.file("log/a", &file(format, &requests));
        folder.file("log/b", &file(format, &later));
        let list = folder.file("list.csv", inventory(&listed).as_bytes());
        let log = folder.path().join("log");
        let list = Some(list.as_path()).filter(|_| !listed.is_empty());
        let read = |in_memory_max| files::read_within(in_memory_max, &log, list, |_| {});
        let (whole, little) = match (read(IN_MEMORY_MAX), read(in_memory_max)) {
            (Ok(whole), Ok(little)) => (whole, little),
            (whole, little) => {
                let told = |log: Result<Log, Error>| log.unwrap_err().to_string();
                prop_assert_eq!(told(whole), told(little));
                return Ok(());
            }
        };
        prop_assert!(whole.accesses.is_in_memory());
        prop_assert_eq!(little.accesses.is_in_memory(), whole.accesses.len() <= in_memory_max as u64);
        prop_assert_eq!(whole.accesses.to_vec(), little.accesses.to_vec());
        prop_assert_eq!(whole.accesses.len(), little.accesses.len());
        prop_assert_eq!((whole.first_s, whole.last_s), (little.first_s, little.last_s));
        prop_assert_eq!(&whole.told, &little.told);
        for count in 1..5 {
            prop_assert_eq!(shares(&whole, count), shares(&little, count));
        }
        prop_assert_eq!(simulated(&whole, guard::EVENTS_MAX), simulated(&little, events_max));
    }
}

/// What the log above is made of is read as it is meant.
#[test]
fn the_first_second_is_that_of_the_other_tests() {
    assert_eq!(of_iso_8601("2026-01-01T00:00:00Z"), Some(START_S));
}

#[test]
fn shares_are_about_as_large_and_cut_no_object() {
    let folder = Folder::new();
    let lines = (0..1_000_u64).map(|number| format!("{},b,{},GET,1,\n", number + 1, number % 97));
    let text = format!("{}\n{}", csv::HEADER, lines.collect::<String>());
    let path = folder.file("log", text.as_bytes());
    for in_memory_max in [10, 1_000] {
        let log = files::read_within(in_memory_max, &path, None, |_| {}).unwrap();
        assert_eq!(log.accesses.is_in_memory(), in_memory_max == 1_000);
        let cut = shares(&log, 7);
        assert_eq!(cut.len(), 7);
        assert_eq!(cut.iter().flatten().count(), 97);
        for share in &cut {
            let accesses: usize = share.iter().map(Vec::len).sum();
            assert!((1_000 / 7 - 11..=1_000 / 7 + 11).contains(&accesses), "{accesses}");
        }
        // More shares than objects: some have none.
        let many = shares(&log, 200);
        assert_eq!((many.len(), many.iter().flatten().count()), (200, 97));
        assert!(many.iter().all(|share| share.len() <= 2));
    }
}
