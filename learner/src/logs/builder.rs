//! Makes a log of the accesses that readers find, file by file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;

use crate::error::Error;
use crate::logs::accesses::{Accesses, Keeper};
use crate::logs::told::Told;
use crate::logs::{Access, Log, Names, Operation, SIZE_MAX, Source, TIME_MAX_S};
use crate::logs::{ranges, sizes, stored};
use crate::spill::sorter::{Sorted, Sorter};

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
    /// So many are in memory at once.
    in_memory_max: usize,
    accesses: Sorter<Access>,
    /// Why they could not all be kept. None: they were.
    unkept: Option<Error>,
    /// The times of the first and the last. None: there is none yet.
    times_s: Option<(u64, u64)>,
    listed: Vec<stored::Listed>,
    sources: Vec<Source>,
    last_line: u32,
    last_s: u64,
    told: Told,
    why: &'static str,
}

impl Builder {
    /// So many accesses are in memory at once, at most.
    pub fn new(rules: Rules, in_memory_max: usize) -> Self {
        Self {
            rules,
            names: Names::default(),
            buckets: HashMap::new(),
            newest: HashMap::new(),
            older: Vec::new(),
            hashes: RandomState::new(),
            in_memory_max,
            accesses: Sorter::new(in_memory_max),
            unkept: None,
            times_s: None,
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
        self.keep(if found.is_part { access.of_a_part() } else { access });
        let (first_s, last_s) = self.times_s.unwrap_or((found.at_s, found.at_s));
        self.times_s = Some((first_s.min(found.at_s), last_s.max(found.at_s)));
        self.last_line = self.last_line.max(line);
        self.told.lines += 1;
        if self.rules == Rules::Contract {
            self.told.backwards += u64::from(found.at_s < self.last_s);
            self.last_s = found.at_s;
        }
        Ok(())
    }

    /// What was once not kept is told of by `kept`, since a reader may be in the middle of something.
    fn keep(&mut self, access: Access) {
        if self.unkept.is_none() {
            self.unkept = self.accesses.push(access).err();
        }
    }

    /// Whether there was room for all accesses until now. Readers ask now and then.
    pub fn kept(&mut self) -> Result<(), Error> {
        self.unkept.take().map_or(Ok(()), Err)
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
    pub fn finish(mut self, path: String) -> Result<Log, Error> {
        self.kept()?;
        let Self { rules, names, accesses, in_memory_max, listed, sources, mut told, .. } = self;
        let Some((first_s, last_s)) = self.times_s else {
            return Err(nothing(path, told, self.why));
        };
        let mut stored = stored::Stored::new(listed, &names, (first_s, last_s));
        let objects = 0..count(&names.objects);
        let completed = Completed { rules, stored: &mut stored, told: &mut told };
        let accesses = completed.all(objects, accesses.finish()?, Keeper::new(in_memory_max))?;
        told.listed = stored.added;
        if accesses.is_empty() {
            return Err(Error::NoSizes { path, accesses: told.sizeless });
        }
        Ok(Log { names, accesses, first_s, last_s, told, sources })
    }
}

/// What is added to accesses, object by object.
struct Completed<'a> {
    rules: Rules,
    stored: &'a mut stored::Stored,
    told: &'a mut Told,
}

impl Completed<'_> {
    /// Those of all objects; some are in an inventory alone.
    fn all(
        self,
        objects: Range<u32>,
        mut sorted: Sorted<Access>,
        mut keeper: Keeper,
    ) -> Result<Accesses, Error> {
        let mut next = sorted.next().transpose()?;
        let mut of_one = Vec::new();
        for object in objects {
            of_one.clear();
            while let Some(access) = next.filter(|access| access.object == object) {
                of_one.push(access);
                next = sorted.next().transpose()?;
            }
            self.stored.add(object, &mut of_one);
            sizes::tell(&mut of_one, self.stored.size_bytes(object), self.rules, self.told);
            match self.rules {
                Rules::Contract => {}
                Rules::Provider => ranges::fold(&mut of_one),
            }
            keeper.object(&of_one)?;
        }
        keeper.finish()
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
        let mut builder = Builder::new(Rules::Contract, 1);
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
