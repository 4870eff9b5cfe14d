//! One broken sample for each house rule, and one sound sample beside it.

#![cfg(test)]

use crate::edges::{self, Dependency};
use crate::files::{Finding, Source};
use crate::layout;
use crate::numbers;
use crate::text;

fn rust(text: &str) -> Source {
    Source::new("node/src/sample.rs", text)
}

fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn a_stray_name_at_the_top_is_found_once() {
    let paths =
        ["src/a.rs", "src/b.rs", "README.md", ".ci/run", "proto/src/lib.rs"].map(str::to_owned);
    let findings = layout::top_level(&paths);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].path, "src");
}

#[test]
fn a_long_file_is_found_and_data_is_not() {
    let long = "x\n".repeat(text::FILE_LINES_MAX + 1);
    assert_eq!(lines(&text::file_length(&rust(&long))), [text::FILE_LINES_MAX + 1]);
    assert_eq!(
        text::file_length(&Source::new("tests/run", &format!("#!/bin/sh\n{long}"))).len(),
        1
    );
    assert_eq!(text::file_length(&rust(&"x\n".repeat(text::FILE_LINES_MAX))), []);
    assert_eq!(text::file_length(&Source::new("Cargo.lock", &long)), []);
    assert_eq!(text::file_length(&Source::new("README.md", &"x\n".repeat(251))).len(), 1);
}

#[test]
fn a_missing_header_is_found() {
    assert_eq!(text::header(&rust("use std::fmt;\n")).len(), 1);
    assert_eq!(text::header(&rust("//!\n")).len(), 1);
    assert_eq!(text::header(&rust("//! What it is.\n")), []);
}

#[test]
fn a_long_function_is_found_whatever_its_signature() {
    let filler = "    g();\n".repeat(text::FUNCTION_LINES_MAX);
    for signature in [
        "fn f()",
        "pub async fn f<A, B>(a: [u8; 4], b: impl Fn(A) -> B) -> Vec<(A, B)>\nwhere\n    A: Copy, B: Copy,\n",
    ] {
        let findings =
            text::function_length(&rust(&format!("//! x\n{signature} {{\n{filler}}}\n")));
        assert_eq!(lines(&findings), [2], "{signature}");
        assert!(findings[0].message.contains("`f`"), "{}", findings[0].message);
    }
}

#[test]
fn short_functions_declarations_and_braces_in_text_are_not_long() {
    let filler = "    g(\"{\"); // {\n".repeat(text::FUNCTION_LINES_MAX - 2);
    let fits = format!("fn f() {{\n{filler}}}\n");
    assert_eq!(text::function_length(&rust(&fits)), []);
    let many = "    fn f(&self, x: [u8; 2]) -> u8;\n".repeat(text::FUNCTION_LINES_MAX * 2);
    assert_eq!(text::function_length(&rust(&format!("trait T {{\n{many}}}\n"))), []);
    let pointers = "    a: fn (u8, u8) -> u8,\n".repeat(text::FUNCTION_LINES_MAX * 2);
    assert_eq!(
        text::function_length(&rust(&format!("struct S {{\n{pointers}}}\nimpl S {{}}\n"))),
        []
    );
}

#[test]
fn unfinished_work_is_found() {
    let sample = format!(
        "//! x\n// {}: later\nfn f() {{ dbg{}(1); }}\n#[{}]\nfn g() {{}}\n",
        concat!("TO", "DO"),
        "!",
        "ignore"
    );
    assert_eq!(lines(&text::forbidden_words(&rust(&sample))), [2, 3, 4]);
    for word in [concat!("FIX", "ME"), concat!("XX", "X")] {
        assert_eq!(
            text::forbidden_words(&Source::new("deploy/a.toml", &format!("# {word}\n"))).len(),
            1
        );
    }
    let sound = "//! A mastodon, and the word dbg in prose.\nlet a = \"dbg!\";\n";
    assert_eq!(text::forbidden_words(&rust(sound)), []);
}

#[test]
fn glob_imports_are_found_outside_tests_only() {
    let sample = "//! x\nuse std::io::*;\nuse a::{\n    b::*,\n};\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    assert_eq!(lines(&text::glob_imports(&rust(sample))), [2, 4]);
    assert_eq!(
        text::glob_imports(&Source::new("node/src/x/tests.rs", "//! x\nuse super::*;\n")),
        []
    );
    assert_eq!(text::glob_imports(&rust("//! x\nfn f() { let a = x::<u8>() * 2; }\n")), []);
}

#[test]
fn re_exports_are_found_outside_proto() {
    let sample = "//! x\npub use a::b;\npub(crate) use a::c;\nuse a::d;\n";
    assert_eq!(lines(&text::re_exports(&rust(sample))), [2, 3]);
    assert_eq!(text::re_exports(&Source::new("proto/src/lib.rs", sample)), []);
}

#[test]
fn an_allow_without_a_reason_is_found() {
    let sample =
        "//! x\n#[allow(dead_code)]\n#![expect(unused)]\n#[allow(dead_code, reason = \"why\")]\n";
    assert_eq!(lines(&text::allow_reasons(&rust(sample))), [2, 3]);
}

