//! What the server says of itself once all is healed: whether its catalog agrees with the bytes on all disks, and all nodes have
//! the same rows. Clients' own reads, which do not trust it, are judged elsewhere.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::checker::{Kind, Violation};
use crate::cluster::site::Site;
use crate::error::Error;

/// How long it may take, once nobody writes any more, to copy again what was lost with a node.
const REPAIRED_MAX: Duration = Duration::from_secs(120);

/// How long collecting what is unused may take. What is left then is work to come.
const COLLECTED_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(500);

/// Asks for the rows of all nodes to be compared.
pub const COMPARE: [&str; 2] = ["cluster", "compare"];

/// How many findings are told word for word.
const SHOWN_MAX: usize = 10;

/// The counts of `vaultaire verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub objects: u64,
    pub orphans: u64,
    pub dangling: u64,
    pub checksum_mismatches: u64,
    /// Every other count that must be zero.
    pub others: u64,
    /// How many of all these are copies on disks that went with a node that was removed, and were not made again.
    pub gone: u64,
    /// Keys that no sweep has looked at yet: work to come.
    pub unswept: u64,
    /// Replicas whose rows were compared with those of others, all groups together, and those that were other rows or none.
    pub compared: u64,
    pub diverged: u64,
    pub findings: Vec<String>,
}

/// Asks until all is well and swept, or would not be.
pub async fn verify(site: &Site) -> Result<Verified, Error> {
    let mut verified = agreed(site).await?;
    verified.compare(&compared(site).await?);
    Ok(verified)
}

/// What `vaultaire cluster compare` prints; a node that was just replaced may have to catch up first.
async fn compared(site: &Site) -> Result<Value, Error> {
    let began = Instant::now();
    loop {
        match site.ask_any(&COMPARE).await {
            Err(_) if began.elapsed() < REPAIRED_MAX => tokio::time::sleep(POLL).await,
            told => return told,
        }
    }
}

async fn agreed(site: &Site) -> Result<Verified, Error> {
    let began = Instant::now();
    let members = site.members().await?;
    let removed: Vec<String> =
        members.into_iter().filter(|one| one.state == "removed").map(|one| one.id).collect();
    loop {
        let verified = Verified::read(&site.ask_any(&["verify"]).await?, &removed);
        let most = match (verified.wrong() == verified.gone, verified.gone, verified.unswept) {
            (false, _, _) | (true, 0, 0) => Duration::ZERO,
            (true, 0, _) => COLLECTED_MAX,
            (true, _, _) => REPAIRED_MAX,
        };
        if began.elapsed() >= most {
            return Ok(verified);
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Verified {
    fn read(told: &Value, removed: &[String]) -> Self {
        // A count that is absent is as bad as one that is wrong.
        let count = |name: &str| told[name].as_u64().unwrap_or(u64::MAX / 16);
        let findings = told["findings"].as_array().map_or(&[][..], Vec::as_slice);
        // The backend of another node is called by its name and that node's id.
        let is_gone = |finding: &&Value| {
            let backend = finding["backend"].as_str().unwrap_or_default();
            let node = backend.rsplit_once('@').map(|(_, node)| node);
            node.is_some_and(|node| removed.iter().any(|one| one == node))
        };
        let gone = findings.iter().filter(is_gone).count();
        Self {
            gone: u64::try_from(gone).unwrap_or(0),
            objects: count("objects"),
            orphans: count("orphans"),
            dangling: count("dangling"),
            checksum_mismatches: count("checksum_mismatches"),
            others: count("size_mismatches") + count("unreadable") + count("inconsistent"),
            unswept: count("unswept"),
            compared: 0,
            diverged: 0,
            findings: findings.iter().take(SHOWN_MAX).map(Value::to_string).collect(),
        }
    }

    /// Takes over what came of comparing all replicas.
    fn compare(&mut self, told: &Value) {
        let groups = told["groups"].as_array().map_or(&[][..], Vec::as_slice);
        let replicas = groups.iter().filter_map(|group| group["replicas"].as_array()).flatten();
        for replica in replicas {
            self.compared += 1;
            if replica["differs"] != false || !replica["error"].is_null() {
                self.diverged += 1;
                self.findings.push(format!("rows: {replica}"));
            }
        }
        // Nothing compared is nothing known.
        self.diverged += u64::from(self.compared == 0);
    }

    /// Whatever is not as it has to be.
    pub fn violations(&self) -> Option<Violation> {
        (self.wrong() > 0).then(|| {
            let detail = format!("{self}: {}", self.findings.join("; "));
            Violation::new(Kind::Catalog, "", detail)
        })
    }

    fn wrong(&self) -> u64 {
        self.orphans + self.dangling + self.checksum_mismatches + self.others + self.diverged
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} objects, {} orphans, {} dangling, {} wrong checksums, {} other findings ({} of all on disks of removed \
             nodes), {} unswept, {} of {} replicas with other rows than most",
            self.objects,
            self.orphans,
            self.dangling,
            self.checksum_mismatches,
            self.others,
            self.gone,
            self.unswept,
            self.diverged,
            self.compared
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_or_not_said_is_a_violation() {
        let sound = serde_json::json!({
            "objects": 3, "orphans": 0, "dangling": 0, "checksum_mismatches": 0, "size_mismatches": 0,
            "unreadable": 0, "inconsistent": 0, "unswept": 2, "findings": [],
        });
        let removed = ["2".to_owned()];
        assert_eq!(Verified::read(&sound, &removed).violations(), None);
        let mut lost = sound.clone();
        lost["unreadable"] = 2.into();
        lost["findings"] = serde_json::json!([{ "backend": "hot@2" }, { "backend": "hot@3" }]);
        let lost = Verified::read(&lost, &removed);
        assert!(lost.gone == 1 && lost.violations().is_some());
        let mut rows = Verified::read(&sound, &removed);
        let same = serde_json::json!({ "differs": false, "error": null });
        rows.compare(&serde_json::json!({ "groups": [{ "replicas": [same, same] }] }));
        assert!(rows.compared == 2 && rows.violations().is_none());
        for told in [
            serde_json::json!({ "differs": true }),
            serde_json::json!({ "differs": false, "error": "silent" }),
            Value::Null,
        ] {
            let mut rows = Verified::read(&sound, &removed);
            rows.compare(&serde_json::json!({ "groups": [{ "replicas": [same, told] }] }));
            assert_eq!(rows.diverged, 1);
            assert!(rows.violations().is_some());
        }
        let mut rows = Verified::read(&sound, &removed);
        rows.compare(&Value::Null);
        assert!(rows.violations().is_some(), "nothing was compared");
        for name in ["orphans", "dangling", "checksum_mismatches", "unreadable", "inconsistent"] {
            let mut wrong = sound.clone();
            wrong[name] = 1.into();
            assert!(Verified::read(&wrong, &removed).violations().is_some(), "{name}");
            wrong[name] = Value::Null;
            assert!(Verified::read(&wrong, &removed).violations().is_some(), "{name}");
        }
    }
}
