//! How a node becomes a member: it shows the secret of a token, and gets its id and what every member has. The node that is
//! asked answers only after the catalog has taken the token.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};
use vaultaire_proto::command::FIRST_KINDS;
use vaultaire_proto::command::members::MemberChange;
use vaultaire_proto::convert::FORMAT;
use vaultaire_proto::row::{NodePhase, NodeRole, NodeRow};
use vaultaire_proto::wire::v1 as wire;
use vaultaire_proto::wire::v1::join_client::JoinClient;
use vaultaire_proto::wire::v1::join_server::Join;
use vaultaire_proto::{ClusterId, GroupId, NodeId, Operation, Response as Answer};

use super::authority::{self, Authority};
use super::token::{self, Token};
use super::{ANY_SERVER_NAME, pool};
use crate::about;
use crate::error::Error;
use crate::grpc::status;
use crate::propose::{Proposer, accepted, request_id};
use crate::secrets::Secret;
use crate::support::Support;

/// How long a member may take to let a node in.
const JOIN_MAX: Duration = Duration::from_secs(40);

/// How long a member may take to show its certificate.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// What a node is let in with, and as.
#[derive(Clone, Debug)]
pub struct Application {
    pub name: String,
    pub address: String,
    pub role: NodeRole,
}

/// What a node gets that was let in.
#[derive(Debug)]
pub struct Admission {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub authority: Authority,
    pub sealing_key: Secret,
    /// All nodes that there are, and where they can be reached.
    pub members: Vec<NodeRow>,
}

/// Lets nodes in, once this node can propose.
#[derive(Clone, Debug)]
pub struct Host {
    pub cluster: ClusterId,
    pub authority: Authority,
    pub sealing_key: Secret,
    /// It lets nobody in: only who has a log knows what all nodes can apply.
    pub gateway: bool,
    pub admitting: Arc<OnceLock<Admitting>>,
}

/// What letting a node in takes.
#[derive(Clone, Debug)]
pub struct Admitting {
    pub proposer: Proposer,
    pub support: Support,
}

#[async_trait]
impl Join for Host {
    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        let admitted = self.admit(request.into_inner()).await;
        let (node, members) = admitted.map_err(|error| status::of(&error))?;
        let (certificate, key) = self.authority.pem();
        Ok(Response::new(wire::JoinResponse {
            node: Some(wire::Node { id: node.0, ..wire::Node::default() }),
            cluster: self.cluster.0.to_vec(),
            authority_certificate: certificate.to_owned(),
            authority_key: key.to_owned(),
            sealing_key: self.sealing_key.expose().as_bytes().to_vec(),
            members,
        }))
    }
}

impl Host {
    async fn admit(&self, request: wire::JoinRequest) -> Result<(NodeId, Vec<wire::Node>), Error> {
        if self.gateway {
            return Err(Error::Usage(
                "this is a gateway, which lets nobody in: name a node that has a log".to_owned(),
            ));
        }
        let Some(Admitting { proposer, support }) = self.admitting.get() else {
            return Err(Error::Catalog(vaultaire_proto::CatalogError::NoLeader {
                group: GroupId::CONTROL,
            }));
        };
        let wire::JoinRequest { secret, name, address, role, format, kinds } = request;
        if format < u32::from(FORMAT) {
            return Err(Error::Usage(format!(
                "the joining node reads formats up to {format} and this cluster writes {FORMAT}: install the release that the cluster runs"
            )));
        }
        // It would stop at the first entry that it cannot apply, and there may be one already.
        let known = about::kinds();
        if kinds.max(FIRST_KINDS) < known {
            return Err(Error::Usage(format!(
                "the joining node applies kinds of commands up to {kinds} and this cluster's nodes up to {known}: install the release that the cluster runs"
            )));
        }
        let role = match wire::NodeRole::try_from(role) {
            Ok(wire::NodeRole::Voter) => NodeRole::Voter,
            Ok(wire::NodeRole::Learner) => NodeRole::Learner,
            Ok(wire::NodeRole::Gateway) => NodeRole::Gateway,
            Err(_) => return Err(Error::Usage(format!("no node has the role {role}"))),
        };
        let hash = token::hash(&secret);
        // Whoever lost the answer asks again, and is the same node.
        let request = request_id("Join", &name, &hex::encode(hash));
        let change = MemberChange::Join { hash, name: name.clone(), address, role };
        let operation = Operation::ChangeMembers(change);
        support.ensure(&operation).await?;
        let answer = proposer.commit_as(request, GroupId::CONTROL, operation).await?;
        let node = match accepted(&format!("node {name}"), answer)? {
            Answer::Node(row) => row.id,
            _ => return Err(Error::UnexpectedAnswer { question: "join" }),
        };
        let members = support.nodes().await?.into_iter();
        let members = members.filter(|row| row.id != node && row.role != NodeRole::Gateway);
        let told = |row: NodeRow| wire::Node {
            id: row.id.0,
            address: row.address,
            zone: row.zone,
            ..wire::Node::default()
        };
        Ok((node, members.map(told).collect()))
    }
}

