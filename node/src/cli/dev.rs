//! `vaultaire dev`: one node with everything embedded. It makes credentials once, a bucket, and three local
//! directories as backends; then it is the same node as `server`.

mod cluster;
mod node_files;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vaultaire_storage::config::{BackendConfig, DiskConfig};

use crate::cli::output::Output;
use crate::cli::run::{Overrides, Signals, start, until_stopped};
use crate::discovery::Announcement;
use crate::error::Error;
use crate::files::{self, Readers};
use crate::identity::DataDir;
use crate::node::Node;
use crate::notify;
use crate::secrets::{Credentials, Secret};
use crate::settings::{
    ADMIN_PORT, First, FirstUser, Garbage, HTTP_PORT, NamedBackend, REGION, Repair, S3_PORT,
    SNAPSHOT_BYTES_PER_SECOND, Settings, Takes, Tls,
};
use crate::stopwatch::Timing;

const CREDENTIALS_FILE: &str = "credentials.json";
const BACKENDS_FOLDER: &str = "backends";
const USER: &str = "dev";

/// The tiers that `dev` pretends to have; new objects go to the first.
const TIERS: [(&str, Takes); 3] =
    [("hot", Takes::NewObjects), ("warm", Takes::Nothing), ("cold", Takes::Nothing)];

/// Run a node for development: everything embedded, credentials made once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the node keeps everything [default: $XDG_DATA_HOME/vaultaire/dev].
    #[arg(long, env = "VAULTAIRE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Serve S3 over TLS with a certificate authority of the node's own.
    #[arg(long)]
    tls: bool,
    /// The bucket that is made at the first start.
    #[arg(long, default_value = "dev")]
    bucket: String,
    /// An access key of your choice instead of a generated one; needs --secret-key-file.
    #[arg(long, env = "VAULTAIRE_ACCESS_KEY", requires = "secret_key_file")]
    access_key: Option<String>,
    /// The file that holds the secret of --access-key.
    #[arg(long, env = "VAULTAIRE_SECRET_KEY_FILE", requires = "access_key")]
    secret_key_file: Option<PathBuf>,
    /// How many nodes with a vote, each a process of its own.
    #[arg(long, default_value_t = 1)]
    nodes: u16,
    /// How many nodes more that follow without a vote.
    #[arg(long, default_value_t = 0)]
    learners: u16,
    /// How many nodes more that serve S3 without a log, rows or disks.
    #[arg(long, default_value_t = 0)]
    gateways: u16,
    #[command(flatten)]
    overrides: Overrides,
}

/// Generated once, and the same for ever after.
#[derive(Serialize, Deserialize)]
struct Stored {
    access_key: String,
    secret_key: String,
}

/// What `--json` prints when the node is ready.
#[derive(Serialize)]
struct Ready<'ready> {
    s3_url: &'ready str,
    access_key: &'ready str,
    secret_key: &'ready str,
    bucket: &'ready str,
    region: &'ready str,
    admin_url: &'ready str,
    http_url: &'ready str,
    data_dir: &'ready Path,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'ready Path>,
}

/// Runs until a signal.
pub async fn run(args: Args, output: Output) -> Result<(), Error> {
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let path = match &args.data_dir {
        Some(path) => absolute(path)?,
        None => default_data_dir()?,
    };
    // Refused before anything is made: a bad address or key leaves no trace.
    let mut settings = settings(&path, &args);
    settings.first.user = given_credentials(&args)?.map(first_user);
    args.overrides.clone().apply(&mut settings)?;
    settings.check()?;
    let data_dir = DataDir::lock(&path)?;
    let credentials = match &settings.first.user {
        Some(user) => user.credentials.clone(),
        None => credentials(&path)?,
    };
    if args.nodes != 1 || args.learners != 0 || args.gateways != 0 {
        if data_dir.identity()?.is_some() {
            return Err(Error::Usage(format!(
                "{} has a single node already; choose another directory with --data-dir",
                path.display()
            )));
        }
        return cluster::run(&path, &args, &credentials, &mut signals, output).await;
    }
    settings.first.user = Some(first_user(credentials.clone()));
    let backends = path.join(BACKENDS_FOLDER);
    files::create_private_dir(&backends)
        .map_err(|source| Error::file("create", &backends, source))?;
    let node = start(data_dir, settings, &mut signals).await?;
    let ready = Announced { node: &node, credentials: &credentials, bucket: &args.bucket };
    ready.print(output, began.elapsed())?;
    notify::ready();
    until_stopped(node, signals).await
}

fn first_user(credentials: Credentials) -> FirstUser {
    FirstUser { name: USER.to_owned(), credentials }
}

