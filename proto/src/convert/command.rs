//! Log entries and their commands.

use super::shape::{Choice, Fault, Wire};
use crate::command::members::MemberChange;
use crate::command::{
    Command, CompleteUpload, Condition, ConfigureBucket, CreateUpload, DeleteVersion, Entry,
    InitCluster, ListedPart, Match, Operation, PutCopy, PutPart, PutVersion, Target,
    VersionSelector,
};
use crate::wire::v1 as wire;
use crate::wire::v1::change_members;
use crate::wire::v1::change_members::Change as ChangeOneof;
use crate::wire::v1::command::Operation as OperationOneof;
use crate::wire::v1::etag_match::{Any, Kind as MatchOneof, Never};
use crate::wire::v1::version_selector;
use crate::wire::v1::version_selector::Selector as SelectorOneof;

record!(Entry => wire::Entry, "log entry", { commands }, renamed { stamped_at: stamped_at_ms });
record!(
    Command => wire::Command, "command",
    { group, request, operation },
    renamed { not_after: not_after_ms }
);

choice!(
    Operation => OperationOneof in wire, "operation",
    units [CompareRows],
    messages [
        InitCluster,
        PutSettings,
        ConfigureBucket,
        PutVersion,
        DeleteVersion,
        CreateUpload,
        PutPart,
        CompleteUpload,
        ChangeMembers,
        PutCopy,
    ],
    records {
        CreateBucket { name, owner, region },
        SetVersioning { bucket, versioning },
        SetCopies { bucket, copies },
        DeleteBucket { bucket },
        SettleBucket { bucket, generation, empty },
        CreateUser { name },
        CreateAccessKey { user, access_key, sealed_secret },
        DeleteAccessKey { access_key },
        PutBackend { name, kind, state, node },
        SettleBackend { backend, generation },
        SetBackendState { backend, state },
        RegisterNode { node, incarnation, name, address, zone, region },
        ConfigureBackend { backend, generation, state },
        OpenEpoch { node, incarnation },
        CloseEpoch { generation, node, epoch },
        EpochSwept { generation, node, epoch, backend, round, last },
        PruneEpoch { generation, node, epoch, limit },
        Collected { blobs },
        DropCopy { copy },
        SetTags { target, version, tags },
        AbortUpload { target, upload },
    },
    renamed {},
);
embedded!(Operation);

choice!(
    MemberChange => ChangeOneof in change_members, "change of members",
    units [],
    messages [],
    records {
        Join { hash, name, address, role },
        SetRole { node, role },
        Remove { node },
        Settle { node, phase },
    },
    renamed { Invite { hash: hash, expires_at: expires_at_ms } },
);
wrapped!(MemberChange in wire::ChangeMembers, change);

record!(
    InitCluster => wire::InitCluster, "cluster foundation",
    { cluster, generation, shards, region, token_key }
);
record!(
    ConfigureBucket => wire::ConfigureBucket, "bucket configuration",
    { bucket, generation, phase, versioning }
);
record!(Target => wire::Target, "target", { bucket, bucket_generation, key });
record!(
    Condition => wire::Condition, "condition",
    { if_match, if_none_match, if_size_bytes },
    renamed { if_modified_at: if_modified_at_ms },
    absent Some(Self::default())
);
record!(
    PutVersion => wire::PutVersion, "put of a version",
    { target, owner, etag, checksum, attributes, blob, condition, digest }
);
record!(
    DeleteVersion => wire::DeleteVersion, "delete of a version",
    { target, owner, version, condition }
);
record!(
    CreateUpload => wire::CreateUpload, "start of an upload",
    { target, owner, attributes, checksum }
);
record!(
    PutPart => wire::PutPart, "put of a part",
    { target, upload, number, md5, checksum, blob, digest }
);
record!(PutCopy => wire::PutCopy, "put of a copy", { blob, beside, replaces });
record!(ListedPart => wire::ListedPart, "listed part", { number, md5, checksum });
record!(
    CompleteUpload => wire::CompleteUpload, "completion of an upload",
    { target, upload, parts, condition, checksum, size_bytes }
);

choice!(
    VersionSelector => SelectorOneof in version_selector, "version selector",
    units [Null],
    messages [Id],
    records {},
    renamed {},
);
wrapped!(VersionSelector in wire::VersionSelector, selector);

impl Choice for Match {
    type Oneof = MatchOneof;
    const WHAT: &'static str = "ETag condition";

    fn to_oneof(&self) -> MatchOneof {
        match self {
            Self::Any => MatchOneof::Any(Any {}),
            Self::ETag(etag) => MatchOneof::Etag(etag.to_wire()),
            Self::Never => MatchOneof::Never(Never {}),
        }
    }

    fn from_oneof(oneof: MatchOneof) -> Result<Self, Fault> {
        Ok(match oneof {
            MatchOneof::Any(Any {}) => Self::Any,
            MatchOneof::Etag(etag) => Self::ETag(Wire::from_wire(etag)?),
            MatchOneof::Never(Never {}) => Self::Never,
        })
    }
}
wrapped!(Match in wire::EtagMatch, kind);
