//! `PutVersion` as a follower sends it on: over the peer port of the shard's leader, with a member's own certificate. Its blobs
//! are of a write epoch that is opened first and their bytes are never written, so nobody may read what is put.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use vaultaire::peer::authority::Authority;
use vaultaire::peer::pool::Pool;
use vaultaire::raft::forward::Forward;
use vaultaire::tables::Store as Tables;
use vaultaire::tables::meta::Meta;
use vaultaire_proto::command::{PutVersion, Target, shard_of};
use vaultaire_proto::convert::Stored;
use vaultaire_proto::object::{Attributes, Blob, Location};
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::state::key;
use vaultaire_proto::{
    BackendId, BlobKey, BucketId, ClusterId, Command, Condition, ETag, Entry, EpochId, GroupId,
    NodeId, ObjectKey, Operation, Rejection, RequestId, Response, TimeMs, UserId,
};
use vaultaire_tests::bench::Error;

use crate::drive::Store;
use crate::follower::{Calls, Way};

/// How long a command may be under way.
const COMMAND_LIFE_MS: u64 = 60_000;

/// A bucket that is new has been changed less often than this.
const GENERATIONS_MAX: u64 = 16;

const OWNER: UserId = UserId(1);

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The data directory of the member that is played.
    #[arg(long)]
    data_dir: PathBuf,
    /// 32 hexadecimal digits.
    #[arg(long)]
    cluster: String,
    /// The member that is played.
    #[arg(long)]
    node: u64,
    #[arg(long)]
    incarnation: u64,
    /// `NODE@HOST:PORT` of every member's peer port.
    #[arg(long = "member", required = true)]
    members: Vec<String>,
    /// The node that leads a shard, in the order of the shards.
    #[arg(long = "leader", required = true)]
    leaders: Vec<u64>,
    #[arg(long)]
    bucket: u64,
    #[arg(long)]
    backend: u32,
    #[arg(long, value_enum, default_value_t = Calls::Together)]
    calls: Calls,
    /// What a command should have, encoded: user metadata fill it up.
    #[arg(long, default_value_t = 300)]
    put_bytes: usize,
}

/// The way to a shard's leader, and what is written under there.
#[derive(Debug)]
struct Shard {
    group: GroupId,
    way: Way,
    generation: u32,
    epoch: EpochId,
}

#[derive(Debug)]
pub struct Cluster {
    node: NodeId,
    bucket: BucketId,
    bucket_generation: u64,
    backend: BackendId,
    attributes: Attributes,
    shards: Vec<Shard>,
    run: u64,
    /// The addresses of the members, for as long as they are asked for.
    _tables: (Tables, tempfile::TempDir),
}

impl Cluster {
    pub async fn open(args: &Args) -> Result<Self, Error> {
        let (cluster, node) = (ClusterId::parse(&args.cluster)?, NodeId(args.node));
        vaultaire::tls::install_provider();
        let authority = Authority::open(&args.data_dir)?.ok_or("there is no authority")?;
        let pool = Pool::new(cluster, node, Some(authority.credentials(cluster, node)?));
        let folder = tempfile::tempdir()?;
        let tables = Tables::open(folder.path())?;
        let control = tables.table(GroupId::CONTROL)?;
        let rows = args.members.iter().map(|member| member_row(member));
        let rows = rows.collect::<Result<Vec<_>, Error>>()?;
        control.install(&Meta::default(), rows.into_iter().map(Ok))?;
        pool.follow(control);
        let peers = Arc::new(pool);
        let mut shards = Vec::new();
        for (group, leader) in (1..).map(GroupId).zip(&args.leaders) {
            let forward = Forward { group, node, peers: peers.clone() };
            let way = Way::new(args.calls, NodeId(*leader), forward);
            shards.push(Shard::open(group, way, node, args.incarnation).await?);
        }
        let mut opened = Self {
            node,
            bucket: BucketId(args.bucket),
            bucket_generation: 0,
            backend: BackendId(args.backend),
            attributes: Attributes::default(),
            shards,
            run: rand::random(),
            _tables: (tables, folder),
        };
        opened.find_generation().await?;
        opened.pad(args.put_bytes)?;
        Ok(opened)
    }

