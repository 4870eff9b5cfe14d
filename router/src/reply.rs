//! Answers: small constructors over `http::Response`. What they say is decided by the operations.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use s3s::Body;
use s3s::xml::{Serialize, Serializer};

use crate::error::Error;

/// An answer on its way out.
pub type Reply = Response<Body>;

/// No body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Reply::new(Body::empty());
    *reply.status_mut() = status;
    reply
}

/// 200 with XML.
pub fn xml<T: Serialize>(value: &T) -> Result<Reply, Error> {
    let mut bytes = Vec::with_capacity(512);
    let mut serializer = Serializer::new(&mut bytes);
    serializer.decl()?;
    value.serialize(&mut serializer)?;
    let mut reply = Reply::new(Body::from(with_returns(bytes)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(reply)
}

/// s3s leaves a carriage return as it is, and whoever reads the XML takes it for the end of a line: a key that
/// holds one would come back as another key. Between elements s3s writes none.
fn with_returns(xml: Vec<u8>) -> Vec<u8> {
    if !xml.contains(&b'\r') {
        return xml;
    }
    xml.split(|byte| *byte == b'\r').collect::<Vec<_>>().join(&b"&#13;"[..])
}

/// 200 with XML written by hand.
pub fn raw_xml(text: String) -> Reply {
    let mut reply = Reply::new(Body::from(text));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    reply
}

/// Sets a header whose value may hold what headers cannot: such a value is left out.
pub fn set(reply: &mut Reply, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        reply.headers_mut().insert(name, value);
    }
}
