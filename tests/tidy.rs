//! The house rules as tests: sizes, headers, words, imports, crate edges, numbers that are for ever.
//!
//! Each rule has one test over the repository and one over a sample that breaks it, since a rule that
//! cannot fail keeps nothing. It says nothing about what the code does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/mask.rs"]
mod mask;
#[path = "tidy/numbers.rs"]
mod numbers;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/text.rs"]
mod text;

use files::{Finding, Source, assert_clean};

fn over_the_tree(rule: impl Fn(&Source) -> Vec<Finding>) {
    let findings: Vec<Finding> = files::sources().iter().flat_map(rule).collect();
    assert_clean(&findings);
}

#[test]
fn the_top_level_is_the_fixed_list() {
    assert_clean(&layout::top_level(&files::paths()));
}

#[test]
fn files_hold_one_idea() {
    over_the_tree(text::file_length);
}

#[test]
fn the_list_of_long_files_only_shrinks() {
    let sources = files::sources();
    for (path, limit) in text::LONG_FILES {
        let source = sources.iter().find(|source| source.path == path);
        let lines = source.map_or(0, |source| source.text.lines().count());
        assert!(
            lines > text::FILE_LINES_MAX,
            "{path} has {lines} lines: take it off the list of long files"
        );
        assert!(lines == limit, "{path} has {lines} lines: lower its limit from {limit}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    over_the_tree(text::header);
}

#[test]
fn functions_fit_a_screen() {
    over_the_tree(text::function_length);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    over_the_tree(text::forbidden_words);
}

#[test]
fn imports_name_what_they_use() {
    over_the_tree(text::glob_imports);
}

#[test]
fn only_proto_re_exports() {
    over_the_tree(text::re_exports);
}

#[test]
fn every_allow_says_why() {
    over_the_tree(text::allow_reasons);
}

#[test]
fn modules_come_first() {
    over_the_tree(text::modules_first);
}

#[test]
fn no_file_names_a_machine() {
    over_the_tree(text::machine_paths);
}

#[test]
fn crates_depend_only_as_designed() {
    assert_clean(&edges::crate_edges(&edges::declared()));
}

#[test]
fn libraries_have_one_owner() {
    assert_clean(&edges::library_owners(&edges::declared()));
}

#[test]
fn the_pure_core_needs_no_runtime() {
    assert_clean(&edges::proto_runtime_is_optional(&edges::declared()));
}

#[test]
fn stored_and_sent_numbers_are_unique() {
    let numbers = numbers::collect(&files::sources());
    assert!(
        !numbers.used.is_empty(),
        "no protobuf field was found: the check would pass for nothing"
    );
    assert_clean(&numbers::unique(&numbers));
}

#[test]
fn stored_and_sent_numbers_are_never_reused() {
    let numbers = numbers::collect(&files::sources());
    let path = files::root().join(numbers::RECORD_PATH);
    let mut record = std::fs::read_to_string(&path).unwrap();
    let new = numbers::unrecorded(&numbers, &record);
    if std::env::var_os("VAULTAIRE_TIDY_RECORD").is_some() {
        for numbered in &new {
            record.push_str(&format!("{numbered}\n"));
        }
        std::fs::write(&path, &record).unwrap();
    } else {
        let lines: Vec<Finding> = new
            .iter()
            .map(|numbered| {
                Finding::new(numbers::RECORD_PATH, 1, format!("add the line `{numbered}`"))
            })
            .collect();
        assert_clean(&lines);
    }
    assert_clean(&numbers::never_reused(&numbers, &record));
}