#[test]
fn a_late_module_is_found() {
    let sample = "//! x\nmod a;\n\nuse a::B;\nmod c;\n\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(lines(&text::modules_first(&rust(sample))), [5]);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let root = concat!("/ro", "ot/");
    let sample = format!("//! x\nlet a = \"{root}x\";\nlet b = \"bucket{root}x\";\n");
    assert_eq!(lines(&text::machine_paths(&rust(&sample))), [2]);
    let lock = Source::new("tests/clients/package-lock.json", "{\n \"resolved\": \"x\"\n}\n");
    assert_eq!(lines(&text::machine_paths(&lock)), [2]);
}

fn dependency(from: &str, to: &str, optional: bool) -> Dependency {
    Dependency { from: from.to_owned(), to: to.to_owned(), optional, is_build: false }
}

#[test]
fn a_wrong_edge_and_a_stolen_library_are_found() {
    let edges = [
        dependency("vaultaire-router", "vaultaire", false),
        dependency("vaultaire-storage", "vaultaire-learner", false),
        dependency("vaultaire-unknown", "vaultaire-proto", false),
        dependency("vaultaire-router", "vaultaire-proto", false),
    ];
    assert_eq!(edges::crate_edges(&edges).len(), 3);
    let libraries = [
        dependency("vaultaire-router", "openraft-multi", false),
        dependency("vaultaire", "s3s", false),
        dependency("vaultaire-storage", "candle-core", false),
        dependency("vaultaire", "fjall", false),
        dependency("vaultaire-router", "tokio", false),
    ];
    let findings = edges::library_owners(&libraries);
    assert_eq!(findings.len(), 3);
    assert_eq!(findings[0].path, "router/Cargo.toml");
    assert_eq!(findings[1].path, "node/Cargo.toml");
}

#[test]
fn a_runtime_in_the_pure_core_is_found() {
    let broken = [
        dependency("vaultaire-proto", "tokio", false),
        dependency("vaultaire-proto", "tonic", true),
    ];
    assert_eq!(edges::proto_runtime_is_optional(&broken).len(), 1);
}

const PROTOBUF: &str = "syntax = \"proto3\";\npackage a.v1;\nmessage M {\n  // c = 9;\n  reserved 4, 7 to 8;\n  \
    string a = 1;\n  oneof kind {\n    N b = 2 [deprecated = true];\n  }\n  message N {\n    map<string, N> a = 1;\n  }\n  \
    enum E {\n    E_UNSPECIFIED = 0;\n  }\n}\n";

fn numbers_of(text: &str) -> numbers::Numbers {
    numbers::collect(&[Source::new("proto/a.proto", text)])
}

#[test]
fn protobuf_numbers_are_read_with_their_scopes() {
    let found: Vec<String> =
        numbers_of(PROTOBUF).used.iter().map(|(used, _, _)| used.to_string()).collect();
    assert_eq!(found, ["a.v1.M 1 a", "a.v1.M 2 b", "a.v1.M.N 1 a", "a.v1.M.E 0 E_UNSPECIFIED"]);
    assert_eq!(numbers::unique(&numbers_of(PROTOBUF)), []);
}

#[test]
fn a_number_used_twice_or_reserved_is_found() {
    let twice = PROTOBUF.replace("N b = 2", "N b = 1");
    assert_eq!(lines(&numbers::unique(&numbers_of(&twice))), [8]);
    let reserved = PROTOBUF.replace("string a = 1", "string a = 8");
    assert_eq!(lines(&numbers::unique(&numbers_of(&reserved))), [6]);
}

#[test]
fn a_number_that_changed_hands_or_vanished_is_found() {
    let record = "# why\na.v1.M 1 a\na.v1.M 2 b\na.v1.M 4 old\n";
    assert_eq!(numbers::never_reused(&numbers_of(PROTOBUF), record), []);
    let renamed = PROTOBUF.replace("string a = 1", "string z = 1");
    assert_eq!(numbers::never_reused(&numbers_of(&renamed), record).len(), 1);
    let gone = PROTOBUF.replace("string a = 1;", "");
    assert_eq!(numbers::never_reused(&numbers_of(&gone), record).len(), 1);
    let new: Vec<i64> =
        numbers::unrecorded(&numbers_of(PROTOBUF), record).iter().map(|new| new.number).collect();
    assert_eq!(new, [0, 1], "the enum and the nested message are not in the record yet");
}

#[test]
fn stored_discriminants_are_read_and_kept() {
    let prefixes = |values: &str| {
        let text = format!(
            "const A: u8 = 9;\n#[repr(u8)]\npub enum P {{\n{values}}}\nenum Q {{\n    A = 7,\n}}\n"
        );
        numbers::collect(&[Source::new("proto/src/state/key.rs", &text)])
    };
    let sound = prefixes("    Object = b'o',\n    Gone = 0x3, // 4 = x\n");
    let found: Vec<String> = sound.used.iter().map(|(used, _, _)| used.to_string()).collect();
    assert_eq!(found, ["repr(u8).P 111 Object", "repr(u8).P 3 Gone"]);
    assert_eq!(numbers::unique(&sound), []);
    assert_eq!(numbers::unique(&prefixes("    A = 1,\n    B = 1,\n")).len(), 1);
    let record = "retired repr(u8).P 3 Gone\n";
    assert_eq!(numbers::never_reused(&sound, record).len(), 1, "a retired number came back");
    assert_eq!(numbers::never_reused(&prefixes(""), record), []);
    assert_eq!(numbers::never_reused(&prefixes(""), "repr(u8).P 3 Gone\n").len(), 1);
}
