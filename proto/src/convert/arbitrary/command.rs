//! Strategies for log entries: every operation with any fields, sensible or not.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::Union;

use super::{
    attributes, backend_state, blob, bucket_name, bucket_phase, checksum, checksum_kind,
    cluster_id, copies, etag, location, node_phase, node_role, object_key, pairs, raw_bytes,
    request_id, settings, time, upload_id, version_id, versioning,
};
use crate::command::members::MemberChange;
use crate::command::{
    Command, CompleteUpload, Condition, ConfigureBucket, CreateUpload, DeleteVersion, Entry,
    InitCluster, ListedPart, Match, Operation, PutCopy, PutPart, PutVersion, Target,
    VersionSelector,
};
use crate::id::{BackendId, BucketId, EpochId, GroupId, NodeId, UserId};
use crate::time::TimeMs;

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (time(), vec(command(), 0..5)).prop_map(|(stamped_at, commands)| Entry { stamped_at, commands })
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    (any::<u16>(), request_id(), time(), operation()).prop_map(
        |(group, request, not_after, operation)| Command {
            group: GroupId(group),
            request,
            not_after,
            operation,
        },
    )
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![control(), configuration(), epoch(), object(), multipart()]
}

fn control() -> impl Strategy<Value = Operation> {
    Union::new([
        (cluster_id(), any::<(u32, u16, String)>(), raw_bytes())
            .prop_map(|(cluster, (generation, shards, region), token_key)| {
                Operation::InitCluster(InitCluster {
                    cluster,
                    generation,
                    shards,
                    region,
                    token_key,
                })
            })
            .boxed(),
        (bucket_name(), any::<(u64, String)>())
            .prop_map(|(name, (owner, region))| Operation::CreateBucket {
                name,
                owner: UserId(owner),
                region,
            })
            .boxed(),
        (any::<u64>(), versioning())
            .prop_map(|(bucket, versioning)| Operation::SetVersioning {
                bucket: BucketId(bucket),
                versioning,
            })
            .boxed(),
        (any::<u64>(), option::of(copies()))
            .prop_map(|(id, copies)| Operation::SetCopies { bucket: BucketId(id), copies })
            .boxed(),
        any::<u64>().prop_map(|id| Operation::DeleteBucket { bucket: BucketId(id) }).boxed(),
        any::<(u64, u64, bool)>()
            .prop_map(|(id, generation, empty)| Operation::SettleBucket {
                bucket: BucketId(id),
                generation,
                empty,
            })
            .boxed(),
        any::<String>().prop_map(|name| Operation::CreateUser { name }).boxed(),
        (any::<(u64, String)>(), raw_bytes())
            .prop_map(|((user, access_key), sealed_secret)| Operation::CreateAccessKey {
                user: UserId(user),
                access_key,
                sealed_secret,
            })
            .boxed(),
        any::<String>().prop_map(|access_key| Operation::DeleteAccessKey { access_key }).boxed(),
    ])
}

fn member_change() -> impl Strategy<Value = MemberChange> {
    let node = || any::<u64>().prop_map(NodeId);
    Union::new([
        any::<([u8; 16], u64)>()
            .prop_map(|(hash, at)| MemberChange::Invite { hash, expires_at: TimeMs(at) })
            .boxed(),
        (any::<([u8; 16], String, String)>(), node_role())
            .prop_map(|((hash, name, address), role)| MemberChange::Join {
                hash,
                name,
                address,
                role,
            })
            .boxed(),
        (node(), node_role()).prop_map(|(node, role)| MemberChange::SetRole { node, role }).boxed(),
        node().prop_map(|node| MemberChange::Remove { node }).boxed(),
        (node(), node_phase())
            .prop_map(|(node, phase)| MemberChange::Settle { node, phase })
            .boxed(),
    ])
}

fn configuration() -> impl Strategy<Value = Operation> {
    Union::new([
        (any::<(String, String, Option<u64>)>(), backend_state())
            .prop_map(|((name, kind, node), state)| Operation::PutBackend {
                name,
                kind,
                state,
                node: node.map(NodeId),
            })
            .boxed(),
        any::<(u32, u64)>()
            .prop_map(|(id, generation)| Operation::SettleBackend {
                backend: BackendId(id),
                generation,
            })
            .boxed(),
        (any::<u32>(), backend_state())
            .prop_map(|(id, state)| Operation::SetBackendState { backend: BackendId(id), state })
            .boxed(),
        any::<(u64, u64, [String; 4])>()
            .prop_map(|(node, incarnation, [name, address, zone, region])| {
                Operation::RegisterNode {
                    node: NodeId(node),
                    incarnation,
                    name,
                    address,
                    zone,
                    region,
                }
            })
            .boxed(),
        member_change().prop_map(Operation::ChangeMembers).boxed(),
        settings().prop_map(Operation::PutSettings).boxed(),
        (any::<(u64, u64)>(), bucket_phase(), versioning())
            .prop_map(|((bucket, generation), phase, versioning)| {
                let bucket = BucketId(bucket);
                Operation::ConfigureBucket(ConfigureBucket {
                    bucket,
                    generation,
                    phase,
                    versioning,
                })
            })
            .boxed(),
        (any::<(u32, u64)>(), backend_state())
            .prop_map(|((id, generation), state)| Operation::ConfigureBackend {
                backend: BackendId(id),
                generation,
                state,
            })
            .boxed(),
    ])
}

