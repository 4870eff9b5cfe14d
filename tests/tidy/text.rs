//! House rules that one file's text can break on its own: sizes, headers, words, imports, reasons.
//!
//! Not about how crates relate: that is `edges`.

use crate::files::{Finding, Source};
use crate::mask::{is_word, mask};

pub const FILE_LINES_MAX: usize = 400;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const README_LINES_MAX: usize = 250;

/// Files that are longer than the limit, with the length they may not exceed. It may only shrink.
pub const LONG_FILES: [(&str, usize); 0] = [];

/// What a person writes and reads. Lock files, pass lists and number records are data.
pub fn is_written_by_hand(source: &Source) -> bool {
    const EXTENSIONS: [&str; 8] = ["rs", "proto", "py", "js", "mjs", "sh", "toml", "md"];
    EXTENSIONS.iter().any(|extension| source.has_extension(extension))
        || source.text.starts_with("#!")
}

pub fn file_length(source: &Source) -> Vec<Finding> {
    if !is_written_by_hand(source) {
        return Vec::new();
    }
    let lines = source.text.lines().count();
    let allowed = LONG_FILES.iter().find(|(path, _)| *path == source.path);
    let limit = match allowed {
        Some((_, limit)) => *limit,
        None if source.path == "README.md" => README_LINES_MAX,
        None => FILE_LINES_MAX,
    };
    if lines <= limit {
        return Vec::new();
    }
    let message = format!("{lines} lines, at most {limit}: split it by concept");
    vec![Finding::new(&source.path, limit + 1, message)]
}

pub fn header(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || source.text.starts_with("//! ") {
        return Vec::new();
    }
    let message = "the first line must be a `//!` comment: say what the file is and what it is not";
    vec![Finding::new(&source.path, 1, message)]
}

/// Functions longer than a screen, found by their braces.
pub fn function_length(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let masked = mask(&source.text);
    let mut findings = Vec::new();
    for (at, _) in masked.match_indices("fn ") {
        let inside_word = at > 0 && is_word(masked.as_bytes()[at - 1]);
        if inside_word {
            continue;
        }
        let Some((open, close)) = body(masked.as_bytes(), at) else {
            continue;
        };
        let lines = masked[at..close].matches('\n').count() + 1;
        if lines > FUNCTION_LINES_MAX {
            let name = masked[at + 3..open].split(['(', '<']).next().unwrap_or_default().trim();
            let message = format!(
                "function `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: give its steps names"
            );
            findings.push(Finding::new(&source.path, line_of(&masked, at), message));
        }
    }
    findings
}

/// The braces of the body of the function that starts at `at`; nothing for a declaration or a type.
fn body(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut nesting = 0_i32;
    let mut open = None;
    for (offset, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting -= 1,
            b'{' if nesting == 0 => {
                open = Some(at + offset);
                break;
            }
            b';' | b',' | b'=' if nesting <= 0 && !in_generics(bytes, at, at + offset) => {
                return None;
            }
            _ => {}
        }
        if nesting < 0 {
            // `fn(...)` as a type inside somebody's brackets.
            return None;
        }
    }
    let open = open?;
    let mut depth = 0_i32;
    for (offset, byte) in bytes[open..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((open, open + offset));
        }
    }
    None
}

/// A comma or an equals sign of a signature lies between angle brackets or after `where`.
fn in_generics(bytes: &[u8], from: usize, to: usize) -> bool {
    if bytes[to] == b';' {
        return false;
    }
    let signature = &bytes[from..to];
    let opened = signature.iter().filter(|byte| **byte == b'<').count();
    let arrows = signature.windows(2).filter(|pair| matches!(*pair, b"->" | b"=>")).count();
    let closed = signature.iter().filter(|byte| **byte == b'>').count() - arrows;
    opened > closed
        || signature.windows(6).any(|window| window == b"where\n" || window == b"where ")
}

/// Unfinished work and its traces.
pub fn forbidden_words(source: &Source) -> Vec<Finding> {
    if !is_written_by_hand(source) {
        return Vec::new();
    }
    // Put together here, or this file would break its own rule.
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut findings = words(source, &source.text, &notes, "finish it or file an issue");
    if source.is_rust() {
        let masked = mask(&source.text);
        let traces = ["dbg!", "todo!", "unimplemented!", "#[ignore"];
        findings.extend(words(
            source,
            &masked,
            &traces,
            "no unfinished or switched-off code on main",
        ));
    }
    findings
}

