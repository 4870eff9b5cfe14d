//! An S3 endpoint in the memory of a test, below the HTTP client: it speaks requests and answers, no network, and
//! waits in the test's own time. It is no proof of what stores do; the end-to-end tests ask real servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::Body;
use object_store::client::{
    HttpClient, HttpError, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

/// The one bucket.
pub const BUCKET: &str = "bucket";

/// How many uploads it lists at once.
const UPLOADS_PAGE: usize = 2;

#[derive(Debug, Default)]
pub struct Fake {
    /// How long each request takes.
    pub pause: Duration,
    /// Whether it answers nothing but 503.
    pub is_down: AtomicBool,
    /// How many bytes of bodies were taken.
    pub taken_bytes: AtomicU64,
    pub objects: Mutex<BTreeMap<String, Bytes>>,
    /// The key and the size of each unfinished upload.
    pub uploads: Mutex<BTreeMap<String, (String, usize)>>,
    pub uploads_begun: AtomicU64,
}

impl Fake {
    pub fn http(self: &Arc<Self>) -> HttpClient {
        HttpClient::new(Service(Arc::clone(self)))
    }

    fn answer(&self, request: &http::request::Parts, body: Bytes) -> (u16, &'static str, Bytes) {
        let path = percent_decode_str(request.uri.path()).decode_utf8().unwrap().into_owned();
        let key =
            path.strip_prefix(&format!("/{BUCKET}")).unwrap().trim_start_matches('/').to_owned();
        let query = query(request.uri.query().unwrap_or_default());
        let upload = query.get("uploadId").cloned();
        let mut objects = self.objects.lock();
        let mut uploads = self.uploads.lock();
        match (&request.method, upload) {
            (&Method::GET, None) if key.is_empty() && query.contains_key("uploads") => {
                (200, "", list_uploads(&uploads, &query))
            }
            (&Method::GET, None) if key.is_empty() => (200, "", list(&objects, &query)),
            (&Method::GET | &Method::HEAD, None) => match objects.get(&key) {
                Some(bytes) => (200, "", bytes.clone()),
                None => (404, "NoSuchKey", Bytes::new()),
            },
            (&Method::PUT, None) => {
                if request.headers.contains_key("if-none-match") && objects.contains_key(&key) {
                    return (412, "PreconditionFailed", Bytes::new());
                }
                objects.insert(key, body);
                (200, "", Bytes::new())
            }
            (&Method::DELETE, None) => {
                objects.remove(&key);
                (204, "", Bytes::new())
            }
            (&Method::POST, None) => {
                let id = format!("id+{}/=", self.uploads_begun.fetch_add(1, Ordering::SeqCst));
                let document = format!("<R><UploadId>{id}</UploadId></R>");
                uploads.insert(id, (key, 0));
                (200, "", document.into())
            }
            (&Method::PUT, Some(id)) => match uploads.get_mut(&id) {
                Some((_key, size)) => {
                    *size += body.len();
                    (200, "", Bytes::new())
                }
                None => (404, "NoSuchUpload", Bytes::new()),
            },
            (&Method::POST, Some(id)) => match uploads.remove(&id) {
                Some((key, size)) => {
                    // What was in it does not matter to the tests of this module.
                    objects.insert(key, Bytes::from(size.to_string()));
                    (200, "", "<R><ETag>\"x\"</ETag></R>".into())
                }
                None => (404, "NoSuchUpload", Bytes::new()),
            },
            (&Method::DELETE, Some(id)) => match uploads.remove(&id) {
                Some(_upload) => (204, "", Bytes::new()),
                None => (404, "NoSuchUpload", Bytes::new()),
            },
            (method, upload) => panic!("{method} {key} {upload:?} is not expected"),
        }
    }
}

#[derive(Debug)]
struct Service(Arc<Fake>);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (request, body) = request.into_parts();
        if !self.0.pause.is_zero() {
            tokio::time::sleep(self.0.pause).await;
        }
        let body = whole(body).await?;
        let length = body.len() as u64;
        let (status, code, document) = match self.0.is_down.load(Ordering::SeqCst) {
            true => (503, "SlowDown", Bytes::new()),
            false => self.0.answer(&request, body),
        };
        self.0.taken_bytes.fetch_add(length, Ordering::SeqCst);
        let length = document.len();
        let document = match (code, &request.method) {
            (_, &Method::HEAD) => Bytes::new(),
            ("", _) => document,
            (code, _) => format!("<Error><Code>{code}</Code></Error>").into(),
        };
        let response = http::Response::builder()
            .status(status)
            .header("etag", "\"x\"")
            .header("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")
            .header("content-length", length);
        Ok(response.body(document.into()).unwrap())
    }
}

async fn whole(mut body: HttpRequestBody) -> Result<Bytes, HttpError> {
    let mut whole = BytesMut::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        whole.extend_from_slice(&frame?.into_data().unwrap());
    }
    Ok(whole.freeze())
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

fn list(objects: &BTreeMap<String, Bytes>, query: &BTreeMap<String, String>) -> Bytes {
    let nothing = String::new();
    let prefix = query.get("prefix").unwrap_or(&nothing);
    let after = query.get("start-after").unwrap_or(&nothing);
    let mut document = "<R><IsTruncated>false</IsTruncated>".to_owned();
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(prefix) && *key > after) {
        write!(
            document,
            "<Contents><Key>{key}</Key><Size>{}</Size>\
             <LastModified>2015-10-21T07:28:00.000Z</LastModified></Contents>",
            bytes.len()
        )
        .unwrap();
    }
    (document + "</R>").into()
}

fn list_uploads(
    uploads: &BTreeMap<String, (String, usize)>,
    query: &BTreeMap<String, String>,
) -> Bytes {
    let nothing = String::new();
    let prefix = query.get("prefix").unwrap_or(&nothing);
    let after = (
        query.get("key-marker").unwrap_or(&nothing).as_str(),
        query.get("upload-id-marker").unwrap_or(&nothing).as_str(),
    );
    let mut found: Vec<(&str, &str)> =
        uploads.iter().map(|(id, (key, _))| (key.as_str(), id.as_str())).collect();
    found.retain(|upload| upload.0.starts_with(prefix) && *upload > after);
    found.sort_unstable();
    let is_truncated = found.len() > UPLOADS_PAGE;
    found.truncate(UPLOADS_PAGE);
    let mut document = format!("<R><IsTruncated>{is_truncated}</IsTruncated>");
    if let Some((key, id)) = found.last() {
        let markers =
            "<NextKeyMarker>KEY</NextKeyMarker><NextUploadIdMarker>ID</NextUploadIdMarker>";
        document += &markers.replace("KEY", key).replace("ID", id);
    }
    for (key, id) in found {
        write!(document, "<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>").unwrap();
    }
    (document + "</R>").into()
}
