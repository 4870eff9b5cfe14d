//! S3's checksums in headers and XML, and how those of parts become one of the object.
//! They are computed in storage's pipeline.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use sha1::Digest;
use vaultaire_proto::object::{Checksum, ChecksumAlgorithm, ChecksumScope};
use vaultaire_storage::pipeline::checksum::{
    Algorithms, Sums, combine_crc32, combine_crc32c, combine_crc64nvme,
};

use crate::error::Error;
use crate::error::code::Code;

/// Every algorithm.
pub const ALL: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// What a request says of the checksum of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// Nothing.
    Nothing,
    /// Its value.
    Value(ChecksumAlgorithm, Vec<u8>),
    /// That the value follows the body.
    Trailer(ChecksumAlgorithm),
    /// Only which one the client wants to see.
    Wanted(ChecksumAlgorithm),
}

impl Announced {
    /// The algorithm, if any.
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::Nothing => None,
            Self::Value(algorithm, _) | Self::Trailer(algorithm) | Self::Wanted(algorithm) => {
                Some(*algorithm)
            }
        }
    }
}

/// The header of an algorithm.
pub fn header(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// S3's name of an algorithm.
pub fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// Reads S3's name of an algorithm.
pub fn parse_name(text: &str) -> Result<ChecksumAlgorithm, Error> {
    ALL.into_iter().find(|algorithm| name(*algorithm).eq_ignore_ascii_case(text)).ok_or_else(|| {
        Error::with(
            Code::InvalidRequest,
            format!("Checksum algorithm {text} is not supported; choose CRC32, CRC32C, CRC64NVME, SHA1 or SHA256."),
        )
    })
}

/// S3's name of a scope.
pub fn scope_name(scope: ChecksumScope) -> &'static str {
    match scope {
        ChecksumScope::FullObject => "FULL_OBJECT",
        ChecksumScope::Composite => "COMPOSITE",
    }
}

/// Reads S3's name of a scope.
pub fn parse_scope(text: &str) -> Result<ChecksumScope, Error> {
    let all = [ChecksumScope::FullObject, ChecksumScope::Composite];
    all.into_iter().find(|scope| scope_name(*scope) == text).ok_or_else(|| {
        Error::with(Code::InvalidRequest, "Value for x-amz-checksum-type header is invalid.")
    })
}

fn value_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// Reads a value as headers and XML carry it.
pub fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Result<Vec<u8>, Error> {
    let value =
        BASE64.decode(text.trim()).ok().filter(|value| value.len() == value_bytes(algorithm));
    value.ok_or_else(|| {
        let message = format!("Value for {} header is invalid.", header(algorithm));
        Error::with(Code::BadDigest, message)
    })
}

/// Writes a checksum as S3 shows it; one of parts' checksums names their count.
pub fn encode(checksum: &Checksum, parts: u16) -> String {
    let text = BASE64.encode(&checksum.value);
    match checksum.scope {
        ChecksumScope::FullObject => text,
        ChecksumScope::Composite => format!("{text}-{parts}"),
    }
}

/// A part's checksum as S3 writes it.
pub fn encode_part(value: &[u8]) -> String {
    BASE64.encode(value)
}

/// A checksum spread over the fields that S3's XML has for it.
#[derive(Debug, Default)]
pub struct Shown {
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    pub scope: Option<s3s::dto::ChecksumType>,
}

impl Shown {
    /// Of an object with so many parts, or of one part.
    pub fn of(checksum: Option<&Checksum>, parts: u16) -> Self {
        let mut shown = Self::default();
        let Some(checksum) = checksum else {
            return shown;
        };
        let field = match checksum.algorithm {
            ChecksumAlgorithm::Crc32 => &mut shown.crc32,
            ChecksumAlgorithm::Crc32c => &mut shown.crc32c,
            ChecksumAlgorithm::Crc64Nvme => &mut shown.crc64nvme,
            ChecksumAlgorithm::Sha1 => &mut shown.sha1,
            ChecksumAlgorithm::Sha256 => &mut shown.sha256,
        };
        *field = Some(encode(checksum, parts));
        shown.scope = Some(s3s::dto::ChecksumType::from_static(scope_name(checksum.scope)));
        shown
    }
}

