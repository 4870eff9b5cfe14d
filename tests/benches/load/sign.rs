//! AWS Signature Version 4 over three headers: all that a load tool needs, at a few microseconds each.
//! Servers are checked against the SDKs elsewhere.

use std::fmt::Write;
use std::time::SystemTime;

use ring::{digest, hmac};

/// Signs requests of one key on one day.
#[derive(Debug)]
pub struct Signer {
    access_key: String,
    scope: String,
    time: String,
    key: hmac::Key,
    host: String,
}

/// What the signature says of the body.
#[derive(Clone, Debug)]
pub enum Payload {
    Sha256(String),
    Unsigned,
}

impl Payload {
    pub fn signed(body: &[u8]) -> Self {
        Self::Sha256(hex::encode(digest::digest(&digest::SHA256, body)))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(hash) => hash,
            Self::Unsigned => "UNSIGNED-PAYLOAD",
        }
    }
}

impl Signer {
    pub fn new(access_key: &str, secret_key: &str, host: &str, now: SystemTime) -> Self {
        let time = basic_time(now);
        let date = &time[..8];
        let scope = format!("{date}/us-east-1/s3/aws4_request");
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret_key}").as_bytes());
        for step in [date, "us-east-1", "s3", "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref());
        }
        Self { access_key: access_key.to_owned(), scope, time, key, host: host.to_owned() }
    }

    /// The head of a request up to its empty line. Path and query must be encoded, the query sorted.
    pub fn head(
        &self,
        method: &str,
        path: &str,
        query: &str,
        payload: &Payload,
        length: u64,
    ) -> String {
        let (host, time, hash) = (&self.host, &self.time, payload.as_str());
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n\n\
             host;x-amz-content-sha256;x-amz-date\n{hash}"
        );
        let digest = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let scope = &self.scope;
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let signature = hex::encode(hmac::sign(&self.key, to_sign.as_bytes()));
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let access_key = &self.access_key;
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: {hash}\r\nx-amz-date: {time}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n"
        );
        if method == "PUT" {
            // Writing to a String cannot fail.
            let _ = write!(head, "content-length: {length}\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

/// `20130524T000000Z`, by the days-to-civil arithmetic of the proleptic Gregorian calendar.
fn basic_time(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_and_signatures_are_those_of_the_documentation() {
        let at = |seconds| basic_time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(1_369_353_600), "20130524T000000Z");
        assert_eq!(at(1_709_251_199), "20240229T235959Z");
        // "GET Bucket (List Objects)" of the SigV4 examples of Amazon S3.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "examplebucket.s3.amazonaws.com",
            now,
        );
        let head = signer.head("GET", "/", "max-keys=2&prefix=J", &Payload::signed(b""), 0);
        let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(head.contains(signature), "{head}");
    }
}
