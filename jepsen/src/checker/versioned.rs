//! Buckets with versions: a listing of versions shows every acknowledged version and delete marker once, newest first,
//! and none that nobody can have made. What is current is judged in `registers`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Violation};
use crate::operation::{Answer, Ask, End, Operation, Version};

/// One version that was acknowledged.
#[derive(Clone, Debug)]
struct Made {
    end_ns: u64,
    /// Absent for a delete marker.
    etag: Option<String>,
}

/// What one key was asked for.
#[derive(Debug, Default)]
struct Key {
    made: BTreeMap<String, Made>,
    /// Entity tags of all bodies that were sent.
    sent: Vec<String>,
    unknown_deletes: usize,
    /// Writes that were acknowledged without a version, which is right only where no versions are kept.
    unversioned: usize,
}

#[derive(Debug)]
struct Listing {
    start_ns: u64,
    bucket: String,
    prefix: String,
    versions: Vec<Version>,
}

/// All versions of a history.
#[derive(Debug, Default)]
pub struct Versioned {
    keys: BTreeMap<(String, String), Key>,
    listings: Vec<Listing>,
}

impl Versioned {
    pub fn record(&mut self, operation: &Operation) {
        let call = &operation.call;
        if let (Ask::ListVersions, End::Ok(Answer::Versions(versions))) =
            (&call.ask, &operation.end)
        {
            self.listings.push(Listing {
                start_ns: operation.start_ns,
                bucket: call.bucket.clone(),
                prefix: call.key.clone(),
                versions: versions.clone(),
            });
            return;
        }
        let body = call.ask.body();
        let is_delete = matches!(call.ask, Ask::Delete { .. });
        if body.is_none() && !is_delete {
            return;
        }
        let key = self.keys.entry((call.bucket.clone(), call.key.clone())).or_default();
        let etag = body.map(|body| body.etag.clone());
        match &operation.end {
            End::Fail { .. } => return,
            End::Ok(Answer::Done(written)) => {
                let version = written.version.as_ref().filter(|version| *version != "null");
                key.unversioned += usize::from(version.is_none());
                if let Some(version) = version {
                    let made = Made { end_ns: operation.end_ns, etag: etag.clone() };
                    key.made.insert(version.clone(), made);
                }
            }
            End::Ok(_) => {}
            End::Info(_) => key.unknown_deletes += usize::from(is_delete),
        }
        key.sent.extend(etag);
    }

    pub fn check(&self) -> Vec<Violation> {
        let mut told = BTreeSet::new();
        let found = self.listings.iter().flat_map(|listing| self.check_one(listing));
        found.filter(|one| told.insert((one.key.clone(), one.detail.clone()))).collect()
    }

    fn check_one(&self, listing: &Listing) -> Vec<Violation> {
        let mut shown: BTreeMap<&str, Vec<&Version>> = BTreeMap::new();
        for version in &listing.versions {
            shown.entry(&version.key).or_default().push(version);
        }
        let mut found = Vec::new();
        if !listing.versions.is_sorted_by(|one, next| one.key <= next.key) {
            let detail = "keys are not in order";
            found.push(Violation::new(Kind::Versions, &listing.prefix, detail));
        }
        let nobody = Key::default();
        for (key, versions) in &shown {
            let known = self.keys.get(&(listing.bucket.clone(), (*key).to_owned()));
            if let Some(detail) = known.unwrap_or(&nobody).wrong(versions) {
                found.push(Violation::new(Kind::Versions, key, detail));
            }
        }
        let begins = (listing.bucket.clone(), listing.prefix.clone());
        let below = self.keys.range(begins..).take_while(|((bucket, key), _)| {
            *bucket == listing.bucket && key.starts_with(&listing.prefix)
        });
        for ((_, name), key) in below {
            let versions = shown.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            if key.unversioned > 0 {
                let detail =
                    format!("{} writes were acknowledged without a version", key.unversioned);
                found.push(Violation::new(Kind::Versions, name, detail));
            }
            if let Some(version) = key.missing(listing.start_ns, versions) {
                let detail = format!("version {version} was acknowledged and is not listed");
                found.push(Violation::new(Kind::Versions, name, detail));
            }
        }
        found
    }
}

