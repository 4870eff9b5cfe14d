//! The reserved row of a keyspace: how far its group has applied, and the membership as of then.
//! It is written in the same batch as the rows, so the two can never disagree.

use std::path::Path;

use crate::advice;
use crate::error::Error;

/// Before every other row: a row of the state machine starts with a letter.
pub const META_KEY: &[u8] = &[0];

/// The format of a keyspace's rows as a whole.
const FORMAT: u8 = 2;

/// As it was before installs were noted.
const FORMAT_WITHOUT_INSTALLED: u8 = 1;

/// Format, and which positions there are.
const HEAD_BYTES: usize = 1 + 1;

/// Term and index.
const POSITION_BYTES: usize = 8 + 8;

const HAS_APPLIED: u8 = 1;
const HAS_INSTALLED: u8 = 2;

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
    /// The snapshot that these rows began as, if they came from another node: up to there the log may be shorter.
    pub installed: Option<Applied>,
    /// The last applied membership; opaque here.
    pub membership: Vec<u8>,
}

impl Meta {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 2 * POSITION_BYTES + self.membership.len());
        let has = |position: Option<Applied>, flag| if position.is_some() { flag } else { 0 };
        bytes.push(FORMAT);
        bytes.push(has(self.applied, HAS_APPLIED) | has(self.installed, HAS_INSTALLED));
        for position in [self.applied, self.installed] {
            let position = position.unwrap_or(Applied { term: 0, index: 0 });
            bytes.extend_from_slice(&position.term.to_be_bytes());
            bytes.extend_from_slice(&position.index.to_be_bytes());
        }
        bytes.extend_from_slice(&self.membership);
        bytes
    }

    /// Reads what any supported version wrote; `path` is named where it cannot.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let damaged = |problem: String| Error::Damaged {
            path: path.to_owned(),
            problem,
            advice: advice::RESTORE,
        };
        let cut = || damaged(format!("cut short ({} bytes of its reserved row)", bytes.len()));
        let format = match bytes.first() {
            Some(&format @ (FORMAT | FORMAT_WITHOUT_INSTALLED)) => format,
            Some(&found) if found > FORMAT => {
                return Err(Error::DataDirNewer {
                    path: path.to_owned(),
                    found: u32::from(found),
                    supported: u32::from(FORMAT),
                });
            }
            Some(_) | None => return Err(damaged("without a readable format version".to_owned())),
        };
        let (&[_, flags], rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(cut)?;
        let (applied, rest) = position(rest, flags & HAS_APPLIED != 0).ok_or_else(cut)?;
        let (installed, membership) = match format {
            FORMAT_WITHOUT_INSTALLED => (None, rest),
            _ => position(rest, flags & HAS_INSTALLED != 0).ok_or_else(cut)?,
        };
        Ok(Self { applied, installed, membership: membership.to_vec() })
    }
}

/// A position, if it means one, and what follows it.
fn position(bytes: &[u8], present: bool) -> Option<(Option<Applied>, &[u8])> {
    let (term, rest) = bytes.split_first_chunk::<8>()?;
    let (index, rest) = rest.split_first_chunk::<8>()?;
    let (term, index) = (u64::from_be_bytes(*term), u64::from_be_bytes(*index));
    Some((present.then_some(Applied { term, index }), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            applied: Option<(u64, u64)>,
            installed: Option<(u64, u64)>,
            membership: Vec<u8>,
        ) {
            let of = |(term, index)| Applied { term, index };
            let meta = Meta { applied: applied.map(of), installed: installed.map(of), membership };
            prop_assert_eq!(Meta::decode(&meta.encode(), Path::new("rows")).unwrap(), meta);
        }
    }

    #[test]
    fn the_format_before_is_still_read() {
        let mut bytes = vec![1, 1];
        bytes.extend_from_slice(&7_u64.to_be_bytes());
        bytes.extend_from_slice(&9_u64.to_be_bytes());
        bytes.extend_from_slice(b"members");
        let applied = Some(Applied { term: 7, index: 9 });
        let expected = Meta { applied, installed: None, membership: b"members".to_vec() };
        assert_eq!(Meta::decode(&bytes, Path::new("rows")).unwrap(), expected);
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
