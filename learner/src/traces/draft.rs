//! The log of one prefix while it is made: its objects, each version's life, and the reads. What cannot be does not get in:
//! a read before its version's PUT, after its end, or outside of the log.

use std::num::NonZeroU64;

use crate::traces::calendar::Calendar;

/// One version of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// A number of the draft's own.
    pub object: u32,
    pub size_bytes: u64,
    /// Seconds since the log's start. Below 0: it was there when the log began.
    pub born_s: i64,
    /// Its last second is the one before. `NEVER`: it stays.
    pub end_s: i64,
    /// What ends it is a DELETE, and not the PUT of the next version.
    pub is_deleted: bool,
}

/// A read of some version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub life: u32,
    pub at_s: i64,
    /// None: all.
    pub sent_bytes: Option<NonZeroU64>,
}

/// The end of what does not end.
pub const NEVER: i64 = i64::MAX;

/// What was made up so far.
#[derive(Debug)]
pub struct Draft {
    pub calendar: Calendar,
    /// What each object's key is made from.
    pub names: Vec<u64>,
    pub lives: Vec<Life>,
    pub reads: Vec<Read>,
}

impl Draft {
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, names: Vec::new(), lives: Vec::new(), reads: Vec::new() }
    }

    /// A new object, with a name that no other one has. It tells the life of its first version.
    pub fn put(&mut self, name: u64, born_s: i64, size_bytes: u64) -> u32 {
        let object = self.names.len() as u32;
        self.names.push(name);
        self.begin(object, born_s, size_bytes)
    }

    /// The next version of an object: the life of its last one ends.
    pub fn overwrite(&mut self, life: u32, at_s: i64, size_bytes: u64) -> u32 {
        let last = &mut self.lives[life as usize];
        if at_s <= last.born_s {
            return life;
        }
        last.end_s = at_s;
        last.is_deleted = false;
        let object = last.object;
        self.begin(object, at_s, size_bytes)
    }

    pub fn delete(&mut self, life: u32, at_s: i64) {
        let last = &mut self.lives[life as usize];
        last.end_s = at_s.max(last.born_s + 1);
        last.is_deleted = true;
    }

    /// A read of the whole object.
    pub fn read(&mut self, life: u32, at_s: i64) {
        self.read_some(life, at_s, None);
    }

    /// A read of some of its bytes.
    pub fn read_range(&mut self, life: u32, at_s: i64, bytes: u64) {
        let size_bytes = self.lives[life as usize].size_bytes;
        let sent_bytes = NonZeroU64::new(bytes).filter(|_| bytes < size_bytes);
        self.read_some(life, at_s, sent_bytes);
    }

    fn read_some(&mut self, life: u32, at_s: i64, sent_bytes: Option<NonZeroU64>) {
        let Life { born_s, end_s, .. } = self.lives[life as usize];
        if at_s > born_s && at_s < end_s && (0..self.calendar.length_s()).contains(&at_s) {
            self.reads.push(Read { life, at_s, sent_bytes });
        }
    }

    fn begin(&mut self, object: u32, born_s: i64, size_bytes: u64) -> u32 {
        let life = self.lives.len() as u32;
        let size_bytes = size_bytes.max(1);
        self.lives.push(Life { object, size_bytes, born_s, end_s: NEVER, is_deleted: false });
        life
    }

    /// The seconds of the log in which a read of this version may be: from, and until before.
    pub fn readable(&self, life: u32) -> (i64, i64) {
        let Life { born_s, end_s, .. } = self.lives[life as usize];
        ((born_s + 1).max(0), end_s.min(self.calendar.length_s()))
    }

    /// Forgets reads of versions that had ended by then: their ends may have been told after the reads.
    pub fn finish(&mut self) {
        let lives = &self.lives;
        self.reads.retain(|read| read.at_s < lives[read.life as usize].end_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::calendar::DAY;

    #[test]
    fn what_cannot_be_does_not_get_in() {
        let mut draft = Draft::new(Calendar::new(0, 10));
        let old = draft.put(0, -5 * DAY, 100);
        draft.read(old, -1);
        draft.read(old, 0);
        draft.read(old, 10 * DAY);
        let first = draft.put(1, 100, 50);
        draft.read(first, 100);
        draft.read_range(first, 150, 20);
        draft.read_range(first, 160, 50);
        let second = draft.overwrite(first, 200, 60);
        draft.read(first, 200);
        draft.read(second, 250);
        draft.read(second, 299);
        draft.read(second, 300);
        draft.delete(second, 299);
        draft.finish();
        let reads: Vec<(u32, i64, Option<u64>)> = draft
            .reads
            .iter()
            .map(|read| (read.life, read.at_s, read.sent_bytes.map(NonZeroU64::get)))
            .collect();
        let expected =
            [(old, 0, None), (first, 150, Some(20)), (first, 160, None), (second, 250, None)];
        assert_eq!(reads, expected);
        assert_eq!(draft.names.len(), 2);
        assert_eq!(draft.readable(old), (0, 10 * DAY));
        assert_eq!(draft.readable(second), (201, 299));
    }
}
