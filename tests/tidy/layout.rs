//! The fixed top level of the repository: what a visitor sees first may not grow by accident.

use crate::files::Finding;

pub const TOP_LEVEL: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "proto",
    "storage",
    "learner",
    "router",
    "node",
    "tests",
    "jepsen",
    "deploy",
    "README.md",
    "LICENSE",
];

/// Every visible name at the top must be in the list; tool files are dotfiles.
pub fn top_level(paths: &[String]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for path in paths {
        let name = path.split('/').next().unwrap_or(path);
        let known = name.starts_with('.') || TOP_LEVEL.contains(&name);
        if !known && !findings.iter().any(|finding| finding.path == name) {
            let message =
                "not in the list of the top level: move it into a crate, `.config/` or `.ci/`";
            findings.push(Finding::new(name, 1, message));
        }
    }
    findings
}
