//! Whose place this is. A place that should hold a backend and has no identity, or another one, is lost or mistaken:
//! opening it as an empty one would let a sweep conclude that every blob in it is known to nobody. How an identity
//! is kept is each backend's own matter.

use serde::{Deserialize, Serialize};
use vaultaire_proto::BackendId;

use crate::backend::Kind;
use crate::error::Error;

/// The version of a backend's layout that this release writes, and the newest that it reads.
const FORMAT_VERSION: u32 = 1;

/// The name under which every backend that outlives the process keeps its identity.
pub const NAME: &str = "identity.json";

/// What the opener knows about the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The backend is being added: an empty place becomes it.
    FreshOrOurs,
    /// The backend was opened before: a place without identity is a lost one.
    Ours,
}

/// Where an identity is looked for, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, or the bucket with its endpoint and prefix.
    pub name: String,
    /// The family of the backend, which decides what an operator can do.
    pub kind: Kind,
}

/// Who a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    format_version: u32,
    cluster_id: String,
    backend_id: u32,
}

/// Read before everything else, since a later version may have other fields.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl Identity {
    /// The identity that a backend of a cluster must have.
    pub fn new(cluster: &str, backend: BackendId) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            cluster_id: cluster.to_owned(),
            backend_id: backend.0,
        }
    }

    /// The backend's id.
    pub fn backend(&self) -> BackendId {
        BackendId(self.backend_id)
    }

    /// What is kept.
    pub fn to_text(&self) -> String {
        let Self { format_version, cluster_id, backend_id } = self;
        serde_json::json!({
            "format_version": format_version,
            "cluster_id": cluster_id,
            "backend_id": backend_id,
        })
        .to_string()
    }

    /// Proves that what was kept is this identity.
    pub fn verify(&self, kept: &[u8], place: &Place) -> Result<(), Error> {
        let found = parse(kept, place)?;
        if found == *self {
            return Ok(());
        }
        Err(Error::IdentityMismatch {
            place: place.name.clone(),
            expected: self.describe(),
            found: found.describe(),
            advice: match place.kind {
                Kind::Disk => "the disk is lost, not empty; mount the right one",
                Kind::S3 => {
                    "a renamed backend is another one, and two never share a place; give back the former name, or choose another bucket or prefix"
                }
                Kind::Memory => "choose another place",
            },
        })
    }

    /// The error of a place that has no identity.
    pub fn missing(&self, place: &Place, reason: &'static str) -> Error {
        let advice = match place.kind {
            Kind::Disk => {
                "the disk is lost, not empty; mount the right one or point to an empty folder"
                    .to_owned()
            }
            Kind::S3 => format!(
                "the store is lost or another one, not empty; point to the right bucket and prefix, or to an empty \
                 prefix for a new backend; if only {NAME} was deleted, put it back: {}",
                self.to_text()
            ),
            Kind::Memory => "choose another place".to_owned(),
        };
        Error::IdentityMissing { place: place.name.clone(), reason, advice }
    }

    fn describe(&self) -> String {
        format!("backend {} of cluster {}", self.backend_id, self.cluster_id)
    }
}

fn parse(text: &[u8], place: &Place) -> Result<Identity, Error> {
    let corrupt = |error: serde_json::Error| Error::Corrupt {
        subject: format!("{}/{NAME}", place.name),
        reason: error.to_string(),
    };
    let Version { format_version } = serde_json::from_slice(text).map_err(corrupt)?;
    if format_version > FORMAT_VERSION {
        let place = place.name.clone();
        return Err(Error::FormatTooNew {
            place,
            found: format_version,
            supported: FORMAT_VERSION,
        });
    }
    serde_json::from_slice(text).map_err(corrupt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_identity_knows_itself_and_nobody_else() {
        let ours = Identity::new("c1", BackendId(7));
        let place = Place { name: "somewhere".to_owned(), kind: Kind::S3 };
        ours.verify(ours.to_text().as_bytes(), &place).unwrap();
        for other in [Identity::new("c1", BackendId(8)), Identity::new("c2", BackendId(7))] {
            let error = ours.verify(other.to_text().as_bytes(), &place).unwrap_err();
            assert!(matches!(error, Error::IdentityMismatch { .. }), "{error:?}");
            assert!(error.to_string().contains(&other.describe()), "{error}");
        }
        let missing = ours.missing(&place, "it was used").to_string();
        assert!(missing.contains(&ours.to_text()), "{missing}");
    }
}
