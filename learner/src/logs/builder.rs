//! Makes a log of the accesses that readers find, file by file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::error::Error;
use crate::logs::told::Told;
use crate::logs::{Access, Log, Names, Operation, SIZE_MAX, Source, TIME_MAX_S};
use crate::logs::{ranges, sizes, stored};

/// How much of a bad line is shown.
const SHOWN_CHARS: usize = 100;

/// Whose lines they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Ours: each line is priced as it stands, and a file has one clock.
    Contract,
    /// A provider's: in no order, without some of the sizes, and with many requests for one read.
    Provider,
}

/// An access as a reader finds it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub at_s: u64,
    pub bucket: &'a str,
    pub key: &'a str,
    pub operation: Operation,
    pub size_bytes: Option<u64>,
    pub sent_bytes: Option<u64>,
    /// A part was read, and nothing tells how much.
    pub is_part: bool,
    /// In its file.
    pub line: u64,
}

/// What was read so far.
#[derive(Debug)]
pub struct Builder {
    rules: Rules,
    names: Names,
    buckets: HashMap<String, u32>,
    /// The newest object of each hash: names are kept once, in the list of names.
    newest: HashMap<u64, u32>,
    /// Of each object the next older one of the same hash. None is the object itself.
    older: Vec<u32>,
    hashes: RandomState,
    accesses: Vec<Access>,
    listed: Vec<stored::Listed>,
    sources: Vec<Source>,
    last_line: u32,
    last_s: u64,
    told: Told,
    why: &'static str,
}

