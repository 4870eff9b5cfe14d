//! When operations of one sort began and ended, so that each question about them costs one binary search.

use super::register::Op;

/// Operations, those of unknown outcome included.
#[derive(Debug)]
pub struct Spans {
    /// Starts in order, each with the latest end so far.
    by_start: Vec<(u64, u64)>,
    /// Ends of acknowledged ones in order, each with the latest start so far.
    by_end: Vec<(u64, u64)>,
}

impl Spans {
    pub fn new<'a>(ops: impl Iterator<Item = &'a Op>) -> Self {
        let (mut by_start, mut by_end) = (Vec::new(), Vec::new());
        for op in ops {
            by_start.push((op.start_ns, op.end_ns));
            if !op.is_unknown() {
                by_end.push((op.end_ns, op.start_ns));
            }
        }
        Self { by_start: latest(by_start), by_end: latest(by_end) }
    }

    /// The latest end of those that started by a moment.
    pub fn latest_end(&self, by_ns: u64) -> Option<u64> {
        let started = self.by_start.partition_point(|(start_ns, _)| *start_ns <= by_ns);
        self.by_start[..started].last().map(|(_, latest_ns)| *latest_ns)
    }

    /// The latest start of those that had ended before a moment.
    pub fn latest_start(&self, before_ns: u64) -> Option<u64> {
        let ended = self.by_end.partition_point(|(end_ns, _)| *end_ns < before_ns);
        self.by_end[..ended].last().map(|(_, latest_ns)| *latest_ns)
    }
}

fn latest(mut pairs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    pairs.sort_unstable();
    let mut so_far = 0;
    for (_, other) in &mut pairs {
        so_far = so_far.max(*other);
        *other = so_far;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::register::{ABSENT, Kind, NEVER_NS};

    #[test]
    fn spans_are_found_by_their_starts_and_ends() {
        let delete = |start_ns, end_ns| Op {
            process: 0,
            start_ns,
            end_ns,
            kind: Kind::Write { content: ABSENT, needs: None },
            position: None,
        };
        let ops = [delete(5, 20), delete(1, 30), delete(40, NEVER_NS)];
        let deletes = Spans::new(ops.iter());
        assert_eq!(deletes.latest_end(0), None);
        assert_eq!(deletes.latest_end(10), Some(30));
        assert_eq!(deletes.latest_end(40), Some(NEVER_NS));
        assert_eq!(deletes.latest_start(20), None);
        assert_eq!(deletes.latest_start(31), Some(5));
        assert_eq!(deletes.latest_start(NEVER_NS), Some(5));
    }
}
