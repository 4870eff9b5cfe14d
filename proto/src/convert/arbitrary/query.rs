//! Strategies for questions to the catalog and for their answers. The list of kinds is closed by `every_kind_is_tried`.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::strategy::Union;

use super::row;
use super::{blob, blob_key, bucket_name, location, object_key, upload_id, version, version_entry};
use crate::catalog::{
    Answer, Item, List, ListUploads, ListVersions, ListedObject, ListedUpload, ListedVersion, Page,
    Query, ScanPosition,
};
use crate::command::VersionSelector;
use crate::id::{BackendId, BucketId, EpochId, GroupId, NodeId, UserId};
use crate::row::Garbage;
use crate::time::TimeMs;

fn shard() -> impl Strategy<Value = GroupId> {
    any::<u16>().prop_map(GroupId)
}

fn bucket() -> impl Strategy<Value = BucketId> {
    any::<u64>().prop_map(BucketId)
}

fn backend() -> impl Strategy<Value = BackendId> {
    any::<u32>().prop_map(BackendId)
}

fn selector() -> impl Strategy<Value = VersionSelector> {
    prop_oneof![Just(VersionSelector::Null), super::version_id().prop_map(VersionSelector::Id),]
}

fn position() -> impl Strategy<Value = ScanPosition> {
    (bucket(), object_key(), option::of(super::version_id()))
        .prop_map(|(bucket, key, version)| ScanPosition { bucket, key, version })
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    Union::new(control().into_iter().chain(objects()).chain(lists()).chain(shards()))
}

fn control() -> Vec<BoxedStrategy<Query>> {
    let user = || any::<u64>().prop_map(UserId);
    let limit = any::<usize>;
    vec![
        Just(Query::Cluster).boxed(),
        Just(Query::Backends).boxed(),
        Just(Query::Nodes).boxed(),
        bucket_name().prop_map(Query::Bucket).boxed(),
        bucket().prop_map(Query::BucketById).boxed(),
        any::<String>().prop_map(Query::AccessKey).boxed(),
        user().prop_map(Query::User).boxed(),
        limit().prop_map(|limit| Query::UnsettledBuckets { limit }).boxed(),
        (option::of(user()), option::of(bucket_name()), any::<String>(), limit())
            .prop_map(|(owner, after, prefix, limit)| Query::Buckets {
                owner,
                after,
                prefix,
                limit,
            })
            .boxed(),
        (option::of(user()), any::<Option<String>>(), limit())
            .prop_map(|(user, after, limit)| Query::AccessKeys { user, after, limit })
            .boxed(),
        (option::of(user()), limit())
            .prop_map(|(after, limit)| Query::Users { after, limit })
            .boxed(),
    ]
}

fn objects() -> Vec<BoxedStrategy<Query>> {
    vec![
        (bucket(), object_key(), option::of(selector()), any::<bool>())
            .prop_map(|(bucket, key, version, manifest)| Query::Version {
                bucket,
                key,
                version,
                manifest,
            })
            .boxed(),
        (bucket(), object_key(), upload_id())
            .prop_map(|(bucket, key, upload)| Query::Upload { bucket, key, upload })
            .boxed(),
        (bucket(), object_key(), upload_id(), any::<(u16, usize)>())
            .prop_map(|(bucket, key, upload, (after, limit))| Query::Parts {
                bucket,
                key,
                upload,
                after,
                limit,
            })
            .boxed(),
    ]
}

fn lists() -> Vec<BoxedStrategy<Query>> {
    vec![
        (bucket(), any::<(String, String, String, usize)>())
            .prop_map(|(bucket, (prefix, delimiter, after, limit))| {
                Query::List(List { bucket, prefix, delimiter, after, limit })
            })
            .boxed(),
        (bucket(), any::<(String, String, String, usize)>(), option::of(selector()))
            .prop_map(|(bucket, (prefix, delimiter, key_marker, limit), version_marker)| {
                Query::ListVersions(ListVersions {
                    bucket,
                    prefix,
                    delimiter,
                    key_marker,
                    version_marker,
                    limit,
                })
            })
            .boxed(),
        (bucket(), any::<(String, String, String, usize)>(), option::of(upload_id()))
            .prop_map(|(bucket, (prefix, delimiter, key_marker, limit), upload_marker)| {
                Query::ListUploads(ListUploads {
                    bucket,
                    prefix,
                    delimiter,
                    key_marker,
                    upload_marker,
                    limit,
                })
            })
            .boxed(),
    ]
}

