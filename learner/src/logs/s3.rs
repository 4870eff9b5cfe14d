//! S3 server access logs, as the Amazon S3 User Guide has them ("Amazon S3 server access log format"): one request on each
//! line, fields with a space in between, a `-` where there is nothing, and fields that are yet to come at the end.
//!
//! - Requests that succeeded are accesses. One that answered 304, 403, 404 or 412 cost the backend nothing.
//! - Quotes within a quoted field are not escaped, so the end of one is where the fields behind it make sense.
//! - Versions are told apart by their key alone. A DELETE that names a version deletes one of the past, and ends nothing that is
//!   known here; one that names none writes a delete marker, and the object is gone.
//! - Nothing of a part's upload is charged beside the one PUT of its object.

pub mod operations;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::str;

use crate::error::Error;
use crate::logs::builder::{Builder, Found};
use crate::logs::files::{Input, PROGRESS_LINES};
use crate::logs::lines::{Line, next};
use crate::logs::s3::operations::{Class, class};
use crate::logs::{Operation, keys, times};

/// What matters of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub at_s: u64,
    pub bucket: &'a str,
    pub operation: &'a str,
    /// URL-encoded. None: the operation has none.
    pub key: Option<&'a str>,
    pub uri: &'a [u8],
    /// None: S3 did it by itself.
    pub status: Option<u16>,
    pub sent_bytes: Option<u64>,
    pub size_bytes: Option<u64>,
    /// That the request asks for. None: the newest one.
    pub version: Option<&'a [u8]>,
}

/// Reads one file. `tell` is called now and then.
pub fn read_into(input: Input, builder: &mut Builder, tell: &mut dyn FnMut()) -> Result<(), Error> {
    let Input { origin, mut reader } = input;
    builder.file(&origin.path);
    let (mut buffer, mut line) = (Vec::new(), 0);
    loop {
        line += 1;
        match next(&mut reader, &mut buffer).map_err(|source| origin.failed(source))? {
            Line::End => return Ok(()),
            Line::TooLong => builder.garbage(&String::from_utf8_lossy(&buffer), "it is too long"),
            Line::Text if buffer.trim_ascii().is_empty() => {}
            Line::Text => {
                if let Err(why) = request(&buffer).and_then(|request| take(request, line, builder))
                {
                    builder.garbage(&String::from_utf8_lossy(&buffer), why);
                }
            }
        }
        if builder.lines().is_multiple_of(PROGRESS_LINES) {
            builder.kept()?;
            tell();
        }
    }
}

