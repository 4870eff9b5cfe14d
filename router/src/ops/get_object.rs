//! GetObject and HeadObject: the same but for the bytes.

use std::ops::Range;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use vaultaire_proto::object::{Body as Placed, Version};
use vaultaire_proto::planted::{self, Planted};
use vaultaire_proto::row::Versioning;

use crate::body::outgoing::{self, Segment};
use crate::call::{Call, Context};
use crate::condition::{self, Subject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::lookup::{self, Manifest};
use crate::operation::Operation;
use crate::range;
use crate::reply::{self, Reply};
use crate::{access, headers, limits};

/// Which bytes, and how the answer says so.
struct Plan {
    range: Range<u64>,
    status: StatusCode,
    parts: Option<u16>,
    /// Of the part that was asked for.
    part_checksum: Option<Vec<u8>>,
}

impl Plan {
    fn of(range: Range<u64>, status: StatusCode) -> Self {
        Self { range, status, parts: None, part_checksum: None }
    }
}

/// Answers both.
pub async fn handle(ctx: &Arc<Context>, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let selector = lookup::selector(call.query.get("versionId"))?;
    let part = part_number(&call)?;
    let reads = call.operation == Operation::GetObject;
    let manifest = if reads || part.is_some() { Manifest::Include } else { Manifest::LeaveOut };
    for attempt in 1.. {
        let version = lookup::version(ctx, &bucket, call.object_key()?, selector, manifest).await?;
        let subject = Subject { etag: version.etag, modified: version.modified };
        condition::check_read(&call.headers, subject)
            .map_err(|error| describe_unchanged(error, &version, bucket.versioning))?;
        let plan = plan(&call, &version, part)?;
        let mut answer = reply::empty(plan.status);
        headers::describe(answer.headers_mut(), &version, bucket.versioning);
        describe_plan(&mut answer, &call, &version, &plan);
        if !reads {
            return Ok(answer);
        }
        match outgoing::body(ctx, segments(version.body, plan.range)?).await {
            Ok(body) => {
                *answer.body_mut() = body;
                return Ok(answer);
            }
            Err(error) if error.is_not_found() && planted::is(Planted::CollectedUndrained) => {
                return Err(vaultaire_proto::Rejection::NoSuchKey.into());
            }
            // The object may just have moved, or been replaced: look again.
            Err(error) if error.is_not_found() && attempt < limits::RESOLVE_ATTEMPTS_MAX => {
                tracing::warn!(%error, attempt, "a copy is gone; resolving the placement again");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(unexpected("an object to read"))
}

fn part_number(call: &Call) -> Result<Option<u16>, Error> {
    let Some(text) = call.query.get("partNumber") else {
        return Ok(None);
    };
    if call.headers.contains_key("range") {
        return Err(Error::with(
            Code::InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    upload_part_number(text).map(Some)
}

/// Reads a part number as S3 limits it.
pub fn upload_part_number(text: &str) -> Result<u16, Error> {
    let number =
        text.parse::<u16>().ok().filter(|number| (1..=limits::PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| {
        Error::argument(
            "partNumber",
            "Part number must be an integer between 1 and 10000, inclusive",
        )
        .detail("ArgumentValue", text)
    })
}

fn plan(call: &Call, version: &Version, part: Option<u16>) -> Result<Plan, Error> {
    let size = version.size_bytes;
    if let Some(number) = part {
        return plan_part(version, number);
    }
    let subject = Subject { etag: version.etag, modified: version.modified };
    let range = call.header("range").filter(|_| condition::range_applies(&call.headers, subject));
    match range.and_then(range::parse) {
        Some(asked) => Ok(Plan::of(asked.of(size)?, StatusCode::PARTIAL_CONTENT)),
        None => Ok(Plan::of(0..size, StatusCode::OK)),
    }
}

/// A 304 says what a cache may have to update, as RFC 9110 has it.
fn describe_unchanged(error: Error, version: &Version, versioning: Versioning) -> Error {
    if !error.is(Code::NotModified) {
        return error;
    }
    let mut all = HeaderMap::new();
    headers::describe(&mut all, version, versioning);
    let names = ["cache-control", "expires", "x-amz-version-id"];
    names.into_iter().fold(error, |error, name| match all.get(name) {
        Some(value) => error.header(name, value.clone()),
        None => error,
    })
}

fn plan_part(version: &Version, number: u16) -> Result<Plan, Error> {
    let status = StatusCode::PARTIAL_CONTENT;
    let absent = || {
        Error::with(Code::InvalidPart, "The requested partnumber is not satisfiable")
            .detail("PartNumberRequested", number.to_string())
    };
    match &version.body {
        Placed::Whole(_) if number == 1 => Ok(Plan::of(0..version.size_bytes, status)),
        Placed::Whole(_) => Err(absent()),
        Placed::Parts(parts) => {
            let place = parts.iter().position(|part| part.number == number).ok_or_else(absent)?;
            let start: u64 = parts.iter().take(place).map(|part| part.blob.size_bytes).sum();
            let part = parts.get(place).ok_or_else(absent)?;
            Ok(Plan {
                range: start..start + part.blob.size_bytes,
                status,
                parts: headers::parts(version),
                part_checksum: part.checksum.clone(),
            })
        }
        Placed::Manifest { .. } => Err(unexpected("the parts of a version")),
    }
}

fn describe_plan(answer: &mut Reply, call: &Call, version: &Version, plan: &Plan) {
    let length = plan.range.end - plan.range.start;
    let partial = plan.status == StatusCode::PARTIAL_CONTENT;
    if partial && length > 0 {
        let text =
            format!("bytes {}-{}/{}", plan.range.start, plan.range.end - 1, version.size_bytes);
        reply::set(answer, CONTENT_RANGE, text);
    }
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(parts) = plan.parts {
        reply::set(
            answer,
            HeaderName::from_static("x-amz-mp-parts-count"),
            HeaderValue::from(parts),
        );
    }
    let asks = call.header("x-amz-checksum-mode");
    if asks.is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")) {
        match &plan.part_checksum {
            Some(value) => headers::describe_part_checksum(answer.headers_mut(), version, value),
            None if length == version.size_bytes => {
                headers::describe_checksum(answer.headers_mut(), version);
            }
            None => {}
        }
    }
    for (query, name) in [
        ("response-content-type", "content-type"),
        ("response-content-language", "content-language"),
        ("response-expires", "expires"),
        ("response-cache-control", "cache-control"),
        ("response-content-disposition", "content-disposition"),
        ("response-content-encoding", "content-encoding"),
    ] {
        if let Some(value) = call.query.get(query) {
            reply::set(answer, HeaderName::from_static(name), value);
        }
    }
}

/// Where the bytes lie.
pub fn segments(body: Placed, range: Range<u64>) -> Result<Vec<Segment>, Error> {
    match body {
        Placed::Whole(blob) => Ok(vec![Segment { blob, range }]),
        Placed::Parts(parts) => Ok(outgoing::of_parts(parts, &range)),
        Placed::Manifest { .. } => Err(unexpected("the parts of a version")),
    }
}
