//! The one place where S3 errors are born or completed: a code, its status, and a message that says
//! what to do next. Nothing here decides whether a request is refused.

pub mod code;
pub mod map;

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use s3s::Body;
use vaultaire_proto::TimeMs;

use self::code::Code;
use crate::http_date;
use crate::limits;
use crate::markup::Markup;
use crate::reply::Reply;

/// An S3 error on its way to the client. Boxed: results that carry it are on every path.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {}", .0.code, .0.message)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Cow<'static, str>,
    status: StatusCode,
    message: Cow<'static, str>,
    /// Further elements of the XML, such as `BucketName`.
    details: Vec<(&'static str, String)>,
    headers: HeaderMap,
    /// The shard refused bytes because their write epoch is closed.
    closes_epoch: bool,
}

impl Error {
    /// With the code's own message.
    pub fn new(code: Code) -> Self {
        Self::with(code, code.message())
    }

    /// With a message that fits the case.
    pub fn with(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::assemble(Cow::Borrowed(code.name()), code.status(), message.into())
    }

    fn assemble(code: Cow<'static, str>, status: StatusCode, message: Cow<'static, str>) -> Self {
        Self(Box::new(Inner {
            code,
            status,
            message,
            details: Vec::new(),
            headers: HeaderMap::new(),
            closes_epoch: false,
        }))
    }

    /// An error that s3s answered: its code and message, completed here.
    pub fn foreign(code: &str, status: StatusCode, message: Option<String>) -> Self {
        let message = message.filter(|message| !message.is_empty());
        match (Code::named(code), message) {
            (Some(Code::SlowDown), Some(message)) => Self::slow_down(message),
            (Some(known), Some(message)) => Self::with(known, message),
            (Some(known), None) => Self::new(known),
            (None, message) => {
                let message = message.unwrap_or_else(|| code.to_owned());
                Self::assemble(Cow::Owned(code.to_owned()), status, Cow::Owned(message))
            }
        }
    }

    /// Adds an element to the XML.
    pub fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.details.push((name, value.into()));
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Try again soon: the node or its group cannot serve now.
    pub fn slow_down(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Code::SlowDown, message).retry_later()
    }

    /// Adds `Retry-After`.
    pub(crate) fn retry_later(mut self) -> Self {
        self.0.headers.insert(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECONDS));
        self
    }

    /// Says that the write epoch of the request is closed.
    pub(crate) fn epoch_closed(mut self) -> Self {
        self.0.closes_epoch = true;
        self
    }

    /// Whether the write epoch of the request is closed.
    pub fn closes_epoch(&self) -> bool {
        self.0.closes_epoch
    }

    /// The S3 code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Whether this is that error.
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code.name()
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Headers that the answer carries beside the usual ones.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The whole answer. HEAD and 304 carry no body.
    pub fn into_reply(self, method: &Method, resource: &str, request: &str, now: TimeMs) -> Reply {
        let bare = method == Method::HEAD || self.0.status == StatusCode::NOT_MODIFIED;
        let body = if bare { Body::empty() } else { Body::from(self.xml(resource, request, now)) };
        let mut reply = Reply::new(body);
        *reply.status_mut() = self.0.status;
        *reply.headers_mut() = self.0.headers;
        if !bare {
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        reply
    }

    fn xml(&self, resource: &str, request: &str, now: TimeMs) -> String {
        let mut xml = Markup::new();
        xml.open("Error").element("Code", &self.0.code).element("Message", &self.0.message);
        for (name, value) in &self.0.details {
            xml.element(name, value);
        }
        if self.is(Code::RequestTimeTooSkewed) {
            xml.element("ServerTime", &http_date::iso8601(now));
            xml.element(
                "MaxAllowedSkewMilliseconds",
                &(limits::CLOCK_SKEW_SECONDS_MAX * 1000).to_string(),
            );
        }
        xml.element("Resource", resource).element("RequestId", request).close("Error");
        xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_complete_and_escaped() {
        let error = Error::new(Code::NoSuchKey).detail("Key", "a<b>&\u{1}");
        let xml = error.xml("/b/a<b>", "R1", TimeMs(0));
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
             <Message>The specified key does not exist.</Message><Key>a&lt;b&gt;&amp;\u{fffd}</Key>\
             <Resource>/b/a&lt;b&gt;</Resource><RequestId>R1</RequestId></Error>"
        );
    }

    #[test]
    fn a_skewed_clock_is_told_the_time() {
        let xml = Error::new(Code::RequestTimeTooSkewed).xml("/", "R1", TimeMs(1_700_000_000_000));
        assert!(xml.contains("<ServerTime>2023-11-14T22:13:20.000Z</ServerTime>"), "{xml}");
    }

    #[test]
    fn foreign_errors_keep_their_code() {
        let known = Error::foreign("SignatureDoesNotMatch", StatusCode::FORBIDDEN, None);
        assert!(!known.message().is_empty());
        let unknown = Error::foreign("Strange", StatusCode::IM_A_TEAPOT, Some("why".to_owned()));
        assert_eq!(
            (unknown.code(), unknown.status(), unknown.message()),
            ("Strange", StatusCode::IM_A_TEAPOT, "why")
        );
    }
}