/// Asks a member at `address` to let this node in.
pub async fn ask(
    address: &str,
    token: &Token,
    application: Application,
) -> Result<Admission, Error> {
    let refused = |why: String| Error::Join { address: address.to_owned(), why };
    let certificate = timeout(GREETING_MAX, pinned_authority(address, token.authority))
        .await
        .map_err(|_| refused("it did not answer in time".to_owned()))?
        .map_err(&refused)?;
    let pem = pem(&certificate);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&pem))
        .domain_name(ANY_SERVER_NAME);
    let endpoint = Endpoint::from_shared(format!("https://{address}"))
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| refused(error.to_string()))?;
    let channel = pool::lazy(endpoint);
    let mut request = Request::new(wire::JoinRequest {
        secret: token.secret.to_vec(),
        name: application.name,
        address: application.address,
        role: match application.role {
            NodeRole::Voter => wire::NodeRole::Voter,
            NodeRole::Learner => wire::NodeRole::Learner,
            NodeRole::Gateway => wire::NodeRole::Gateway,
        }
        .into(),
        format: u32::from(FORMAT),
        kinds: about::kinds(),
    });
    request.set_timeout(JOIN_MAX);
    let answer = JoinClient::new(channel).join(request).await;
    let answer = answer.map_err(|status| refused(status.message().to_owned()))?.into_inner();
    let cluster = <[u8; 16]>::try_from(answer.cluster.as_slice())
        .map_err(|_| refused("its answer names no cluster".to_owned()))?;
    let node = answer.node.ok_or_else(|| refused("its answer names no node".to_owned()))?;
    let sealing_key = String::from_utf8(answer.sealing_key)
        .map_err(|_| refused("its answer has no sealing key".to_owned()))?;
    Ok(Admission {
        node: NodeId(node.id),
        cluster: ClusterId(cluster),
        authority: Authority::from_pem(answer.authority_certificate, answer.authority_key)?,
        sealing_key: Secret::new(sealing_key),
        members: answer.members.into_iter().map(member).collect(),
    })
}

/// What a member says of another one.
fn member(told: wire::Node) -> NodeRow {
    NodeRow {
        id: NodeId(told.id),
        name: told.name,
        incarnation: 0,
        address: told.address,
        role: NodeRole::Voter,
        phase: NodePhase::Member,
        zone: told.zone,
        region: told.region,
    }
}

/// The authority that a member shows, if it is the one that the token names. The connection serves nothing else.
async fn pinned_authority(
    address: &str,
    hash: [u8; 32],
) -> Result<CertificateDer<'static>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let config = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(LookOnly))
        .with_no_client_auth();
    let mut config = config;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(ANY_SERVER_NAME).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let connected = connected.map_err(|error| format!("{error}; is this the peer port?"))?;
    let shown = connected.get_ref().1.peer_certificates().unwrap_or_default();
    let pinned = shown.iter().find(|certificate| authority::hash(certificate) == hash);
    pinned.map(|certificate| certificate.clone().into_owned()).ok_or_else(|| {
        "it belongs to another cluster than the token: check the address, or make a token on one of its nodes".to_owned()
    })
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Takes any certificate: nothing is said on this connection, and what it showed is compared with the token.
#[derive(Debug)]
struct LookOnly;

impl ServerCertVerifier for LookOnly {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