impl Key {
    /// What is wrong with the versions that are shown of it.
    fn wrong(&self, versions: &[&Version]) -> Option<String> {
        // Version ids are log positions in digits of fixed width: newest first is the order of texts, reversed.
        if !versions.is_sorted_by(|one, next| one.version > next.version) {
            return Some("versions are there twice, or not newest first".to_owned());
        }
        let is_marked = versions.iter().enumerate().all(|(at, one)| one.latest == (at == 0));
        if !is_marked {
            return Some("the first version, and no other, must be the latest".to_owned());
        }
        let mut strange_markers = 0;
        for version in versions {
            match (self.made.get(&version.version), &version.etag) {
                (Some(made), etag) if made.etag == *etag => {}
                (Some(made), etag) => {
                    let (id, told) = (&version.version, &made.etag);
                    return Some(format!("version {id} was made as {told:?} and is {etag:?}"));
                }
                (None, Some(etag)) if self.sent.contains(etag) => {}
                (None, Some(etag)) => return Some(format!("nobody sent what has etag {etag}")),
                (None, None) => strange_markers += 1,
            }
        }
        let is_lawful = strange_markers <= self.unknown_deletes;
        (!is_lawful).then(|| format!("{strange_markers} delete markers that nobody made"))
    }

    /// A version that was acknowledged before a listing and is not in it.
    fn missing(&self, start_ns: u64, versions: &[&Version]) -> Option<&str> {
        let mut made = self.made.iter().filter(|(_, made)| made.end_ns < start_ns);
        let lost = made.find(|(id, _)| !versions.iter().any(|version| version.version == **id));
        lost.map(|(id, _)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Condition;
    use crate::operation::{Body, Call, Written};

    fn operation(start_ns: u64, ask: Ask, end: End) -> Operation {
        let key = if ask == Ask::ListVersions { "" } else { "k" };
        let call = Call { bucket: "b".to_owned(), key: key.to_owned(), ask };
        Operation { process: 0, node: 0, start_ns, end_ns: start_ns + 5, call, end }
    }

    fn made(version: &str) -> End {
        let version = Some(version.to_owned());
        End::Ok(Answer::Done(Written { version, ..Written::default() }))
    }

    fn put(number: u64) -> Ask {
        let body = Body { number, etag: format!("e{number}") };
        Ask::Put { body, condition: Condition::None }
    }

    fn judge(shown: &[(&str, Option<&str>, bool)]) -> usize {
        let mut versioned = Versioned::default();
        versioned.record(&operation(1, put(1), made("01")));
        versioned.record(&operation(10, Ask::Delete { etag: None }, made("02")));
        versioned.record(&operation(20, put(3), made("03")));
        versioned.record(&operation(30, put(4), End::Info(String::new())));
        let versions = shown.iter().map(|(version, etag, latest)| Version {
            key: "k".to_owned(),
            version: (*version).to_owned(),
            etag: etag.map(str::to_owned),
            latest: *latest,
        });
        let end = End::Ok(Answer::Versions(versions.collect()));
        versioned.record(&operation(50, Ask::ListVersions, end));
        versioned.check().len()
    }

    #[test]
    fn a_bucket_with_versions_acknowledges_nothing_without_one() {
        let mut versioned = Versioned::default();
        versioned.record(&operation(1, put(1), End::Ok(Answer::Done(Written::default()))));
        assert_eq!(versioned.check().len(), 0, "a bucket whose versions nobody asks for");
        let end = End::Ok(Answer::Versions(Vec::new()));
        versioned.record(&operation(50, Ask::ListVersions, end));
        assert_eq!(versioned.check().len(), 1);
    }

    #[test]
    fn every_version_is_there_once_newest_first() {
        let (one, two, three) =
            (("01", Some("e1"), false), ("02", None, false), ("03", Some("e3"), true));
        assert_eq!(judge(&[three, two, one]), 0);
        let older = ("03", Some("e3"), false);
        assert_eq!(judge(&[("04", Some("e4"), true), older, two, one]), 0);
        // Lost, a marker lost, twice, out of order, not the latest, other bytes, never sent, a marker of nobody's.
        assert_eq!(judge(&[three, two]), 1);
        assert_eq!(judge(&[three, one]), 1);
        assert_eq!(judge(&[three, two, two, one]), 1);
        assert_eq!(judge(&[three, one, two]), 1);
        assert_eq!(judge(&[older, two, one]), 1);
        assert_eq!(judge(&[("03", Some("e1"), true), two, one]), 1);
        assert_eq!(judge(&[("04", Some("e9"), true), older, two, one]), 1);
        assert_eq!(judge(&[("04", None, true), older, two, one]), 1);
    }
}
