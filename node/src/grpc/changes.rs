//! The life of backends over the admin API: drained, lost, removed. That rows are followed by bytes is
//! `workers/repair.rs`.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vaultaire_proto::object::Location;
use vaultaire_proto::row::{BackendRow, BackendState, BlobOwner, BlobRow, BlobState};
use vaultaire_proto::settle::settle_backend;
use vaultaire_proto::wire::admin;
use vaultaire_proto::{BackendId, Consistency, GroupId, NodeId, Operation, Response};

use crate::ask;
use crate::error::Error;
use crate::grpc::backends::{row_name, shown};
use crate::grpc::{Parts, names, operations, status};
use crate::propose::{Proposer, accepted, request_id};
use crate::workers::repair::before_all;

const FRESH: Consistency = Consistency::Linearizable;

/// How many losses wait for a slow caller before the walk waits too.
const LOSSES_MAX: usize = 64;

pub type Losses = Pin<Box<dyn Stream<Item = Result<admin::Loss, Status>> + Send>>;

pub async fn change(
    parts: &Parts,
    request: &admin::ChangeBackendRequest,
) -> Result<admin::ChangeBackendResponse, Error> {
    let row = named(parts, &request.name).await?;
    let to = match request.change() {
        admin::BackendChange::Drain => BackendState::Draining,
        admin::BackendChange::Activate => BackendState::Active,
        admin::BackendChange::Lose => BackendState::Lost,
        admin::BackendChange::Remove => BackendState::Removed,
        admin::BackendChange::Unspecified => {
            return Err(Error::Usage("say what should become of the backend".to_owned()));
        }
    };
    allowed(parts, &row, to).await?;
    let row = match request.validate_only {
        true => row,
        false => {
            let id = request_id("ChangeBackend", &request.name, &request.request_id);
            set(&parts.proposer, row.id, to, Some(id)).await?
        }
    };
    let held = held(&parts.proposer, row.id).await?;
    let operation = operations::of_backend(row.id);
    Ok(admin::ChangeBackendResponse { backend: Some(shown(parts.node, row, held)), operation })
}

/// Sets a state, and does not return before every shard knows it.
pub async fn set(
    proposer: &Proposer,
    backend: BackendId,
    state: BackendState,
    request: Option<vaultaire_proto::RequestId>,
) -> Result<BackendRow, Error> {
    let request = request.unwrap_or_else(|| request_id("", "", ""));
    let operation = Operation::SetBackendState { backend, state };
    let answer = proposer.commit_as(request, GroupId::CONTROL, operation).await?;
    match accepted(&format!("backend {backend}"), answer)? {
        Response::Backend(row) => Ok(settle_backend(proposer.catalog(), row).await?),
        _ => Err(Error::UnexpectedAnswer { question: "set backend state" }),
    }
}

/// How many blobs and bytes all shards together have live there.
pub async fn held(proposer: &Proposer, backend: BackendId) -> Result<(u64, u64), Error> {
    let mut sum = (0_u64, 0_u64);
    for shard in proposer.shards() {
        let rows = ask::shard_backends(proposer.catalog(), FRESH, shard).await?;
        if let Some((_, row)) = rows.iter().find(|(id, _)| *id == backend) {
            sum.0 = sum.0.saturating_add(row.live_blobs);
            sum.1 = sum.1.saturating_add(row.live_bytes);
        }
    }
    Ok(sum)
}

/// The backend of a name as `ListBackends` shows it.
async fn named(parts: &Parts, name: &str) -> Result<BackendRow, Error> {
    let name = names::within(names::BACKENDS, name)?;
    let rows = ask::backends(parts.proposer.catalog(), FRESH).await?;
    let mut here = rows.into_iter().filter(|row| row.state != BackendState::Removed);
    let found = here.find(|row| row_name(parts.node, row) == name);
    found.ok_or_else(|| {
        vaultaire_storage::error::Error::UnknownBackend { name: name.to_owned() }.into()
    })
}

/// What `apply` refuses too, with what to do about it; and what only all shards together know.
async fn allowed(parts: &Parts, row: &BackendRow, to: BackendState) -> Result<(), Error> {
    let name = row_name(parts.node, row);
    let refuse = |why: String| Err(Error::Unmet(format!("backend {name} {why}")));
    match (to, row.state) {
        (BackendState::Draining, BackendState::Active) => {
            let rows = ask::backends(parts.proposer.catalog(), FRESH).await?;
            let takes = |other: &BackendRow| {
                other.id != row.id && other.state == BackendState::Active && other.settled
            };
            match rows.iter().any(takes) {
                true => Ok(()),
                false => refuse("is the only one that takes new objects; add another first".to_owned()),
            }
        }
        (BackendState::Removed, BackendState::Active) => refuse(format!(
            "is in use: move what it holds elsewhere with `vaultaire backend drain {name}` first; if its bytes are gone, \
             `vaultaire backend remove {name} --lost`"
        )),
        (BackendState::Removed, BackendState::Draining | BackendState::Lost) => {
            let (blobs, _) = held(&parts.proposer, row.id).await?;
            match blobs {
                0 => Ok(()),
                _ if row.state == BackendState::Lost => refuse(format!(
                    "had {blobs} blob(s) that have no copy elsewhere yet; `vaultaire backend losses {name}` lists those that \
                     never will: delete or overwrite these objects, and it is removed by itself"
                )),
                _ => refuse(format!(
                    "still holds {blobs} blob(s); wait until `vaultaire backend list` shows none"
                )),
            }
        }
        (BackendState::Active | BackendState::Draining, BackendState::Lost) => refuse(
            "is lost for ever; a new disk in its place becomes a backend of its own when its node starts".to_owned(),
        ),
        _ => Ok(()),
    }
}

