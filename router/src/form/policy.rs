//! The policy of a form: until when it holds, and what each field may be. Every field must be covered by a
//! condition, or whoever fills the form in could ask for more than its signer meant.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use vaultaire_proto::TimeMs;

use super::Fields;
use crate::error::Error;
use crate::error::code::Code;

/// Fields that need no condition: the policy and its signature cannot cover themselves, and a checksum
/// only lets less through.
const FREE: &[&str] =
    &["policy", "signature", "awsaccesskeyid", "x-amz-signature", "bucket", "file"];
const FREE_PREFIXES: &[&str] = &["x-ignore-", "x-amz-checksum-"];

/// A policy, parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    expires: TimeMs,
    conditions: Vec<Condition>,
    length: Option<(u64, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
}

impl Policy {
    /// Reads the field `policy`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let json = BASE64.decode(text.trim()).map_err(|_| invalid("it is not Base64"))?;
        let json: Value = serde_json::from_slice(&json).map_err(|_| invalid("it is not JSON"))?;
        let json = json.as_object().ok_or_else(|| invalid("it is not an object"))?;
        let expires = json.get("expiration").and_then(Value::as_str);
        let expires = expires.ok_or_else(|| invalid("it has no expiration"))?;
        let expires = time(expires).ok_or_else(|| invalid("its expiration is not a time"))?;
        let listed = json.get("conditions").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| invalid("it has no conditions"))?;
        let mut policy =
            Self { expires, conditions: Vec::with_capacity(listed.len()), length: None };
        for one in listed {
            match one {
                Value::Object(pair) => policy.add_pair(pair)?,
                Value::Array(list) => policy.add_list(list)?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(invalid("a condition is neither an object nor a list"));
                }
            }
        }
        Ok(policy)
    }

    fn add_pair(&mut self, pair: &Map<String, Value>) -> Result<(), Error> {
        let mut pairs = pair.iter();
        let (Some((name, value)), None) = (pairs.next(), pairs.next()) else {
            return Err(invalid("a simple condition must have exactly one property"));
        };
        let value = value.as_str().ok_or_else(|| invalid("a condition's value is no text"))?;
        self.conditions.push(Condition::Equals(name.to_ascii_lowercase(), value.to_owned()));
        Ok(())
    }

    fn add_list(&mut self, list: &[Value]) -> Result<(), Error> {
        let [kind, one, two] = list else {
            return Err(invalid("a condition must have three elements"));
        };
        let kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
        if kind == "content-length-range" {
            let range = (number(one), number(two));
            let (Some(least), Some(most)) = range else {
                return Err(invalid("content-length-range takes two numbers of bytes"));
            };
            // Every condition must hold, so of two ranges what they have in common.
            let (least_before, most_before) = self.length.unwrap_or((0, u64::MAX));
            self.length = Some((least.max(least_before), most.min(most_before)));
            return Ok(());
        }
        let name = one.as_str().and_then(|name| name.strip_prefix('$'));
        let (Some(name), Some(value)) = (name, two.as_str()) else {
            return Err(invalid("a condition names a field as $name, and its value as text"));
        };
        let (name, value) = (name.to_ascii_lowercase(), value.to_owned());
        self.conditions.push(match kind.as_str() {
            "eq" => Condition::Equals(name, value),
            "starts-with" => Condition::StartsWith(name, value),
            _ => return Err(invalid("a condition is eq, starts-with or content-length-range")),
        });
        Ok(())
    }

    /// Whether a form may be sent now to this bucket; gives the least and the most bytes of its file.
    pub fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: TimeMs,
    ) -> Result<Option<(u64, u64)>, Error> {
        if now >= self.expires {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            let (name, holds) = match condition {
                Condition::Equals(name, value) => {
                    (name, value_of(fields, bucket, name).is_some_and(|given| given == value))
                }
                Condition::StartsWith(name, value) => {
                    let given = value_of(fields, bucket, name);
                    (name, given.is_some_and(|given| given.starts_with(value.as_str())))
                }
            };
            if !holds {
                return Err(denied(&format!("Policy Condition failed: {name}")));
            }
        }
        let covered = |wanted: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Equals(name, _) | Condition::StartsWith(name, _) => name == wanted,
            })
        };
        let free = |name: &str| {
            FREE.contains(&name) || FREE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let names = fields.iter().map(|(name, _)| name).filter(|name| !free(name));
        // The bucket is named by the request's address, whether or not a field repeats it.
        match names.chain(["bucket"]).find(|name| !covered(name)) {
            Some(name) => Err(denied(&format!("Extra input fields: {name}"))),
            None => Ok(self.length),
        }
    }
}

fn value_of<'a>(fields: &'a Fields, bucket: &'a str, name: &str) -> Option<&'a str> {
    if name == "bucket" { Some(bucket) } else { fields.get(name) }
}

/// `2026-11-22T12:00:00Z`, with or without fractions of a second; S3 takes no other zone.
fn time(text: &str) -> Option<TimeMs> {
    let parsed = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    let usual = text.contains('T') && text.ends_with('Z');
    u64::try_from(parsed.timestamp_millis()).ok().filter(|_| usual).map(TimeMs)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn invalid(why: &'static str) -> Error {
    Error::with(Code::InvalidPolicyDocument, format!("Invalid Policy: {why}."))
}

fn denied(why: &str) -> Error {
    Error::with(Code::AccessDenied, format!("Invalid according to Policy: {why}"))
}
