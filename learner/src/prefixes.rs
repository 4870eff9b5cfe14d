//! What objects have in common: their bucket, the first two folders of their key, and the kind of file that its ending tells.

use std::collections::HashMap;

use crate::logs::Names;

/// How many folders count.
const FOLDERS: usize = 2;

/// A longer ending is part of a name.
const ENDING_MAX: usize = 8;

/// So many groups have what is known of them for themselves; the others of a bucket are one together. The first ones of a log, so that
/// what comes later changes nothing.
const PREFIXES_MAX: usize = 4_096;

/// A bucket, and folders and ending. None: all that have no group of their own.
type Place<'a> = (u32, Option<(&'a str, String)>);

/// The group of every object. The first groups are the buckets themselves, for prefixes of which too little is known.
#[derive(Debug)]
pub struct Prefixes {
    of_object: Vec<u32>,
    /// Of each prefix, in their order after the buckets.
    buckets: Vec<u32>,
    first: u32,
}

impl Prefixes {
    pub fn new(names: &Names) -> Self {
        let mut known: HashMap<Place<'_>, u32> = HashMap::new();
        let first = u32::try_from(names.buckets.len()).unwrap_or(u32::MAX);
        let (mut next, mut buckets) = (first, Vec::new());
        let of_object = names.objects.iter().map(|(bucket, key)| {
            let own = (*bucket, Some((folders(key), ending(key))));
            let is_own = known.len() < PREFIXES_MAX || known.contains_key(&own);
            let place = if is_own { own } else { (*bucket, None) };
            *known.entry(place).or_insert_with(|| {
                buckets.push(*bucket);
                next = next.saturating_add(1);
                next - 1
            })
        });
        let of_object = of_object.collect();
        Self { of_object, buckets, first }
    }

    /// The bucket of a prefix. None: it is one itself.
    pub fn bucket(&self, group: u32) -> Option<u32> {
        self.buckets.get(group.checked_sub(self.first)? as usize).copied()
    }

    pub fn of(&self, object: u32) -> u32 {
        self.of_object[object as usize]
    }
}

/// The first folders, with their slashes.
fn folders(key: &str) -> &str {
    let end =
        key.match_indices('/').nth(FOLDERS - 1).or_else(|| key.match_indices('/').next_back());
    end.map_or("", |(place, _)| &key[..=place])
}

/// `jpg` of `a/b.JPG`. Numbers are no kind of file.
fn ending(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_kind = ending.len() <= ENDING_MAX
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && ending.bytes().any(|byte| byte.is_ascii_alphabetic());
    if is_kind { ending.to_ascii_lowercase() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_many_is_one_group_of_its_bucket() {
        let key = |number: usize| ((number % 2) as u32, format!("{number}/a/b"));
        let names = Names {
            buckets: vec!["a".to_owned(), "b".to_owned()],
            objects: (0..2 * PREFIXES_MAX).map(key).collect(),
        };
        let prefixes = Prefixes::new(&names);
        let of = |number: usize| prefixes.of(number as u32);
        assert_ne!(of(0), of(2));
        let last = 2 * PREFIXES_MAX - 1;
        assert_eq!(of(last), of(last - 2));
        assert_ne!(of(last), of(last - 1), "buckets stay apart");
        assert_eq!((prefixes.bucket(of(last)), prefixes.bucket(of(last - 1))), (Some(1), Some(0)));
        assert_eq!(prefixes.bucket(1), None);
    }

    #[test]
    fn folders_and_endings_make_a_group() {
        assert_eq!(folders("a/b/c/d.jpg"), "a/b/");
        assert_eq!(folders("a/d.jpg"), "a/");
        assert_eq!(folders("d.jpg"), "");
        assert_eq!(folders("//x"), "//");
        assert_eq!(ending("a.b/c"), "");
        assert_eq!(ending("a/b.JPG"), "jpg");
        assert_eq!(ending("a/part.0001"), "");
        assert_eq!(ending("a/b.something-long"), "");
    }
}