fn take(request: Request<'_>, line: u64, builder: &mut Builder) -> Result<(), &'static str> {
    let class = class(request.operation, asks_for_select(request.uri));
    let (size_bytes, sent_bytes) = (request.size_bytes, request.sent_bytes);
    let (operation, size_bytes, sent_bytes) = match class {
        // Nothing sent is written as nothing at all.
        Class::Read => (Operation::Get, size_bytes, Some(sent_bytes.unwrap_or(0))),
        Class::ReadAll | Class::ReadPart => (Operation::Get, size_bytes, None),
        // So is an object without a byte.
        Class::Write => (Operation::Put, Some(size_bytes.unwrap_or(0)), None),
        Class::Assemble => (Operation::Put, size_bytes, None),
        Class::Delete => (Operation::Delete, size_bytes, None),
        Class::Transition => {
            builder.transition();
            return Ok(());
        }
        Class::Nothing => {
            builder.ignored();
            return Ok(());
        }
        Class::Unknown => {
            builder.unknown(request.operation);
            return Ok(());
        }
    };
    let is_of_the_past = operation == Operation::Delete && request.version.is_some();
    if !succeeded(&request) || is_of_the_past {
        builder.ignored();
        return Ok(());
    }
    let key = request.key.ok_or("it names no key")?;
    let key: Cow<'_, str> = keys::of_a_server_log(key);
    builder.access(Found {
        at_s: request.at_s,
        bucket: request.bucket,
        key: &key,
        operation,
        size_bytes,
        sent_bytes,
        is_part: class == Class::ReadPart,
        line,
    })
}

/// Whether something was done. A form answers as it was asked to, with a redirect too.
fn succeeded(request: &Request<'_>) -> bool {
    match request.status {
        None => request.operation.starts_with("S3."),
        Some(status) => {
            (200..300).contains(&status)
                || (status == 303 && request.operation == "REST.POST.OBJECT")
        }
    }
}

/// `POST /key?select&select-type=2 HTTP/1.1`
fn asks_for_select(uri: &[u8]) -> bool {
    let query = uri.split(|byte| *byte == b' ').nth(1).and_then(|path| {
        let start = path.iter().position(|byte| *byte == b'?')?;
        path.get(start + 1..)
    });
    let mut names = query.unwrap_or_default().split(|byte| *byte == b'&');
    names.any(|name| name == b"select" || name.starts_with(b"select="))
}

/// Takes a line apart, or says why it is none.
pub fn request(line: &[u8]) -> Result<Request<'_>, &'static str> {
    let next = |rest| split(rest).ok_or("it has fewer fields than an S3 server access log");
    let (_, rest) = next(line)?;
    let (bucket, rest) = next(rest)?;
    let (at_s, rest) = time(rest).ok_or("its third field is no time in brackets")?;
    let (_, rest) = next(rest)?;
    let (_, rest) = next(rest)?;
    let (_, rest) = next(rest)?;
    let (operation, rest) = next(rest)?;
    let (key, rest) = next(rest)?;
    let (uri, after) = uri(rest).ok_or("its fields behind the key are not those of a request")?;
    let text = |field| str::from_utf8(field).map_err(|_| "a name is not UTF-8");
    Ok(Request {
        at_s,
        bucket: text(bucket)?,
        operation: text(operation)?,
        key: Some(text(key)?).filter(|key| *key != "-"),
        uri,
        status: after.status,
        sent_bytes: after.sent_bytes,
        size_bytes: after.size_bytes,
        version: version(after.rest),
    })
}

/// `[06/Feb/2019:00:00:38 +0000]`, and what is behind it.
fn time(rest: &[u8]) -> Option<(u64, &[u8])> {
    let end = rest.iter().position(|byte| *byte == b']')?;
    let at_s = times::of_a_server_log(rest[..end].strip_prefix(b"[")?)?;
    Some((at_s, rest[end + 1..].strip_prefix(b" ")?))
}

/// The fields behind the URI.
struct After<'a> {
    status: Option<u16>,
    sent_bytes: Option<u64>,
    size_bytes: Option<u64>,
    /// From the referrer on.
    rest: &'a [u8],
}

/// The URI, quoted or `-`, and what is behind it.
fn uri(rest: &[u8]) -> Option<(&[u8], After<'_>)> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (uri, rest) = split(rest)?;
        return Some((uri, after(rest)?));
    };
    let ends = quoted.windows(2).enumerate().filter(|(_, bytes)| *bytes == b"\" ");
    let mut whole = ends.filter_map(|(end, _)| Some((&quoted[..end], after(&quoted[end + 2..])?)));
    whole.next()
}

/// Status, error code, bytes sent, object size, total time and turn-around time. None: they are not.
fn after(rest: &[u8]) -> Option<After<'_>> {
    let (status, rest) = split(rest)?;
    let (error, rest) = split(rest)?;
    let (sent, rest) = split(rest)?;
    let (size, rest) = split(rest)?;
    let (total, rest) = split(rest)?;
    // A line of the first days ends here.
    let (turn_around, rest) = split(rest).unwrap_or((rest, b""));
    let is_error = error == b"-" || error.iter().all(u8::is_ascii_alphanumeric);
    let is_times = number(total).is_some() && number(turn_around).is_some();
    // A quoted field, or none.
    let is_referer = matches!(rest.first(), None | Some(b'"' | b'-'));
    let status = number(status)?.map(u16::try_from).transpose().ok()?;
    let (sent_bytes, size_bytes) = (number(sent)?, number(size)?);
    let is_request = is_error && is_times && is_referer;
    is_request.then_some(After { status, sent_bytes, size_bytes, rest })
}

/// Behind the user agent, which may contain anything, there is nothing with quotes.
fn version(rest: &[u8]) -> Option<&[u8]> {
    let trimmed = rest.trim_ascii_end();
    let behind = match trimmed.iter().rposition(|byte| *byte == b'"') {
        Some(quote) => trimmed.get(quote + 1..)?,
        // A line that S3 writes for itself has a referrer and a user agent of `-`.
        None => trimmed.splitn(3, |byte| *byte == b' ').nth(2)?,
    };
    let version = behind.split(|byte| *byte == b' ').find(|field| !field.is_empty())?;
    Some(version).filter(|version| !matches!(*version, b"-" | b"null"))
}

fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| *byte == b' ')?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// Some(None): it is a `-`.
fn number(field: &[u8]) -> Option<Option<u64>> {
    if field == b"-" {
        return Some(None);
    }
    str::from_utf8(field).ok()?.parse().ok().map(Some)
}
