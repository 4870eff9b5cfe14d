//! How bytes travel to and from an endpoint, and when it is given up: after a time in which nothing moved, never after
//! a total. The HTTP client's own timeouts start with a request and do not see its body move, so they would cut off
//! every upload that is slow but sound.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

/// An endpoint that takes and sends nothing for this long is given up.
const IDLE_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A body is handed on in pieces of this size: taking a piece is the progress that is seen.
const PIECE_BYTES: usize = 64 * 1024;

/// Connections to an endpoint. It sets TCP_NODELAY by itself. The process must have installed its TLS provider.
pub fn client(allow_http: bool) -> Result<HttpClient, reqwest::Error> {
    client_that_waits(allow_http, IDLE_MAX)
}

fn client_that_waits(allow_http: bool, idle: Duration) -> Result<HttpClient, reqwest::Error> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("vaultaire/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .https_only(!allow_http)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(HttpClient::new(Transport { client, idle }))
}

#[derive(Debug)]
struct Transport {
    client: reqwest::Client,
    idle: Duration,
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = reqwest::Url::parse(&parts.uri.to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let progress = Progress::now();
        let mut outgoing = reqwest::Request::new(parts.method, url);
        *outgoing.headers_mut() = parts.headers;
        *outgoing.body_mut() = Some(match body.content_length() {
            0 => reqwest::Body::from(Bytes::new()),
            _ => reqwest::Body::wrap(Outgoing {
                body,
                rest: Bytes::new(),
                progress: progress.clone(),
            }),
        });
        let answer = self.client.execute(outgoing);
        tokio::pin!(answer);
        let answer: http::Response<reqwest::Body> = loop {
            let deadline = progress.last() + self.idle;
            tokio::select! {
                answer = &mut answer => break answer.map_err(failed)?.into(),
                () = tokio::time::sleep_until(deadline) => {
                    if progress.last() + self.idle <= Instant::now() {
                        return Err(idle_for(self.idle));
                    }
                }
            }
        };
        let (parts, body) = answer.into_parts();
        let (idle, sleep) = (self.idle, Box::pin(tokio::time::sleep(self.idle)));
        let body = HttpResponseBody::new(Incoming { body, idle, sleep, waits: false });
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// When a body last moved.
#[derive(Clone, Debug)]
struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock() = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock()
    }
}

/// A request's body: the connection asks for the next piece when it has room again.
#[derive(Debug)]
struct Outgoing {
    body: HttpRequestBody,
    rest: Bytes,
    progress: Progress,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.progress.note();
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        SizeHint::with_exact(rest + self.body.size_hint().exact().unwrap_or(0))
    }
}

/// An answer's body. Only time in which the reader waited for the endpoint counts.
struct Incoming {
    body: reqwest::Body,
    idle: Duration,
    sleep: Pin<Box<Sleep>>,
    waits: bool,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waits = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        if !self.waits {
            self.waits = true;
            let deadline = Instant::now() + self.idle;
            self.sleep.as_mut().reset(deadline);
        }
        ready!(self.sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(idle_for(self.idle))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn idle_for(idle: Duration) -> HttpError {
    let why = format!("the endpoint took and sent nothing for {} s", idle.as_secs());
    HttpError::new(HttpErrorKind::Timeout, std::io::Error::new(std::io::ErrorKind::TimedOut, why))
}

/// Whether a request may be repeated is decided from this. Only without a connection is it certain that nothing was
/// sent; every other failure counts as an interruption. The address stays out of errors: it may be signed.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}

#[cfg(test)]
mod tests;
