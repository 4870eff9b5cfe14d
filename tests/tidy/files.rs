//! The files of the repository as the house rules see them: what git tracks or would track.
//!
//! It only reads; what is right or wrong is decided by the rules beside it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One text file of the repository.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path from the repository root, with forward slashes.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub fn has_extension(&self, wanted: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == wanted)
    }

    /// The file name and the folders say that everything inside is a unit test.
    pub fn is_unit_test_file(&self) -> bool {
        let inside_tests = self.path.contains("/src/") && self.path.contains("/tests/");
        self.path.ends_with("/tests.rs") || inside_tests
    }
}

/// A broken rule: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub message: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Fails the calling test with every finding on its own line.
pub fn assert_clean(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} broken house rule(s):\n{}", lines.len(), lines.join("\n"));
}

/// The repository root. Cargo sets the variable at run time; the compiled-in value serves a bare run.
pub fn root() -> PathBuf {
    let manifest_dir = std::env::var("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&manifest_dir)
        .parent()
        .expect("the tests crate lies inside the repository")
        .to_owned()
}

/// Every path that git tracks or would track; without git, every file outside build folders.
pub fn paths() -> Vec<String> {
    let root = root();
    let mut found = match listed_by_git(&root) {
        Some(paths) => paths,
        None => walked(&root),
    };
    // The index still names a file that was removed from the work tree.
    found.retain(|path| root.join(path).is_file());
    found.sort();
    found.dedup();
    assert!(
        found.len() > 10,
        "only {} files found below {}: the listing is broken",
        found.len(),
        root.display()
    );
    found
}

/// Every file that is text. Binary fixtures have no lines to judge.
pub fn sources() -> Vec<Source> {
    let root = root();
    paths()
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect()
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()?;
    if !output.status.success() || output.stdout.is_empty() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

fn walked(root: &Path) -> Vec<String> {
    const SKIPPED: [&str; 4] = [".git", "target", "node_modules", "__pycache__"];
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder entry is readable");
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !SKIPPED.iter().any(|skipped| name == *skipped) {
                    folders.push(path);
                }
            } else if let Ok(inside) = path.strip_prefix(root) {
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}
