//! Settings: what runs, with every default filled in and every value checked. What a file may say is
//! `config.rs`; both `dev` and `server` end here, so they are the same node.

use std::net::SocketAddr;
use std::path::PathBuf;

use vaultaire_proto::BucketName;
use vaultaire_storage::backend::Kind;
use vaultaire_storage::config::BackendConfig;
use vaultaire_storage::config::shared::ensure_apart;

use crate::error::Error;
use crate::secrets::Credentials;

/// How many index shards a new cluster gets where nothing else is said. Fixed for its life.
pub const SHARDS: u16 = 4;

/// More were never founded.
pub const SHARDS_MAX: u16 = 64;

pub const REGION: &str = "us-east-1";
pub const S3_PORT: u16 = 9000;
pub const ADMIN_PORT: u16 = 9001;
pub const HTTP_PORT: u16 = 9002;
pub const PEER_PORT: u16 = 9003;

/// What a first catch-up may take of a node's network and disk.
pub const SNAPSHOT_BYTES_PER_SECOND: u64 = 64 * MIB;

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Everything a node needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// The node's name, for people.
    pub node_name: String,
    pub region: String,
    /// Which part of the region the node is in: what fails together. Empty: not said.
    pub zone: String,
    pub s3_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    pub http_addr: SocketAddr,
    /// None: a node for itself.
    pub peer: Option<Peer>,
    /// How much this node sends of snapshots, to nodes that lack more than the log has.
    pub snapshot_bytes_per_second: u64,
    /// Buckets as host names below this, besides paths.
    pub base_domain: Option<String>,
    pub tls: Tls,
    pub garbage: Garbage,
    pub repair: Repair,
    /// Those that take new objects first, the preferred one before the others.
    pub backends: Vec<NamedBackend>,
    /// Which names take new objects, as it was said. A gateway may name what only other nodes have.
    pub write_to: Vec<String>,
    pub first: First,
}

/// How the other nodes of a cluster reach this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub addr: SocketAddr,
    /// `host:port`, as others dial it.
    pub advertise: String,
}

/// A backend under the name that stays its own for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBackend {
    pub name: String,
    pub config: BackendConfig,
    pub takes: Takes,
}

impl NamedBackend {
    /// The word for its family in the replicated row.
    pub fn kind(&self) -> Kind {
        match &self.config {
            BackendConfig::Disk(_) => Kind::Disk,
            BackendConfig::Memory(_) => Kind::Memory,
            BackendConfig::S3(_) => Kind::S3,
        }
    }
}

/// What a node is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A log, rows, and backends.
    Rows,
    /// Nothing that could be lost.
    Gateway,
}

/// What a backend is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    NewObjects,
    Nothing,
}

/// How the S3 port speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// A certificate of the operator's.
    Files {
        cert_file: PathBuf,
        key_file: PathBuf,
    },
    /// A certificate authority of the node's own, for first steps and tests.
    Own,
}

/// How long bytes outlive their use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// How long after an epoch closed its first sweep waits.
    pub upload_grace_ms: u64,
    /// How long replaced bytes stay readable.
    pub drain_ms: u64,
    /// When a swept epoch is swept again, counted from its close.
    pub resweep_ms: Vec<u64>,
    /// How many blobs one backend may lose in a second.
    pub deletes_per_second: u32,
    /// How much of what a shard holds on a backend may go within an hour, in percent. 100: all of it.
    pub brake_percent: u32,
    /// What may go within an hour however little there is: of one backend, in all shards together.
    pub brake_floor_bytes: u64,
}

impl Default for Garbage {
    fn default() -> Self {
        Self {
            upload_grace_ms: 15 * MINUTE_MS,
            drain_ms: 10 * MINUTE_MS,
            resweep_ms: vec![HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS],
            deletes_per_second: 500,
            brake_percent: 50,
            brake_floor_bytes: 64 * GIB,
        }
    }
}

