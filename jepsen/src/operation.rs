//! One S3 operation as a history of clusters tells it: what was asked, and how it ended. It is what clients write, and
//! all that checkers know.

use serde::{Deserialize, Serialize};

use crate::history::Condition;

/// What a client asks for, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub bucket: String,
    /// The prefix, for listings.
    pub key: String,
    pub ask: Ask,
}

impl Call {
    /// The same without its condition.
    pub fn unconditional(&self) -> Self {
        let mut call = self.clone();
        if let Ask::Put { condition, .. } = &mut call.ask {
            *condition = Condition::None;
        }
        call
    }
}

/// A body that is sent once. Bodies are unique, so number and entity tag name the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    pub number: u64,
    pub etag: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    Put {
        body: Body,
        condition: Condition,
    },
    Get,
    Head,
    /// With an entity tag: only if that is there.
    Delete {
        etag: Option<String>,
    },
    List {
        delimiter: Option<String>,
        page_keys: u32,
    },
    StartUpload,
    Part {
        upload: String,
        part: u32,
        body: Body,
    },
    /// The body is what the parts with these entity tags make together.
    Complete {
        upload: String,
        parts: Vec<String>,
        body: Body,
    },
    Abort {
        upload: String,
    },
    /// All versions below the prefix, newest first.
    ListVersions,
}

impl Ask {
    pub fn kind(&self) -> AskKind {
        match self {
            Ask::Put { condition: Condition::None, .. } => AskKind::Put,
            Ask::Put { condition: Condition::Absent, .. } => AskKind::Create,
            Ask::Put { condition: Condition::Etag(_), .. } => AskKind::Swap,
            Ask::Get => AskKind::Get,
            Ask::Head => AskKind::Head,
            Ask::Delete { .. } => AskKind::Delete,
            Ask::List { .. } => AskKind::List,
            Ask::StartUpload => AskKind::StartUpload,
            Ask::Part { .. } => AskKind::Part,
            Ask::Complete { .. } => AskKind::Complete,
            Ask::Abort { .. } => AskKind::Abort,
            Ask::ListVersions => AskKind::ListVersions,
        }
    }

    /// Whether it may change what its key holds.
    pub fn is_write(&self) -> bool {
        matches!(self, Ask::Put { .. } | Ask::Complete { .. } | Ask::Delete { .. })
    }

    /// What the key holds once it is done.
    pub fn body(&self) -> Option<&Body> {
        match self {
            Ask::Put { body, .. } | Ask::Complete { body, .. } => Some(body),
            Ask::Get
            | Ask::Head
            | Ask::Delete { .. }
            | Ask::List { .. }
            | Ask::StartUpload
            | Ask::Part { .. }
            | Ask::Abort { .. }
            | Ask::ListVersions => None,
        }
    }
}

/// The kinds that a run has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskKind {
    Put,
    Create,
    Swap,
    Get,
    Head,
    Delete,
    List,
    StartUpload,
    Part,
    Complete,
    Abort,
    ListVersions,
}

/// What an operation that was carried out was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done(Written),
    Found(Seen),
    Missing,
    Listed { keys: Vec<Listed>, prefixes: Vec<String> },
    Started { upload: String },
    Versions(Vec<Version>),
}

/// What a write was told; whatever the server did not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The log position, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The id of the version or delete marker that it made in a versioned bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a read saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub etag: String,
    pub bytes: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// The bytes that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bytes {
    NotRead,
    /// Exactly the body of this number.
    Body(u64),
    /// Anything else.
    Foreign {
        size_bytes: u64,
        sha256: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub key: String,
    pub etag: String,
}

/// One line of a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub key: String,
    pub version: String,
    /// Absent for a delete marker.
    pub etag: Option<String>,
    pub latest: bool,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Ok(Answer),
    /// It did nothing and will not.
    Fail {
        status: u16,
        code: String,
    },
    /// It may have been done, and may yet be; the text says why that is not known.
    Info(String),
}

/// One operation from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub process: u32,
    pub node: u32,
    pub start_ns: u64,
    /// Of an operation of unknown outcome: when the client gave up.
    pub end_ns: u64,
    pub call: Call,
    pub end: End,
}