/// What the request headers say.
pub fn announced(headers: &HeaderMap) -> Result<Announced, Error> {
    let mut found = None;
    for algorithm in ALL {
        let Some(value) = headers.get(header(algorithm)) else { continue };
        if found.is_some() {
            return Err(too_many());
        }
        let text = value.to_str().unwrap_or_default();
        found = Some(Announced::Value(algorithm, decode(algorithm, text)?));
    }
    if let Some(found) = found {
        return Ok(found);
    }
    if let Some(trailer) = headers.get("x-amz-trailer") {
        let trailer = trailer.to_str().map_err(|_| {
            Error::with(Code::InvalidRequest, "The header x-amz-trailer cannot be read.")
        })?;
        let named = |algorithm: &ChecksumAlgorithm| {
            trailer.split(',').any(|one| one.trim().eq_ignore_ascii_case(header(*algorithm)))
        };
        if let Some(algorithm) = ALL.into_iter().find(named) {
            return Ok(Announced::Trailer(algorithm));
        }
    }
    wanted(headers).map(|algorithm| algorithm.map_or(Announced::Nothing, Announced::Wanted))
}

/// Two checksums of one body: which one is to hold?
pub fn too_many() -> Error {
    Error::with(
        Code::InvalidRequest,
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

/// A checksum under another algorithm than the upload was begun with.
pub fn other_algorithm(expected: ChecksumAlgorithm, found: ChecksumAlgorithm) -> Error {
    let message = format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(expected).to_ascii_lowercase(),
        name(found).to_ascii_lowercase()
    );
    Error::with(Code::InvalidRequest, message)
}

/// The algorithm that the request asks for by name.
pub fn wanted(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Error> {
    let value = headers
        .get("x-amz-sdk-checksum-algorithm")
        .or_else(|| headers.get("x-amz-checksum-algorithm"));
    value.map(|value| parse_name(value.to_str().unwrap_or_default())).transpose()
}

/// What to compute over a body: MD5 for its ETag, CRC-64/NVME for our own checks, and what was announced.
pub fn algorithms(announced: Option<ChecksumAlgorithm>) -> Algorithms {
    Algorithms {
        md5: true,
        crc64nvme: true,
        crc32: announced == Some(ChecksumAlgorithm::Crc32),
        crc32c: announced == Some(ChecksumAlgorithm::Crc32c),
        sha1: announced == Some(ChecksumAlgorithm::Sha1),
        sha256: announced == Some(ChecksumAlgorithm::Sha256),
    }
}

/// One algorithm's value among those computed.
pub fn value_of(algorithm: ChecksumAlgorithm, sums: &Sums) -> Option<Vec<u8>> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => sums.crc32.map(|crc| crc.to_be_bytes().to_vec()),
        ChecksumAlgorithm::Crc32c => sums.crc32c.map(|crc| crc.to_be_bytes().to_vec()),
        ChecksumAlgorithm::Crc64Nvme => sums.crc64nvme.map(|crc| crc.to_be_bytes().to_vec()),
        ChecksumAlgorithm::Sha1 => sums.sha1.map(|sha| sha.to_vec()),
        ChecksumAlgorithm::Sha256 => sums.sha256.map(|sha| sha.to_vec()),
    }
}

/// The scope that S3 takes where a multipart upload names none.
pub fn default_scope(algorithm: ChecksumAlgorithm) -> ChecksumScope {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => ChecksumScope::FullObject,
        ChecksumAlgorithm::Crc32
        | ChecksumAlgorithm::Crc32c
        | ChecksumAlgorithm::Sha1
        | ChecksumAlgorithm::Sha256 => ChecksumScope::Composite,
    }
}

/// Whether S3 knows the combination: hashes of parts cannot be joined, CRC-64 has no composite form.
pub fn scope_allowed(algorithm: ChecksumAlgorithm, scope: ChecksumScope) -> bool {
    match (algorithm, scope) {
        (ChecksumAlgorithm::Crc64Nvme, ChecksumScope::Composite)
        | (ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256, ChecksumScope::FullObject) => false,
        (
            ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c,
            ChecksumScope::FullObject | ChecksumScope::Composite,
        )
        | (ChecksumAlgorithm::Crc64Nvme, ChecksumScope::FullObject)
        | (ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256, ChecksumScope::Composite) => true,
    }
}

