//! The cluster's own certificate authority. Every member has its key, so that each can make its own certificate and let
//! others in; the key leaves a node only through a join that showed a valid token.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ring::digest;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tonic::transport::{Certificate, Identity};
use vaultaire_proto::{ClusterId, NodeId};

use super::{ANY_SERVER_NAME, server_name};
use crate::error::Error;
use crate::files::{self, Readers};

const FOLDER: &str = "peer";
const CERTIFICATE: &str = "authority.pem";
const KEY: &str = "authority.key";

/// Certificate and key of the authority, in PEM.
#[derive(Clone)]
pub struct Authority {
    certificate: String,
    key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority(hidden)")
    }
}

/// What one node shows to its peers, and what it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub identity: Identity,
    pub authority: Certificate,
}

impl Authority {
    /// Makes a new one in memory.
    pub fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(|error| fail(&error))?;
        let certificate = params().self_signed(&key).map_err(|error| fail(&error))?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// What another node handed over, once it is what it should be.
    pub fn from_pem(certificate: String, key: String) -> Result<Self, Error> {
        let authority = Self { certificate, key };
        authority.hash()?;
        authority.issuer()?;
        Ok(authority)
    }

    /// The one of this data directory; none where no cluster was ever formed.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, Error> {
        let folder = data_dir.join(FOLDER);
        let (certificate, key) =
            (files::read(&folder.join(CERTIFICATE))?, files::read(&folder.join(KEY))?);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Self::from_pem(text(certificate), text(key)).map(Some)
            }
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(Error::Damaged {
                path: folder,
                problem: "certificate or key of the cluster's authority is missing".to_owned(),
                advice: "copy the folder from another node of the cluster",
            }),
        }
    }

    /// Keeps it. The key first: a certificate alone would be trusted and never used.
    pub fn save(&self, data_dir: &Path) -> Result<(), Error> {
        let folder = data_dir.join(FOLDER);
        files::create_private_dir(&folder)
            .map_err(|source| Error::file("create", &folder, source))?;
        files::write(&folder.join(KEY), self.key.as_bytes(), Readers::Owner)?;
        files::write(&folder.join(CERTIFICATE), self.certificate.as_bytes(), Readers::Owner)
    }

    /// For a node that has shown a valid token.
    pub fn pem(&self) -> (&str, &str) {
        (&self.certificate, &self.key)
    }

    /// What a join token pins.
    pub fn hash(&self) -> Result<[u8; 32], Error> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes())
            .map_err(|error| Error::Tls { why: format!("the cluster's authority: {error}") })?;
        Ok(hash(&der))
    }

    /// A fresh certificate of a node. It lives as long as the process: nothing is kept.
    pub fn credentials(&self, cluster: ClusterId, node: NodeId) -> Result<Credentials, Error> {
        let key = KeyPair::generate().map_err(|error| fail(&error))?;
        let leaf = leaf(cluster, node)
            .and_then(|params| params.signed_by(&key, &self.issuer_of_params()?))
            .map_err(|error| fail(&error))?;
        // The authority's own certificate too, for a joining node that only knows its hash.
        let chain = format!("{}{}", leaf.pem(), self.certificate);
        Ok(Credentials {
            identity: Identity::from_pem(chain, key.serialize_pem()),
            authority: Certificate::from_pem(&self.certificate),
        })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, Error> {
        self.issuer_of_params().map_err(|error| fail(&error))
    }

    fn issuer_of_params(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        Ok(Issuer::new(params(), KeyPair::from_pem(&self.key)?))
    }
}

/// Of a certificate as it travels.
pub fn hash(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    hash
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Vaultaire cluster authority");
    params
}

fn leaf(cluster: ClusterId, node: NodeId) -> Result<CertificateParams, rcgen::Error> {
    let names = vec![server_name(cluster, node), ANY_SERVER_NAME.to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, format!("Vaultaire node {node}"));
    Ok(params)
}

fn fail(error: &dyn std::fmt::Display) -> Error {
    Error::Tls { why: format!("the cluster's authority: {error}") }
}
