//! Sees the answers of an endpoint as they are. The client library turns every 409 into "already exists", every 403 into
//! "permission denied" and hides the status of the rest; what to make of an answer is decided in
//! `classify.rs`, from the status and code that are noted here.

use std::cell::RefCell;
use std::future::Future;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

/// Error documents are short; more than this of one is not read for its code.
const ERROR_BYTES_MAX: usize = 64 * 1024;

tokio::task_local! {
    static SEEN: RefCell<Seen>;
}

/// The last answer that was an error, and what the attempts before it may have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its HTTP status; none where no answer came.
    pub status: Option<u16>,
    /// The `<Code>` of its document.
    pub code: Option<String>,
    /// Whether any attempt may have been carried out, though no answer said so.
    pub may_have_acted: bool,
}

/// A request that failed, with what was seen of its last answer.
#[derive(Debug)]
pub struct Failure {
    /// The library's error.
    pub error: object_store::Error,
    /// The answer.
    pub seen: Seen,
}

impl Failure {
    /// The range held no byte.
    pub fn is_unsatisfiable(&self) -> bool {
        self.seen.status == Some(416)
    }

    /// The blob is not there: said by an answer about the blob, not about its bucket.
    pub fn is_missing(&self) -> bool {
        self.seen.status == Some(404)
            && self.seen.code.as_deref().is_none_or(|code| code == "NoSuchKey")
    }
}

/// Runs a request and notes its last failed answer.
pub async fn watch<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Failure> {
    let noted = async {
        let outcome = request.await;
        outcome.map_err(|error| Failure { error, seen: SEEN.with(|seen| seen.borrow().clone()) })
    };
    SEEN.scope(RefCell::default(), noted).await
}

/// Looks at each answer that comes through `inner`.
pub fn observed(inner: HttpClient) -> HttpClient {
    HttpClient::new(Observer { inner })
}

/// Gives the library the connections that it is to use.
#[derive(Debug)]
pub struct Connector(pub HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Observer {
    inner: HttpClient,
}

#[async_trait]
impl HttpService for Observer {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        note(|seen| (seen.status, seen.code) = (None, None));
        let response = match self.inner.execute(request).await {
            Ok(response) => response,
            // Without a connection nothing was sent.
            Err(error) if error.kind() == HttpErrorKind::Connect => return Err(error),
            Err(error) => {
                note(|seen| seen.may_have_acted = true);
                return Err(error);
            }
        };
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(response);
        }
        note(|seen| {
            seen.status = Some(status.as_u16());
            seen.may_have_acted |= matches!(status.as_u16(), 408 | 500..=502 | 504..=599);
        });
        let (parts, body) = response.into_parts();
        let document = body.bytes().await?;
        note(|seen| seen.code = error_code(&document));
        Ok(HttpResponse::from_parts(parts, document.into()))
    }
}

fn note(change: impl FnOnce(&mut Seen)) {
    // Aborted uploads and bodies of reads are sent outside a watched request.
    let _outside = SEEN.try_with(|seen| change(&mut seen.borrow_mut()));
}

/// The text of `<Code>`: S3's error documents are flat.
fn error_code(document: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(document.get(..ERROR_BYTES_MAX).unwrap_or(document)).ok()?;
    let (_before, rest) = text.split_once("<Code>")?;
    let (code, _after) = rest.split_once("</Code>")?;
    Some(code.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_error_documents() {
        let document =
            b"<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>x</Message></Error>";
        assert_eq!(error_code(document).as_deref(), Some("NoSuchBucket"));
        assert_eq!(error_code(b""), None);
        assert_eq!(error_code(b"<Code>unfinished"), None);
        assert_eq!(error_code(&[0xff; 10]), None);
    }
}
