//! The rows of `row.rs`: buckets, backends, users, nodes, epochs, blobs, uploads.

use crate::row::{
    AccessKey, BackendRow, BlobOwner, BlobRow, BlobState, Bucket, ClusterRow, Copies, Epoch,
    EpochState, JoinToken, NodeRow, ShardBackend, ShardBucket, Sweep, Upload, UploadPart, User,
};
use crate::wire::v1 as wire;
use crate::wire::v1::blob_owner::Owner as OwnerOneof;
use crate::wire::v1::blob_row::State as BlobStateOneof;
use crate::wire::v1::epoch::State as EpochStateOneof;
use crate::wire::v1::{blob_owner, blob_row, epoch};

record!(
    Bucket => wire::Bucket, "bucket row",
    { id, name, owner, region, generation, phase, versioning, settled, copies },
    renamed { created: created_ms }
);
record!(
    ShardBucket => wire::ShardBucket, "bucket row of a shard",
    { generation, phase, versioning, objects, size_bytes }
);
record!(
    BackendRow => wire::Backend, "backend row",
    { id, name, kind, generation, state, settled, node }
);
record!(
    ShardBackend => wire::ShardBackend, "backend row of a shard",
    { generation, state, live_blobs, live_bytes }
);
record!(User => wire::User, "user row", { id, name }, renamed { created: created_ms });
record!(
    AccessKey => wire::AccessKey, "access key row",
    { access_key, user, sealed_secret },
    renamed { created: created_ms }
);
record!(
    NodeRow => wire::Node, "node row",
    { id, name, incarnation, address, role, phase, zone, region }
);
record!(Copies => wire::Copies, "copies of a bucket", { count, spread });
record!(JoinToken => wire::JoinToken, "join token", { used }, renamed { expires_at: expires_at_ms });
record!(
    ClusterRow => wire::Cluster, "cluster row",
    { cluster, generation, shards, region, token_key }
);

record!(Sweep => wire::Sweep, "sweep", { backend, done, finished });
record!(
    Epoch => wire::Epoch, "epoch row",
    { node, id, generation, incarnation, state, pruned },
    renamed { opened: opened_ms }
);
choice!(
    EpochState => EpochStateOneof in epoch, "epoch state",
    units [Open, Swept],
    messages [],
    records {},
    renamed { Closed { at: at_ms, sweeps: sweeps } },
);
embedded!(EpochState);

record!(BlobRow => wire::BlobRow, "blob row", { size_bytes, crc64nvme, state });
choice!(
    BlobState => BlobStateOneof in blob_row, "blob state",
    units [Spent],
    messages [Live],
    records {},
    renamed { Garbage { ready_at: ready_at_ms } },
);
embedded!(BlobState);
choice!(
    BlobOwner => OwnerOneof in blob_owner, "blob owner",
    units [],
    messages [],
    records {
        Version { bucket, key, version },
        Part { bucket, key, upload, number },
    },
    renamed {},
);
wrapped!(BlobOwner in wire::BlobOwner, owner);

record!(
    Upload => wire::Upload, "upload row",
    { owner, attributes, checksum },
    renamed { created: created_ms }
);
record!(
    UploadPart => wire::UploadPart, "part row",
    { part },
    renamed { modified: modified_ms }
);
