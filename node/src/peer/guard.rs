//! Who may call: a node of this cluster, as its certificate proves, that means this node. Before any handler runs.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName};
use tonic::{Request, Status};
use vaultaire_proto::NodeId;
use vaultaire_proto::row::NodePhase;

use super::pool::Pool;
use super::{CLUSTER, FROM, TO, server_name};
use crate::grpc::status;

/// Checks calls to one node.
#[derive(Clone, Debug)]
pub struct Guard {
    pool: Arc<Pool>,
}

/// In a call's extensions: who called.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub NodeId);

impl Guard {
    /// The pool knows who this node is and who was removed.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// Lets a call through, or says why not.
    pub fn check(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let refuse = |why: String| Err(status::foreign_peer(&why));
        let cluster = self.pool.cluster();
        match text(&request, CLUSTER) {
            Some(found) if found == cluster.to_string() => {}
            found => {
                let found = found.unwrap_or("none");
                return refuse(format!(
                    "this is cluster {cluster}, and the call is for cluster {found}"
                ));
            }
        }
        let here = self.pool.node();
        match number(&request, TO) {
            Some(to) if to == here.0 => {}
            to => {
                let to = to.unwrap_or_default();
                return refuse(format!("this is node {here}, and the call is for node {to}"));
            }
        }
        let Some(from) = number(&request, FROM).map(NodeId) else {
            return refuse("the call does not say which node it comes from".to_owned());
        };
        let proven = request
            .peer_certs()
            .and_then(|chain| chain.first().cloned())
            .is_some_and(|certificate| is_of(&certificate, &server_name(cluster, from)));
        if !proven {
            return refuse(format!("the caller's certificate is not that of node {from}"));
        }
        let removed = self.pool.row(from).is_some_and(|row| row.phase == NodePhase::Removed);
        if removed {
            return refuse(format!("node {from} was removed from the cluster"));
        }
        request.extensions_mut().insert(Caller(from));
        Ok(request)
    }
}

fn text<'request>(request: &'request Request<()>, name: &str) -> Option<&'request str> {
    request.metadata().get(name)?.to_str().ok()
}

fn number(request: &Request<()>, name: &str) -> Option<u64> {
    text(request, name)?.parse().ok()
}

/// The authority has signed it: TLS has checked that. This asks for whom.
fn is_of(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(certificate), Ok(name)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from(name))
    else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}
