//! What to do next where journal or tables are damaged: in one place, since a wrong word here costs data. The data directory
//! also holds keys, the identity and often the objects' bytes, so no advice ever says to remove or to empty it.

/// Where this node may be the only one that has the data, or where that is not known.
pub const RESTORE: &str = "do not delete anything: stop the node, copy its data directory, then put `journal` and `tables` in \
     it back from one and the same backup";

/// Only where other voters have everything.
pub const REJOIN: &str = "the other voters have its data: copy its data directory, remove the node from the cluster, then move \
     only `journal` and `tables` out of the directory and rejoin it under a new id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_advice_costs_data() {
        for advice in [RESTORE, REJOIN] {
            assert!(advice.contains("copy its data directory"), "{advice}");
            assert!(advice.contains("`journal` and `tables`"), "{advice}");
            for deadly in ["empty", "remove this node's data directory", "delete the"] {
                assert!(!advice.contains(deadly), "{advice}");
            }
        }
        assert!(!RESTORE.contains("rejoin"), "a sole voter has nobody to rejoin");
    }
}
