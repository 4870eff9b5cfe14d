//! The books that come with Vaultaire. Each file says when its prices were read, and where.

use crate::prices::Book;

/// The book that is meant by `builtin`.
pub const BUILTIN: &str = "aws-us-east-1";

/// Name and text of every book.
pub const ALL: &[(&str, &str)] = &[
    (BUILTIN, include_str!("books/aws-us-east-1.toml")),
    ("aws-eu-west-1", include_str!("books/aws-eu-west-1.toml")),
    ("azure-eastus", include_str!("books/azure-eastus.toml")),
    ("azure-eastus-zrs", include_str!("books/azure-eastus-zrs.toml")),
    ("gcs-us-central1", include_str!("books/gcs-us-central1.toml")),
    ("backblaze-b2", include_str!("books/backblaze-b2.toml")),
    ("self-hosted", include_str!("books/self-hosted.toml")),
];

/// What they are called.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The text of a book, by its name or as `builtin`.
pub fn text(name: &str) -> Option<&'static str> {
    let wanted = if name == "builtin" { BUILTIN } else { name };
    ALL.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text)
}

/// A book, by its name or as `builtin`.
pub fn named(name: &str) -> Option<Book> {
    text(name).map(|text| Book::parse(text).expect("a test reads every book"))
}

/// The book that is meant by `builtin`.
pub fn builtin() -> Book {
    named(BUILTIN).expect("it is in the list")
}
