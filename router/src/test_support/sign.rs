//! Signs requests as clients do: in headers, in the query, chunk by chunk, and the old way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::query::Query;

const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: AsciiSet = PLAIN.remove(b'/');

/// One access key.
#[derive(Clone, Debug)]
pub struct Keys {
    pub access: String,
    pub secret: String,
}

/// When and where a signature holds.
#[derive(Clone, Debug)]
pub struct Scope {
    pub at: DateTime<Utc>,
    pub region: String,
}

impl Default for Scope {
    fn default() -> Self {
        Self { at: Utc::now(), region: "us-east-1".to_owned() }
    }
}

impl Scope {
    fn stamp(&self) -> String {
        self.at.format("%Y%m%dT%H%M%SZ").to_string()
    }

    fn text(&self) -> String {
        format!("{}/{}/s3/aws4_request", self.at.format("%Y%m%d"), self.region)
    }
}

pub fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn signing_key(keys: &Keys, scope: &Scope) -> Vec<u8> {
    let date =
        hmac(format!("AWS4{}", keys.secret).as_bytes(), &scope.at.format("%Y%m%d").to_string());
    let region = hmac(&date, &scope.region);
    hmac(&hmac(&region, "s3"), "aws4_request")
}

/// The signature of a text under a scope.
pub fn signature(keys: &Keys, scope: &Scope, text: &str) -> String {
    hex::encode(hmac(&signing_key(keys, scope), text))
}

fn canonical(
    method: &Method,
    uri: &str,
    headers: &HeaderMap,
    signed: &[&str],
    payload: &str,
) -> String {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = percent_decode_str(path).decode_utf8().unwrap().into_owned();
    let query = Query::parse(query).unwrap();
    let encode = |text: &str| utf8_percent_encode(text, &PLAIN).to_string();
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.sort();
    let mut text =
        format!("{method}\n{}\n{}\n", utf8_percent_encode(&path, &PATH), pairs.join("&"));
    for name in signed {
        let value = String::from_utf8(headers.get(*name).unwrap().as_bytes().to_vec()).unwrap();
        text.push_str(&format!("{name}:{}\n", value.trim()));
    }
    text.push_str(&format!("\n{}\n{payload}", signed.join(";")));
    text
}

fn to_sign(scope: &Scope, canonical: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256\n{}\n{}\n{}",
        scope.stamp(),
        scope.text(),
        hex_sha256(canonical.as_bytes())
    )
}

/// Adds an Authorization header that covers every header present; answers the signature.
pub fn in_header(
    keys: &Keys,
    scope: &Scope,
    method: &Method,
    uri: &str,
    headers: &mut HeaderMap,
) -> String {
    headers.insert("x-amz-date", HeaderValue::try_from(scope.stamp()).unwrap());
    let payload = headers.get("x-amz-content-sha256").unwrap().to_str().unwrap().to_owned();
    let mut signed: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    signed.sort();
    let signed: Vec<&str> = signed.iter().map(String::as_str).collect();
    let text = to_sign(scope, &canonical(method, uri, headers, &signed, &payload));
    let signature = signature(keys, scope, &text);
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
        keys.access,
        scope.text(),
        signed.join(";")
    );
    headers.insert("authorization", HeaderValue::try_from(value).unwrap());
    signature
}

/// A presigned URL that covers `host` alone.
pub fn in_query(
    keys: &Keys,
    scope: &Scope,
    method: &Method,
    uri: &str,
    host: &str,
    expires: u64,
) -> String {
    let credential = format!("{}/{}", keys.access, scope.text());
    let credential = utf8_percent_encode(&credential, &PLAIN);
    let separator = if uri.contains('?') { '&' } else { '?' };
    let unsigned = format!(
        "{uri}{separator}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
         &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host",
        scope.stamp()
    );
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::try_from(host).unwrap());
    let text =
        to_sign(scope, &canonical(method, &unsigned, &headers, &["host"], "UNSIGNED-PAYLOAD"));
    format!("{unsigned}&X-Amz-Signature={}", signature(keys, scope, &text))
}

/// A SigV2 presigned URL.
pub fn in_query_v2(keys: &Keys, method: &Method, path: &str, expires: i64) -> String {
    let text = format!("{method}\n\n\n{expires}\n{path}");
    let mut mac = Hmac::<Sha1>::new_from_slice(keys.secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let signature = BASE64.encode(mac.finalize().into_bytes());
    format!(
        "{path}?AWSAccessKeyId={}&Expires={expires}&Signature={}",
        keys.access,
        utf8_percent_encode(&signature, &PLAIN)
    )
}

/// The body of a request with signed chunks, after its header signature.
pub fn chunks(keys: &Keys, scope: &Scope, seed: &str, payload: &[u8], chunk: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut previous = seed.to_owned();
    for piece in payload.chunks(chunk).chain(std::iter::once(&[][..])) {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
            scope.stamp(),
            scope.text(),
            hex_sha256(b""),
            hex_sha256(piece)
        );
        previous = signature(keys, scope, &text);
        wire.extend(format!("{:x};chunk-signature={previous}\r\n", piece.len()).bytes());
        wire.extend(piece);
        wire.extend(b"\r\n");
    }
    wire
}

/// The body of a request with unsigned chunks and a checksum behind them.
pub fn unsigned_chunks(payload: &[u8], chunk: usize, trailer: (&str, &str)) -> Vec<u8> {
    let mut wire = Vec::new();
    for piece in payload.chunks(chunk) {
        wire.extend(format!("{:x}\r\n", piece.len()).bytes());
        wire.extend(piece);
        wire.extend(b"\r\n");
    }
    wire.extend(format!("0\r\n{}:{}\r\n\r\n", trailer.0, trailer.1).bytes());
    wire
}
