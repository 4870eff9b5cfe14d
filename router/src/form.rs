//! `multipart/form-data` as browsers send it: small fields first, kept within a bound, then one file as a
//! stream. It verifies nothing and knows nothing of objects.

pub mod policy;
pub mod signature;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use s3s::{Body, StdError};

use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::boxed;
use crate::limits;

/// A form that is being read. Its buffer never holds more than a field and a chunk.
pub struct Form {
    body: Body,
    buffer: BytesMut,
    /// The line break before a boundary belongs to it.
    delimiter: Vec<u8>,
}

/// The fields before the file, under their names in lower case, in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// What is said of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub content_type: Option<String>,
}

struct Part {
    name: String,
    file: File,
}

impl Fields {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Gives a field another value.
    pub fn set(&mut self, name: &str, value: String) {
        for (_, old) in self.0.iter_mut().filter(|(given, _)| given == name) {
            old.clone_from(&value);
        }
    }
}

impl Form {
    /// The form in a body; its headers name the boundary.
    pub fn open(headers: &HeaderMap, body: Body) -> Result<Self, Error> {
        let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = header.and_then(|header| parameter(header, "boundary"));
        let boundary = boundary.filter(|text| !text.is_empty() && text.len() <= 70);
        let boundary = boundary.ok_or_else(|| malformed("the boundary is missing or too long"))?;
        let mut buffer = BytesMut::with_capacity(limits::FORM_FIELDS_BYTES_MAX);
        // The first boundary has no line before it that it could end.
        buffer.extend_from_slice(b"\r\n");
        Ok(Self { body, buffer, delimiter: format!("\r\n--{boundary}").into_bytes() })
    }

    /// Reads the fields up to the file, whose bytes come next.
    pub async fn fields(&mut self) -> Result<(Fields, File), Error> {
        let delimiter = self.delimiter.clone();
        self.until(&delimiter, limits::FORM_FIELDS_BYTES_MAX).await?;
        let mut fields = Fields::default();
        let mut left_bytes = limits::FORM_FIELDS_BYTES_MAX;
        loop {
            let part = self.part(left_bytes).await?;
            if part.name == "file" {
                return Ok((fields, part.file));
            }
            let value = self.until(&delimiter, left_bytes).await?;
            left_bytes = left_bytes.saturating_sub(part.name.len() + value.len());
            let value = String::from_utf8(value.to_vec());
            let value = value.map_err(|_| malformed("a field is not UTF-8"))?;
            if fields.get(&part.name).is_some() {
                return Err(malformed("a field is given twice"));
            }
            fields.0.push((part.name, value));
        }
    }

    /// The head of the next part.
    async fn part(&mut self, bytes_max: usize) -> Result<Part, Error> {
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        if self.buffer.starts_with(b"--") {
            return Err(Error::with(
                Code::InvalidArgument,
                "POST requires exactly one file upload per request.",
            ));
        }
        let head = self.until(b"\r\n\r\n", bytes_max).await?;
        let head = std::str::from_utf8(&head).map_err(|_| malformed("a head is not UTF-8"))?;
        let (mut disposition, mut content_type) = (None, None);
        for line in head.split("\r\n") {
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-disposition") => {
                    disposition = Some(value);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                    content_type = Some(value.trim().to_owned());
                }
                Some(_) | None => {}
            }
        }
        let disposition = disposition.ok_or_else(|| malformed("a part has no name"))?;
        let name = parameter(disposition, "name").ok_or_else(|| malformed("a part has no name"))?;
        let file_name = parameter(disposition, "filename").unwrap_or_default();
        Ok(Part {
            name: name.to_ascii_lowercase(),
            file: File { name: base_name(&file_name).to_owned(), content_type },
        })
    }

    /// Takes what stands before a pattern, and the pattern. What was searched is not searched again, or a form
    /// that comes byte by byte would be read once for each of them.
    async fn until(&mut self, pattern: &[u8], bytes_max: usize) -> Result<Bytes, Error> {
        let mut searched_bytes = 0;
        loop {
            if let Some(place) = find(&self.buffer, pattern, searched_bytes) {
                let found = self.buffer.split_to(place).freeze();
                self.buffer.advance(pattern.len());
                return Ok(found);
            }
            if self.buffer.len() > bytes_max.saturating_add(pattern.len()) {
                return Err(Error::new(Code::MaxPostPreDataLengthExceededError));
            }
            // The pattern may have begun.
            searched_bytes = (self.buffer.len() + 1).saturating_sub(pattern.len());
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        match self.body.next().await {
            Some(Ok(chunk)) => {
                self.buffer.extend_from_slice(&chunk);
                Ok(())
            }
            Some(Err(error)) => Err(Error::from_body(error.as_ref())),
            None => Err(Error::new(Code::IncompleteBody)),
        }
    }

    /// The file's bytes. What follows it is ignored, as S3 does.
    pub fn file(self) -> impl Stream<Item = Result<Bytes, StdError>> + Send {
        futures::stream::try_unfold(Some(self), |form| async {
            let Some(mut form) = form else { return Ok(None) };
            loop {
                if let Some(place) = find(&form.buffer, &form.delimiter, 0) {
                    let last = form.buffer.split_to(place).freeze();
                    form.epilogue().await;
                    return Ok(Some((last, None)));
                }
                // The delimiter may have begun.
                let safe = (form.buffer.len() + 1).saturating_sub(form.delimiter.len());
                if safe > 0 {
                    let bytes = form.buffer.split_to(safe).freeze();
                    return Ok(Some((bytes, Some(form))));
                }
                form.fill().await.map_err(boxed)?;
            }
        })
    }

    /// Reads on for a little, so that the connection can be used again.
    async fn epilogue(&mut self) {
        let mut bytes = 0_usize;
        while let Some(Ok(chunk)) = self.body.next().await {
            bytes = bytes.saturating_add(chunk.len());
            if bytes > limits::FORM_FIELDS_BYTES_MAX {
                return;
            }
        }
    }
}

fn malformed(why: &'static str) -> Error {
    Error::with(
        Code::MalformedPOSTRequest,
        format!("The body of your POST request is not well-formed multipart/form-data: {why}."),
    )
}

/// Where the pattern stands first, at `from` or behind it.
fn find(bytes: &[u8], pattern: &[u8], mut from: usize) -> Option<usize> {
    let first = *pattern.first()?;
    while let Some(rest) = bytes.get(from..) {
        let place = from + rest.iter().position(|byte| *byte == first)?;
        if bytes.get(place..)?.starts_with(pattern) {
            return Some(place);
        }
        from = place + 1;
    }
    None
}

/// A parameter of a header such as `form-data; name="key"`. Browsers write `%22` for a quote inside a value.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        rest = after.split_once(';')?.1;
    }
}

/// Some browsers send the whole path of the file.
fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
