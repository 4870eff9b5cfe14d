//! What the model holds, and what each call makes of it, at one moment. Time and lost answers are in `model`.

use std::collections::{BTreeMap, BTreeSet};

use super::Bug;
use crate::history::Condition;
use crate::operation::{Answer, Ask, Body, Bytes, Call, End, Listed, Seen, Version, Written};
use crate::workload::script::VERSIONED_BUCKET;

/// One write of a key.
#[derive(Clone, Debug)]
struct Row {
    position: u64,
    /// Absent after a delete.
    body: Option<Body>,
    is_torn: bool,
}

#[derive(Clone, Debug, Default)]
struct Upload {
    part: Option<Body>,
    completed: Option<Body>,
    is_aborted: bool,
}

#[derive(Clone, Debug, Default)]
pub struct State {
    position: u64,
    /// Every write of every key, newest last.
    keys: BTreeMap<(String, String), Vec<Row>>,
    uploads: BTreeMap<String, Upload>,
}

impl State {
    /// Carries out a call. A bug shows in the answer alone or in what is kept.
    pub fn apply(&mut self, call: &Call, bug: Option<Bug>) -> End {
        match &call.ask {
            Ask::Put { body, condition } => match self.refuses(call, condition) {
                Some(end) => end,
                None => self.write(call, Some(body), bug),
            },
            Ask::Delete { etag } => {
                let condition = etag.clone().map_or(Condition::None, Condition::Etag);
                match self.refuses(call, &condition) {
                    // S3 is content where nothing is.
                    Some(End::Fail { status: 404, .. }) => done(None, None),
                    Some(end) => end,
                    None => self.write(call, None, bug),
                }
            }
            Ask::Get | Ask::Head => self.read(call, bug),
            Ask::List { delimiter, .. } => self.list(call, delimiter.as_deref(), bug),
            Ask::ListVersions => self.list_versions(call, bug),
            Ask::StartUpload => {
                self.position += 1;
                let upload = self.position.to_string();
                self.uploads.insert(upload.clone(), Upload::default());
                End::Ok(Answer::Started { upload })
            }
            Ask::Part { upload, body, .. } => match self.uploads.get_mut(upload) {
                Some(open) if open.completed.is_none() && !open.is_aborted => {
                    open.part = Some(body.clone());
                    done(None, None)
                }
                Some(_) | None => no("NoSuchUpload", 404),
            },
            Ask::Complete { upload, parts, body } => self.complete(call, upload, parts, body, bug),
            Ask::Abort { upload } => match self.uploads.get_mut(upload) {
                Some(open) if open.completed.is_none() => {
                    open.is_aborted = true;
                    done(None, None)
                }
                Some(_) | None => no("NoSuchUpload", 404),
            },
        }
    }

    fn rows(&self, call: &Call) -> &[Row] {
        self.keys.get(&(call.bucket.clone(), call.key.clone())).map_or(&[], Vec::as_slice)
    }

    fn refuses(&self, call: &Call, condition: &Condition) -> Option<End> {
        let current = self.rows(call).last().and_then(|row| row.body.as_ref());
        match (condition, current) {
            (Condition::None, _) | (Condition::Absent, None) => None,
            (Condition::Etag(_), None) => Some(no("NoSuchKey", 404)),
            (Condition::Etag(etag), Some(body)) if body.etag == *etag => None,
            (Condition::Absent | Condition::Etag(_), Some(_)) => {
                Some(no("PreconditionFailed", 412))
            }
        }
    }

    fn write(&mut self, call: &Call, body: Option<&Body>, bug: Option<Bug>) -> End {
        self.position += 2;
        let rows = self.keys.entry((call.bucket.clone(), call.key.clone())).or_default();
        let mut position = self.position;
        if bug == Some(Bug::SwappedPositions)
            && let Some(before) = rows.last_mut()
        {
            std::mem::swap(&mut before.position, &mut position);
        }
        let is_torn = bug == Some(Bug::TornUpload) && matches!(call.ask, Ask::Complete { .. });
        rows.push(Row { position, body: body.cloned(), is_torn });
        let is_versioned = call.bucket == VERSIONED_BUCKET;
        let told = (body.is_some() || is_versioned).then(|| digits(position));
        let mut end = done(body.map(|body| body.etag.clone()), told.clone());
        if let End::Ok(Answer::Done(written)) = &mut end {
            written.version = told.filter(|_| is_versioned);
        }
        end
    }

