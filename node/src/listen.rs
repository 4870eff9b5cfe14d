//! Listening sockets, taken before anything else is started, with errors that say what to do.
//! Who accepts on them is told by the servers.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::error::Error;
use crate::settings::Settings;

/// The sockets of a node and the addresses that they really have.
#[derive(Debug)]
pub struct Listeners {
    pub s3: TcpListener,
    pub admin: TcpListener,
    pub http: TcpListener,
}

/// Takes all three, or none.
pub async fn bind(settings: &Settings) -> Result<Listeners, Error> {
    Ok(Listeners {
        s3: take("S3", "--s3-addr", settings.s3_addr).await?,
        admin: take("admin gRPC", "--admin-addr", settings.admin_addr).await?,
        http: take("HTTP", "--http-addr", settings.http_addr).await?,
    })
}

/// Takes the socket where peers call, where the node is to have any.
pub async fn bind_peer(settings: &Settings) -> Result<Option<TcpListener>, Error> {
    match &settings.peer {
        Some(peer) => take("peers", "--peer-addr", peer.addr).await.map(Some),
        None => Ok(None),
    }
}

async fn take(surface: &'static str, flag: &str, addr: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(addr).await.map_err(|source| {
        let advice = advice(&source, flag, addr);
        Error::Bind { surface, addr, source, advice }
    })
}

fn advice(error: &io::Error, flag: &str, addr: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program uses the port: stop it, or choose another with {flag} (port 0 takes any free one)"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege: choose a higher one with {flag}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no address {}: choose one that it has with {flag}", addr.ip())
        }
        _ => format!("choose another with {flag}"),
    }
}

/// The address a socket really has, also where port 0 was asked for.
pub fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::Engine { what: "a listening socket", why: error.to_string() })
}

/// How a client on this machine reaches an address: a wildcard is not one that can be dialled.
pub fn url(scheme: &str, addr: SocketAddr) -> String {
    match addr.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", addr.port()),
        false => format!("{scheme}://{addr}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_the_surface_and_the_way_out() {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = first.local_addr().unwrap();
        let error = take("S3", "--s3-addr", addr).await.unwrap_err().to_string();
        assert!(error.contains("S3") && error.contains(&addr.to_string()), "{error}");
        assert!(error.contains("--s3-addr"), "{error}");
    }

    #[test]
    fn a_wildcard_is_shown_as_something_to_dial() {
        assert_eq!(url("http", "0.0.0.0:9000".parse().unwrap()), "http://localhost:9000");
        assert_eq!(url("https", "[::]:1".parse().unwrap()), "https://localhost:1");
        assert_eq!(url("http", "127.0.0.1:9000".parse().unwrap()), "http://127.0.0.1:9000");
    }
}
