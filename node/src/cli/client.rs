//! How a command reaches a node: by the data directory it runs on, or by address and token file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use vaultaire_proto::wire::admin::admin_service_client::AdminServiceClient;
use vaultaire_proto::wire::admin::cluster_service_client::ClusterServiceClient;
use vaultaire_proto::wire::admin::operation_service_client::OperationServiceClient;

use crate::cli::dev;
use crate::error::Error;
use crate::secrets::Secret;
use crate::{discovery, identity};

const CONNECT_MAX: Duration = Duration::from_secs(3);

/// The largest answer: a page of findings or buckets.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which node.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// The data directory of a node on this machine [default: that of `vaultaire dev`].
    #[arg(long, global = true, env = "VAULTAIRE_DATA_DIR", conflicts_with = "admin")]
    data_dir: Option<PathBuf>,
    /// The address of a node's admin port, such as http://127.0.0.1:9001.
    #[arg(long, global = true, env = "VAULTAIRE_ADMIN", requires = "token_file")]
    admin: Option<String>,
    /// A file with the node's bearer token: a copy of its admin.token.
    #[arg(long, global = true, env = "VAULTAIRE_TOKEN_FILE", requires = "admin")]
    token_file: Option<PathBuf>,
}

/// A client that carries the token.
pub type Client = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// The same for changes of the membership.
pub type ClusterClient = ClusterServiceClient<InterceptedService<Channel, Bearer>>;

/// The same for what takes longer than a call.
pub type OperationClient = OperationServiceClient<InterceptedService<Channel, Bearer>>;

/// Adds the token to every call.
#[derive(Clone, Debug)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Target {
    /// The node that runs on a data directory of this machine.
    pub fn local(data_dir: &Path) -> Self {
        Self { data_dir: Some(data_dir.to_owned()), admin: None, token_file: None }
    }

    /// Connects, or says how to start a node.
    pub async fn connect(&self) -> Result<Client, Error> {
        let (channel, token) = self.channel().await?;
        with_token(channel, &token)
    }

    /// The same for changes of the membership.
    pub async fn cluster(&self) -> Result<ClusterClient, Error> {
        let (channel, token) = self.channel().await?;
        Ok(ClusterServiceClient::with_interceptor(channel, bearer(&token)?))
    }

    /// The same for what takes longer than a call.
    pub async fn operations(&self) -> Result<OperationClient, Error> {
        let (channel, token) = self.channel().await?;
        Ok(OperationServiceClient::with_interceptor(channel, bearer(&token)?))
    }

    async fn channel(&self) -> Result<(Channel, Secret), Error> {
        match (&self.admin, &self.token_file) {
            (Some(url), Some(token_file)) => {
                let token = discovery::read_token(token_file)?.ok_or_else(|| {
                    Error::Usage(format!("{} holds no token", token_file.display()))
                })?;
                let start = "vaultaire server --config FILE".to_owned();
                let none = Error::NoNode { place: url.clone(), start };
                Ok((connect(url, none).await?, token))
            }
            _ => self.connect_local().await,
        }
    }

    async fn connect_local(&self) -> Result<(Channel, Secret), Error> {
        let data_dir = match &self.data_dir {
            Some(path) => path.clone(),
            None => dev::default_data_dir()?,
        };
        let found = discovery::find(&data_dir)?;
        let none = no_node(&data_dir, self.data_dir.is_some());
        match found {
            Some(found) => Ok((connect(&found.announcement.admin_url, none).await?, found.token)),
            None => Err(none),
        }
    }
}

fn no_node(data_dir: &Path, named: bool) -> Error {
    let start = match named {
        true => format!("vaultaire dev --data-dir {}", data_dir.display()),
        false => "vaultaire dev".to_owned(),
    };
    let place = data_dir.display().to_string();
    match identity::is_held(data_dir) {
        true => Error::NodeStarts { place },
        false => Error::NoNode { place, start },
    }
}

async fn connect(url: &str, none: Error) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| Error::Usage(format!("{url} is not an address: {error}")))?
        .connect_timeout(CONNECT_MAX);
    endpoint.connect().await.map_err(|_| none)
}

/// A client over a connection that is there already.
pub fn with_token(channel: Channel, token: &Secret) -> Result<Client, Error> {
    Ok(AdminServiceClient::with_interceptor(channel, bearer(token)?)
        .max_decoding_message_size(ANSWER_BYTES_MAX))
}

fn bearer(token: &Secret) -> Result<Bearer, Error> {
    let bearer = format!("Bearer {}", token.expose()).parse();
    bearer
        .map(Bearer)
        .map_err(|_| Error::Usage("the token file holds something that is no token".to_owned()))
}

/// What a node refused, in its own words.
pub fn refused(status: Status) -> Error {
    match status.code() {
        Code::Unavailable => {
            Error::Admin(format!("the node cannot answer now: {}", status.message()))
        }
        Code::Internal | Code::DataLoss | Code::Unknown => {
            let id = status.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
            let id = id.unwrap_or("unknown");
            Error::Admin(format!("{}; the node's log has more under id={id}", status.message()))
        }
        _ => Error::Admin(status.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::error::Exit;
    use crate::identity::DataDir;

    #[tokio::test]
    async fn where_no_node_runs_the_way_to_start_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = Some(folder.path().to_owned());
        let target = Target { data_dir, admin: None, token_file: None };
        let error = target.connect().await.unwrap_err();
        assert_eq!(error.exit(), Exit::NoNode);
        assert!(error.to_string().contains("vaultaire dev --data-dir"), "{error}");
    }

    #[tokio::test]
    async fn a_node_that_starts_is_not_told_to_be_started() {
        let folder = tempfile::tempdir().unwrap();
        let _held = DataDir::lock(folder.path()).unwrap();
        let data_dir = Some(folder.path().to_owned());
        let error = Target { data_dir, admin: None, token_file: None }.connect().await.unwrap_err();
        assert!(matches!(error, Error::NodeStarts { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_no_node() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "abc\n").unwrap();
        let target = Target { data_dir: None, admin: Some(url), token_file: Some(token_file) };
        assert_eq!(target.connect().await.unwrap_err().exit(), Exit::NoNode);
    }
}
