//! Questions to the catalog and their answers, for nodes that have no rows of their own to ask.

use super::shape::{Fault, Field, Wire};
use crate::catalog::{
    Answer, Item, List, ListUploads, ListVersions, ListedObject, ListedUpload, ListedVersion, Page,
    Query, ScanPosition,
};
use crate::id::{BackendId, EpochId, NodeId};
use crate::object::{Location, VersionEntry};
use crate::row::{BlobRow, Garbage, ShardBackend, Upload, UploadPart};
use crate::wire::v1 as wire;
use crate::wire::v1::answer::Answer as AnswerOneof;
use crate::wire::v1::list_item::Item as ItemOneof;
use crate::wire::v1::query::Query as QueryOneof;
use crate::wire::v1::{answer, query};

choice!(
    Query => QueryOneof in query, "query",
    units [Cluster, Backends, Nodes],
    messages [List, ListVersions, ListUploads],
    values {
        Bucket in Bucket { name },
        BucketById in BucketById { bucket },
        AccessKey in AccessKey { access_key },
        User in User { user },
    },
    records {
        Buckets { owner, after, prefix, limit },
        UnsettledBuckets { limit },
        AccessKeys { user, after, limit },
        Users { after, limit },
        Version { bucket, key, version, manifest },
        Upload { bucket, key, upload },
        Parts { bucket, key, upload, after, limit },
        Epochs { shard },
        Epoch { shard, generation, node, epoch },
        Blobs { shard, after, limit },
        SweepView { shard, backend, epoch, blobs },
        Versions { shard, after, limit },
        ShardBucket { shard, bucket },
        ShardBackends { shard },
        BlobOf { shard, copy },
    },
    renamed { Garbage { shard: shard, backend: backend, until: until_ms, limit: limit } },
);
wrapped!(Query in wire::Query, query);

choice!(
    Answer => AnswerOneof in answer, "answer",
    units [],
    messages [List, ListVersions, ListUploads],
    values {
        Cluster in OfCluster { row },
        Bucket in OfBucket { row },
        Buckets in OfBuckets { rows },
        AccessKey in OfAccessKey { row },
        AccessKeys in OfAccessKeys { rows },
        User in OfUser { row },
        Users in OfUsers { rows },
        Backends in OfBackends { rows },
        Nodes in OfNodes { rows },
        Version in OfVersion { row },
        Upload in OfUpload { row },
        Parts in OfParts { row },
        Epochs in OfEpochs { rows },
        Epoch in OfEpoch { row },
        Garbage in OfGarbage { rows },
        Blobs in OfBlobs { rows },
        Versions in OfVersions { rows },
        ShardBucket in OfShardBucket { row },
        ShardBackends in OfShardBackends { rows },
        BlobOf in OfBlobOf { row },
    },
    records { SweepView { epoch, kept, garbage } },
    renamed {},
);
wrapped!(Answer in wire::Answer, answer);

record!(List => query::List, "list", { bucket, prefix, delimiter, after, limit });
record!(
    ListVersions => query::ListVersions, "list of versions",
    { bucket, prefix, delimiter, key_marker, version_marker, limit }
);
record!(
    ListUploads => query::ListUploads, "list of uploads",
    { bucket, prefix, delimiter, key_marker, upload_marker, limit }
);
record!(ScanPosition => wire::ScanPosition, "position of a scan", { bucket, key, version });
record!(ListedObject => wire::ListedObject, "listed object", { key, version });
record!(ListedVersion => wire::ListedVersion, "listed version", { key, entry, latest });
record!(ListedUpload => wire::ListedUpload, "listed upload", { key, id, upload });
record!(
    Garbage => wire::GarbageRow, "garbage row",
    { location, size_bytes },
    renamed { ready_at: ready_at_ms }
);

/// Tuples and their messages.
macro_rules! tuple {
    ($(($($kind:ty: $field:ident),*) => $message:ident, $what:literal;)*) => { $(
        impl Wire for ($($kind),*) {
            type Message = wire::$message;
            const WHAT: &'static str = $what;

            fn to_wire(&self) -> wire::$message {
                let ($($field),*) = self;
                wire::$message { $($field: Field::to_field($field)),* }
            }

            fn from_wire(message: wire::$message) -> Result<Self, Fault> {
                Ok(($(Field::from_field(message.$field, stringify!($field))?),*))
            }
        }
    )* };
}

tuple! {
    (u32: generation, NodeId: node, EpochId: epoch) => EpochName, "name of an epoch";
    (Upload: upload, Vec<UploadPart>: parts) => UploadParts, "upload with its parts";
    (Location: location, BlobRow: row) => LocatedBlob, "blob at its location";
    (ScanPosition: position, VersionEntry: entry) => LocatedVersion, "version at its position";
    (BackendId: backend, ShardBackend: row) => NamedShardBackend, "backend of a shard";
}

/// What lists are of: each has a place of its own among the kinds of lines.
trait Listed: Wire {
    fn line(message: Self::Message) -> ItemOneof;

    fn of_line(line: ItemOneof) -> Option<Self::Message>;
}

macro_rules! listed {
    ($($kind:ident in $place:ident),*) => { $(
        impl Listed for $kind {
            fn line(message: Self::Message) -> ItemOneof {
                ItemOneof::$place(message)
            }

            fn of_line(line: ItemOneof) -> Option<Self::Message> {
                match line {
                    ItemOneof::$place(message) => Some(message),
                    _ => None,
                }
            }
        }
    )* };
}

listed!(ListedObject in Object, ListedVersion in Version, ListedUpload in Upload);

impl<T: Listed> Wire for Page<T> {
    type Message = wire::ListPage;
    const WHAT: &'static str = "page of a list";

    fn to_wire(&self) -> wire::ListPage {
        let items = self.items.iter().map(|item| match item {
            Item::Entry(row) => T::line(row.to_wire()),
            Item::Prefix(prefix) => ItemOneof::Prefix(prefix.clone()),
        });
        let items = items.map(|item| wire::ListItem { item: Some(item) }).collect();
        wire::ListPage { items, truncated: self.truncated }
    }

    fn from_wire(message: wire::ListPage) -> Result<Self, Fault> {
        let items = message.items.into_iter().map(|item| match item.item {
            Some(ItemOneof::Prefix(prefix)) => Ok(Item::Prefix(prefix)),
            Some(line) => {
                let message = T::of_line(line).ok_or(Fault::new("a list of something else"))?;
                T::from_wire(message).map(Item::Entry)
            }
            None => Err(Fault::new("a line of a list is of no known kind")),
        });
        Ok(Self { items: items.collect::<Result<_, _>>()?, truncated: message.truncated })
    }
}
