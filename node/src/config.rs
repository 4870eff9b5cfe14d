//! Config: what the TOML file may say. Every key is optional and unknown ones are errors with a
//! suggestion. What runs, with defaults filled in, is `settings.rs`.

pub mod gc;
pub mod repair;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::Deserialize;
use vaultaire_storage::config::{BackendConfig, SecretSource};

use crate::config::gc::Gc;
use crate::config::repair::RepairSection;
use crate::error::Error;
use crate::secrets::{Credentials, Secret};
use crate::settings::{
    ADMIN_PORT, First, FirstUser, HTTP_PORT, NamedBackend, PEER_PORT, Peer, REGION, S3_PORT,
    SNAPSHOT_BYTES_PER_SECOND, Settings, Takes, Tls,
};

/// The most a configuration file may hold.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How far a misspelt key may be from the one meant, from 0 (nothing in common) to 1 (equal).
const SIMILARITY_MIN: f64 = 0.6;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data_dir: Option<PathBuf>,
    pub node_name: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
    #[serde(default)]
    pub s3: S3,
    #[serde(default)]
    pub admin: Surface,
    #[serde(default)]
    pub http: Surface,
    pub peer: Option<PeerSection>,
    #[serde(default)]
    pub gc: Gc,
    #[serde(default)]
    pub repair: RepairSection,
    #[serde(default)]
    pub first: FirstSection,
    /// Where new objects go: the first of these that takes writes.
    #[serde(default)]
    pub write_to: Vec<String>,
    /// `[backends.<name>]`.
    #[serde(default)]
    pub backends: BTreeMap<String, BackendConfig>,
}

/// `[s3]`: the port that clients use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    pub addr: Option<SocketAddr>,
    /// Buckets as `bucket.<base domain>`, besides paths.
    pub base_domain: Option<String>,
    pub tls: Option<TlsSection>,
}

/// `[s3.tls]`: PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// `[admin]` and `[http]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    pub addr: Option<SocketAddr>,
}

/// `[peer]`: how the other nodes of a cluster reach this one. Without it the node is a cluster of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSection {
    pub addr: Option<SocketAddr>,
    /// `host:port` as others dial it, where that is not `addr`.
    pub advertise: Option<String>,
    #[serde(default, deserialize_with = "gc::size")]
    pub snapshot_bytes_per_second: Option<ByteSize>,
}

impl PeerSection {
    fn snapshot_bytes_per_second(&self) -> Result<u64, Error> {
        match self.snapshot_bytes_per_second.map(|size| size.as_u64()) {
            Some(0) => Err(Error::Setting {
                key: "peer.snapshot_bytes_per_second".to_owned(),
                why: "must be more than zero: no node could catch up".to_owned(),
            }),
            Some(bytes) => Ok(bytes),
            None => Ok(SNAPSHOT_BYTES_PER_SECOND),
        }
    }

    fn settle(self) -> Result<Peer, Error> {
        let addr = self.addr.unwrap_or(SocketAddr::from(([127, 0, 0, 1], PEER_PORT)));
        let advertise = match self.advertise {
            Some(advertise) => advertise,
            None if addr.ip().is_unspecified() => {
                return Err(Error::Setting {
                    key: "peer.advertise".to_owned(),
                    why: format!(
                        "is missing: nobody can dial {addr}; say under which name or address other nodes reach this one"
                    ),
                });
            }
            None => addr.to_string(),
        };
        let port = advertise.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(port)) if port > 0) {
            return Err(Error::Setting {
                key: "peer.advertise".to_owned(),
                why: format!("{advertise} is not host:port with a port above 0"),
            });
        }
        Ok(Peer { addr, advertise })
    }
}

