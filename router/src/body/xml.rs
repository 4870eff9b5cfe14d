//! XML bodies of requests: read whole, within a bound, checked against every checksum that came with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::Body;
use s3s::xml::{Deserialize, Deserializer};
use vaultaire_proto::object::ChecksumAlgorithm;
use vaultaire_storage::pipeline::checksum::Digests;

use crate::body::incoming::memory_spent;
use crate::body::rewrite;
use crate::call::{Call, Context};
use crate::checksum::{self, Announced};
use crate::error::Error;
use crate::error::code::Code;
use crate::limits;

/// Reads the body as `T`. An empty body is None.
pub async fn read<T>(ctx: &Context, call: &mut Call) -> Result<Option<T>, Error>
where
    T: for<'xml> Deserialize<'xml>,
{
    let bytes = bytes(ctx, call).await?;
    if bytes.is_empty() { Ok(None) } else { parse(&bytes).map(Some) }
}

/// Reads a whole document.
pub fn parse<T>(bytes: &[u8]) -> Result<T, Error>
where
    T: for<'xml> Deserialize<'xml>,
{
    let plain = rewrite::plain(bytes)?;
    let mut deserializer = Deserializer::new(&plain);
    let value = T::deserialize(&mut deserializer)
        .and_then(|value| deserializer.expect_eof().map(|()| value));
    value.map_err(|error| {
        tracing::debug!(%error, "malformed xml");
        Error::new(Code::MalformedXML)
    })
}

/// Reads a body that must be there.
pub async fn required<T>(ctx: &Context, call: &mut Call) -> Result<T, Error>
where
    T: for<'xml> Deserialize<'xml>,
{
    read(ctx, call).await?.ok_or_else(|| Error::new(Code::MissingRequestBodyError))
}

async fn bytes(ctx: &Context, call: &mut Call) -> Result<Bytes, Error> {
    let announced = checksum::announced(&call.headers)?;
    let content_md5 = content_md5(call)?;
    let length = length(call)?;
    let cost = u32::try_from(length.unwrap_or(limits::XML_BODY_BYTES_MAX)).unwrap_or(u32::MAX);
    let share = tokio::time::timeout(limits::XML_PATIENCE, ctx.xml_budget.acquire_many(cost));
    let Ok(Ok(_held)) = share.await else {
        return Err(memory_spent());
    };
    let all = tokio::time::timeout(limits::XML_BODY_TIMEOUT, collect(call.take_body(), length));
    let bytes = all.await.map_err(|_elapsed| Error::new(Code::RequestTimeout))??;
    verify(call, &bytes, announced, content_md5)?;
    Ok(bytes)
}

/// The length of the document, where it is announced: what it pays for, so not a byte more is taken.
fn length(call: &Call) -> Result<Option<u64>, Error> {
    let name = if call.headers.contains_key("x-amz-decoded-content-length") {
        "x-amz-decoded-content-length"
    } else {
        "content-length"
    };
    let Some(text) = call.header(name) else { return Ok(None) };
    match text.trim().parse::<u64>() {
        Ok(length) if length <= limits::XML_BODY_BYTES_MAX => Ok(Some(length)),
        Ok(_) => Err(Error::new(Code::MaxMessageLengthExceeded)),
        Err(_) => Err(Error::argument(name, "must be a number of bytes")),
    }
}

/// Copied together as it comes: kept in pieces of a byte, a body would cost many times its length.
async fn collect(mut body: Body, length: Option<u64>) -> Result<Bytes, Error> {
    let bound = length.unwrap_or(limits::XML_BODY_BYTES_MAX);
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Error::from_body(error.as_ref()))?;
        if (whole.len() as u64).saturating_add(chunk.len() as u64) > bound {
            let code = length.map_or(Code::MaxMessageLengthExceeded, |_| Code::IncompleteBody);
            return Err(Error::new(code));
        }
        whole.extend_from_slice(&chunk);
    }
    if length.is_some_and(|length| length != whole.len() as u64) {
        return Err(Error::new(Code::IncompleteBody));
    }
    Ok(whole.freeze())
}

/// Reads `Content-MD5`.
pub fn content_md5(call: &Call) -> Result<Option<[u8; 16]>, Error> {
    let Some(value) = call.headers.get("content-md5") else {
        return Ok(None);
    };
    let md5 = BASE64.decode(value.as_bytes()).ok().and_then(|md5| <[u8; 16]>::try_from(md5).ok());
    md5.map(Some).ok_or_else(|| Error::new(Code::InvalidDigest))
}

fn verify(
    call: &Call,
    bytes: &[u8],
    announced: Announced,
    content_md5: Option<[u8; 16]>,
) -> Result<(), Error> {
    let announced = match announced {
        Announced::Trailer(algorithm) => trailer(call, algorithm)?,
        other => other,
    };
    let mut digests = Digests::new(checksum::algorithms(announced.algorithm()));
    digests.update(bytes);
    let sums = digests.finish();
    if content_md5.is_some() && content_md5 != sums.md5 {
        return Err(Error::new(Code::BadDigest));
    }
    match announced {
        Announced::Value(algorithm, value)
            if checksum::value_of(algorithm, &sums).as_ref() != Some(&value) =>
        {
            Err(mismatch(algorithm))
        }
        _ => Ok(()),
    }
}

/// The checksum that followed the body.
pub fn trailer(call: &Call, algorithm: ChecksumAlgorithm) -> Result<Announced, Error> {
    trailing(call.trailers.as_ref(), algorithm)
}

/// The same, where only the trailers are at hand.
pub fn trailing(
    trailers: Option<&s3s::TrailingHeaders>,
    algorithm: ChecksumAlgorithm,
) -> Result<Announced, Error> {
    let name = checksum::header(algorithm);
    let text = trailers.and_then(|trailers| {
        trailers.read(|headers| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        })?
    });
    match text {
        Some(text) => Ok(Announced::Value(algorithm, checksum::decode(algorithm, &text)?)),
        None => Err(Error::with(
            Code::InvalidRequest,
            format!("The trailer {name} was announced in x-amz-trailer and did not come."),
        )),
    }
}

/// The checksum is not that of the bytes.
pub fn mismatch(algorithm: ChecksumAlgorithm) -> Error {
    Error::with(
        Code::BadDigest,
        format!(
            "The {} you specified did not match the calculated checksum; send the data again.",
            checksum::name(algorithm)
        ),
    )
}