fn epoch() -> impl Strategy<Value = Operation> {
    let ids = any::<(u32, u64, u64)>()
        .prop_map(|(generation, node, epoch)| (generation, NodeId(node), EpochId(epoch)));
    Union::new([
        any::<(u64, u64)>()
            .prop_map(|(node, incarnation)| Operation::OpenEpoch {
                node: NodeId(node),
                incarnation,
            })
            .boxed(),
        ids.clone()
            .prop_map(|(generation, node, epoch)| Operation::CloseEpoch { generation, node, epoch })
            .boxed(),
        (ids.clone(), any::<(u32, u32, bool)>())
            .prop_map(|((generation, node, epoch), (backend, round, last))| {
                let backend = BackendId(backend);
                Operation::EpochSwept { generation, node, epoch, backend, round, last }
            })
            .boxed(),
        (ids, any::<u32>())
            .prop_map(|((generation, node, epoch), limit)| Operation::PruneEpoch {
                generation,
                node,
                epoch,
                limit,
            })
            .boxed(),
        vec(location(), 0..4).prop_map(|blobs| Operation::Collected { blobs }).boxed(),
    ])
}

fn object() -> impl Strategy<Value = Operation> {
    let whole = (target(), any::<u64>(), etag(), option::of(checksum()), attributes(), blob());
    Union::new([
        (whole, condition(), any::<[u8; 16]>())
            .prop_map(|((target, owner, etag, checksum, attributes, blob), condition, digest)| {
                let owner = UserId(owner);
                Operation::PutVersion(PutVersion {
                    target,
                    owner,
                    etag,
                    checksum,
                    attributes,
                    blob,
                    condition,
                    digest,
                })
            })
            .boxed(),
        (target(), any::<u64>(), option::of(selector()), condition())
            .prop_map(|(target, owner, version, condition)| {
                let owner = UserId(owner);
                Operation::DeleteVersion(DeleteVersion { target, owner, version, condition })
            })
            .boxed(),
        (target(), option::of(selector()), pairs())
            .prop_map(|(target, version, tags)| Operation::SetTags { target, version, tags })
            .boxed(),
        location().prop_map(|copy| Operation::DropCopy { copy }).boxed(),
        Just(Operation::CompareRows).boxed(),
        (blob(), location(), any::<bool>())
            .prop_map(|(blob, beside, replaces)| {
                Operation::PutCopy(PutCopy { blob, beside, replaces })
            })
            .boxed(),
    ])
}

fn multipart() -> impl Strategy<Value = Operation> {
    let bytes = (any::<(u16, [u8; 16])>(), option::of(raw_bytes()), blob(), any::<[u8; 16]>());
    let whole = (condition(), option::of(checksum()), any::<Option<u64>>());
    Union::new([
        (target(), any::<u64>(), attributes(), option::of(checksum_kind()))
            .prop_map(|(target, owner, attributes, checksum)| {
                let owner = UserId(owner);
                Operation::CreateUpload(CreateUpload { target, owner, attributes, checksum })
            })
            .boxed(),
        (target(), upload_id(), bytes)
            .prop_map(|(target, upload, ((number, md5), checksum, blob, digest))| {
                Operation::PutPart(PutPart { target, upload, number, md5, checksum, blob, digest })
            })
            .boxed(),
        (target(), upload_id(), vec(listed_part(), 0..5), whole)
            .prop_map(|(target, upload, parts, (condition, checksum, size_bytes))| {
                Operation::CompleteUpload(CompleteUpload {
                    target,
                    upload,
                    parts,
                    condition,
                    checksum,
                    size_bytes,
                })
            })
            .boxed(),
        (target(), upload_id())
            .prop_map(|(target, upload)| Operation::AbortUpload { target, upload })
            .boxed(),
    ])
}

fn listed_part() -> impl Strategy<Value = ListedPart> {
    (any::<(u16, [u8; 16])>(), option::of(raw_bytes()))
        .prop_map(|((number, md5), checksum)| ListedPart { number, md5, checksum })
}

fn target() -> impl Strategy<Value = Target> {
    (any::<(u64, u64)>(), object_key()).prop_map(|((bucket, bucket_generation), key)| Target {
        bucket: BucketId(bucket),
        bucket_generation,
        key,
    })
}

fn selector() -> impl Strategy<Value = VersionSelector> {
    prop_oneof![Just(VersionSelector::Null), version_id().prop_map(VersionSelector::Id)]
}

fn condition() -> impl Strategy<Value = Condition> {
    let named = || prop_oneof![Just(Match::Any), Just(Match::Never), etag().prop_map(Match::ETag)];
    let said = (option::of(named()), option::of(named()), option::of(time()), any::<Option<u64>>())
        .prop_map(|(if_match, if_none_match, if_modified_at, if_size_bytes)| Condition {
            if_match,
            if_none_match,
            if_modified_at,
            if_size_bytes,
        });
    prop_oneof![Just(Condition::default()), said]
}