fn settings(path: &Path, args: &Args) -> Settings {
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let backends = TIERS.map(|(name, takes)| NamedBackend {
        name: name.to_owned(),
        config: BackendConfig::Disk(DiskConfig { path: path.join(BACKENDS_FOLDER).join(name) }),
        takes,
    });
    Settings {
        data_dir: path.to_owned(),
        node_name: "dev".to_owned(),
        region: REGION.to_owned(),
        zone: String::new(),
        s3_addr: local(S3_PORT),
        admin_addr: local(ADMIN_PORT),
        http_addr: local(HTTP_PORT),
        peer: None,
        snapshot_bytes_per_second: SNAPSHOT_BYTES_PER_SECOND,
        base_domain: Some("localhost".to_owned()),
        tls: match args.tls {
            true => Tls::Own,
            false => Tls::Off,
        },
        repair: Repair::default(),
        garbage: Garbage::default(),
        write_to: Vec::new(),
        backends: backends.into(),
        first: First { user: None, bucket: Some(args.bucket.clone()), shards: None },
    }
}

fn given_credentials(args: &Args) -> Result<Option<Credentials>, Error> {
    let (Some(access_key), Some(file)) = (&args.access_key, &args.secret_key_file) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).map_err(|source| Error::file("read", file, source))?;
    let secret_key = Secret::new(text.trim());
    Ok(Some(Credentials { access_key: access_key.clone(), secret_key }))
}

/// The credentials of this data directory, generated at its first start.
fn credentials(path: &Path) -> Result<Credentials, Error> {
    let file = path.join(CREDENTIALS_FILE);
    if let Some(Stored { access_key, secret_key }) = files::read_json(&file)? {
        return Ok(Credentials { access_key, secret_key: Secret::new(secret_key) });
    }
    let fresh = Credentials::generate();
    let stored = Stored {
        access_key: fresh.access_key.clone(),
        secret_key: fresh.secret_key.expose().to_owned(),
    };
    files::write_json(&file, &stored, Readers::Owner)?;
    Ok(fresh)
}

/// `$XDG_DATA_HOME/vaultaire/dev`, or where that lies by convention.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".local").join("share")));
    match base {
        Some(base) => Ok(base.join("vaultaire").join("dev")),
        None => Err(Error::Usage(
            "neither XDG_DATA_HOME nor HOME is set: say where with --data-dir".to_owned(),
        )),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::file("resolve", path, source))
}

/// A ready node as it is told to whoever started it.
struct Announced<'node> {
    node: &'node Node,
    credentials: &'node Credentials,
    bucket: &'node str,
}

impl Announced<'_> {
    fn print(&self, output: Output, took: Duration) -> Result<(), Error> {
        let Announcement { pid, s3_url, admin_url, http_url, ca_file, .. } =
            self.node.announcement();
        let ready = Ready {
            s3_url,
            access_key: &self.credentials.access_key,
            secret_key: self.credentials.secret_key.expose(),
            bucket: self.bucket,
            region: REGION,
            admin_url,
            http_url,
            data_dir: self.node.data_dir(),
            pid: *pid,
            ca_file: ca_file.as_deref(),
        };
        output.print(&ready, || text(&ready, self.node.timings(), took))
    }
}

fn text(ready: &Ready<'_>, timings: &[Timing], took: Duration) -> String {
    let Ready { s3_url, access_key, secret_key, bucket, region, admin_url, http_url, .. } = ready;
    let steps: Vec<String> = timings
        .iter()
        .map(|timing| format!("{} {} ms", timing.step, timing.took.as_millis()))
        .collect();
    let ca = match ready.ca_file {
        Some(path) => format!("  export AWS_CA_BUNDLE={}\n", quoted(path)),
        None => String::new(),
    };
    format!(
        "Vaultaire is ready after {took:.2} s ({steps})

  S3           {s3_url}
  admin gRPC   {admin_url}
  web page     {http_url}
  metrics      {http_url}/metrics
  data         {data}
  bucket       {bucket}

Paste this into a shell to use it:

  export AWS_ACCESS_KEY_ID={access_key}
  export AWS_SECRET_ACCESS_KEY={secret_key}
  export AWS_REGION={region}
  export AWS_ENDPOINT_URL_S3={s3_url}
{ca}  echo hello | aws s3 cp - s3://{bucket}/hello.txt
  aws s3 ls s3://{bucket}

Ctrl-C stops it; what was stored stays.
",
        took = took.as_secs_f64(),
        steps = steps.join(", "),
        data = ready.data_dir.display(),
    )
}

/// A path that a shell takes as one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match text.bytes().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn credentials_are_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = credentials(folder.path()).unwrap();
        assert_eq!(credentials(folder.path()).unwrap(), first);
        let file = folder.path().join(CREDENTIALS_FILE);
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_snippet_survives_odd_paths() {
        assert_eq!(quoted(Path::new("/a/b-c.pem")), "/a/b-c.pem");
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}