/// `[first]`: what a first start makes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstSection {
    pub user: Option<String>,
    pub access_key: Option<String>,
    /// A file, so that no secret stands in the configuration.
    pub secret_key_file: Option<PathBuf>,
    pub bucket: Option<String>,
    pub shards: Option<u16>,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fail = |message: String| Error::Config { path: path.to_owned(), message };
        let size = std::fs::metadata(path).map_err(|source| Error::file("read", path, source))?;
        if size.len() > FILE_BYTES_MAX {
            return Err(fail("larger than 1 MiB: this is no configuration file".to_owned()));
        }
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::file("read", path, source))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text).map(|config| config.relative_to(folder)).map_err(fail)
    }

    /// Reads the text of a file; the error is one that a person can act on.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| explain(text, &error))
    }

    /// Paths in a file are relative to the file, wherever the command was typed.
    fn relative_to(mut self, folder: &Path) -> Self {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        self.data_dir.as_mut().map(resolve);
        self.first.secret_key_file.as_mut().map(resolve);
        if let Some(tls) = &mut self.s3.tls {
            resolve(&mut tls.cert_file);
            resolve(&mut tls.key_file);
        }
        for backend in self.backends.values_mut() {
            match backend {
                BackendConfig::Disk(disk) => resolve(&mut disk.path),
                BackendConfig::S3(s3) => {
                    if let SecretSource::File(path) = &mut s3.secret_key {
                        resolve(path);
                    }
                }
                BackendConfig::Memory(_) => {}
            }
        }
        self
    }

    /// What runs: the file with every default filled in.
    pub fn settle(self) -> Result<Settings, Error> {
        let Some(data_dir) = self.data_dir else {
            return Err(Error::Setting {
                key: "data_dir".to_owned(),
                why: "is missing: say where the node keeps its journal and tables".to_owned(),
            });
        };
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let snapshot_bytes_per_second = match &self.peer {
            Some(peer) => peer.snapshot_bytes_per_second()?,
            None => SNAPSHOT_BYTES_PER_SECOND,
        };
        let peer = self.peer.map(PeerSection::settle).transpose()?;
        // Names are unique in a cluster, and so are the addresses of its nodes.
        let name = peer.as_ref().map_or("node-1", |peer| peer.advertise.as_str()).to_owned();
        let settings = Settings {
            data_dir,
            node_name: self.node_name.unwrap_or(name),
            region: self.region.unwrap_or_else(|| REGION.to_owned()),
            zone: self.zone.unwrap_or_default(),
            s3_addr: self.s3.addr.unwrap_or_else(|| local(S3_PORT)),
            admin_addr: self.admin.addr.unwrap_or_else(|| local(ADMIN_PORT)),
            http_addr: self.http.addr.unwrap_or_else(|| local(HTTP_PORT)),
            peer,
            snapshot_bytes_per_second,
            base_domain: self.s3.base_domain,
            tls: match self.s3.tls {
                Some(TlsSection { cert_file, key_file }) => Tls::Files { cert_file, key_file },
                None => Tls::Off,
            },
            garbage: self.gc.settle()?,
            repair: self.repair.settle()?,
            write_to: self.write_to.clone(),
            backends: in_order(self.write_to, self.backends)?,
            first: self.first.settle()?,
        };
        settings.check()?;
        Ok(settings)
    }
}

/// The backends that take new objects first, in the order given; then the others by name.
fn in_order(
    write_to: Vec<String>,
    mut backends: BTreeMap<String, BackendConfig>,
) -> Result<Vec<NamedBackend>, Error> {
    if let Some(name) = backends.keys().find(|name| name.is_empty() || name.contains(['@', '#'])) {
        let key = format!("backends.{name:?}");
        let why = "a backend's name has no `@` and no `#`: `hot@3` is the disk hot of node 3, and \
                   `hot@3#7` the one with id 7 that was lost";
        return Err(Error::Setting { key, why: why.to_owned() });
    }
    let fail = |why: String| Err(Error::Setting { key: "write_to".to_owned(), why });
    if write_to.is_empty() && backends.len() > 1 {
        let names: Vec<&str> = backends.keys().map(String::as_str).collect();
        return fail(format!(
            "is missing: say which of {} takes new objects, the preferred one first",
            names.join(", ")
        ));
    }
    let (said, mut ordered) = (!write_to.is_empty(), Vec::new());
    for name in write_to {
        // Who is no gateway has to have it: `Settings::check_backends`.
        if let Some(config) = backends.remove(&name) {
            ordered.push(NamedBackend { name, config, takes: Takes::NewObjects });
        }
    }
    let takes = match said {
        false => Takes::NewObjects,
        true => Takes::Nothing,
    };
    ordered.extend(backends.into_iter().map(|(name, config)| NamedBackend { name, config, takes }));
    Ok(ordered)
}

