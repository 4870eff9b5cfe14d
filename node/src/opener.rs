//! Opens sealed secrets for the S3 front, which knows nothing of key files.

use std::sync::Arc;

use vaultaire_proto::row::AccessKey;
use vaultaire_router::auth::{Secret, Unseal};

use crate::secrets::Sealer;

/// The sealer behind the router's seam.
#[derive(Debug)]
pub struct Opener(Arc<Sealer>);

impl Opener {
    /// Over the sealer of this data directory.
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self(sealer)
    }
}

impl Unseal for Opener {
    fn unseal(&self, row: &AccessKey) -> Option<Secret> {
        match self.0.unseal(&row.access_key, &row.sealed_secret) {
            Ok(secret) => Some(Secret::new(secret.expose().to_owned())),
            Err(error) => {
                tracing::error!(%error, "a request is refused");
                None
            }
        }
    }
}