    fn complete(
        &mut self,
        call: &Call,
        upload: &str,
        parts: &[String],
        body: &Body,
        bug: Option<Bug>,
    ) -> End {
        let Some(open) = self.uploads.get_mut(upload).filter(|open| !open.is_aborted) else {
            return no("NoSuchUpload", 404);
        };
        if let Some(completed) = &open.completed {
            return match completed == body {
                true => done(Some(completed.etag.clone()), None),
                false => no("NoSuchUpload", 404),
            };
        }
        if open.part.as_ref().map(|part| &part.etag) != parts.last() {
            return no("InvalidPart", 400);
        }
        open.completed = Some(body.clone());
        self.write(call, Some(body), bug)
    }

    fn read(&self, call: &Call, bug: Option<Bug>) -> End {
        let rows = self.rows(call);
        let mut current = rows.last();
        let before = rows.len().checked_sub(2).map(|at| &rows[at]);
        let is_deleted = current.is_some_and(|row| row.body.is_none());
        match bug {
            Some(Bug::StaleRead) if before.is_some() => current = before,
            Some(Bug::ResurrectedDelete) if is_deleted && before.is_some() => current = before,
            Some(_) | None => {}
        }
        let Some((row, body)) = current.and_then(|row| Some((row, row.body.as_ref()?))) else {
            return End::Ok(Answer::Missing);
        };
        let bytes = match (&call.ask, row.is_torn) {
            (Ask::Head, _) => Bytes::NotRead,
            (_, true) => Bytes::Foreign { size_bytes: 1, sha256: "torn".to_owned() },
            (_, false) => Bytes::Body(body.number),
        };
        let position = Some(digits(row.position));
        End::Ok(Answer::Found(Seen { etag: body.etag.clone(), bytes, position }))
    }

    fn below(&self, call: &Call) -> impl Iterator<Item = (&str, &[Row])> {
        let (bucket, prefix) = (call.bucket.clone(), call.key.clone());
        self.keys
            .range((bucket.clone(), prefix.clone())..)
            .take_while(move |((of, key), _)| *of == bucket && key.starts_with(&prefix))
            .map(|((_, key), rows)| (key.as_str(), rows.as_slice()))
    }

    fn list(&self, call: &Call, delimiter: Option<&str>, bug: Option<Bug>) -> End {
        let (mut keys, mut prefixes) = (Vec::new(), BTreeSet::new());
        for (key, rows) in self.below(call) {
            let Some(body) = rows.last().and_then(|row| row.body.as_ref()) else { continue };
            let rest = &key[call.key.len()..];
            match delimiter.and_then(|delimiter| rest.find(delimiter)) {
                Some(at) => {
                    prefixes.insert(key[..=call.key.len() + at].to_owned());
                }
                None => keys.push(Listed { key: key.to_owned(), etag: body.etag.clone() }),
            }
        }
        if bug == Some(Bug::TornList) {
            keys.pop();
        }
        End::Ok(Answer::Listed { keys, prefixes: prefixes.into_iter().collect() })
    }

    fn list_versions(&self, call: &Call, bug: Option<Bug>) -> End {
        let mut versions = Vec::new();
        for (key, rows) in self.below(call) {
            for (at, row) in rows.iter().rev().enumerate() {
                versions.push(Version {
                    key: key.to_owned(),
                    version: digits(row.position),
                    etag: row.body.as_ref().map(|body| body.etag.clone()),
                    latest: at == 0,
                });
            }
        }
        if bug == Some(Bug::LostVersion) {
            versions.pop();
        }
        End::Ok(Answer::Versions(versions))
    }
}

fn done(etag: Option<String>, position: Option<String>) -> End {
    End::Ok(Answer::Done(Written { etag, position, version: None }))
}

fn no(code: &str, status: u16) -> End {
    End::Fail { status, code: code.to_owned() }
}

fn digits(position: u64) -> String {
    format!("{:032x}", u128::from(position) << 32)
}
