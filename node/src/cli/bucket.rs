//! `vaultaire bucket`: buckets as an operator sees them. The same buckets are on the S3 port.

use clap::Subcommand;
use serde_json::{Value, json};
use vaultaire_proto::wire::admin;

use crate::cli::client::{Client, Target, refused};
use crate::cli::output::{Output, bare, bytes, table, time};
use crate::error::Error;
use crate::grpc::names::{BUCKETS, USERS};

/// How many pages a list follows.
const PAGES_MAX: usize = 10_000;

/// Create, list and delete buckets.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a bucket.
    Create {
        name: String,
        /// The user who owns it.
        #[arg(long, default_value = "dev")]
        owner: String,
        /// Keep every version of every object.
        #[arg(long)]
        versioned: bool,
    },
    /// List buckets.
    List {
        /// Only names that start with this.
        #[arg(long, default_value = "")]
        prefix: String,
    },
    /// Show one bucket and what it holds.
    Info { name: String },
    /// Say how many copies the objects of a bucket have on disks of nodes, and what no two of them share.
    Copies {
        name: String,
        /// 1 to 5; 0 for the default, 2 on different nodes.
        count: u32,
        #[arg(long, value_enum, default_value = "node")]
        spread: Spread,
        /// Check whether it can be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete an empty bucket.
    Delete { name: String },
}

/// What may fail together.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Spread {
    Node,
    Zone,
    Region,
}

pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let client = args.target.connect().await?;
    match args.command {
        Command::Create { name, owner, versioned } => {
            create(client, output, &name, &owner, versioned).await
        }
        Command::List { prefix } => list(client, output, prefix).await,
        Command::Info { name } => info(client, output, &name).await,
        Command::Copies { name, count, spread, dry_run } => {
            let request = admin::SetBucketCopiesRequest {
                name: format!("{BUCKETS}{name}"),
                copies: count,
                spread: match spread {
                    Spread::Node => admin::Spread::Node,
                    Spread::Zone => admin::Spread::Zone,
                    Spread::Region => admin::Spread::Region,
                }
                .into(),
                validate_only: dry_run,
                request_id: String::new(),
            };
            copies(client, output, &name, request).await
        }
        Command::Delete { name } => delete(client, output, &name).await,
    }
}

async fn create(
    mut client: Client,
    output: Output,
    name: &str,
    owner: &str,
    versioned: bool,
) -> Result<(), Error> {
    let versioning = match versioned {
        true => admin::Versioning::Enabled,
        false => admin::Versioning::Off,
    };
    let request = admin::CreateBucketRequest {
        name: format!("{BUCKETS}{name}"),
        owner: format!("{USERS}{owner}"),
        region: String::new(),
        versioning: versioning.into(),
        request_id: String::new(),
    };
    let created = client.create_bucket(request).await.map_err(refused)?.into_inner();
    let bucket = created.bucket.unwrap_or_default();
    output.print(&shown(&bucket), || format!("created bucket {name}, owned by {owner}"))
}

async fn list(mut client: Client, output: Output, prefix: String) -> Result<(), Error> {
    let mut buckets = Vec::new();
    let mut request = admin::ListBucketsRequest { page_size: 0, page_token: String::new(), prefix };
    for _ in 0..PAGES_MAX {
        let page = client.list_buckets(request.clone()).await.map_err(refused)?.into_inner();
        buckets.extend(page.buckets);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let value = json!({ "buckets": buckets.iter().map(shown).collect::<Vec<_>>() });
    output.print(&value, || {
        let header = ["NAME", "OWNER", "CREATED", "VERSIONING", "OBJECTS", "SIZE"];
        table(&header, buckets.iter().map(row))
    })
}

async fn info(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request = admin::GetBucketRequest { name: format!("{BUCKETS}{name}") };
    let found = client.get_bucket(request).await.map_err(refused)?.into_inner();
    let bucket = found.bucket.unwrap_or_default();
    output.print(&shown(&bucket), || {
        format!(
            "name        {}\nowner       {}\nregion      {}\ncreated     {}\nversioning  {}\ncopies      {}, spread over {}s\nstate       {}\nobjects     {}\nsize        {}",
            bare(&bucket.name),
            bare(&bucket.owner),
            bucket.region,
            time(bucket.created_ms),
            versioning(&bucket),
            bucket.copies,
            spread(&bucket),
            state(&bucket),
            bucket.objects,
            bytes(bucket.size_bytes),
        )
    })
}

async fn copies(
    mut client: Client,
    output: Output,
    name: &str,
    request: admin::SetBucketCopiesRequest,
) -> Result<(), Error> {
    let dry_run = request.validate_only;
    let set = client.set_bucket_copies(request).await.map_err(refused)?.into_inner();
    let bucket = set.bucket.unwrap_or_default();
    output.print(&shown(&bucket), || match dry_run {
        true => format!("this can be done; bucket {name} has {}", said_copies(&bucket)),
        false => format!(
            "objects of bucket {name} have {}; what is there is brought in line by and by",
            said_copies(&bucket)
        ),
    })
}

fn said_copies(bucket: &admin::Bucket) -> String {
    format!("{} copies, in different {}s where there are so many", bucket.copies, spread(bucket))
}

fn spread(bucket: &admin::Bucket) -> &'static str {
    match bucket.spread() {
        admin::Spread::Node | admin::Spread::Unspecified => "node",
        admin::Spread::Zone => "zone",
        admin::Spread::Region => "region",
    }
}

async fn delete(mut client: Client, output: Output, name: &str) -> Result<(), Error> {
    let request =
        admin::DeleteBucketRequest { name: format!("{BUCKETS}{name}"), request_id: String::new() };
    client.delete_bucket(request).await.map_err(refused)?;
    output.print(&json!({ "deleted": name }), || format!("deleted bucket {name}"))
}

fn row(bucket: &admin::Bucket) -> Vec<String> {
    vec![
        bare(&bucket.name).to_owned(),
        bare(&bucket.owner).to_owned(),
        time(bucket.created_ms),
        versioning(bucket).to_owned(),
        bucket.objects.to_string(),
        bytes(bucket.size_bytes),
    ]
}

fn shown(bucket: &admin::Bucket) -> Value {
    json!({
        "name": bare(&bucket.name),
        "bucket_id": bucket.bucket_id,
        "owner": bare(&bucket.owner),
        "region": bucket.region,
        "created_ms": bucket.created_ms,
        "versioning": versioning(bucket),
        "copies": bucket.copies,
        "spread": spread(bucket),
        "state": state(bucket),
        "objects": bucket.objects,
        "size_bytes": bucket.size_bytes,
    })
}

fn versioning(bucket: &admin::Bucket) -> &'static str {
    match bucket.versioning() {
        admin::Versioning::Enabled => "enabled",
        admin::Versioning::Suspended => "suspended",
        admin::Versioning::Off | admin::Versioning::Unspecified => "off",
    }
}

fn state(bucket: &admin::Bucket) -> &'static str {
    match bucket.state() {
        admin::BucketState::Open => "open",
        admin::BucketState::Deleting => "deleting",
        admin::BucketState::Unspecified => "unknown",
    }
}
