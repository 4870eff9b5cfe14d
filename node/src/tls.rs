//! Certificates: the operator's files, or an authority of the node's own for first steps and tests.
//! Accepting connections is the router's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Error;
use crate::files::{self, Readers};
use crate::settings::{Settings, Tls};

const FOLDER: &str = "tls";
const CA_CERT: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

/// What the listeners need, and what clients must trust.
#[derive(Clone)]
pub struct Served {
    pub server: Arc<ServerConfig>,
    /// The authority's certificate, where it is our own.
    pub ca_file: Option<PathBuf>,
}

/// Chooses ring for the whole process; the first line of `main` and of every test.
pub fn install_provider() {
    // An error says that a provider was chosen before: there is only ring in this binary.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificate that the settings ask for; `None` for plain http.
pub fn serve(settings: &Settings) -> Result<Option<Served>, Error> {
    match &settings.tls {
        Tls::Off => Ok(None),
        Tls::Files { cert_file, key_file } => {
            let chain = read_chain(cert_file)?;
            let key = read_key(key_file)?;
            Ok(Some(Served { server: server(chain, key)?, ca_file: None }))
        }
        Tls::Own => {
            own(&settings.data_dir, settings.s3_addr, settings.base_domain.as_deref()).map(Some)
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |why: String| Error::Tls { why: format!("{}: {why}", path.display()) };
    let pem = files::read(path)?.ok_or_else(|| fail("there is no such file".to_owned()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| fail(error.to_string()))?;
    match chain.is_empty() {
        true => Err(fail("holds no certificate in PEM".to_owned())),
        false => Ok(chain),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let fail = |why: String| Error::Tls { why: format!("{}: {why}", path.display()) };
    let pem = files::read(path)?.ok_or_else(|| fail("there is no such file".to_owned()))?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| fail(format!("holds no private key in PEM ({error})")))
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| Error::Tls { why: format!("certificate and key do not fit: {error}") })?;
    // S3 clients speak HTTP/1.1; none gains from the other.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The authority is made once, so that clients trust it for ever; the certificate at every start,
/// for the names of that start.
fn own(data_dir: &Path, addr: SocketAddr, domain: Option<&str>) -> Result<Served, Error> {
    let fail = |error: rcgen::Error| Error::Tls { why: error.to_string() };
    let folder = data_dir.join(FOLDER);
    files::create_private_dir(&folder).map_err(|source| Error::file("create", &folder, source))?;
    let ca_file = folder.join(CA_CERT);
    let issuer = authority(&folder)?;
    let key = KeyPair::generate().map_err(fail)?;
    let certificate =
        leaf(addr, domain).and_then(|params| params.signed_by(&key, &issuer)).map_err(fail)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|why| Error::Tls { why: why.to_owned() })?;
    let server = server(vec![certificate.der().clone()], private)?;
    Ok(Served { server, ca_file: Some(ca_file) })
}

fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, Error> {
    let fail = |error: rcgen::Error| Error::Tls { why: error.to_string() };
    let (cert_file, key_file) = (folder.join(CA_CERT), folder.join(CA_KEY));
    if let (Some(cert), Some(key)) = (files::read(&cert_file)?, files::read(&key_file)?) {
        let (cert, key) = (String::from_utf8_lossy(&cert), String::from_utf8_lossy(&key));
        let key = KeyPair::from_pem(&key).map_err(fail)?;
        // The certificate is only read back to be sure that it is one.
        CertificateDer::from_pem_slice(cert.as_bytes())
            .map_err(|error| Error::Tls { why: format!("{}: {error}", cert_file.display()) })?;
        return Ok(Issuer::new(authority_params(), key));
    }
    let key = KeyPair::generate().map_err(fail)?;
    let certificate = authority_params().self_signed(&key).map_err(fail)?;
    // The key first: a certificate without its key would be trusted and never used.
    files::write(&key_file, key.serialize_pem().as_bytes(), Readers::Owner)?;
    files::write(&cert_file, certificate.pem().as_bytes(), Readers::Everyone)?;
    Ok(Issuer::new(authority_params(), key))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Vaultaire local authority");
    params
}

fn leaf(addr: SocketAddr, domain: Option<&str>) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec!["localhost".to_owned()];
    if let Some(domain) = domain {
        names.push(domain.to_owned());
        names.push(format!("*.{domain}"));
    }
    let mut params = CertificateParams::new(names)?;
    let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if !addr.ip().is_unspecified() && !ips.contains(&addr.ip()) {
        ips.push(addr.ip());
    }
    params.subject_alt_names.extend(ips.into_iter().map(SanType::IpAddress));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, "Vaultaire");
    Ok(params)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_own_authority_stays_the_same_over_restarts() {
        install_provider();
        let folder = tempfile::tempdir().unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = own(folder.path(), addr, None).unwrap();
        let pem = std::fs::read(first.ca_file.as_ref().unwrap()).unwrap();
        let again = own(folder.path(), addr, Some("s3.example.com")).unwrap();
        assert_eq!(std::fs::read(again.ca_file.unwrap()).unwrap(), pem);
    }

    #[test]
    fn files_that_are_no_certificates_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        std::fs::write(&path, "hello").unwrap();
        let error = read_chain(&path).unwrap_err().to_string();
        assert!(error.contains("cert.pem"), "{error}");
        assert!(read_key(&folder.path().join("absent")).is_err());
    }
}
