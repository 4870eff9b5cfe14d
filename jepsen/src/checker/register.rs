//! What the operations on one key say of a register: each either changed it or looked at it. It judges nothing; the
//! checkers of linearizability and of version order both read it.

use std::collections::HashMap;

use super::spans::Spans;

/// What a key holds: nothing, or one of the contents ever named, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(pub u32);

/// Nothing is there.
pub const ABSENT: Content = Content(0);

/// What an operation demands of the content, or learnt of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Is(Content),
    Not(Content),
    /// A conditional DELETE that was acknowledged: S3 answers alike where nothing is.
    IsOrAbsent(Content),
}

impl Look {
    pub fn holds(self, content: Content) -> bool {
        match self {
            Look::Is(wanted) => content == wanted,
            Look::Not(excluded) => content != excluded,
            Look::IsOrAbsent(wanted) => content == wanted || content == ABSENT,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A PUT or a DELETE that took effect, or may have; a condition on it had to hold at that moment.
    Write { content: Content, needs: Option<Look> },
    /// A read, or a refusal that tells what was there.
    Look(Look),
}

/// When an operation of unknown outcome ends: it may take effect at any time after its start, or never.
pub const NEVER_NS: u64 = u64::MAX;

/// One operation on the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    pub process: u32,
    pub start_ns: u64,
    pub end_ns: u64,
    pub kind: Kind,
    /// The log position that the server named for what it wrote or saw.
    pub position: Option<u128>,
}

impl Op {
    pub fn is_unknown(&self) -> bool {
        self.end_ns == NEVER_NS
    }

    /// What it wrote, if it is a write.
    pub fn written(&self) -> Option<Content> {
        match self.kind {
            Kind::Write { content, .. } => Some(content),
            Kind::Look(_) => None,
        }
    }
}

/// One key: its operations, in any order, and what its contents are called.
#[derive(Clone, Debug, Default)]
pub struct Register {
    pub ops: Vec<Op>,
    contents: HashMap<String, Content>,
    names: Vec<String>,
}

impl Register {
    /// The content with this entity tag. Bodies are unique, so a tag names one of them.
    pub fn content(&mut self, etag: &str) -> Content {
        if let Some(content) = self.contents.get(etag) {
            return *content;
        }
        let content = Content(u32::try_from(self.names.len() + 1).unwrap_or(u32::MAX));
        self.contents.insert(etag.to_owned(), content);
        self.names.push(format!("etag {etag}"));
        content
    }

    /// The content with this tag, if anybody named it.
    pub fn known(&self, etag: &str) -> Option<Content> {
        self.contents.get(etag).copied()
    }

    /// Writes of contents.
    pub fn puts(&self) -> Spans {
        Spans::new(self.ops.iter().filter(|op| op.written().is_some_and(|one| one != ABSENT)))
    }

    pub fn deletes(&self) -> Spans {
        Spans::new(self.ops.iter().filter(|op| op.written() == Some(ABSENT)))
    }

    /// Calls a content by the value that a client sent.
    pub fn call(&mut self, content: Content, name: String) {
        if let Some(called) = self.names.get_mut(index(content)) {
            *called = name;
        }
    }

    pub fn name(&self, content: Content) -> &str {
        match content {
            ABSENT => "nothing",
            _ => self.names.get(index(content)).map_or("an unnamed content", String::as_str),
        }
    }
}

fn index(content: Content) -> usize {
    usize::try_from(content.0).unwrap_or(usize::MAX).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_one_number_and_the_latest_name() {
        let mut register = Register::default();
        let one = register.content("a");
        assert_ne!(one, ABSENT);
        assert_ne!(register.content("b"), one);
        assert_eq!(register.content("a"), one);
        assert_eq!(register.name(one), "etag a");
        register.call(one, "value 7".to_owned());
        assert_eq!(register.name(one), "value 7");
        assert_eq!(register.name(ABSENT), "nothing");
    }
}