fn words(source: &Source, text: &str, wanted: &[&str], fix: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in wanted {
        for (at, _) in text.match_indices(word) {
            let bytes = text.as_bytes();
            let longer_before = at > 0 && is_word(bytes[at - 1]);
            let longer_after = bytes.get(at + word.len()).is_some_and(|byte| is_word(*byte));
            if !longer_before && !longer_after {
                let message = format!("`{word}` is not allowed: {fix}");
                findings.push(Finding::new(&source.path, line_of(text, at), message));
            }
        }
    }
    findings
}

/// Lines of the unit-test modules: from `#[cfg(test)]` on a `mod` to the end of the file, where they live.
fn first_test_line(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let found = lines
        .windows(2)
        .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod "));
    found.map_or(usize::MAX, |index| index + 1)
}

pub fn glob_imports(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || source.is_unit_test_file() {
        return Vec::new();
    }
    let masked = mask(&source.text);
    let tests_from = first_test_line(&masked);
    let mut findings = Vec::new();
    for (at, _) in masked.match_indices("::*") {
        let statement = masked[..at].rfind(';').map_or(0, |end| end + 1);
        let is_use = masked[statement..at].split_whitespace().any(|word| word == "use");
        let line = line_of(&masked, at);
        if is_use && line < tests_from {
            findings.push(Finding::new(
                &source.path,
                line,
                "glob import outside tests: name what is used",
            ));
        }
    }
    findings
}

pub fn re_exports(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || source.path == "proto/src/lib.rs" {
        return Vec::new();
    }
    let masked = mask(&source.text);
    let is_re_export = |line: &str| {
        let line = line.trim_start();
        line.starts_with("pub use ") || (line.starts_with("pub(") && line.contains(") use "))
    };
    lines_where(
        source,
        &masked,
        is_re_export,
        "re-export: only proto/src/lib.rs has them, name the true path",
    )
}

pub fn allow_reasons(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let masked = mask(&source.text);
    let mut findings = Vec::new();
    for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
        for (at, _) in masked.match_indices(opening) {
            let end = masked[at..].find(']').map_or(masked.len(), |end| at + end);
            if !masked[at..end].contains("reason") {
                let message = "an exception needs `reason = \"…\"`: say why the lint is wrong here";
                findings.push(Finding::new(&source.path, line_of(&masked, at), message));
            }
        }
    }
    findings
}

/// `mod` lines come before everything but comments and attributes; `mod tests` closes the file.
pub fn modules_first(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    const ITEMS: [&str; 12] = [
        "use ",
        "pub use ",
        "fn ",
        "pub fn ",
        "struct ",
        "pub struct ",
        "enum ",
        "pub enum ",
        "impl",
        "const ",
        "pub const ",
        "type ",
    ];
    let masked = mask(&source.text);
    let mut item_seen = false;
    let mut findings = Vec::new();
    for (index, line) in masked.lines().enumerate() {
        item_seen |= ITEMS.iter().any(|item| line.starts_with(item));
        let is_module =
            ["mod ", "pub mod ", "pub(crate) mod "].iter().any(|start| line.starts_with(start));
        let is_file = is_module && line.ends_with(';') && line != "mod tests;";
        if is_file && item_seen {
            findings.push(Finding::new(
                &source.path,
                index + 1,
                "`mod` lines come first, in reading order",
            ));
        }
    }
    findings
}

/// Paths of one machine, and registry hosts in lock files, mean nothing to anybody else.
pub fn machine_paths(source: &Source) -> Vec<Finding> {
    let roots = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let mut findings = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for root in roots {
            let starts_a_path = line.match_indices(root).any(|(at, _)| {
                at == 0
                    || !(is_word(line.as_bytes()[at - 1])
                        || b".}/*-".contains(&line.as_bytes()[at - 1]))
            });
            if starts_a_path {
                let message = format!(
                    "`{root}` is a path of one machine: derive it or take it as an argument"
                );
                findings.push(Finding::new(&source.path, index + 1, message));
            }
        }
        if source.path.ends_with("package-lock.json") && line.contains("\"resolved\"") {
            findings.push(Finding::new(
                &source.path,
                index + 1,
                "strip `resolved`: it names one registry's host",
            ));
        }
    }
    findings
}

fn lines_where(
    source: &Source,
    text: &str,
    broken: impl Fn(&str) -> bool,
    message: &str,
) -> Vec<Finding> {
    let lines = text.lines().enumerate().filter(|(_, line)| broken(line));
    lines.map(|(index, _)| Finding::new(&source.path, index + 1, message)).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
