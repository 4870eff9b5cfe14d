//! What a start must make true before the node serves: its own row, its backends, the settings that `apply`
//! needs, and the first user and bucket where they are asked for. Every step can be repeated.

use std::sync::Arc;

use vaultaire_proto::row::{BackendRow, BackendState, BucketPhase, EpochState, Settings as Shared};
use vaultaire_proto::settle::{settle_backend, settle_bucket};
use vaultaire_proto::{
    BucketName, Consistency, GroupId, NodeId, Operation, Rejection, Response, UserId,
};
use vaultaire_storage::backends::identity::Expect;
use vaultaire_storage::registry::{Opening, Registry};

use crate::absent::Absent;
use crate::ask;
use crate::error::Error;
use crate::grpc::keys::{create_key, ensure_user};
use crate::propose::Proposer;
use crate::secrets::Sealer;
use crate::settings::{First, Garbage, NamedBackend, Settings, Takes};

const FRESH: Consistency = Consistency::Linearizable;

/// Records this start; answers its incarnation, higher than that of every start before.
pub async fn register(
    proposer: &Proposer,
    node: NodeId,
    settings: &Settings,
) -> Result<u64, Error> {
    let rows = ask::nodes(proposer.catalog(), FRESH).await?;
    let former = rows.iter().find(|row| row.id == node).map_or(0, |row| row.incarnation);
    let incarnation = former.saturating_add(1);
    let address = settings.peer.as_ref().map_or("", |peer| peer.advertise.as_str());
    let operation = Operation::RegisterNode {
        node,
        incarnation,
        name: settings.node_name.clone(),
        address: address.to_owned(),
        zone: settings.zone.clone(),
        region: settings.region.clone(),
    };
    proposer.commit_accepted("this node", GroupId::CONTROL, operation).await?;
    Ok(incarnation)
}

/// Closes what former lives of this node left open: nobody writes under those epochs any more, and only
/// closed ones are swept.
pub async fn close_former_epochs(
    proposer: &Proposer,
    node: NodeId,
    incarnation: u64,
) -> Result<(), Error> {
    let catalog = proposer.catalog();
    let shards = proposer.shards().map(|shard| async move {
        for epoch in ask::epochs(catalog, FRESH, shard).await? {
            let former = epoch.node == node && epoch.incarnation < incarnation;
            if former && epoch.state == EpochState::Open {
                let (generation, epoch) = (epoch.generation, epoch.id);
                let operation = Operation::CloseEpoch { generation, node, epoch };
                proposer.commit_accepted("an epoch of this node", shard, operation).await?;
            }
        }
        Ok::<(), Error>(())
    });
    futures::future::try_join_all(shards).await?;
    Ok(())
}

/// Gives every group the settings that `apply` uses, so that all replicas use the same.
pub async fn share_settings(proposer: &Proposer, garbage: &Garbage) -> Result<(), Error> {
    let shared = Shared { drain_ms: garbage.drain_ms, ..Shared::default() };
    let groups = std::iter::once(GroupId::CONTROL).chain(proposer.shards());
    let commits = groups.map(|group| {
        proposer.commit_accepted("the settings", group, Operation::PutSettings(shared))
    });
    futures::future::try_join_all(commits).await?;
    Ok(())
}

/// The backends of this node, open, and the names of those that take new objects in their order.
#[derive(Debug)]
pub struct Opened {
    pub registry: Arc<Registry>,
    /// Those that could not be reached.
    pub absent: Arc<Absent>,
    pub write: Vec<String>,
}

/// Gives every configured backend its row, opens it, and tells all shards of it. One that cannot be reached stops only
/// a node that has no other.
pub async fn open_backends(
    proposer: &Proposer,
    node: NodeId,
    settings: &Settings,
    registry: Arc<Registry>,
) -> Result<Opened, Error> {
    let absent = Arc::new(Absent::new(&settings.data_dir));
    let mut opened = Opened { registry, absent, write: Vec::new() };
    for named in &settings.backends {
        let row = open_backend(proposer, node, named, &opened).await?;
        if named.takes == Takes::NewObjects {
            opened.write.push(row.name.clone());
        }
    }
    if opened.registry.all().is_empty() {
        opened.absent.names().iter().try_for_each(|name| opened.absent.refuse(name))?;
    }
    Ok(opened)
}

