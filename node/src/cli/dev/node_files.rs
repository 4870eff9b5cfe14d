//! The configuration files of the nodes of `vaultaire dev --nodes N`. What they mean is `config.rs`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rand::RngExt;
use vaultaire_proto::row::NodeRole;

use super::cluster::Member;
use super::{Args, BACKENDS_FOLDER, TIERS, USER};
use crate::error::Error;
use crate::files::{self, Readers};
use crate::secrets::Credentials;
use crate::settings::{ADMIN_PORT, HTTP_PORT, PEER_PORT, S3_PORT};

/// The secret of the first access key, for all nodes.
pub const SECRET_FILE: &str = "secret-key";

/// Below what Linux hands out by itself (32768 and up), above what services use.
const FREE_PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_ATTEMPTS_MAX: usize = 100;

/// Between the ports of one node and those of the next.
const PORT_STEP: u16 = 10;

/// Writes a node's file where it has none: what a user changed in it stays.
pub fn configure(
    path: &Path,
    member: &Member,
    args: &Args,
    credentials: &Credentials,
) -> Result<(), Error> {
    if member.config.exists() {
        return Ok(());
    }
    let at = |given: Option<SocketAddr>, port: u16| {
        let mut addr = given.unwrap_or(SocketAddr::from(([127, 0, 0, 1], port)));
        if addr.port() != 0 {
            addr.set_port(addr.port().saturating_add((member.number - 1) * PORT_STEP));
        }
        addr
    };
    let overrides = &args.overrides;
    let s3 = at(overrides.s3_addr, S3_PORT);
    let peer = match s3.port() {
        0 => free_port()?,
        _ => at(None, PEER_PORT),
    };
    let mut text = format!(
        "# Node {number} of a cluster for development. Changes stay; where the file is missing it is made again.\n\
         data_dir = {data_dir:?}\nnode_name = \"node-{number}\"\n\
         write_to = [\"{hot}\"]\n\n\
         [s3]\naddr = \"{s3}\"\nbase_domain = \"localhost\"\n\n[admin]\naddr = \"{admin}\"\n\n\
         [http]\naddr = \"{http}\"\n\n[peer]\naddr = \"{peer}\"\n\n\
         [first]\nuser = \"{USER}\"\naccess_key = \"{access_key}\"\nsecret_key_file = {secret:?}\nbucket = \"{bucket}\"\n",
        number = member.number,
        data_dir = member.data_dir,
        hot = TIERS[0].0,
        admin = at(overrides.admin_addr, ADMIN_PORT),
        http = at(overrides.http_addr, HTTP_PORT),
        access_key = credentials.access_key,
        secret = path.join(SECRET_FILE),
        bucket = args.bucket,
    );
    if member.role != NodeRole::Gateway {
        text.push_str(&disks(path, member.number)?);
    }
    files::write(&member.config, text.as_bytes(), Readers::Owner)
}

/// The sections of a node's disks, and the folder that they are in.
fn disks(path: &Path, number: u16) -> Result<String, Error> {
    let folder = path.join(BACKENDS_FOLDER).join(format!("node-{number}"));
    files::create_private_dir(&path.join(BACKENDS_FOLDER))
        .and_then(|()| files::create_private_dir(&folder))
        .map_err(|source| Error::file("create", &folder, source))?;
    let section = |(name, _): (&str, _)| {
        format!("\n[backends.{name}]\nkind = \"disk\"\npath = {:?}\n", folder.join(name))
    };
    Ok(TIERS.map(section).concat())
}

/// A port that nobody uses at the moment. Peers have to know it before the node listens, and find it there after a restart:
/// so it is none of those that the system hands out, which somebody else may have by then.
fn free_port() -> Result<SocketAddr, Error> {
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS_MAX {
        let addr = SocketAddr::from(([127, 0, 0, 1], rand::rng().random_range(FREE_PORTS)));
        match TcpListener::bind(addr) {
            Ok(_) => return Ok(addr),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Error::Engine { what: "a free port", why })
}
