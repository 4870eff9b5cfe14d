//! Secret access keys at rest: SigV4 needs them back, so they are sealed, not hashed. The sealing key lies
//! in the data directory, for its owner alone; the sealed bytes travel in the replicated tables.

use std::fmt;
use std::path::{Path, PathBuf};

use rand::RngExt;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::Error;
use crate::files::{self, Readers};

const FILE: &str = "secrets.key";
const KEY_LEN: usize = 32;

/// First byte of everything sealed, so that a later scheme can be told apart.
const SCHEME_AES_256_GCM: u8 = 1;

/// Symbols of generated access keys: no two look alike.
const KEY_SYMBOLS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const ACCESS_KEY_PREFIX: &str = "VT";
const ACCESS_KEY_LEN: usize = 20;

/// Symbols of generated secrets: none that a shell, a URL or a command line (a leading dash) treats specially.
const SECRET_SYMBOLS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const SECRET_LEN: usize = 40;

/// A text that is never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

/// An access key with its secret, as a client is told them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: Secret,
}

impl Credentials {
    /// A fresh pair: 90 and 200 bits from the operating system's generator.
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::rng().random();
        Self {
            access_key: Self::access_key_from(&bytes),
            secret_key: Secret::new(random_text(SECRET_LEN)),
        }
    }

    /// The access key that some bytes spell; a digest, so that a repeated request spells the same one.
    pub fn access_key_from(bytes: &[u8]) -> String {
        let length = ACCESS_KEY_LEN - ACCESS_KEY_PREFIX.len();
        let tail = spelled(KEY_SYMBOLS, bytes.iter().take(length));
        format!("{ACCESS_KEY_PREFIX}{tail}")
    }
}

fn random_text(length: usize) -> String {
    let mut bytes = vec![0_u8; length];
    rand::rng().fill(bytes.as_mut_slice());
    spelled(SECRET_SYMBOLS, bytes.iter())
}

/// One symbol per byte. The number of symbols divides 256, so that each is as likely as another.
fn spelled<'bytes>(symbols: &[u8], bytes: impl Iterator<Item = &'bytes u8>) -> String {
    let pick = |byte: &u8| symbols.get(usize::from(*byte) % symbols.len()).copied();
    bytes.filter_map(pick).map(char::from).collect()
}

/// A fresh bearer token.
pub fn token() -> Secret {
    Secret::new(random_text(SECRET_LEN))
}

/// Seals and opens secrets with the key of this data directory.
pub struct Sealer {
    path: PathBuf,
    key: LessSafeKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealer({})", self.path.display())
    }
}

