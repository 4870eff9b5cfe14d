//! What a command says of itself, kind by kind. No kind is left to a default: whoever adds one has to say it here.

use super::members::MemberChange;
use super::{FIRST_KINDS, Operation, Target};
use crate::object::Blob;
use crate::row::NodeRole;

impl Operation {
    /// Which `KINDS` a node has to have to apply it.
    pub fn kinds(&self) -> u32 {
        match self {
            Self::ChangeMembers(MemberChange::Join { role: NodeRole::Gateway, .. }) => 3,
            Self::CompareRows => 2,
            Self::InitCluster(_)
            | Self::CreateBucket { .. }
            | Self::SetVersioning { .. }
            | Self::SetCopies { .. }
            | Self::DeleteBucket { .. }
            | Self::SettleBucket { .. }
            | Self::CreateUser { .. }
            | Self::CreateAccessKey { .. }
            | Self::DeleteAccessKey { .. }
            | Self::PutBackend { .. }
            | Self::SettleBackend { .. }
            | Self::SetBackendState { .. }
            | Self::RegisterNode { .. }
            | Self::ChangeMembers(_)
            | Self::PutSettings(_)
            | Self::ConfigureBucket(_)
            | Self::ConfigureBackend { .. }
            | Self::OpenEpoch { .. }
            | Self::CloseEpoch { .. }
            | Self::EpochSwept { .. }
            | Self::PruneEpoch { .. }
            | Self::Collected { .. }
            | Self::PutVersion(_)
            | Self::DeleteVersion(_)
            | Self::SetTags { .. }
            | Self::PutCopy(_)
            | Self::DropCopy { .. }
            | Self::CreateUpload(_)
            | Self::PutPart(_)
            | Self::CompleteUpload(_)
            | Self::AbortUpload { .. } => FIRST_KINDS,
        }
    }

    /// The blobs a command brings into the index: step 5a looks at them before anything else.
    pub fn new_blob(&self) -> Option<&Blob> {
        match self {
            Self::PutVersion(put) => Some(&put.blob),
            Self::PutPart(part) => Some(&part.blob),
            Self::PutCopy(copy) => Some(&copy.blob),
            Self::InitCluster(_)
            | Self::CreateBucket { .. }
            | Self::SetVersioning { .. }
            | Self::SetCopies { .. }
            | Self::DeleteBucket { .. }
            | Self::SettleBucket { .. }
            | Self::CreateUser { .. }
            | Self::CreateAccessKey { .. }
            | Self::DeleteAccessKey { .. }
            | Self::PutBackend { .. }
            | Self::SettleBackend { .. }
            | Self::SetBackendState { .. }
            | Self::RegisterNode { .. }
            | Self::ChangeMembers(_)
            | Self::PutSettings(_)
            | Self::ConfigureBucket(_)
            | Self::ConfigureBackend { .. }
            | Self::OpenEpoch { .. }
            | Self::CloseEpoch { .. }
            | Self::EpochSwept { .. }
            | Self::PruneEpoch { .. }
            | Self::Collected { .. }
            | Self::DropCopy { .. }
            | Self::DeleteVersion(_)
            | Self::SetTags { .. }
            | Self::CreateUpload(_)
            | Self::CompleteUpload(_)
            | Self::AbortUpload { .. }
            | Self::CompareRows => None,
        }
    }

    /// The object that a command names, whose shard has to be the one that it was sent to.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::PutVersion(put) => Some(&put.target),
            Self::DeleteVersion(delete) => Some(&delete.target),
            Self::SetTags { target, .. } | Self::AbortUpload { target, .. } => Some(target),
            Self::CreateUpload(create) => Some(&create.target),
            Self::PutPart(part) => Some(&part.target),
            Self::CompleteUpload(complete) => Some(&complete.target),
            Self::InitCluster(_)
            | Self::CreateBucket { .. }
            | Self::SetVersioning { .. }
            | Self::SetCopies { .. }
            | Self::DeleteBucket { .. }
            | Self::SettleBucket { .. }
            | Self::CreateUser { .. }
            | Self::CreateAccessKey { .. }
            | Self::DeleteAccessKey { .. }
            | Self::PutBackend { .. }
            | Self::SettleBackend { .. }
            | Self::SetBackendState { .. }
            | Self::RegisterNode { .. }
            | Self::ChangeMembers(_)
            | Self::PutSettings(_)
            | Self::ConfigureBucket(_)
            | Self::ConfigureBackend { .. }
            | Self::OpenEpoch { .. }
            | Self::CloseEpoch { .. }
            | Self::EpochSwept { .. }
            | Self::PruneEpoch { .. }
            | Self::Collected { .. }
            | Self::DropCopy { .. }
            | Self::PutCopy(_)
            | Self::CompareRows => None,
        }
    }
}
