//! Who may import whom: the edges between our crates and the owner of each library.
//!
//! The table is the README's map; a new edge is a change of the map first.

use crate::files::Finding;

/// Our crates, and the crates of ours that each may depend on. `tests` may depend on all of them.
pub const EDGES: [(&str, &[&str]); 7] = [
    ("vaultaire-proto", &[]),
    ("vaultaire-storage", &["vaultaire-proto"]),
    ("vaultaire-learner", &["vaultaire-proto"]),
    ("vaultaire-router", &["vaultaire-proto", "vaultaire-storage"]),
    (
        "vaultaire",
        &["vaultaire-proto", "vaultaire-storage", "vaultaire-learner", "vaultaire-router"],
    ),
    (
        "vaultaire-tests",
        &[
            "vaultaire",
            "vaultaire-proto",
            "vaultaire-storage",
            "vaultaire-learner",
            "vaultaire-router",
        ],
    ),
    ("vaultaire-jepsen", &["vaultaire-proto"]),
];

/// A library, by name or by the start of its name before `*`, and the only crates that may know it.
pub const OWNERS: [(&str, &[&str]); 11] = [
    ("openraft*", &["vaultaire"]),
    ("fjall", &["vaultaire"]),
    ("object_store", &["vaultaire-storage"]),
    ("aws-sigv4", &["vaultaire-storage"]),
    ("candle-*", &["vaultaire-learner"]),
    ("sled", &["vaultaire-learner"]),
    ("s3s", &["vaultaire-router"]),
    ("prost", &["vaultaire-proto"]),
    ("prost-*", &["vaultaire-proto"]),
    ("tonic*", &["vaultaire-proto", "vaultaire", "vaultaire-jepsen"]),
    ("aws-sdk-s3", &["vaultaire-tests", "vaultaire-jepsen"]),
];

/// One line of a `[dependencies]` table.
#[derive(Debug, Clone)]
pub struct Dependency {
    pub from: String,
    pub to: String,
    pub optional: bool,
    pub is_build: bool,
}

/// Every dependency that a crate of this workspace declares, of every kind and target.
pub fn declared() -> Vec<Dependency> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(crate::files::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace");
    let mut found = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            found.push(Dependency {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                optional: dependency.optional,
                is_build: dependency.kind == cargo_metadata::DependencyKind::Build,
            });
        }
    }
    assert!(
        !found.is_empty(),
        "cargo metadata named no dependency: the check would pass for nothing"
    );
    found
}

pub fn crate_edges(dependencies: &[Dependency]) -> Vec<Finding> {
    let is_ours = |name: &str| name == "vaultaire" || name.starts_with("vaultaire-");
    let mut findings = Vec::new();
    for dependency in dependencies.iter().filter(|dependency| is_ours(&dependency.to)) {
        let allowed = EDGES.iter().find(|(name, _)| *name == dependency.from);
        if !allowed.is_some_and(|(_, targets)| targets.contains(&dependency.to.as_str())) {
            let message = format!(
                "{} may not depend on {}: dependencies point at proto",
                dependency.from, dependency.to
            );
            findings.push(Finding::new(&manifest(&dependency.from), 1, message));
        }
    }
    findings
}

pub fn library_owners(dependencies: &[Dependency]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in dependencies {
        for (library, owners) in OWNERS {
            if matches(library, &dependency.to) && !owners.contains(&dependency.from.as_str()) {
                let message = format!(
                    "{} may not depend on {}: only {} may know it",
                    dependency.from,
                    dependency.to,
                    owners.join(", ")
                );
                findings.push(Finding::new(&manifest(&dependency.from), 1, message));
            }
        }
    }
    findings
}

/// What needs an async runtime stays behind proto's feature `grpc`, so the pure core builds without one.
pub fn proto_runtime_is_optional(dependencies: &[Dependency]) -> Vec<Finding> {
    let needs_runtime = |name: &str| name == "tokio" || name == "tonic" || name == "tonic-prost";
    let broken = dependencies.iter().filter(|dependency| {
        dependency.from == "vaultaire-proto"
            && needs_runtime(&dependency.to)
            && !dependency.optional
            && !dependency.is_build
    });
    broken
        .map(|dependency| {
            let message = format!("{} must be optional, behind the feature `grpc`", dependency.to);
            Finding::new("proto/Cargo.toml", 1, message)
        })
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

fn manifest(name: &str) -> String {
    let folder = name.strip_prefix("vaultaire-").unwrap_or("node");
    format!("{folder}/Cargo.toml")
}