impl Sealer {
    /// Reads the key, which must be there: what it sealed cannot be opened without it.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let Some(text) = files::read(&path)? else {
            return Err(Error::Damaged {
                path,
                problem: "missing".to_owned(),
                advice: "secret keys cannot be opened without it: restore it from a backup",
            });
        };
        let mut bytes = [0; KEY_LEN];
        let digits = text.trim_ascii();
        if hex::decode_to_slice(digits, &mut bytes).is_err() {
            return Err(Error::Damaged {
                path,
                problem: "not 64 hexadecimal digits".to_owned(),
                advice: "secret keys cannot be opened without it: restore it from a backup",
            });
        }
        Ok(Self::new(path, bytes))
    }

    /// Reads the key, or makes it where a first start has not yet.
    pub fn open_or_create(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        if !path.exists() {
            let bytes: [u8; KEY_LEN] = rand::rng().random();
            let text = format!("{}\n", hex::encode(bytes));
            files::write(&path, text.as_bytes(), Readers::Owner)?;
        }
        Self::open(data_dir)
    }

    /// The key as its file has it, for a node that was let into the cluster.
    pub fn text(&self, data_dir: &Path) -> Result<Secret, Error> {
        let text = files::read(&data_dir.join(FILE))?.unwrap_or_default();
        Ok(Secret::new(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Keeps the key of the cluster that this node was let into.
    pub fn save(data_dir: &Path, key: &Secret) -> Result<(), Error> {
        files::write(&data_dir.join(FILE), key.expose().as_bytes(), Readers::Owner)?;
        Self::open(data_dir).map(|_| ())
    }

    fn new(path: PathBuf, bytes: [u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("the array has the key's length");
        Self { path, key: LessSafeKey::new(key) }
    }

    /// Seals a secret to its access key: moved under another one it does not open.
    pub fn seal(&self, access_key: &str, secret: &Secret) -> Vec<u8> {
        // 96 random bits per secret: far below 2^32 secrets a key, so no nonce repeats in practice.
        let nonce: [u8; NONCE_LEN] = rand::rng().random();
        let mut sealed = secret.expose().as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(access_key.as_bytes()),
                &mut sealed,
            )
            .expect("a secret is shorter than AES-GCM's limit of 64 GiB");
        let mut bytes = vec![SCHEME_AES_256_GCM];
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what `seal` made for the same access key with the same key file.
    pub fn unseal(&self, access_key: &str, sealed: &[u8]) -> Result<Secret, Error> {
        self.opened(access_key, sealed).ok_or_else(|| Error::Sealed {
            subject: format!("access key {access_key}"),
            path: self.path.clone(),
        })
    }

    fn opened(&self, access_key: &str, sealed: &[u8]) -> Option<Secret> {
        let rest = sealed.strip_prefix(&[SCHEME_AES_256_GCM])?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = body.to_vec();
        let opened =
            self.key.open_in_place(nonce, Aad::from(access_key.as_bytes()), &mut bytes).ok()?;
        String::from_utf8(opened.to_vec()).ok().map(Secret)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_comes_back_under_its_own_access_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::open_or_create(folder.path()).unwrap();
        let secret = Secret::new("correct horse");
        let sealed = sealer.seal("VTA", &secret);
        assert!(!sealed.windows(7).any(|window| window == b"correct"));
        assert_eq!(sealer.unseal("VTA", &sealed).unwrap(), secret);
        assert!(sealer.unseal("VTB", &sealed).is_err());
        assert_ne!(sealer.seal("VTA", &secret), sealed, "a nonce was used twice");
        let again = Sealer::open(folder.path()).unwrap();
        assert_eq!(again.unseal("VTA", &sealed).unwrap(), secret);
        for cut in 0..sealed.len() {
            assert!(sealer.unseal("VTA", &sealed[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn generated_credentials_need_no_quotes() {
        let pair = Credentials::generate();
        for text in [&pair.access_key, pair.secret_key.expose()] {
            assert!(text.bytes().all(|symbol| symbol.is_ascii_alphanumeric()), "{text}");
        }
        assert_eq!(pair.secret_key.expose().len(), SECRET_LEN);
    }

    #[test]
    fn another_directory_does_not_open_it() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sealed = Sealer::open_or_create(one.path()).unwrap().seal("VTA", &Secret::new("x"));
        let other = Sealer::open_or_create(two.path()).unwrap();
        let error = other.unseal("VTA", &sealed).unwrap_err().to_string();
        assert!(error.contains("VTA") && error.contains("restore the key file"), "{error}");
    }

    #[test]
    fn the_key_file_is_private_and_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Sealer::open(folder.path()).is_err());
        Sealer::open_or_create(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read(&path).unwrap();
        Sealer::open_or_create(folder.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::write(&path, "short").unwrap();
        assert!(Sealer::open_or_create(folder.path()).is_err());
    }

    #[test]
    fn generated_credentials_look_like_the_ones_of_s3_and_differ() {
        let (one, two) = (Credentials::generate(), Credentials::generate());
        assert_eq!((one.access_key.len(), one.secret_key.expose().len()), (20, 40));
        assert_ne!(one, two);
        assert!(!format!("{one:?}").contains(one.secret_key.expose()));
    }
}