    /// Makes commands as large as what they are compared with.
    fn pad(&mut self, put_bytes: usize) -> Result<(), Error> {
        let pair = |count| vec![("padding".to_owned(), "x".repeat(count))];
        self.attributes.user_metadata = pair(1);
        let more = put_bytes.saturating_sub(self.put_bytes()?);
        self.attributes.user_metadata = pair(more);
        Ok(())
    }

    /// A command says which configuration of the bucket its proposer saw; the shards say whether it is theirs.
    async fn find_generation(&mut self) -> Result<(), Error> {
        for generation in 1..=GENERATIONS_MAX {
            self.bucket_generation = generation;
            match self.propose(u64::MAX - generation).await? {
                Response::Put(_) => return Ok(()),
                Response::Rejected(Rejection::StaleConfig) => {}
                other => return Err(format!("the first command was answered {other:?}").into()),
            }
        }
        Err("the generation of the bucket was not found".into())
    }

    async fn propose(&self, number: u64) -> Result<Response, Error> {
        let (shard, command) = self.command(number)?;
        shard.way.ask(command).await
    }

    fn command(&self, number: u64) -> Result<(&Shard, Command), Error> {
        let key = ObjectKey::parse(&format!("commits/{:016x}/{number:012}", self.run))?;
        let group = shard_of(self.bucket, &key, u16::try_from(self.shards.len())?);
        let shard = &self.shards[usize::from(group.0) - 1];
        let copy = Location { backend: self.backend, key: shard.blob(self.node, number) };
        let put = Operation::PutVersion(PutVersion {
            target: Target { bucket: self.bucket, bucket_generation: self.bucket_generation, key },
            owner: OWNER,
            etag: ETag::whole(rand::random()),
            checksum: None,
            attributes: self.attributes.clone(),
            blob: Blob { size_bytes: 4096, crc64nvme: rand::random(), copies: vec![copy] },
            condition: Condition::default(),
            digest: rand::random(),
        });
        Ok((shard, command(group, put)))
    }
}

impl Store for Cluster {
    async fn put(&self, number: u64) -> Result<(), Error> {
        match self.propose(number).await? {
            Response::Put(_) => Ok(()),
            other => Err(format!("a put was answered {other:?}").into()),
        }
    }

    /// Of an entry with one command.
    fn put_bytes(&self) -> Result<usize, Error> {
        let (_, command) = self.command(0)?;
        Ok(Entry { stamped_at: TimeMs::default(), commands: vec![command] }.encode().len())
    }
}

impl Shard {
    /// An epoch of the life that the member has: the shard takes no blob without one.
    async fn open(group: GroupId, way: Way, node: NodeId, incarnation: u64) -> Result<Self, Error> {
        let open = Operation::OpenEpoch { node, incarnation };
        match way.ask(command(group, open)).await? {
            Response::EpochOpened { epoch, generation } => {
                Ok(Self { group, way, generation, epoch })
            }
            other => Err(format!("shard {group} opened no epoch: {other:?}").into()),
        }
    }

    fn blob(&self, node: NodeId, seq: u64) -> BlobKey {
        let Self { group, generation, epoch, .. } = *self;
        BlobKey { generation, shard: group, node, epoch, seq }
    }
}

fn command(group: GroupId, operation: Operation) -> Command {
    let not_after = now().plus_ms(COMMAND_LIFE_MS);
    Command { group, request: RequestId(rand::random()), not_after, operation }
}

fn now() -> TimeMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimeMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What the control group would say of a member.
fn member_row(member: &str) -> Result<(bytes::Bytes, bytes::Bytes), Error> {
    let (id, address) = member.split_once('@').ok_or("a member is NODE@HOST:PORT")?;
    let row = NodeRow {
        id: NodeId(id.parse()?),
        name: id.to_owned(),
        incarnation: 1,
        address: address.to_owned(),
        role: NodeRole::Voter,
        phase: NodePhase::Member,
        zone: String::new(),
        region: String::new(),
    };
    Ok((key::node(row.id).into(), row.encode().into()))
}
