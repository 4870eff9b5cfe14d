//! Emptying backends, giving them up, and what is lost with them.

use serde_json::json;
use vaultaire_proto::wire::admin;

use super::{shown, state};
use crate::cli::client::{Client, OperationClient, Target, refused};
use crate::cli::operations;
use crate::cli::output::{Output, bare, bytes, table};
use crate::error::Error;
use crate::grpc::names::BACKENDS;

/// How many losses are listed; all are counted.
const LOSSES_MAX: usize = 1000;

/// How a change is to be carried out.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct How {
    /// Check whether it can be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until nothing is left there.
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
}

pub async fn change(
    target: &Target,
    output: Output,
    name: &str,
    to: admin::BackendChange,
    how: How,
) -> Result<(), Error> {
    let mut client = target.connect().await?;
    let request = admin::ChangeBackendRequest {
        name: format!("{BACKENDS}{name}"),
        change: to.into(),
        validate_only: how.dry_run,
        request_id: String::new(),
    };
    let changed = client.change_backend(request).await.map_err(refused)?.into_inner();
    let admin::ChangeBackendResponse { backend, operation } = changed;
    let mut backend = backend.unwrap_or_default();
    if how.wait {
        let waits = target.operations().await?;
        backend = emptied(&mut client, waits, output, (backend, operation)).await?;
    }
    output.print(&shown(&backend), || said(&backend, name, to, how))
}

fn said(backend: &admin::Backend, name: &str, to: admin::BackendChange, how: How) -> String {
    let holds = format!("{} blob(s), {}", backend.live_blobs, bytes(backend.live_bytes));
    if how.dry_run {
        return format!("this can be done; backend {name} is {} and holds {holds}", state(backend));
    }
    match to {
        admin::BackendChange::Drain if backend.live_blobs == 0 => format!(
            "backend {name} is empty: `vaultaire backend remove {name}` forgets it, after its section is out of the configuration"
        ),
        admin::BackendChange::Drain => format!(
            "backend {name} takes nothing new, and {holds} are moved elsewhere; `vaultaire backend list` shows what is left"
        ),
        admin::BackendChange::Activate => format!("backend {name} takes new objects again"),
        admin::BackendChange::Lose => format!(
            "backend {name} is lost: {holds} are copied again from other copies; `vaultaire backend losses {}` lists what has none",
            bare(&backend.name)
        ),
        admin::BackendChange::Remove => format!("backend {name} is removed"),
        admin::BackendChange::Unspecified => String::new(),
    }
}

/// Waits until the backend holds nothing, and looks at it again.
async fn emptied(
    client: &mut Client,
    waits: OperationClient,
    output: Output,
    (backend, operation): (admin::Backend, String),
) -> Result<admin::Backend, Error> {
    operations::wait(waits, output, &operation).await?;
    let request = admin::ListBackendsRequest::default();
    let listed = client.list_backends(request).await.map_err(refused)?.into_inner().backends;
    let now = listed.into_iter().find(|listed| listed.backend_id == backend.backend_id);
    // One that was lost is listed no more.
    Ok(now.unwrap_or(admin::Backend { live_blobs: 0, live_bytes: 0, ..backend }))
}

pub async fn losses(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request = admin::ListLossesRequest { name: format!("{BACKENDS}{name}") };
    let mut stream = client.list_losses(request).await.map_err(refused)?.into_inner();
    let (mut listed, mut count, mut size_bytes) = (Vec::new(), 0_u64, 0_u64);
    while let Some(loss) = stream.message().await.map_err(refused)? {
        count += 1;
        size_bytes = size_bytes.saturating_add(loss.size_bytes);
        if listed.len() < LOSSES_MAX {
            listed.push(loss);
        }
    }
    let value = json!({
        "backend": name,
        "count": count,
        "size_bytes": size_bytes,
        "losses": listed.iter().map(|loss| json!({
            "bucket": loss.bucket,
            "key": loss.object_key,
            "version_id": loss.version_id,
            "upload_id": loss.upload_id,
            "size_bytes": loss.size_bytes,
        })).collect::<Vec<_>>(),
    });
    output.print(&value, || {
        if count == 0 {
            return format!("everything on backend {name} has a copy elsewhere");
        }
        let rows = listed.iter().map(|loss| {
            let of = match loss.upload_id.is_empty() {
                true => loss.version_id.clone(),
                false => format!("upload {}", loss.upload_id),
            };
            vec![loss.bucket.clone(), loss.object_key.clone(), of, bytes(loss.size_bytes)]
        });
        let list = table(&["BUCKET", "KEY", "VERSION", "SIZE"], rows);
        let more = match usize::try_from(count).unwrap_or(usize::MAX) - listed.len() {
            0 => String::new(),
            more => format!("\nand {more} more"),
        };
        format!("{list}{more}\n{count} blob(s), {}, have no copy elsewhere", bytes(size_bytes))
    })
}
