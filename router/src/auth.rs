//! Who asks. s3s verifies signatures; this gives it the secret, from a row that is read afresh for every
//! request. Only the unsealing is remembered, under the sealed bytes, so a revoked key is refused at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result};
use vaultaire_proto::row::{AccessKey, Bucket};
use vaultaire_proto::{Answer, BucketName, Catalog, Consistency, Query, UserId};

use crate::error::Error;
use crate::error::map::unexpected;
use crate::limits;

/// The secret half of an access key. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct Secret(SecretKey);

impl Secret {
    /// Takes what was unsealed; it is wiped from memory when dropped.
    pub fn new(text: String) -> Self {
        Self(SecretKey::from(text))
    }

    /// For signing in tests and tools.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Opens sealed secrets. The key that seals them belongs to node.
pub trait Unseal: Send + Sync + fmt::Debug {
    /// None: sealed with another key, or damaged.
    fn unseal(&self, row: &AccessKey) -> Option<Secret>;
}

/// Whom a signature proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub access_key: String,
    pub user: UserId,
}

/// What was read while the signature was checked, for the rest of the request.
#[derive(Debug, Default)]
pub struct Found {
    /// The bucket that the request names: read along with the access key.
    bucket_name: Option<BucketName>,
    rows: Mutex<Option<(Identity, Option<Bucket>)>>,
}

impl Found {
    /// For a request to this bucket.
    pub fn new(bucket_name: Option<BucketName>) -> Self {
        Self { bucket_name, rows: Mutex::new(None) }
    }

    /// What was read; once.
    pub fn take(&self) -> Option<(Identity, Option<Bucket>)> {
        self.rows.lock().take()
    }
}

tokio::task_local! {
    /// s3s asks for secrets without saying for which request; this says it.
    pub static FOUND: Arc<Found>;
}

/// What s3s asks.
#[derive(Debug)]
pub struct Auth {
    catalog: Arc<dyn Catalog>,
    secrets: Arc<dyn Unseal>,
    opened: Mutex<HashMap<Vec<u8>, SecretKey>>,
}

impl Auth {
    /// Reads keys from the catalog.
    pub fn new(catalog: Arc<dyn Catalog>, secrets: Arc<dyn Unseal>) -> Self {
        Self { catalog, secrets, opened: Mutex::default() }
    }

    async fn look_up(&self, access_key: &str) -> Result<(AccessKey, Option<Bucket>), Error> {
        let name = FOUND.try_with(|found| found.bucket_name.clone()).unwrap_or_default();
        let key =
            self.catalog.query(Query::AccessKey(access_key.to_owned()), Consistency::Linearizable);
        let bucket = async {
            match name {
                Some(name) => {
                    self.catalog.query(Query::Bucket(name), Consistency::Linearizable).await
                }
                None => Ok(Answer::Bucket(None)),
            }
        };
        let (key, bucket) = futures::try_join!(key, bucket)?;
        let (Answer::AccessKey(key), Answer::Bucket(bucket)) = (key, bucket) else {
            return Err(unexpected("access key and bucket"));
        };
        let key = key.ok_or_else(|| {
            Error::new(crate::error::code::Code::InvalidAccessKeyId)
                .detail("AWSAccessKeyId", access_key)
        })?;
        Ok((key, bucket))
    }

    fn secret(&self, row: &AccessKey) -> Option<SecretKey> {
        if let Some(secret) = self.opened.lock().get(&row.sealed_secret) {
            return Some(secret.clone());
        }
        let secret = self.secrets.unseal(row)?.0;
        let mut opened = self.opened.lock();
        if opened.len() >= limits::SECRETS_CACHED_MAX {
            opened.clear();
        }
        opened.insert(row.sealed_secret.clone(), secret.clone());
        Some(secret)
    }
}

#[async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let (row, bucket) = self.look_up(access_key).await.map_err(|error| to_s3s(&error))?;
        let Some(secret) = self.secret(&row) else {
            tracing::error!(
                access_key,
                "the secret of an access key cannot be unsealed; create a new key"
            );
            return Err(S3Error::with_message(
                S3ErrorCode::InternalError,
                "The secret of this access key cannot be opened on this node; create a new key.",
            ));
        };
        let identity = Identity { access_key: row.access_key, user: row.user };
        // Outside a request (never in this process) there is nobody to tell.
        let _ = FOUND.try_with(|found| *found.rows.lock() = Some((identity, bucket)));
        Ok(secret)
    }
}

/// s3s carries errors in its own type; they are completed again on the way out.
fn to_s3s(error: &Error) -> S3Error {
    let code = error.code().parse().unwrap_or(S3ErrorCode::InternalError);
    let mut out = S3Error::with_message(code, error.message().to_owned());
    out.set_status_code(error.status());
    out
}
