//! The requests of one measurement, built before it starts: one for each key, each with its own signature.

use std::sync::Arc;
use std::time::SystemTime;

use clap::ValueEnum;

use crate::sign::{Payload, Signer};

/// Larger bodies are sent unsigned, as over TLS: one hash less on both sides.
const SIGNED_BYTES_MAX: usize = 1024 * 1024;

/// Keys below one folder; a listing with a delimiter rolls them up.
pub const KEYS_PER_FOLDER: usize = 1_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    Get,
    Head,
    Put,
    Delete,
    /// A page of 1,000 keys, from another key each time.
    List,
    /// A page of 1,000 rolled-up prefixes.
    ListFolders,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Plan {
    pub operation: Operation,
    pub bucket: String,
    pub prefix: String,
    pub keys: usize,
    pub size_bytes: usize,
}

/// Heads of all requests and the body that they share.
#[derive(Debug)]
pub struct Requests {
    pub heads: Vec<Vec<u8>>,
    pub body: Arc<Vec<u8>>,
    /// The length that an answer's body must have.
    pub answer_bytes: Option<u64>,
}

/// The name of a key by its number.
pub fn key(prefix: &str, number: usize) -> String {
    format!("{prefix}{:04}/{:06}", number / KEYS_PER_FOLDER, number % KEYS_PER_FOLDER)
}

impl Requests {
    pub fn build(plan: &Plan, access_key: &str, secret_key: &str, host: &str) -> Self {
        let signer = Signer::new(access_key, secret_key, host, SystemTime::now());
        let is_put = plan.operation == Operation::Put;
        let body = if is_put { noise(plan.size_bytes) } else { Vec::new() };
        let payload = match body.len() > SIGNED_BYTES_MAX {
            true => Payload::Unsigned,
            false => Payload::signed(&body),
        };
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let heads = (0..plan.keys)
            .map(|number| plan.head(&signer, number, &payload, length).into_bytes())
            .collect();
        let answer_bytes = match plan.operation {
            Operation::Get => u64::try_from(plan.size_bytes).ok(),
            Operation::Head => Some(0),
            Operation::Put | Operation::Delete | Operation::List | Operation::ListFolders => None,
        };
        Self { heads, body: Arc::new(body), answer_bytes }
    }
}

impl Plan {
    fn head(&self, signer: &Signer, number: usize, payload: &Payload, length: u64) -> String {
        let bucket = &self.bucket;
        let path = format!("/{bucket}/{}", key(&self.prefix, number));
        match self.operation {
            Operation::Get => signer.head("GET", &path, "", payload, 0),
            Operation::Head => signer.head("HEAD", &path, "", payload, 0),
            Operation::Put => signer.head("PUT", &path, "", payload, length),
            Operation::Delete => signer.head("DELETE", &path, "", payload, 0),
            Operation::List => {
                let after = encode(&key(&self.prefix, number));
                let prefix = encode(&self.prefix);
                let query =
                    format!("list-type=2&max-keys=1000&prefix={prefix}&start-after={after}");
                signer.head("GET", &format!("/{bucket}"), &query, payload, 0)
            }
            Operation::ListFolders => {
                let prefix = encode(&self.prefix);
                let query = format!("delimiter=%2F&list-type=2&max-keys=1000&prefix={prefix}");
                signer.head("GET", &format!("/{bucket}"), &query, payload, 0)
            }
        }
    }
}

fn encode(text: &str) -> String {
    text.replace('/', "%2F")
}

/// Bytes that do not compress, cheaper than a random generator.
fn noise(size_bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(size_bytes + 8);
    while bytes.len() < size_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size_bytes);
    bytes
}