/// The checksum of an object from its parts' values and sizes, in order. None: a value is missing or malformed.
pub fn join(
    algorithm: ChecksumAlgorithm,
    scope: ChecksumScope,
    parts: &[(&[u8], u64)],
) -> Option<Checksum> {
    let value = match scope {
        ChecksumScope::Composite => composite(algorithm, parts)?,
        ChecksumScope::FullObject => full(algorithm, parts)?,
    };
    Some(Checksum { algorithm, scope, value })
}

fn composite(algorithm: ChecksumAlgorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let values: Vec<u8> = parts.iter().flat_map(|(value, _)| value.iter().copied()).collect();
    match algorithm {
        ChecksumAlgorithm::Sha1 => Some(sha1::Sha1::digest(&values).to_vec()),
        ChecksumAlgorithm::Sha256 => Some(sha2::Sha256::digest(&values).to_vec()),
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Crc64Nvme => {
            let mut digests =
                vaultaire_storage::pipeline::checksum::Digests::new(algorithms(Some(algorithm)));
            digests.update(&values);
            value_of(algorithm, &digests.finish())
        }
    }
}

fn full(algorithm: ChecksumAlgorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let ((first, _), rest) = parts.split_first()?;
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => {
            let combine =
                if algorithm == ChecksumAlgorithm::Crc32 { combine_crc32 } else { combine_crc32c };
            let mut crc = u32::from_be_bytes((*first).try_into().ok()?);
            for (value, size_bytes) in rest {
                crc = combine(crc, u32::from_be_bytes((*value).try_into().ok()?), *size_bytes);
            }
            Some(crc.to_be_bytes().to_vec())
        }
        ChecksumAlgorithm::Crc64Nvme => {
            let mut crc = u64::from_be_bytes((*first).try_into().ok()?);
            for (value, size_bytes) in rest {
                crc = combine_crc64nvme(
                    crc,
                    u64::from_be_bytes((*value).try_into().ok()?),
                    *size_bytes,
                );
            }
            Some(crc.to_be_bytes().to_vec())
        }
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use http::HeaderValue;
    use vaultaire_storage::pipeline::checksum::Digests;

    use super::*;

    fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
        let mut digests = Digests::new(algorithms(Some(algorithm)));
        digests.update(bytes);
        value_of(algorithm, &digests.finish()).unwrap()
    }

    #[test]
    fn crcs_of_parts_join_to_the_crc_of_the_whole() {
        for algorithm in
            [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme]
        {
            let (one, two) = (of(algorithm, b"hello "), of(algorithm, b"world"));
            let joined =
                join(algorithm, ChecksumScope::FullObject, &[(&one, 6), (&two, 5)]).unwrap();
            assert_eq!(joined.value, of(algorithm, b"hello world"));
        }
    }

    #[test]
    fn composites_are_digests_of_digests() {
        let (one, two) = (of(ChecksumAlgorithm::Sha256, b"a"), of(ChecksumAlgorithm::Sha256, b"b"));
        let joined =
            join(ChecksumAlgorithm::Sha256, ChecksumScope::Composite, &[(&one, 1), (&two, 1)])
                .unwrap();
        assert_eq!(joined.value, of(ChecksumAlgorithm::Sha256, &[one, two].concat()));
        assert!(encode(&joined, 2).ends_with("=-2"));
    }

    #[test]
    fn one_checksum_at_most() {
        let mut headers = HeaderMap::new();
        assert_eq!(announced(&headers).unwrap(), Announced::Nothing);
        headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32c"));
        assert_eq!(announced(&headers).unwrap(), Announced::Trailer(ChecksumAlgorithm::Crc32c));
        headers.insert("x-amz-checksum-crc32", HeaderValue::from_static("AAAAAA=="));
        assert_eq!(
            announced(&headers).unwrap(),
            Announced::Value(ChecksumAlgorithm::Crc32, vec![0; 4])
        );
        headers.insert("x-amz-checksum-sha1", HeaderValue::from_static("bad"));
        assert_eq!(announced(&headers).unwrap_err().code(), "InvalidRequest");
        headers.remove("x-amz-checksum-crc32");
        assert_eq!(announced(&headers).unwrap_err().code(), "BadDigest");
    }
}
