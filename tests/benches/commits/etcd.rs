//! `Put` of etcd's API, version 3, by hand: one message of two fields in one HTTP/2 request. Not a client of anything else.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use vaultaire_tests::bench::Error;

use crate::drive::Store;

/// A field's number, and that it is bytes.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// `host:port` of a member, as often as there are connections.
    #[arg(long = "member", required = true)]
    members: Vec<String>,
    /// What the message of one put has.
    #[arg(long, default_value_t = 300)]
    put_bytes: usize,
}

/// Connections that the puts share in turn.
#[derive(Debug)]
pub struct Etcd {
    ways: Vec<(hyper::Uri, SendRequest<Full<Bytes>>)>,
    run: u64,
    put_bytes: usize,
}

impl Etcd {
    pub async fn open(args: &Args) -> Result<Self, Error> {
        let mut ways = Vec::new();
        for member in &args.members {
            let stream = TcpStream::connect(member).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            ways.push((
                format!("http://{member}/etcdserverpb.KV/Put").parse::<hyper::Uri>()?,
                sender,
            ));
        }
        Ok(Self { ways, run: rand::random(), put_bytes: args.put_bytes })
    }

    /// A compressed-flag, the length of the message, and the message.
    fn message(&self, number: u64) -> Bytes {
        let key = format!("commits/{:016x}/{number:012}", self.run);
        // Both fields begin with a tag and a length, of one and of two bytes.
        let value = vec![b'v'; self.put_bytes.saturating_sub(key.len() + 2 + 3)];
        let mut framed = BytesMut::with_capacity(self.put_bytes + 5);
        framed.put_slice(&[0; 5]);
        for (tag, field) in [(KEY, key.as_bytes()), (VALUE, &value)] {
            framed.put_u8(tag);
            put_length(&mut framed, field.len());
            framed.put_slice(field);
        }
        let length = u32::try_from(framed.len() - 5).unwrap_or(u32::MAX);
        framed[1..5].copy_from_slice(&length.to_be_bytes());
        framed.freeze()
    }
}

impl Store for Etcd {
    async fn put(&self, number: u64) -> Result<(), Error> {
        let way = usize::try_from(number)? % self.ways.len();
        let (uri, sender) = &self.ways[way];
        let request = Request::post(uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(self.message(number)))?;
        let mut sender = sender.clone();
        sender.ready().await?;
        let collected = sender.send_request(request).await?.into_body().collect().await?;
        let status = collected.trailers().and_then(|trailers| trailers.get("grpc-status"));
        match status.is_some_and(|status| status == "0") {
            true => Ok(()),
            false => Err(format!("a put was refused: {:?}", collected.trailers()).into()),
        }
    }

    fn put_bytes(&self) -> Result<usize, Error> {
        Ok(self.message(0).len() - 5)
    }
}

/// A number as protobuf has it, seven bits a byte.
fn put_length(into: &mut BytesMut, mut length: usize) {
    while length >= 0x80 {
        into.put_u8((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    into.put_u8(length as u8);
}
