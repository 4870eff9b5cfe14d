//! What a value is on backends and in rows: bytes put whole, or parts in order. All of it follows from the value, so that a read can
//! tell whether it was given what was written.

use bytes::Bytes;
use md5::{Digest, Md5};
use vaultaire_proto::ETag;
use vaultaire_proto::object::{Blob, Body, Part, Version};
use vaultaire_proto::state::upload::PART_BYTES_MIN;
use vaultaire_storage::pipeline::checksum::{Algorithms, Digests};

use super::history::Value;

/// Marks values that are written in parts.
const IN_PARTS: Value = 1 << 62;

/// In one of so many there are two parts, the first of which is as large as S3 asks for.
const LARGE_ONE_OF: Value = 8;

/// No part has more.
pub const BYTES_MAX: u64 = PART_BYTES_MIN + 16;

/// A part as a client sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub value: Value,
    pub number: u16,
    /// What is sent under the number before the part itself, or is not listed in the end.
    pub draft: bool,
    large: bool,
}

impl Sent {
    /// What it is known by; it says all that a part is.
    pub fn md5(self) -> [u8; 16] {
        let said = u128::from(self.value) << 32 | u128::from(self.number) << 8;
        (said | u128::from(self.draft)).to_be_bytes()
    }

    pub fn bytes(self) -> Bytes {
        let zeros = if self.large { PART_BYTES_MIN } else { 0 };
        let mut bytes = vec![0; zeros as usize];
        bytes.extend_from_slice(&self.md5());
        bytes.into()
    }

    pub fn draft(self) -> Self {
        Self { draft: true, ..self }
    }

    /// A part that no upload lists.
    pub fn beyond(self) -> Self {
        Self { number: self.number + 1, large: false, ..self.draft() }
    }
}

/// The value, to be written in parts.
pub fn in_parts(value: Value) -> Value {
    value | IN_PARTS
}

pub fn is_in_parts(value: Value) -> bool {
    value & IN_PARTS != 0
}

/// The parts of a value, in order.
pub fn parts(value: Value) -> Vec<Sent> {
    let number = 1 + (value % 3) as u16;
    let last = Sent { value, number, draft: false, large: false };
    match value.is_multiple_of(LARGE_ONE_OF) {
        false => vec![last],
        true => vec![Sent { large: true, ..last }, Sent { number: number + 2, ..last }],
    }
}

/// The bytes of a value that is put whole.
pub fn whole(value: Value) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

pub fn etag(value: Value) -> ETag {
    if !is_in_parts(value) {
        return ETag::whole(u128::from(value).to_be_bytes());
    }
    let (parts, mut hasher) = (parts(value), Md5::new());
    parts.iter().for_each(|part| hasher.update(part.md5()));
    ETag { md5: hasher.finalize().into(), parts: parts.len() as u16 }
}

/// The checksum that rows have of bytes.
pub fn crc64nvme(bytes: &Bytes) -> Option<u64> {
    let mut digests = Digests::new(Algorithms { crc64nvme: true, ..Algorithms::default() });
    digests.update(bytes);
    digests.finish().crc64nvme
}

/// Which value a version says it is, and what each of its blobs has to hold. None: it is none that was written.
pub fn expected(version: &Version) -> Option<(Value, Vec<(&Blob, Bytes)>)> {
    let (value, held) = match &version.body {
        Body::Whole(blob) => {
            let value = u128::from_be_bytes(version.etag.md5) as Value;
            (value, vec![(blob, whole(value))])
        }
        Body::Parts(held) => {
            let value = (u128::from_be_bytes(held.first()?.md5) >> 32) as Value;
            let sent = parts(value);
            let same =
                |(held, sent): (&Part, &Sent)| held.number == sent.number && held.md5 == sent.md5();
            if held.len() != sent.len() || !held.iter().zip(&sent).all(same) {
                return None;
            }
            let bytes = sent.iter().map(|part| part.bytes());
            (value, held.iter().map(|part| &part.blob).zip(bytes).collect())
        }
        Body::Manifest { .. } => return None,
    };
    let size_bytes = held.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    (etag(value) == version.etag && version.size_bytes == size_bytes).then_some((value, held))
}