/// How fast copies are moved off backends that are drained or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// How many bytes this node copies in a second, in all shards that it leads.
    pub bytes_per_second: u64,
}

impl Default for Repair {
    fn default() -> Self {
        Self { bytes_per_second: 128 * MIB }
    }
}

/// What a first start makes before it is ready.
#[derive(Clone, Debug, Default)]
pub struct First {
    /// The user that owns the credentials.
    pub user: Option<FirstUser>,
    pub bucket: Option<String>,
    /// How many index shards the cluster has, which stay as many for its life.
    pub shards: Option<u16>,
}

/// A user who can sign in from the first second on.
#[derive(Clone, Debug)]
pub struct FirstUser {
    pub name: String,
    pub credentials: Credentials,
}

/// Credentials that every scanner tries first.
const WELL_KNOWN: [(&str, &str); 10] = [
    ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("accesskey", "secretkey"),
    ("admin", "admin"),
    ("admin", "password"),
    ("minio", "minio123"),
    ("minioadmin", "minioadmin"),
    ("root", "root"),
    ("rustfsadmin", "rustfsadmin"),
    ("test", "test"),
    ("vaultaire", "vaultaire"),
];

impl Settings {
    /// Refuses what would start and then hurt.
    pub fn check(&self) -> Result<(), Error> {
        self.check_first_user()?;
        if let Some(name) = &self.first.bucket {
            BucketName::parse(name).map_err(|invalid| Error::Setting {
                key: format!("bucket {name}"),
                why: invalid.to_string(),
            })?;
        }
        if let Some(shards) = self.first.shards.filter(|shards| !(1..=SHARDS_MAX).contains(shards))
        {
            return Err(Error::Setting {
                key: "first.shards".to_owned(),
                why: format!("{shards} is not a number from 1 to {SHARDS_MAX}"),
            });
        }
        // Only a node that has peers can be a gateway.
        if self.peer.is_none() {
            self.check_backends(Work::Rows)?;
        }
        let backends: Vec<(&str, &BackendConfig)> =
            self.backends.iter().map(|named| (named.name.as_str(), &named.config)).collect();
        ensure_apart(&backends)?;
        Ok(())
    }

    /// What depends on what the node is, which its data directory says and not its file.
    pub fn check_backends(&self, work: Work) -> Result<(), Error> {
        let fail = |key: &str, why: String| Err(Error::Setting { key: key.to_owned(), why });
        let has = |name: &String| self.backends.iter().any(|named| named.name == *name);
        let disk = self.backends.iter().find(|named| named.kind().is_of_node());
        match (work, disk) {
            (Work::Rows, _) if self.backends.is_empty() => fail(
                "backends",
                "at least one is needed: add a section such as [backends.hot] with kind = \"disk\" and a path (only a gateway \
                 has none, and has a [peer] section)"
                    .to_owned(),
            ),
            (Work::Rows, _) => match self.write_to.iter().find(|name| !has(name)) {
                Some(name) => fail(
                    "write_to",
                    format!("names `{name}`, and there is no section [backends.{name}]"),
                ),
                None => Ok(()),
            },
            (Work::Gateway, Some(named)) => fail(
                &format!("backends.{}", named.name),
                "is of this node alone, and a gateway has nothing that could be lost: remove the section; it reaches the disks of \
                 the other nodes by itself"
                    .to_owned(),
            ),
            (Work::Gateway, None) => Ok(()),
        }
    }

    fn check_first_user(&self) -> Result<(), Error> {
        let Some(FirstUser { credentials, .. }) = &self.first.user else {
            return Ok(());
        };
        let given = (credentials.access_key.as_str(), credentials.secret_key.expose());
        if WELL_KNOWN.contains(&given) && !self.s3_addr.ip().is_loopback() {
            return Err(Error::DefaultCredentials {
                access_key: credentials.access_key.clone(),
                addr: self.s3_addr,
            });
        }
        Ok(())
    }
}