/// The disks of a node that leaves the cluster: lost with it, or empty and removed, or the node stays.
pub async fn give_up_disks(
    parts: &Parts,
    node: NodeId,
    lost: bool,
    validate_only: bool,
) -> Result<(), Error> {
    let rows = ask::backends(parts.proposer.catalog(), FRESH).await?;
    let own = rows.into_iter().filter(|row| row.node == Some(node) && !row.state.is_gone());
    let own: Vec<BackendRow> = own.collect();
    if !lost {
        for row in &own {
            ensure_empty(parts, row).await?;
        }
    }
    if validate_only {
        return Ok(());
    }
    for row in own {
        let proposer = &parts.proposer;
        if lost {
            set(proposer, row.id, BackendState::Lost, None).await?;
            continue;
        }
        // Nothing comes to it any more, so that it stays as empty as it is found now.
        let row = set(proposer, row.id, BackendState::Draining, None).await?;
        ensure_empty(parts, &row).await?;
        set(proposer, row.id, BackendState::Removed, None).await?;
    }
    Ok(())
}

async fn ensure_empty(parts: &Parts, row: &BackendRow) -> Result<(), Error> {
    let (blobs, _) = held(&parts.proposer, row.id).await?;
    if blobs == 0 {
        return Ok(());
    }
    let name = row_name(parts.node, row);
    Err(Error::Unmet(format!(
        "its disk {name} holds {blobs} blob(s): move them with `vaultaire backend drain {name} --wait` first; where the node \
         does not come back, say --lost"
    )))
}

/// Walks over what a backend holds, and tells what is nowhere else.
pub async fn losses(parts: &Parts, request: &admin::ListLossesRequest) -> Result<Losses, Error> {
    let row = named(parts, &request.name).await?;
    let (sender, received) = mpsc::channel(LOSSES_MAX);
    let (proposer, stop) = (parts.proposer.clone(), parts.stop.clone());
    tokio::spawn(async move {
        let walk = async {
            for shard in proposer.shards() {
                if let Err(error) = shard_losses(&proposer, shard, row.id, &sender).await {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
        };
        stop.run_until_cancelled(walk).await;
    });
    let shown = |loss: Result<admin::Loss, Error>| loss.map_err(|error| status::of(&error));
    Ok(Box::pin(ReceiverStream::new(received).map(shown)))
}

async fn shard_losses(
    proposer: &Proposer,
    shard: GroupId,
    backend: BackendId,
    sender: &mpsc::Sender<Result<admin::Loss, Error>>,
) -> Result<(), Error> {
    let catalog = proposer.catalog();
    let states = ask::shard_backends(catalog, FRESH, shard).await?;
    let is_left = |copy: &Location| {
        let of = states.iter().find(|(id, _)| *id == copy.backend);
        copy.backend != backend && of.is_some_and(|(_, row)| !row.state.is_gone())
    };
    let mut after = before_all(backend);
    loop {
        let page = ask::blobs(catalog, FRESH, shard, Some(after), ask::PAGE).await?;
        let mut seen = false;
        for (copy, row) in page.into_iter().take_while(|(copy, _)| copy.backend == backend) {
            (after, seen) = (copy, true);
            let blob = ask::blob_of(catalog, FRESH, shard, copy).await?;
            let lost = blob.is_some_and(|blob| !blob.copies.iter().any(is_left));
            if lost && let Some(loss) = loss(proposer, row).await? {
                // Nobody listens any more.
                if sender.send(Ok(loss)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if !seen {
            return Ok(());
        }
    }
}

async fn loss(proposer: &Proposer, row: BlobRow) -> Result<Option<admin::Loss>, Error> {
    let BlobState::Live(owner) = row.state else {
        return Ok(None);
    };
    let (bucket, key, version_id, upload_id) = match owner {
        BlobOwner::Version { bucket, key, version } => {
            (bucket, key, version.to_string(), String::new())
        }
        BlobOwner::Part { bucket, key, upload, .. } => {
            (bucket, key, String::new(), upload.to_string())
        }
    };
    let name = ask::bucket_by_id(proposer.catalog(), Consistency::Stale, bucket).await?;
    Ok(Some(admin::Loss {
        bucket: name.map_or_else(|| bucket.to_string(), |row| row.name.to_string()),
        object_key: key.to_string(),
        version_id,
        upload_id,
        size_bytes: row.size_bytes,
    }))
}
