//! Identifiers: newtypes that are valid because they exist. Not here: names chosen by users (`name.rs`).

use std::fmt;

use crate::name::Invalid;

/// Declares an unsigned id with an ordered big-endian key encoding and a plain decimal `Display`.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.0)
            }
        }
    };
}

number_id!(
    /// A Raft group of one cluster: 0 is the control group, 1..=N are the index shards.
    GroupId,
    u16
);
number_id!(
    /// A node of one cluster. Never reused.
    NodeId,
    u64
);
number_id!(
    /// A configured backend. Minted by the control group, never reused.
    BackendId,
    u32
);
number_id!(
    /// A bucket's life: a deleted and re-created name gets a new id. Minted by the control group.
    BucketId,
    u64
);
number_id!(
    /// A user. Minted by the control group.
    UserId,
    u64
);
number_id!(
    /// A write epoch of one node in one shard: the log position that opened it, so it is never reused.
    EpochId,
    u64
);

impl GroupId {
    /// The group that owns buckets, keys, backends and nodes.
    pub const CONTROL: Self = Self(0);

    /// Whether this is an index shard.
    pub fn is_shard(self) -> bool {
        self.0 != 0
    }
}

/// Names one cluster for ever; the first segment of every backend key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl ClusterId {
    /// Reads the 32 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; 16];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(Invalid::new("cluster id", "must be 32 hexadecimal digits")),
        }
    }
}

/// Identifies one client request through every retry (design: exactly once per request id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

/// A version of an object: where in its shard's log it was written. Totally ordered within a
/// shard, unique across coalesced commands and across catalog rebuilds (`generation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// Raised whenever a catalog is restored or rebuilt.
    pub generation: u32,
    /// Raft log index.
    pub index: u64,
    /// Which command of the entry.
    pub sub: u32,
}

impl VersionId {
    /// How many bytes the key encoding takes.
    pub const ENCODED_LEN: usize = 16;

    /// Big-endian: sorts as the version does.
    pub fn to_bytes(self) -> [u8; Self::ENCODED_LEN] {
        let packed = (u128::from(self.generation) << 96)
            | (u128::from(self.index) << 32)
            | u128::from(self.sub);
        packed.to_be_bytes()
    }

    /// The inverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::ENCODED_LEN]) -> Self {
        let [g0, g1, g2, g3, i0, i1, i2, i3, i4, i5, i6, i7, s0, s1, s2, s3] = bytes;
        Self {
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            index: u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            sub: u32::from_be_bytes([s0, s1, s2, s3]),
        }
    }

    /// Reads the 32 hex digits that `Display` writes. `null` is not a version id but the caller's case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; Self::ENCODED_LEN];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self::from_bytes(bytes)),
            Err(_) => Err(Invalid::new("version id", "must be 32 hexadecimal digits")),
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.to_bytes()))
    }
}

/// A multipart upload: the shard that owns it and the log position that created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId {
    /// The owning shard, so that a request finds it from the id alone.
    pub shard: GroupId,
    /// Position of the creating command.
    pub created: VersionId,
}

impl UploadId {
    /// How many bytes the key encoding takes.
    pub const ENCODED_LEN: usize = 18;

    /// Big-endian, shard first.
    pub fn to_bytes(self) -> [u8; Self::ENCODED_LEN] {
        let mut bytes = [0; Self::ENCODED_LEN];
        let (shard, created) = bytes.split_at_mut(2);
        shard.copy_from_slice(&self.shard.0.to_be_bytes());
        created.copy_from_slice(&self.created.to_bytes());
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::ENCODED_LEN]) -> Self {
        let [s0, s1, created @ ..] = bytes;
        Self {
            shard: GroupId(u16::from_be_bytes([s0, s1])),
            created: VersionId::from_bytes(created),
        }
    }

    /// Reads the 36 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut bytes = [0; Self::ENCODED_LEN];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self::from_bytes(bytes)),
            Err(_) => Err(Invalid::new("upload id", "must be 36 hexadecimal digits")),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.to_bytes()))
    }
}

/// Which write made a blob: the write-once identity behind a backend key (I2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey {
    /// Catalog generation.
    pub generation: u32,
    /// The shard whose epoch this is.
    pub shard: GroupId,
    /// The writing node.
    pub node: NodeId,
    /// Its open epoch.
    pub epoch: EpochId,
    /// Counter within the epoch.
    pub seq: u64,
}

impl BlobKey {
    /// How many bytes the key encoding takes.
    pub const ENCODED_LEN: usize = 4 + 2 + 8 + 8 + 8;

