//! `vaultaire operations`: what takes longer than a command, and the wait for its end that other commands offer with `--wait`.

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::client::{OperationClient, Target, refused};
use crate::cli::output::{Output, bare, table};
use crate::error::Error;
use crate::grpc::names::OPERATIONS;

const BAR: &str = "{msg} {wide_bar} {pos}/{len} {prefix}, {per_sec}, {eta} left";

/// Show changes of members and of backends that are under way.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is under way.
    List,
    /// Wait for the end of one, with a progress bar.
    Wait {
        /// As `list` names it, such as nodes/4.
        name: String,
    },
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let client = args.target.operations().await?;
    match args.command {
        None | Some(Command::List) => list(client, output).await,
        Some(Command::Wait { name }) => {
            let operation = wait(client, output, &format!("{OPERATIONS}{name}")).await?;
            output.print(&shown(&operation), || format!("{name}: done"))
        }
    }
}

async fn list(mut client: OperationClient, output: Output) -> Result<(), Error> {
    let request = admin::ListOperationsRequest {};
    let listed = client.list_operations(request).await.map_err(refused)?.into_inner().operations;
    let value = json!({ "operations": listed.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || {
        if listed.is_empty() {
            return "nothing is under way".to_owned();
        }
        let rows = listed.iter().map(|operation| {
            vec![
                own(operation).to_owned(),
                kind(operation).to_owned(),
                bare(&operation.subject).to_owned(),
                operation.left.map_or_else(|| "-".to_owned(), |left| left.to_string()),
                unit(operation).to_owned(),
            ]
        });
        table(&["OPERATION", "WHAT", "OF", "LEFT", ""], rows)
    })
}

/// Waits for the end of an operation; answers what it was told last.
pub async fn wait(
    mut client: OperationClient,
    output: Output,
    name: &str,
) -> Result<admin::Operation, Error> {
    let bar = match output.is_watched() {
        true => ProgressBar::new(0),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    let request = admin::WatchOperationRequest { name: name.to_owned() };
    let mut updates = client.watch_operation(request).await.map_err(refused)?.into_inner();
    while let Some(operation) = updates.message().await.map_err(refused)? {
        if operation.done {
            bar.finish_and_clear();
            return Ok(operation);
        }
        let left = operation.left.unwrap_or_default();
        let all = bar.length().unwrap_or_default().max(left);
        bar.set_message(kind(&operation));
        bar.set_prefix(unit(&operation));
        bar.set_length(all);
        bar.set_position(all.saturating_sub(left));
    }
    bar.finish_and_clear();
    Err(Error::Admin(format!(
        "the node stopped before {} was done, which goes on: ask another with `vaultaire operations wait {}`",
        bare(name),
        name.strip_prefix(OPERATIONS).unwrap_or(name)
    )))
}

fn own(operation: &admin::Operation) -> &str {
    operation.name.strip_prefix(OPERATIONS).unwrap_or(&operation.name)
}

fn kind(operation: &admin::Operation) -> &'static str {
    match operation.kind() {
        admin::OperationKind::Join => "joins",
        admin::OperationKind::SetRole => "changes its role",
        admin::OperationKind::Remove => "leaves",
        admin::OperationKind::Drain => "is emptied",
        admin::OperationKind::CopyAgain => "is copied again",
        admin::OperationKind::Unspecified => "-",
    }
}

fn unit(operation: &admin::Operation) -> &'static str {
    match operation.unit() {
        admin::OperationUnit::Entries => "entries",
        admin::OperationUnit::Blobs => "blobs",
        admin::OperationUnit::Unspecified => "",
    }
}

fn shown(operation: &admin::Operation) -> Value {
    json!({
        "operation": own(operation),
        "kind": operation.kind().as_str_name().trim_start_matches("OPERATION_KIND_").to_lowercase(),
        "subject": operation.subject,
        "done": operation.done,
        "left": operation.left,
        "unit": unit(operation),
    })
}
