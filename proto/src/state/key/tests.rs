//! Row keys round-trip, and sort as their meaning does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

fn object_key() -> impl Strategy<Value = ObjectKey> {
    "[\\x00\\x01a-c/\u{fffd}]{1,6}".prop_map(|text| ObjectKey::parse(&text).unwrap())
}

fn version_id() -> impl Strategy<Value = VersionId> {
    (0..3u32, 1..4u64, 0..3u32).prop_map(|(generation, index, sub)| VersionId {
        generation,
        index,
        sub,
    })
}

proptest! {
    #[test]
    fn version_rows_round_trip_and_sort_newest_first(
        a in (object_key(), version_id()), b in (object_key(), version_id())
    ) {
        let bucket = BucketId(7);
        let (one, two) = (version(bucket, &a.0, a.1), version(bucket, &b.0, b.1));
        prop_assert_eq!(split_version(&one), Some((bucket, a.0.clone(), Some(a.1))));
        let meaning = a.0.cmp(&b.0).then(b.1.cmp(&a.1));
        prop_assert_eq!(one.cmp(&two), meaning);
        let null = null_version(bucket, &a.0);
        prop_assert_eq!(split_version(&null), Some((bucket, a.0.clone(), None)));
        prop_assert!(one < null);
    }

    #[test]
    fn upload_rows_round_trip(key in object_key(), created in version_id(), shard: u16) {
        let id = UploadId { shard: GroupId(shard), created };
        prop_assert_eq!(split_upload(&upload(BucketId(1), &key, id)), Some((BucketId(1), key, id)));
    }

    #[test]
    fn blob_and_garbage_rows_round_trip(at: u64, backend: u32, epoch: u64, seq: u64) {
        let location = Location {
            backend: BackendId(backend),
            key: BlobKey { generation: 1, shard: GroupId(2), node: NodeId(3), epoch: EpochId(epoch), seq },
        };
        prop_assert_eq!(split_blob(&blob(location)), Some(location));
        let indexed = garbage(TimeMs(at), location);
        prop_assert_eq!(split_garbage(&indexed), Some((TimeMs(at), location)));
        prop_assert!(garbage_from(location.backend, TimeMs(at)) <= indexed);
        let later = TimeMs(at).plus_ms(1);
        prop_assert!(at == u64::MAX || indexed < garbage_from(location.backend, later));
        let prefix = blobs_of_epoch(location.backend, 1, GroupId(2), NodeId(3), EpochId(epoch));
        prop_assert!(blob(location).starts_with(&prefix));
    }

    #[test]
    fn heads_round_trip(key in object_key(), at: u64) {
        let row = head(BucketId(9), key.as_str());
        prop_assert_eq!(split_head(&row), Some((BucketId(9), key.as_str())));
        let target = answered(RequestId([1; 16]));
        let row = expiry(TimeMs(at), &target);
        prop_assert_eq!(split_expiry(&row), Some((TimeMs(at), target.as_slice())));
    }
}
