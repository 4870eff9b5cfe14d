//! The model's rules about single requests: what counts as the same request, which answers are
//! final, and when a condition holds.

use crate::command::{
    CompleteUpload, Condition, DeleteVersion, Match, Operation, PutPart, PutVersion,
};
use crate::etag::ETag;
use crate::id::{BlobKey, RequestId, UploadId};
use crate::object::Blob;
use crate::response::{Rejection, Response};
use crate::state::tests::model::{Entry, Object};

/// What a client asked, as far as a retry must repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Digest([u8; 16]),
    Operation(Box<Operation>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forgotten {
    Answer(RequestId),
    Completed(UploadId),
}

pub fn etag_of(parts: &[(u16, [u8; 16])]) -> ETag {
    use md5::Digest;
    let joined: Vec<u8> = parts.iter().flat_map(|(_, md5)| *md5).collect();
    ETag { md5: md5::Md5::digest(joined).into(), parts: parts.len() as u16 }
}

pub fn only_key(blob: &Blob) -> BlobKey {
    blob.copies[0].key
}

pub fn holds(condition: &Condition, head: Option<&Entry>) -> Result<(), Rejection> {
    let object = head.and_then(|entry| entry.object.as_ref());
    let matches = |wanted: Match, object: &Object| match wanted {
        Match::Any => true,
        Match::ETag(etag) => etag == object.etag,
        Match::Never => false,
    };
    match (condition.if_match, object) {
        (Some(_), None) => return Err(Rejection::NoSuchKey),
        (Some(wanted), Some(object)) if !matches(wanted, object) => {
            return Err(Rejection::PreconditionFailed);
        }
        _ => {}
    }
    match (condition.if_none_match, object) {
        (Some(unwanted), Some(object)) if matches(unwanted, object) => {
            Err(Rejection::PreconditionFailed)
        }
        _ => Ok(()),
    }
}

pub fn asked(operation: &Operation) -> Option<Asked> {
    let mut plain = operation.clone();
    match &mut plain {
        Operation::PutVersion(PutVersion { digest, .. })
        | Operation::PutPart(PutPart { digest, .. }) => {
            return Some(Asked::Digest(*digest));
        }
        Operation::DeleteVersion(DeleteVersion { target, .. })
        | Operation::CompleteUpload(CompleteUpload { target, .. })
        | Operation::AbortUpload { target, .. } => target.bucket_generation = 0,
        Operation::CreateUpload(create) => create.target.bucket_generation = 0,
        _ => return None,
    }
    Some(Asked::Operation(Box::new(plain)))
}

pub fn is_final(response: &Response) -> bool {
    !matches!(
        response,
        Response::Rejected(
            Rejection::StaleConfig
                | Rejection::ConfigAhead
                | Rejection::EpochClosed
                | Rejection::Expired
                | Rejection::Unknown
                | Rejection::OperationAborted
                | Rejection::Superseded
        )
    )
}