fn shards() -> Vec<BoxedStrategy<Query>> {
    let epoch = || {
        any::<(u32, u64, u64)>()
            .prop_map(|(generation, node, epoch)| (generation, NodeId(node), EpochId(epoch)))
    };
    vec![
        shard().prop_map(|shard| Query::Epochs { shard }).boxed(),
        shard().prop_map(|shard| Query::ShardBackends { shard }).boxed(),
        (shard(), bucket())
            .prop_map(|(shard, bucket)| Query::ShardBucket { shard, bucket })
            .boxed(),
        (shard(), location()).prop_map(|(shard, copy)| Query::BlobOf { shard, copy }).boxed(),
        (shard(), epoch())
            .prop_map(|(shard, (generation, node, epoch))| Query::Epoch {
                shard,
                generation,
                node,
                epoch,
            })
            .boxed(),
        (shard(), backend(), any::<(u64, usize)>())
            .prop_map(|(shard, backend, (until, limit))| Query::Garbage {
                shard,
                backend,
                until: TimeMs(until),
                limit,
            })
            .boxed(),
        (shard(), option::of(location()), any::<usize>())
            .prop_map(|(shard, after, limit)| Query::Blobs { shard, after, limit })
            .boxed(),
        (shard(), backend(), epoch(), vec(blob_key(), 0..3))
            .prop_map(|(shard, backend, epoch, blobs)| Query::SweepView {
                shard,
                backend,
                epoch,
                blobs,
            })
            .boxed(),
        (shard(), option::of(position()), any::<usize>())
            .prop_map(|(shard, after, limit)| Query::Versions { shard, after, limit })
            .boxed(),
    ]
}

pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    Union::new(rows().into_iter().chain(pages()).chain(scans()))
}

fn rows() -> Vec<BoxedStrategy<Answer>> {
    vec![
        option::of(row::cluster()).prop_map(Answer::Cluster).boxed(),
        option::of(row::bucket()).prop_map(Answer::Bucket).boxed(),
        vec(row::bucket(), 0..3).prop_map(Answer::Buckets).boxed(),
        option::of(row::access_key()).prop_map(Answer::AccessKey).boxed(),
        vec(row::access_key(), 0..3).prop_map(Answer::AccessKeys).boxed(),
        option::of(row::user()).prop_map(Answer::User).boxed(),
        vec(row::user(), 0..3).prop_map(Answer::Users).boxed(),
        vec(row::backend(), 0..3).prop_map(Answer::Backends).boxed(),
        vec(row::node(), 0..3).prop_map(Answer::Nodes).boxed(),
        option::of(version_entry()).prop_map(Answer::Version).boxed(),
        option::of(row::upload()).prop_map(Answer::Upload).boxed(),
        option::of((row::upload(), vec(row::upload_part(), 0..3))).prop_map(Answer::Parts).boxed(),
        vec(row::epoch(), 0..3).prop_map(Answer::Epochs).boxed(),
        option::of(row::epoch()).prop_map(Answer::Epoch).boxed(),
        option::of(row::shard_bucket()).prop_map(Answer::ShardBucket).boxed(),
        option::of(blob()).prop_map(Answer::BlobOf).boxed(),
    ]
}

fn page<T: Clone + std::fmt::Debug + 'static>(
    row: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Page<T>> {
    let item = prop_oneof![row.prop_map(Item::Entry), any::<String>().prop_map(Item::Prefix)];
    (vec(item, 0..4), any::<bool>()).prop_map(|(items, truncated)| Page { items, truncated })
}

fn pages() -> Vec<BoxedStrategy<Answer>> {
    let object = (object_key(), version()).prop_map(|(key, version)| ListedObject { key, version });
    let entry = (object_key(), version_entry(), any::<bool>())
        .prop_map(|(key, entry, latest)| ListedVersion { key, entry, latest });
    let upload = (object_key(), upload_id(), row::upload())
        .prop_map(|(key, id, upload)| ListedUpload { key, id, upload });
    vec![
        page(object).prop_map(Answer::List).boxed(),
        page(entry).prop_map(Answer::ListVersions).boxed(),
        page(upload).prop_map(Answer::ListUploads).boxed(),
    ]
}

fn scans() -> Vec<BoxedStrategy<Answer>> {
    let garbage =
        (any::<(u64, u64)>(), location()).prop_map(|((ready_at, size_bytes), location)| Garbage {
            ready_at: TimeMs(ready_at),
            location,
            size_bytes,
        });
    vec![
        vec(garbage, 0..3).prop_map(Answer::Garbage).boxed(),
        vec((location(), row::blob_row()), 0..3).prop_map(Answer::Blobs).boxed(),
        (option::of(row::epoch()), vec(blob_key(), 0..3), any::<bool>())
            .prop_map(|(epoch, kept, garbage)| Answer::SweepView { epoch, kept, garbage })
            .boxed(),
        vec((position(), version_entry()), 0..3).prop_map(Answer::Versions).boxed(),
        vec((backend(), row::shard_backend()), 0..3).prop_map(Answer::ShardBackends).boxed(),
    ]
}

/// As many as the enums have: one that is left out above is one that nothing tries.
#[test]
fn every_kind_is_tried() {
    assert_eq!(control().len() + objects().len() + lists().len() + shards().len(), 26);
    assert_eq!(rows().len() + pages().len() + scans().len(), 24);
}
