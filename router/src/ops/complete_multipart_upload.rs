//! CompleteMultipartUpload: listed parts become the object; no byte is copied. Repeatable.

use s3s::dto;
use vaultaire_proto::command::{CompleteUpload, ListedPart};
use vaultaire_proto::object::{Checksum, ChecksumAlgorithm, ChecksumScope};
use vaultaire_proto::response::Put;
use vaultaire_proto::row::{Upload, UploadPart};
use vaultaire_proto::{ETag, Operation, Response};

use crate::body::xml;
use crate::call::{Call, Context};
use crate::checksum::Shown;
use crate::commit::{self, OnObject};
use crate::error::Error;
use crate::error::code::Code;
use crate::error::map::unexpected;
use crate::ops::put_object::describe_version;
use crate::reply::{self, Reply};
use crate::{access, checksum, condition, limits, lookup, request_id};

/// Answers CompleteMultipartUpload.
pub async fn handle(ctx: &Context, mut call: Call) -> Result<Reply, Error> {
    let bucket = access::bucket(ctx, &mut call).await?;
    let key = call.object_key()?.clone();
    let id = lookup::upload_id(&call)?;
    let condition = condition::write(&call.headers)?;
    let size_bytes = object_size(&call)?;
    // The checksum headers speak of the object, not of the XML.
    let announced = announced(&mut call)?;
    let scope = scope(&call)?;
    // No body, no list, an empty list: S3 says the same of all three.
    let request: Option<dto::CompletedMultipartUpload> = xml::read(ctx, &mut call).await?;
    let listed = request.and_then(|request| request.parts).filter(|parts| !parts.is_empty());
    let listed = listed.ok_or_else(|| Error::new(Code::MalformedXML))?;
    if listed.len() > usize::from(limits::PART_NUMBER_MAX) {
        return Err(Error::new(Code::MalformedXML));
    }
    let page = (0, usize::from(limits::PART_NUMBER_MAX));
    let stored = lookup::parts(ctx, &bucket, &key, id, page).await?;
    let algorithm =
        stored.as_ref().and_then(|(upload, _)| upload.checksum).map(|(algorithm, _)| algorithm);
    let parts =
        listed.iter().map(|part| listed_part(part, algorithm)).collect::<Result<Vec<_>, _>>()?;
    // Without the upload this is a repetition, or a mistake: the shard knows which.
    let sum = match &stored {
        Some((upload, stored)) => {
            check_announced(upload, scope, announced.as_ref(), parts.len())?;
            join(upload, stored, &parts, announced.as_ref())?
        }
        None => None,
    };
    let on = OnObject {
        bucket: &bucket,
        key: &key,
        user: call.identity.user,
        request: request_id::of(&call),
    };
    let response = commit::on_object(ctx, on, |target| {
        Operation::CompleteUpload(CompleteUpload {
            target,
            upload: id,
            parts: parts.clone(),
            condition: condition.clone(),
            checksum: sum.clone(),
            size_bytes,
        })
    });
    let Response::Put(put) = response.await? else {
        return Err(unexpected("complete upload"));
    };
    let mut answer = reply::xml(&describe(&call, &put)?)?;
    describe_version(&mut answer, &put);
    Ok(answer)
}

fn object_size(call: &Call) -> Result<Option<u64>, Error> {
    let name = "x-amz-mp-object-size";
    let Some(text) = call.header(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| Error::argument(name, "must be a number of bytes"))
}

/// The object's checksum as the request has it.
struct Announced {
    algorithm: ChecksumAlgorithm,
    value: Vec<u8>,
    /// A composite one ends in the number of parts.
    parts: Option<String>,
}

/// Takes the object's checksum out of the headers.
fn announced(call: &mut Call) -> Result<Option<Announced>, Error> {
    let mut found = None;
    for algorithm in checksum::ALL {
        let Some(value) = call.headers.remove(checksum::header(algorithm)) else { continue };
        if found.is_some() {
            return Err(checksum::too_many());
        }
        let text = value.to_str().unwrap_or_default();
        let (bare, parts) = match text.split_once('-') {
            Some((bare, parts)) => (bare, Some(parts.to_owned())),
            None => (text, None),
        };
        let value = checksum::decode(algorithm, bare)?;
        found = Some(Announced { algorithm, value, parts });
    }
    Ok(found)
}

fn scope(call: &Call) -> Result<Option<ChecksumScope>, Error> {
    call.header("x-amz-checksum-type").map(checksum::parse_scope).transpose()
}

/// What an upload without a choice of its own gets.
const DEFAULT: (ChecksumAlgorithm, ChecksumScope) =
    (ChecksumAlgorithm::Crc64Nvme, ChecksumScope::FullObject);

