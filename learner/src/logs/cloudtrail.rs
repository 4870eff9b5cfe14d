//! Data events of CloudTrail about S3 (Amazon S3 User Guide, "Amazon S3 CloudTrail events"): files of `{"Records": [...]}`. One
//! record at a time is held, however large the file is, and no record may be larger than a bound.
//!
//! - An event with an error code is none that succeeded. Whether an answer was "not modified" is not told: one without an error
//!   code that sent nothing is a request of no bytes.
//! - No event tells an object's size, but a PUT how much came in. What came in another way has its size from an inventory, or of its
//!   reads.
//! - `DeleteObjects` does not tell its keys, so objects that were deleted so seem to be there still: they are counted.

mod bounded;
mod record;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::BufReader;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::logs::builder::{Builder, Found};
use crate::logs::cloudtrail::bounded::{Bounded, Left};
use crate::logs::cloudtrail::record::Record;
use crate::logs::files::{Input, PROGRESS_LINES};
use crate::logs::keys::{self, Plus};
use crate::logs::{Operation, times};

/// How such a file is called in messages.
pub const KIND: &str = "a file of CloudTrail";

/// What an event does to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Read,
    /// All of it, whatever was sent.
    ReadAll,
    Write,
    /// Of another object, which is read.
    Copy,
    /// A part of another object is read.
    CopyPart,
    /// Of parts.
    Assemble,
    Delete,
    DeleteMany,
    Nothing,
    Unknown,
}

/// Names of object-level events that neither read, write nor delete an object.
const NOTHING: [&str; 30] = [
    "AbortMultipartUpload",
    "CreateMultipartUpload",
    "CreateSession",
    "DeleteObjectTagging",
    "GetBucketAcl",
    "GetBucketLocation",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectLockConfiguration",
    "GetObjectLockLegalHold",
    "GetObjectLockRetention",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "HeadBucket",
    "HeadObject",
    "InitiateMultipartUpload",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "RestoreObject",
    "UpdateObjectEncryption",
    "UploadPart",
];

fn class(event: &str) -> Class {
    match event {
        "GetObject" => Class::Read,
        "SelectObjectContent" => Class::ReadAll,
        "PutObject" | "PostObject" => Class::Write,
        "CopyObject" => Class::Copy,
        "UploadPartCopy" => Class::CopyPart,
        "CompleteMultipartUpload" => Class::Assemble,
        "DeleteObject" => Class::Delete,
        "DeleteObjects" => Class::DeleteMany,
        event if NOTHING.binary_search(&event).is_ok() => Class::Nothing,
        _ => Class::Unknown,
    }
}

/// Reads one file. `tell` is called now and then.
pub fn read_into(input: Input, builder: &mut Builder, tell: &mut dyn FnMut()) -> Result<(), Error> {
    let Input { origin, reader } = input;
    builder.file(&origin.path);
    let left = Left::default();
    let bounded = BufReader::new(Bounded::new(reader, &left));
    let mut json = serde_json::Deserializer::from_reader(bounded);
    let read = json.deserialize_map(Document { builder, tell, left }).and_then(|()| json.end());
    read.map_err(|source| match source.is_io() {
        true => origin.failed(source.into()),
        false => Error::Json { path: origin.path, kind: KIND, source },
    })
}

/// The whole of a file.
struct Document<'a> {
    builder: &'a mut Builder,
    tell: &'a mut dyn FnMut(),
    left: Left,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `Records`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut is_found = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "Records" {
                map.next_value_seed(Records(&mut self))?;
                is_found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        is_found.then_some(()).ok_or_else(|| A::Error::missing_field("Records"))
    }
}

/// The list of events.
struct Records<'a, 'b>(&'a mut Document<'b>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(record) = events.next_element::<Record>()? {
            number += 1;
            self.0.left.renew();
            if let Err(why) = take(&record, number, self.0.builder) {
                self.0.builder.garbage(&record.shown(), why);
            }
            if self.0.builder.lines().is_multiple_of(PROGRESS_LINES) {
                (self.0.tell)();
            }
        }
        Ok(())
    }
}

fn take(record: &Record, line: u64, builder: &mut Builder) -> Result<(), &'static str> {
    let source = record.source.as_deref().ok_or("it has no eventSource")?;
    let event = record.name.as_deref().ok_or("it has no eventName")?;
    if !matches!(source, "s3.amazonaws.com" | "s3express.amazonaws.com") {
        builder.ignored();
        return Ok(());
    }
    let class = class(event);
    let is_of_the_past = class == Class::Delete && record.parameters.version.is_some();
    match class {
        Class::Unknown => {
            builder.unknown(event);
            return Ok(());
        }
        Class::Nothing => {
            builder.ignored();
            return Ok(());
        }
        _ if record.error.is_some() || is_of_the_past => {
            builder.ignored();
            return Ok(());
        }
        Class::DeleteMany => {
            builder.keyless();
            return Ok(());
        }
        _ => {}
    }
    let at_s = record.time.as_deref().and_then(times::of_iso_8601);
    let bucket = record.parameters.bucket.as_deref().ok_or("it names no bucket")?;
    let found = Found {
        at_s: at_s.ok_or("its eventTime is no time")?,
        bucket,
        key: record.parameters.key.as_deref().ok_or("it names no key")?,
        operation: Operation::Get,
        size_bytes: None,
        sent_bytes: None,
        is_part: false,
        line,
    };
    let (came, went) = (record.additional.came_in.0, record.additional.went_out.0);
    match class {
        Class::Read => builder.access(Found { sent_bytes: went, ..found }),
        Class::ReadAll => builder.access(found),
        Class::Write => {
            builder.access(Found { operation: Operation::Put, size_bytes: came, ..found })
        }
        Class::Assemble => builder.access(Found { operation: Operation::Put, ..found }),
        Class::Delete => builder.access(Found { operation: Operation::Delete, ..found }),
        Class::Copy => {
            copied(record, found, builder)?;
            builder.access(Found { operation: Operation::Put, ..found })
        }
        Class::CopyPart => copied(record, found, builder),
        Class::DeleteMany | Class::Nothing | Class::Unknown => Ok(()),
    }
}

/// What was copied was read.
fn copied(record: &Record, found: Found<'_>, builder: &mut Builder) -> Result<(), &'static str> {
    let source = record.parameters.copied.as_deref().ok_or("it does not tell what it copies")?;
    let (path, _) = source.split_once("?versionId=").unwrap_or((source, ""));
    let path = keys::decoded(path, Plus::Itself);
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .ok_or("what it copies is no bucket and key")?;
    let range = record.parameters.copied_range.as_deref().and_then(length);
    let is_part = range.is_none() && record.name.as_deref() == Some("UploadPartCopy");
    builder.access(Found { bucket, key, sent_bytes: range, is_part, ..found })
}

/// Of `bytes=0-99`.
fn length(range: &str) -> Option<u64> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}