    /// Big-endian in field order, so that one epoch is one key range.
    pub fn to_bytes(self) -> [u8; Self::ENCODED_LEN] {
        let mut bytes = [0; Self::ENCODED_LEN];
        let mut rest = bytes.as_mut_slice();
        let fields: [&[u8]; 5] = [
            &self.generation.to_be_bytes(),
            &self.shard.0.to_be_bytes(),
            &self.node.0.to_be_bytes(),
            &self.epoch.0.to_be_bytes(),
            &self.seq.to_be_bytes(),
        ];
        for field in fields {
            let (head, tail) = rest.split_at_mut(field.len());
            head.copy_from_slice(field);
            rest = tail;
        }
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::ENCODED_LEN]) -> Self {
        let [
            g0,
            g1,
            g2,
            g3,
            s0,
            s1,
            n0,
            n1,
            n2,
            n3,
            n4,
            n5,
            n6,
            n7,
            e0,
            e1,
            e2,
            e3,
            e4,
            e5,
            e6,
            e7,
            q0,
            q1,
            q2,
            q3,
            q4,
            q5,
            q6,
            q7,
        ] = bytes;
        Self {
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            shard: GroupId(u16::from_be_bytes([s0, s1])),
            node: NodeId(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7])),
            epoch: EpochId(u64::from_be_bytes([e0, e1, e2, e3, e4, e5, e6, e7])),
            seq: u64::from_be_bytes([q0, q1, q2, q3, q4, q5, q6, q7]),
        }
    }

    /// The prefix of every backend key of this blob's epoch, with the closing slash.
    pub fn epoch_prefix(&self, cluster: ClusterId) -> String {
        format!("w/{cluster}/{}/{}/{}/{}/", self.generation, self.shard, self.node, self.epoch)
    }

    /// The key under which a backend keeps this blob: `w/<cluster>/<generation>/<shard>/<node>/<epoch>/<seq>`.
    pub fn backend_key(&self, cluster: ClusterId) -> BackendKey {
        BackendKey(format!("{}{}", self.epoch_prefix(cluster), self.seq))
    }

    /// Reads a backend key of `cluster`; `None` for a key that no node of it can have written.
    pub fn from_backend_key(key: &BackendKey, cluster: ClusterId) -> Option<Self> {
        let rest = key.0.strip_prefix("w/")?;
        let rest = rest.strip_prefix(&cluster.to_string())?.strip_prefix('/')?;
        let mut fields = rest.split('/');
        let parsed = Self {
            generation: fields.next()?.parse().ok()?,
            shard: GroupId(fields.next()?.parse().ok()?),
            node: NodeId(fields.next()?.parse().ok()?),
            epoch: EpochId(fields.next()?.parse().ok()?),
            seq: fields.next()?.parse().ok()?,
        };
        match fields.next() {
            Some(_) => None,
            // A number with a plus sign or leading zeros parses, yet is not what was written.
            None => (parsed.backend_key(cluster) == *key).then_some(parsed),
        }
    }
}

/// An opaque key at a backend: lower-case letters, digits and `/_-.`, no empty or dotted segment.
/// Backends need not understand it, only keep it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey(String);

impl BackendKey {
    /// The longest key any backend is asked to keep.
    pub const LEN_MAX: usize = 256;

    /// Accepts what every backend family can store unescaped.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(Invalid::new("backend key", "must have 1 to 256 bytes"));
        }
        let plain =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'/' | b'_' | b'-' | b'.');
        if !text.bytes().all(plain) {
            return Err(Invalid::new("backend key", "may hold a-z 0-9 / _ - . only"));
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(Invalid::new("backend key", "has an empty or dotted segment"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_round_trip_and_sort(a in any::<(u32, u64, u32)>(), b in any::<(u32, u64, u32)>(), shard: u16) {
            let one = VersionId { generation: a.0, index: a.1, sub: a.2 };
            let two = VersionId { generation: b.0, index: b.1, sub: b.2 };
            prop_assert_eq!(VersionId::parse(&one.to_string()).unwrap(), one);
            prop_assert_eq!(one.cmp(&two), one.to_bytes().cmp(&two.to_bytes()));
            let upload = UploadId { shard: GroupId(shard), created: one };
            prop_assert_eq!(UploadId::parse(&upload.to_string()).unwrap(), upload);
        }

        #[test]
        fn blob_keys_round_trip(generation: u32, shard: u16, node: u64, epoch: u64, seq: u64) {
            let cluster = ClusterId([7; 16]);
            let key = BlobKey {
                generation, shard: GroupId(shard), node: NodeId(node), epoch: EpochId(epoch), seq,
            };
            prop_assert_eq!(BlobKey::from_bytes(key.to_bytes()), key);
            let text = key.backend_key(cluster);
            prop_assert_eq!(&BackendKey::parse(text.as_str()).unwrap(), &text);
            prop_assert_eq!(BlobKey::from_backend_key(&text, cluster), Some(key));
            prop_assert_eq!(BlobKey::from_backend_key(&text, ClusterId([8; 16])), None);
        }
    }

    #[test]
    fn foreign_backend_keys_are_refused() {
        for bad in ["", "/a", "a//b", "a/../b", "A", "a b", "a/"] {
            assert!(BackendKey::parse(bad).is_err(), "{bad:?}");
        }
        let cluster = ClusterId([0; 16]);
        for odd in ["01", "+1", "1/2", "x"] {
            let key = BackendKey(format!("w/{cluster}/1/1/1/{odd}/1"));
            assert_eq!(BlobKey::from_backend_key(&key, cluster), None, "{odd}");
        }
    }
}
