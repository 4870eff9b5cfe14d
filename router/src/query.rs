//! The query of a request, decoded once. `+` is a space, as SDKs and s3s's signature check take it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use percent_encoding::percent_decode;

/// Names and values in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// None: some part is not UTF-8.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?.into_owned(), decode(value)?.into_owned()));
        }
        Some(Self(pairs))
    }

    /// The value under a name; the first one where a name is repeated (the gate refuses those).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Whether the name was sent, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every pair.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A name that was sent more than once. An address holds some 30,000 names, and nobody is authenticated yet.
    pub fn repeated(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        let query = Query::parse("prefix=a+b%2Bc&delimiter=%2F&versions&&x=%C3%BC").unwrap();
        assert_eq!(query.get("prefix"), Some("a b+c"));
        assert_eq!(query.get("delimiter"), Some("/"));
        assert_eq!(query.get("versions"), Some(""));
        assert_eq!(query.get("x"), Some("ü"));
        assert!(!query.has("y"));
        assert_eq!(query.repeated(), None);
        assert_eq!(Query::parse("a=1&b=2&a=3").unwrap().repeated(), Some("a"));
        assert_eq!(Query::parse("a=%FF"), None);
    }

    #[test]
    fn a_long_query_is_not_compared_with_itself() {
        let names = (0..300_000).map(|name| format!("{name}&")).collect::<String>();
        let query = Query::parse(&names).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(query.repeated(), None);
        // Compared pair by pair they take minutes.
        assert!(began.elapsed().as_secs() < 60);
    }
}