async fn open_backend(
    proposer: &Proposer,
    node: NodeId,
    named: &NamedBackend,
    opened: &Opened,
) -> Result<BackendRow, Error> {
    let subject = format!("backend {}", named.name);
    let catalog = proposer.catalog();
    let rows = ask::backends(catalog, FRESH).await?;
    let owner = named.kind().is_of_node().then_some(node);
    // What is lost or removed frees its name.
    let here = || rows.iter().filter(|row| !row.state.is_gone());
    if let Some(other) =
        here().find(|row| row.name == named.name && row.kind != named.kind().as_str())
    {
        return Err(Error::Setting {
            key: format!("backends.{}.kind", named.name),
            why: format!(
                "is {}, and the cluster knows this name as {}: give the new backend another name",
                named.kind().as_str(),
                other.kind
            ),
        });
    }
    let known = here().find(|row| row.name == named.name && row.node == owner);
    let row = match known {
        Some(row) => row.clone(),
        None => {
            let operation = Operation::PutBackend {
                name: named.name.clone(),
                kind: named.kind().as_str().to_owned(),
                state: BackendState::Active,
                node: owner,
            };
            match proposer.commit_accepted(&subject, GroupId::CONTROL, operation).await? {
                Response::Backend(row) => row,
                _ => return Err(Error::UnexpectedAnswer { question: "put backend" }),
            }
        }
    };
    let opening = Opening {
        id: row.id,
        name: named.name.clone(),
        cluster: catalog.cluster().cluster.to_string(),
        // A row is settled only after its backend was opened once: from then on an empty folder is a
        // lost disk.
        expect: match row.settled {
            true => Expect::Ours,
            false => Expect::FreshOrOurs,
        },
    };
    opened.absent.open(named, opening, &opened.registry).await?;
    match row.settled {
        true => Ok(row),
        false => Ok(settle_backend(catalog, row).await?),
    }
}

/// Makes the first user with its access key, and the first bucket, where they are asked for and missing. What a first
/// start made and somebody deleted stays deleted: a key that was revoked must not come back with a restart.
pub async fn make_first(
    proposer: &Proposer,
    sealer: &Sealer,
    first: &First,
    made: bool,
) -> Result<(), Error> {
    let Some(wanted) = &first.user else {
        return Ok(());
    };
    let access_key = wanted.credentials.access_key.clone();
    let known = ask::access_key(proposer.catalog(), FRESH, access_key.clone()).await?;
    let user = match known {
        Some(row) => {
            let secret = sealer.unseal(&row.access_key, &row.sealed_secret)?;
            if secret != wanted.credentials.secret_key {
                return Err(Error::Setting {
                    key: format!("access key {access_key}"),
                    why: "the cluster knows it with another secret; give that one, or another access key"
                        .to_owned(),
                });
            }
            row.user
        }
        None if made => {
            tracing::warn!(
                access_key,
                "this access key is not made: the first start is over, and it is unknown or was deleted since; `vaultaire key create` makes another"
            );
            return Ok(());
        }
        None => {
            let user = ensure_user(proposer, &wanted.name).await?;
            create_key(proposer, sealer, user.id, &wanted.credentials).await?;
            user.id
        }
    };
    match &first.bucket {
        Some(_) if made => Ok(()),
        Some(name) => make_bucket(proposer, name, user).await,
        None => Ok(()),
    }
}

async fn make_bucket(proposer: &Proposer, name: &str, owner: UserId) -> Result<(), Error> {
    let catalog = proposer.catalog();
    let name = BucketName::parse(name)
        .map_err(|invalid| Error::Setting { key: "bucket".to_owned(), why: invalid.to_string() })?;
    match ask::bucket(catalog, FRESH, name.clone()).await? {
        Some(row) if row.phase != BucketPhase::Deleted => {
            settle_bucket(catalog, row).await?;
            return Ok(());
        }
        Some(_) | None => {}
    }
    let region = catalog.cluster().region.clone();
    let operation = Operation::CreateBucket { name: name.clone(), owner, region };
    match proposer.commit(GroupId::CONTROL, operation).await? {
        Response::Bucket(row) => {
            settle_bucket(catalog, row).await?;
            Ok(())
        }
        Response::Rejected(Rejection::BucketAlreadyOwnedByYou) => Ok(()),
        Response::Rejected(rejection) => {
            Err(Error::Rejected { subject: format!("bucket {name}"), rejection })
        }
        _ => Err(Error::UnexpectedAnswer { question: "create bucket" }),
    }
}
