//! The books that come with Vaultaire. Each file says when its prices were read, and where.

use crate::prices::Book;

/// The book that is meant by `builtin`.
pub const BUILTIN: &str = "aws-us-east-1";

/// Name and text of every book.
pub const ALL: &[(&str, &str)] = &[(BUILTIN, include_str!("books/aws-us-east-1.toml"))];

/// The text of a book, by its name or as `builtin`.
pub fn text(name: &str) -> Option<&'static str> {
    let wanted = if name == "builtin" { BUILTIN } else { name };
    ALL.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text)
}

/// The book that is meant by `builtin`.
pub fn builtin() -> Book {
    let text = text(BUILTIN).expect("it is in the list");
    Book::parse(text).expect("a test reads every book")
}