/// A checksum that is not compared proves nothing, so one that cannot be is refused.
fn check_announced(
    upload: &Upload,
    asked: Option<ChecksumScope>,
    announced: Option<&Announced>,
    parts: usize,
) -> Result<(), Error> {
    let (algorithm, scope) = upload.checksum.unwrap_or(DEFAULT);
    if asked.is_some_and(|asked| asked != scope) {
        let message = format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            checksum::scope_name(scope)
        );
        return Err(Error::with(Code::InvalidRequest, message));
    }
    let Some(announced) = announced else { return Ok(()) };
    if announced.algorithm != algorithm {
        return Err(checksum::other_algorithm(algorithm, announced.algorithm));
    }
    match (scope, &announced.parts) {
        (ChecksumScope::FullObject | ChecksumScope::Composite, None) => Ok(()),
        (ChecksumScope::Composite, Some(count)) if *count == parts.to_string() => Ok(()),
        (ChecksumScope::FullObject | ChecksumScope::Composite, Some(_)) => {
            Err(xml::mismatch(algorithm))
        }
    }
}

fn listed_part(
    part: &dto::CompletedPart,
    algorithm: Option<ChecksumAlgorithm>,
) -> Result<ListedPart, Error> {
    let number = part.part_number.ok_or_else(|| Error::new(Code::MalformedXML))?;
    let number =
        u16::try_from(number).ok().filter(|number| (1..=limits::PART_NUMBER_MAX).contains(number));
    let number = number.ok_or_else(|| Error::new(Code::InvalidPart))?;
    let etag = part.e_tag.as_ref().ok_or_else(|| Error::new(Code::MalformedXML))?;
    let etag = ETag::parse(etag.value()).ok().filter(|etag| etag.parts == 0);
    let etag =
        etag.ok_or_else(|| Error::new(Code::InvalidPart).detail("PartNumber", number.to_string()))?;
    let text = algorithm.and_then(|algorithm| {
        let text = match algorithm {
            ChecksumAlgorithm::Crc32 => &part.checksum_crc32,
            ChecksumAlgorithm::Crc32c => &part.checksum_crc32c,
            ChecksumAlgorithm::Crc64Nvme => &part.checksum_crc64nvme,
            ChecksumAlgorithm::Sha1 => &part.checksum_sha1,
            ChecksumAlgorithm::Sha256 => &part.checksum_sha256,
        };
        text.as_deref().map(|text| checksum::decode(algorithm, text))
    });
    Ok(ListedPart { number, md5: etag.md5, checksum: text.transpose()? })
}

/// The object's checksum from its parts'. An upload that chose none gets the CRC-64/NVME of all bytes.
fn join(
    upload: &Upload,
    stored: &[UploadPart],
    listed: &[ListedPart],
    announced: Option<&Announced>,
) -> Result<Option<Checksum>, Error> {
    // In disorder nothing can be joined; the shard refuses it.
    if !listed.is_sorted_by(|one, next| one.number < next.number) {
        return Ok(None);
    }
    let (algorithm, scope) = upload.checksum.unwrap_or(DEFAULT);
    let mut values = Vec::with_capacity(listed.len());
    for one in listed {
        let found = stored.binary_search_by_key(&one.number, |stored| stored.part.number);
        let part = found.ok().and_then(|place| stored.get(place)).map(|stored| &stored.part);
        // Of another part than the one listed no checksum may become the object's.
        let part = part.filter(|part| part.md5 == one.md5).ok_or_else(|| {
            Error::new(Code::InvalidPart).detail("PartNumber", one.number.to_string())
        })?;
        let value = match upload.checksum {
            None => Some(part.blob.crc64nvme.to_be_bytes().to_vec()),
            Some(_) => part.checksum.clone(),
        };
        values.push((value.ok_or_else(|| unexpected("checksum of a part"))?, part.blob.size_bytes));
    }
    let values: Vec<(&[u8], u64)> =
        values.iter().map(|(value, size)| (value.as_slice(), *size)).collect();
    let joined = checksum::join(algorithm, scope, &values);
    match (announced, &joined) {
        (Some(announced), Some(joined)) if announced.value == joined.value => {}
        (Some(_), _) => return Err(xml::mismatch(algorithm)),
        (None, _) => {}
    }
    Ok(joined)
}

fn describe(call: &Call, put: &Put) -> Result<dto::CompleteMultipartUploadOutput, Error> {
    let (bucket, key) = (call.bucket_name()?.as_str(), call.object_key()?.as_str());
    let host = call.header("host").unwrap_or("localhost");
    let sums = Shown::of(put.checksum.as_ref(), put.etag.parts);
    Ok(dto::CompleteMultipartUploadOutput {
        bucket: Some(bucket.to_owned()),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        e_tag: Some(dto::ETag::Strong(put.etag.to_string())),
        key: Some(key.to_owned()),
        location: Some(format!("http://{host}/{bucket}/{}", crate::attributes::url_encode(key))),
        ..Default::default()
    })
}
