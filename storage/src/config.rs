//! What a configuration file may say about a backend. Ids and limits that run are derived in `registry.rs`.

pub mod shared;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::error::Error;

/// One backend: `[backends.<name>]` with its kind and what that kind needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackendConfig {
    /// A folder on a local file system.
    Disk(DiskConfig),
    /// The memory of the process: for tests and trials.
    Memory(MemoryConfig),
    /// A bucket behind an S3 endpoint.
    S3(S3Config),
}

/// A folder on a local file system.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The folder. Its parent must exist, so that a missing mount is not taken for a fresh disk.
    pub path: PathBuf,
}

/// The memory of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {}

/// A bucket behind an S3 endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The endpoint, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket. It must exist.
    pub bucket: String,
    /// What every key of ours begins with in the bucket. Nothing else may write below it.
    #[serde(default)]
    pub prefix: String,
    /// The access key id.
    pub access_key: String,
    /// Where the secret access key is.
    pub secret_key: SecretSource,
    /// Whether the bucket's name is in the path (`true`) or in the host name.
    #[serde(default = "yes")]
    pub path_style: bool,
    /// Whether the endpoint may be plain `http://`.
    #[serde(default)]
    pub allow_http: bool,
    /// Whether the endpoint honours `If-None-Match: *`. Where it does not, keys are looked up before they are written.
    #[serde(default = "yes")]
    pub conditional_put: bool,
}

/// Longer names of variables are not repeated in errors: access keys have 20 characters, secrets 40.
const VARIABLE_SHOWN_MAX: usize = 39;

fn yes() -> bool {
    true
}

/// Where a secret is. Never in the configuration itself, which ends up in repositories and bug reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In this environment variable.
    Env(String),
    /// In this file, without the white space around it.
    File(PathBuf),
}

/// How a source is written.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenSource {
    Env(String),
    File(PathBuf),
}

impl<'de> Deserialize<'de> for SecretSource {
    /// Whatever is wrong here may be the secret itself, in plain sight: no error repeats what was written.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match WrittenSource::deserialize(from) {
            Ok(WrittenSource::Env(variable)) => Ok(Self::Env(variable)),
            Ok(WrittenSource::File(path)) => Ok(Self::File(path)),
            Err(_shows_what_was_written) => Err(serde::de::Error::custom(
                "a secret never stands in the configuration: write { env = \"VARIABLE\" } or { file = \"PATH\" }",
            )),
        }
    }
}

/// A variable's name, unless it looks as if the secret itself was written in its place.
fn variable_for_people(variable: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match variable.len() <= VARIABLE_SHOWN_MAX && variable.bytes().all(is_plain) {
        true => variable,
        false => "whose name is not shown, since it may be a secret,",
    }
}

impl SecretSource {
    /// Reads the secret. `name` is the backend's, for the error.
    pub fn read(&self, name: &str) -> Result<Secret, Error> {
        let failed = |reason: String| Error::Config { name: name.to_owned(), reason };
        let text = match self {
            Self::Env(variable) => std::env::var(variable).map_err(|error| {
                let why = match error {
                    std::env::VarError::NotPresent => "is not set",
                    std::env::VarError::NotUnicode(_) => "is no text",
                };
                let variable = variable_for_people(variable);
                failed(format!("environment variable {variable} {why}; set it to the secret"))
            })?,
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                failed(format!("secret file {}: {error}; make it readable", path.display()))
            })?,
        };
        match text.trim() {
            "" => Err(failed(
                "the secret is empty; write it to where the configuration points".to_owned(),
            )),
            secret => Ok(Secret::new(secret)),
        }
    }
}

/// A secret, which no log or error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn parse(text: &str) -> Result<BackendConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn every_kind_is_read() {
        let disk = parse(r#"{"kind": "disk", "path": "/srv/blobs"}"#).unwrap();
        assert_eq!(disk, BackendConfig::Disk(DiskConfig { path: "/srv/blobs".into() }));
        assert_eq!(parse(r#"{"kind": "memory"}"#).unwrap(), BackendConfig::Memory(MemoryConfig {}));
        let s3 = r#"{"kind": "s3", "endpoint": "http://e", "region": "r", "bucket": "b", "access_key": "a",
                     "secret_key": {"env": "SECRET"}}"#;
        let BackendConfig::S3(s3) = parse(s3).unwrap() else { panic!("not s3") };
        assert!(s3.path_style && s3.conditional_put && !s3.allow_http);
        assert_eq!(s3.secret_key, SecretSource::Env("SECRET".to_owned()));
    }

    #[test]
    fn unknown_words_are_errors() {
        for text in [
            r#"{"kind": "disk", "path": "/x", "pth": "/y"}"#,
            r#"{"kind": "memory", "size": 1}"#,
            r#"{"kind": "tape", "path": "/x"}"#,
            r#"{"path": "/x"}"#,
            r#"{"kind": "s3", "endpoint": "http://e", "region": "r", "bucket": "b", "access_key": "a",
                "secret_key": "in plain sight"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_in_plain_sight_is_refused_and_not_repeated() {
        for written in [
            r#""hunter2""#,
            r#"["hunter2"]"#,
            r#"{"hunter2": 1}"#,
            r#"{"value": "hunter2"}"#,
            "770077",
            "77.0077",
        ] {
            let text = format!(
                r#"{{"kind": "s3", "endpoint": "http://e", "region": "r", "bucket": "b", "access_key": "a",
                     "secret_key": {written}}}"#
            );
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains("write { env ="), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("77"), "{error}");
        }
        let mistaken = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY";
        let error = SecretSource::Env(mistaken.to_owned()).read("b").unwrap_err().to_string();
        assert!(!error.contains(mistaken) && error.contains("is not set"), "{error}");
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, " hunter2\n").unwrap();
        let secret = SecretSource::File(file.clone()).read("b").unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        std::fs::write(&file, "\n").unwrap();
        assert!(SecretSource::File(file).read("b").is_err());
        let unset = SecretSource::Env("VAULTAIRE_A_VARIABLE_NOBODY_SETS".to_owned());
        assert!(unset.read("b").unwrap_err().to_string().contains("NOBODY_SETS"));
    }
}
