//! Questions to the catalog with typed answers, page by page. It decides nothing.

use std::collections::BTreeSet;

use vaultaire_proto::catalog::ScanPosition;
use vaultaire_proto::object::{Blob, Location, VersionEntry};
use vaultaire_proto::row::{
    AccessKey, BackendRow, BlobRow, Bucket, Epoch, Garbage, NodeRow, ShardBackend, ShardBucket,
    User,
};
use vaultaire_proto::{
    Answer, BackendId, BlobKey, BucketId, BucketName, Catalog, Consistency, EpochId, GroupId,
    NodeId, Query, TimeMs, UserId,
};

use crate::error::Error;

/// How many rows one question asks for.
pub const PAGE: usize = 1000;

/// How many pages a walk over users may take: more users than this are not looked for by name.
const USER_PAGES_MAX: usize = 1000;

/// Declares one question: its query, the variant that answers it and the type within.
macro_rules! question {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $variant:ident($answer:ty) = $query:expr) => {
        $(#[$doc])*
        pub async fn $name(
            catalog: &dyn Catalog,
            consistency: Consistency,
            $($arg: $type),*
        ) -> Result<$answer, Error> {
            let Answer::$variant(answer) = catalog.query($query, consistency).await? else {
                return Err(Error::UnexpectedAnswer { question: stringify!($name) });
            };
            Ok(answer)
        }
    };
}

question!(
    /// The bucket of a name.
    bucket(name: BucketName) -> Bucket(Option<Bucket>) = Query::Bucket(name)
);
question!(
    /// The bucket of an id, deleted ones included.
    bucket_by_id(id: BucketId) -> Bucket(Option<Bucket>) = Query::BucketById(id)
);
question!(
    /// A page of buckets by name.
    buckets(after: Option<BucketName>, prefix: String, limit: usize) -> Buckets(Vec<Bucket>)
        = Query::Buckets { owner: None, after, prefix, limit }
);
question!(
    /// Buckets whose configuration some shard may not know yet.
    unsettled_buckets() -> Buckets(Vec<Bucket>) = Query::UnsettledBuckets { limit: PAGE }
);
question!(
    /// What a shard holds of a bucket.
    shard_bucket(shard: GroupId, bucket: BucketId) -> ShardBucket(Option<ShardBucket>)
        = Query::ShardBucket { shard, bucket }
);
question!(
    /// What a shard holds of each backend.
    shard_backends(shard: GroupId) -> ShardBackends(Vec<(BackendId, ShardBackend)>)
        = Query::ShardBackends { shard }
);
question!(
    /// The live blob that a location is a copy of.
    blob_of(shard: GroupId, copy: Location) -> BlobOf(Option<Blob>)
        = Query::BlobOf { shard, copy }
);
question!(
    /// An access key.
    access_key(access_key: String) -> AccessKey(Option<AccessKey>) = Query::AccessKey(access_key)
);
question!(
    /// A page of access keys.
    access_keys(user: Option<UserId>, after: Option<String>, limit: usize) -> AccessKeys(Vec<AccessKey>)
        = Query::AccessKeys { user, after, limit }
);
question!(
    /// A user.
    user(id: UserId) -> User(Option<User>) = Query::User(id)
);
question!(
    /// A page of users by id.
    users(after: Option<UserId>, limit: usize) -> Users(Vec<User>) = Query::Users { after, limit }
);
question!(
    /// Every backend.
    backends() -> Backends(Vec<BackendRow>) = Query::Backends
);
question!(
    /// Every node.
    nodes() -> Nodes(Vec<NodeRow>) = Query::Nodes
);
question!(
    /// The write epochs of a shard.
    epochs(shard: GroupId) -> Epochs(Vec<Epoch>) = Query::Epochs { shard }
);
question!(
    /// Garbage of a backend whose time has come.
    garbage(shard: GroupId, backend: BackendId, until: TimeMs, limit: usize) -> Garbage(Vec<Garbage>)
        = Query::Garbage { shard, backend, until, limit }
);
question!(
    /// A page of blob rows in key order.
    blobs(shard: GroupId, after: Option<Location>, limit: usize) -> Blobs(Vec<(Location, BlobRow)>)
        = Query::Blobs { shard, after, limit }
);
question!(
    /// A page of versions in key order.
    versions(shard: GroupId, after: Option<ScanPosition>, limit: usize)
        -> Versions(Vec<(ScanPosition, VersionEntry)>) = Query::Versions { shard, after, limit }
);

/// An epoch, and which of some of its blobs must be kept, in one snapshot.
#[derive(Clone, Debug)]
pub struct SweepView {
    pub epoch: Option<Epoch>,
    /// A set: what is deleted must not depend on somebody's sort order.
    pub kept: BTreeSet<BlobKey>,
    /// Some of those kept are garbage that is not collected yet.
    pub garbage: bool,
}

/// A sweep's guard: always fresh, since it decides what is deleted.
pub async fn sweep_view(
    catalog: &dyn Catalog,
    shard: GroupId,
    backend: BackendId,
    epoch: (u32, NodeId, EpochId),
    blobs: Vec<BlobKey>,
) -> Result<SweepView, Error> {
    let query = Query::SweepView { shard, backend, epoch, blobs };
    let answer = catalog.query(query, Consistency::Linearizable).await?;
    let Answer::SweepView { epoch, kept, garbage } = answer else {
        return Err(Error::UnexpectedAnswer { question: "sweep_view" });
    };
    Ok(SweepView { epoch, kept: kept.into_iter().collect(), garbage })
}

/// The user of a name, by walking the users.
pub async fn user_by_name(catalog: &dyn Catalog, name: &str) -> Result<Option<User>, Error> {
    let mut after = None;
    for _ in 0..USER_PAGES_MAX {
        let page = users(catalog, Consistency::Linearizable, after, PAGE).await?;
        let Some(last) = page.last().map(|user| user.id) else {
            return Ok(None);
        };
        if let Some(found) = page.into_iter().find(|user| user.name == name) {
            return Ok(Some(found));
        }
        after = Some(last);
    }
    Ok(None)
}
