//! XML bodies of requests: read whole, within a bound, checked against every checksum that came with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use s3s::xml::{Deserialize, Deserializer};
use vaultaire_proto::object::ChecksumAlgorithm;
use vaultaire_storage::pipeline::checksum::Digests;

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
    let cost = match call.header("content-length").and_then(|text| text.parse::<u64>().ok()) {
        Some(length) => length.min(limits::XML_BODY_BYTES_MAX),
        None => limits::XML_BODY_BYTES_MAX,
    };
    let _held = ctx.xml_budget.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX)).await.ok();
    let bound = usize::try_from(limits::XML_BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let collected = Limited::new(call.take_body(), bound).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Error::new(Code::MaxMessageLengthExceeded)
        } else {
            Error::from_body(error.as_ref())
        }
    })?;
    let bytes = collected.to_bytes();
    verify(call, &bytes, announced, content_md5)?;
    Ok(bytes)
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
