//! The seam between tables and what keeps their rows: a library on this machine's disk (`on_disk`), or memory that a simulation
//! can take away. It knows neither entries nor what rows mean.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use vaultaire_proto::GroupId;
use vaultaire_proto::tables::Pair;

use super::meta::Meta;
use super::overlay::Write;
use super::view::View;
use crate::error::Error;

/// What one batch changes in one group: the reserved row is among it.
pub type Change = (GroupId, Vec<Write>);

/// Ascending, and a failure is the last.
pub type NewRows<'a> = &'a mut dyn Iterator<Item = Result<Pair, Error>>;

/// Keeps the rows of all groups of a node. One that cannot read or write any more stops the process: its contract has no errors
/// for that.
pub trait Engine: Send + Sync {
    /// A group's rows, empty where the group is new. Called once for each group.
    fn open(&self, group: GroupId) -> Result<Arc<dyn GroupRows>, Error>;
    /// Writes to opened groups, all or nothing also after a crash. It may be lost by a power failure, but only with all that
    /// came after it.
    fn write(&self, batch: Vec<Change>);
    /// Makes everything written so far survive a power failure.
    fn persist(&self);
}

/// One group's rows.
pub trait GroupRows: Send + Sync {
    /// The newest rows, as of this call.
    fn view(&self) -> View;
    /// Replaces all rows. A crash at any point leaves the old ones or the new ones, and afterwards the new ones are durable. The
    /// caller sees to it that nothing is written to the group meanwhile.
    fn install(&self, meta: &Meta, rows: NewRows<'_>) -> Result<(), Error>;
}

/// Rows as of one moment, the reserved one included. It stays true while newer ones are written.
pub trait Snapshot: Send + Sync {
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    /// The bounds do not cross.
    fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Box<dyn DoubleEndedIterator<Item = Pair> + Send>;
}