impl Builder {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            names: Names::default(),
            buckets: HashMap::new(),
            newest: HashMap::new(),
            older: Vec::new(),
            hashes: RandomState::new(),
            accesses: Vec::new(),
            listed: Vec::new(),
            sources: Vec::new(),
            last_line: 0,
            last_s: 0,
            told: Told::default(),
            why: "",
        }
    }

    /// A file begins.
    pub fn file(&mut self, path: &str) {
        self.sources.push(Source { path: path.to_owned(), lines_before: self.last_line });
        self.last_s = 0;
    }

    pub fn lines(&self) -> u64 {
        self.told.lines
    }

    /// Takes an access, or says why it is none.
    pub fn access(&mut self, found: Found<'_>) -> Result<(), &'static str> {
        if found.at_s > TIME_MAX_S {
            return Err("its time is too late: seconds since 1970 are meant, not milliseconds");
        }
        if found.bucket.is_empty() || found.key.is_empty() {
            return Err("it names no bucket or no key");
        }
        if found.size_bytes.max(found.sent_bytes) > Some(SIZE_MAX) {
            return Err("its bytes are more than any object has");
        }
        let before = self.sources.last().map_or(0, |source| source.lines_before);
        let line = u32::try_from(found.line).unwrap_or(u32::MAX).saturating_add(before);
        let object = self.object(found.bucket, found.key);
        let access = Access::new(found.at_s, object, found.operation, line);
        let access = access.with_bytes(found.size_bytes, found.sent_bytes);
        self.accesses.push(if found.is_part { access.of_a_part() } else { access });
        self.last_line = self.last_line.max(line);
        self.told.lines += 1;
        if self.rules == Rules::Contract {
            self.told.backwards += u64::from(found.at_s < self.last_s);
            self.last_s = found.at_s;
        }
        Ok(())
    }

    /// A line that is no access.
    pub fn garbage(&mut self, text: &str, why: &'static str) {
        self.told.lines += 1;
        self.told.garbage += 1;
        if self.told.first_garbage.is_none() {
            self.why = why;
            self.told.first_garbage = Some(shown(text));
        }
    }

    /// A request that does not matter here.
    pub fn ignored(&mut self) {
        self.told.lines += 1;
        self.told.ignored += 1;
    }

    /// A move by the provider's own rules.
    pub fn transition(&mut self) {
        self.told.lines += 1;
        self.told.transitions += 1;
    }

    /// A request that deletes nobody knows what.
    pub fn keyless(&mut self) {
        self.told.lines += 1;
        self.told.keyless += 1;
    }

    /// A request of a kind that is not known.
    pub fn unknown(&mut self, kind: &str) {
        self.told.lines += 1;
        self.told.unknown += 1;
        if self.told.first_unknown.is_none() {
            self.told.first_unknown = Some(shown(kind));
        }
    }

    /// An object that is stored, by an inventory.
    pub fn listed(&mut self, (bucket, key): (&str, &str), size_bytes: u64, written_s: Option<u64>) {
        let object = self.object(bucket, key);
        self.listed.push(stored::Listed { object, size_bytes, written_s });
    }

    fn object(&mut self, bucket: &str, key: &str) -> u32 {
        let bucket = match self.buckets.get(bucket) {
            Some(known) => *known,
            None => {
                let fresh = count(&self.names.buckets);
                self.names.buckets.push(bucket.to_owned());
                self.buckets.insert(bucket.to_owned(), fresh);
                fresh
            }
        };
        let hash = self.hashes.hash_one((bucket, key));
        let newest = self.newest.get(&hash).copied();
        if let Some(known) = newest.and_then(|newest| self.same(newest, (bucket, key))) {
            return known;
        }
        let fresh = count(&self.names.objects);
        self.names.objects.push((bucket, key.to_owned()));
        self.older.push(newest.unwrap_or(fresh));
        self.newest.insert(hash, fresh);
        fresh
    }

    /// The object of this name among those of one hash: there is hardly ever more than one.
    fn same(&self, newest: u32, name: (u32, &str)) -> Option<u32> {
        let mut object = newest;
        loop {
            let (bucket, key) = &self.names.objects[object as usize];
            if (*bucket, key.as_str()) == name {
                return Some(object);
            }
            let older = self.older[object as usize];
            if older == object {
                return None;
            }
            object = older;
        }
    }

    /// The whole log. `path` is what it was read from.
    pub fn finish(self, path: String) -> Result<Log, Error> {
        let Self { rules, names, mut accesses, listed, sources, mut told, why, .. } = self;
        let times = accesses.iter().map(Access::at_s);
        let (Some(first_s), Some(last_s)) = (times.clone().min(), times.max()) else {
            return Err(nothing(path, told, why));
        };
        let inventory = stored::add(&mut accesses, &listed, &names, (first_s, last_s));
        told.listed = inventory.added;
        // No two have the same place, so the order is always the same one.
        accesses.sort_unstable_by_key(|access| (access.object, access.at_s, access.line));
        sizes::tell(&mut accesses, &inventory, rules, &mut told);
        match rules {
            Rules::Contract => {}
            Rules::Provider => ranges::fold(&mut accesses),
        }
        if accesses.is_empty() {
            return Err(Error::NoSizes { path, accesses: told.sizeless });
        }
        Ok(Log { names, accesses, first_s, last_s, told, sources })
    }
}

fn nothing(path: String, told: Told, why: &'static str) -> Error {
    let Told { lines, garbage, first_garbage, first_unknown, .. } = told;
    match first_garbage {
        Some(found) if garbage == lines => Error::AllGarbage { path, lines, found, why },
        _ if lines > 0 => {
            Error::NoAccess { path, lines, unknown: first_unknown.unwrap_or_default() }
        }
        _ => Error::Empty { path },
    }
}

/// Names are counted in 32 bits: four billion objects are no log that is read at once.
fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// The beginning of a text.
pub fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_hash_are_still_two() {
        let mut builder = Builder::new(Rules::Contract);
        assert_eq!(builder.object("b", "one"), 0);
        // Hashes of 64 bits meet too rarely to be waited for.
        for key in ["two", "three"] {
            let hash = builder.hashes.hash_one((0_u32, key));
            builder.newest.insert(hash, builder.names.objects.len() as u32 - 1);
        }
        assert_eq!(builder.object("b", "two"), 1);
        let hash = builder.hashes.hash_one((0_u32, "three"));
        builder.newest.insert(hash, 1);
        assert_eq!(builder.object("b", "three"), 2);
        for (key, object) in [("one", 0), ("two", 1), ("three", 2)] {
            builder.newest.insert(builder.hashes.hash_one((0_u32, key)), 2);
            assert_eq!(builder.object("b", key), object);
        }
        assert_eq!(builder.object("other", "one"), 3);
    }
}