impl FirstSection {
    fn settle(self) -> Result<First, Error> {
        let user = match (self.access_key, self.secret_key_file) {
            (None, None) => None,
            (Some(access_key), Some(path)) => {
                let fail = |why| Error::Setting { key: "first.secret_key_file".to_owned(), why };
                let text = std::fs::read_to_string(&path).map_err(|source| {
                    fail(format!(
                        "cannot read {}: {source}; write the secret into it",
                        path.display()
                    ))
                })?;
                let secret_key = Secret::new(text.trim());
                if secret_key.expose().is_empty() {
                    return Err(fail(format!(
                        "{} is empty; write the secret into it",
                        path.display()
                    )));
                }
                Some(FirstUser {
                    name: self.user.unwrap_or_else(|| "admin".to_owned()),
                    credentials: Credentials { access_key, secret_key },
                })
            }
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::Setting {
                    key: "first.access_key, first.secret_key_file".to_owned(),
                    why: "give both, or none and run `vaultaire key create`".to_owned(),
                });
            }
        };
        if self.bucket.is_some() && user.is_none() {
            return Err(Error::Setting {
                key: "first.bucket".to_owned(),
                why: "needs an owner: give first.access_key and first.secret_key_file too"
                    .to_owned(),
            });
        }
        Ok(First { user, bucket: self.bucket, shards: self.shards })
    }
}

/// Line, what is wrong, and for a misspelt key the one that was probably meant.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let place = match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: ", before.matches('\n').count() + 1)
        }
        None => String::new(),
    };
    format!("{place}{message}{}", suggestion(message).unwrap_or_default())
}

/// serde names the unknown key first and then all it knows, each between backticks.
fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let scored = quoted.map(|known| (strsim::jaro_winkler(unknown, known), known));
    let (score, best) = scored.max_by(|one, two| one.0.total_cmp(&two.0))?;
    (score >= SIMILARITY_MIN).then(|| format!("; did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_one_meant() {
        for (text, line, meant) in [
            ("data_dri = \"x\"", "line 1", "did you mean `data_dir`?"),
            ("[gc]\nupload_grase = \"1s\"", "line 2", "did you mean `upload_grace`?"),
            ("\n[s3]\nadress = \"x\"", "line 3", "did you mean `addr`?"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(line) && error.contains(meant), "{error}");
        }
        let error = Config::parse("zzz = 1").unwrap_err();
        assert!(
            error.contains("unknown field `zzz`") && !error.contains("did you mean"),
            "{error}"
        );
    }

    #[test]
    fn backends_are_sections_and_the_order_of_writes_is_said() {
        let text =
            "[backends.cold]\nkind = \"memory\"\n[backends.hot]\nkind = \"disk\"\npath = \"hot\"";
        let error = Config::parse(text).unwrap();
        let error = in_order(Vec::new(), error.backends).unwrap_err().to_string();
        assert!(error.contains("cold, hot"), "{error}");
        let config = Config::parse(&format!("write_to = [\"hot\"]\n{text}")).unwrap();
        let config = config.relative_to(Path::new("/etc/vaultaire"));
        let ordered = in_order(config.write_to, config.backends).unwrap();
        let named: Vec<_> = ordered.iter().map(|one| (one.name.as_str(), one.takes)).collect();
        assert_eq!(named, [("hot", Takes::NewObjects), ("cold", Takes::Nothing)]);
        let BackendConfig::Disk(disk) = &ordered[0].config else { panic!("not a disk") };
        assert_eq!(disk.path, Path::new("/etc/vaultaire/hot"));
        let absent = format!("data_dir = \"x\"\nwrite_to = [\"warm\"]\n{text}");
        let error = Config::parse(&absent).unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("[backends.warm]"), "{error}");
        let strange = Config::parse("[backends.\"hot@3\"]\nkind = \"memory\"").unwrap();
        let error = in_order(Vec::new(), strange.backends).unwrap_err().to_string();
        assert!(error.contains("hot@3") && error.contains("no `@`"), "{error}");
        let error = Config::parse("[backends.a]\nkind = \"disk\"\npaht = \"x\"").unwrap_err();
        assert!(error.contains("did you mean `path`?"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = Config::parse("").unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("data_dir"), "{error}");
        let error = Config::parse("data_dir = \"x\"").unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("[backends.hot]"), "{error}");
        let never = "data_dir = \"x\"\n[peer]\nsnapshot_bytes_per_second = \"0B\"";
        let error = Config::parse(never).unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("peer.snapshot_bytes_per_second"), "{error}");
        let half = "data_dir = \"x\"\n[first]\naccess_key = \"VTA\"";
        let error = Config::parse(half).unwrap().settle().unwrap_err().to_string();
        assert!(error.contains("secret_key_file"), "{error}");
    }
}
