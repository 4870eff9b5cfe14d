//! The reserved row of a keyspace: how far its group has applied, and the membership as of then.
//! It is written in the same batch as the rows, so the two can never disagree.

use std::path::Path;

use crate::error::Error;

/// Before every other row: a row of the state machine starts with a letter.
pub const META_KEY: &[u8] = &[0];

/// The format of a keyspace's rows as a whole.
const FORMAT: u8 = 1;

/// Format, whether anything was applied, term, index.
const FIXED_BYTES: usize = 1 + 1 + 8 + 8;

/// A log position that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    pub term: u64,
    pub index: u64,
}

/// What a keyspace knows of its group's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub applied: Option<Applied>,
    /// The last applied membership; opaque here.
    pub membership: Vec<u8>,
}

impl Meta {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.membership.len());
        let applied = self.applied.unwrap_or(Applied { term: 0, index: 0 });
        bytes.push(FORMAT);
        bytes.push(u8::from(self.applied.is_some()));
        bytes.extend_from_slice(&applied.term.to_be_bytes());
        bytes.extend_from_slice(&applied.index.to_be_bytes());
        bytes.extend_from_slice(&self.membership);
        bytes
    }

    /// Reads what any supported version wrote; `path` is named where it cannot.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let damaged = |problem: String| Error::Damaged {
            path: path.to_owned(),
            problem,
            advice: "remove this node's data directory and rejoin it under a new id",
        };
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(&found) if found > FORMAT => {
                return Err(Error::DataDirNewer {
                    path: path.to_owned(),
                    found: u32::from(found),
                    supported: u32::from(FORMAT),
                });
            }
            Some(_) | None => return Err(damaged("without a readable format version".to_owned())),
        }
        let Some((fixed, membership)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
            return Err(damaged(format!("cut short ({} bytes of its reserved row)", bytes.len())));
        };
        let [_, some, t0, t1, t2, t3, t4, t5, t6, t7, i0, i1, i2, i3, i4, i5, i6, i7] = *fixed;
        let applied = Applied {
            term: u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            index: u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
        };
        Ok(Self { applied: (some == 1).then_some(applied), membership: membership.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(term: u64, index: u64, some: bool, membership: Vec<u8>) {
            let applied = some.then_some(Applied { term, index });
            let meta = Meta { applied, membership };
            prop_assert_eq!(Meta::decode(&meta.encode(), Path::new("rows")).unwrap(), meta);
        }
    }

    #[test]
    fn newer_and_short_rows_are_refused() {
        let mut bytes = Meta::default().encode();
        assert!(matches!(
            Meta::decode(&bytes[..10], Path::new("rows")),
            Err(Error::Damaged { .. })
        ));
        assert!(matches!(Meta::decode(&[], Path::new("rows")), Err(Error::Damaged { .. })));
        bytes[0] = FORMAT + 1;
        assert!(matches!(Meta::decode(&bytes, Path::new("rows")), Err(Error::DataDirNewer { .. })));
    }
}
