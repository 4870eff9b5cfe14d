//! `vaultaire key`: access keys and their users.

use clap::Subcommand;
use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::client::{Client, Target, refused};
use crate::cli::output::{Output, bare, table, time};
use crate::error::Error;
use crate::grpc::names::{KEYS, USERS};

/// How many pages a list follows.
const PAGES_MAX: usize = 10_000;

/// Create, list and delete access keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an access key, and its user where there is none of that name. The secret is shown once.
    Create {
        /// The user.
        #[arg(long)]
        name: String,
    },
    /// List access keys, without their secrets.
    List {
        /// Only those of this user.
        #[arg(long)]
        name: Option<String>,
    },
    /// Delete an access key: requests signed with it are refused from then on.
    Delete { access_key: String },
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let client = args.target.connect().await?;
    match args.command {
        Command::Create { name } => create(client, output, &name).await,
        Command::List { name } => list(client, output, name.as_deref()).await,
        Command::Delete { access_key } => delete(client, output, &access_key).await,
    }
}

async fn create(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request =
        admin::CreateKeyRequest { user: format!("{USERS}{name}"), request_id: String::new() };
    let created = client.create_key(request).await.map_err(refused)?.into_inner();
    let key = created.key.unwrap_or_default();
    let value = json!({
        "name": name,
        // A text, as owner ids are in S3's answers.
        "user_id": key.user_id.to_string(),
        "access_key": key.access_key,
        "secret_key": created.secret_key,
    });
    output.print(&value, || {
        format!(
            "user        {name}\naccess key  {}\nsecret key  {}\n\nThe secret is not shown again.",
            key.access_key, created.secret_key
        )
    })
}

async fn list(mut client: Client, output: Output, name: Option<&str>) -> Result<(), Error> {
    let user = name.map(|name| format!("{USERS}{name}")).unwrap_or_default();
    let mut request = admin::ListKeysRequest { page_size: 0, page_token: String::new(), user };
    let mut keys = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = client.list_keys(request.clone()).await.map_err(refused)?.into_inner();
        keys.extend(page.keys);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let value = json!({ "keys": keys.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || {
        let rows = keys.iter().map(|key| {
            vec![bare(&key.user).to_owned(), key.access_key.clone(), time(key.created_ms)]
        });
        table(&["USER", "ACCESS KEY", "CREATED"], rows)
    })
}

async fn delete(mut client: Client, output: Output, access_key: &str) -> Result<(), Error> {
    let request =
        admin::DeleteKeyRequest { name: format!("{KEYS}{access_key}"), request_id: String::new() };
    client.delete_key(request).await.map_err(refused)?;
    output.print(&json!({ "deleted": access_key }), || format!("deleted access key {access_key}"))
}

fn shown(key: &admin::Key) -> Value {
    json!({
        "name": bare(&key.user),
        "user_id": key.user_id.to_string(),
        "access_key": key.access_key,
        "created_ms": key.created_ms,
    })
}
