//! Multipart uploads: each ends once, completed or aborted. That an object is made of the parts of one Complete, whole,
//! is judged by its bytes in `registers`.

use std::collections::BTreeMap;

use super::{Kind, Violation};
use crate::operation::{Answer, Ask, End, Operation};

/// What happened to one upload.
#[derive(Debug, Default)]
struct Upload {
    key: String,
    /// Acknowledged completions: start, end, number of the body.
    completed: Vec<(u64, u64, u64)>,
    /// Ends of acknowledged aborts.
    aborted_ns: Vec<u64>,
}

/// All uploads of a history.
#[derive(Debug, Default)]
pub struct Uploads {
    uploads: BTreeMap<String, Upload>,
}

impl Uploads {
    pub fn record(&mut self, operation: &Operation) {
        let End::Ok(Answer::Done(_)) = &operation.end else { return };
        let (Ask::Complete { upload, .. } | Ask::Abort { upload }) = &operation.call.ask else {
            return;
        };
        let told = self.uploads.entry(upload.clone()).or_default();
        told.key.clone_from(&operation.call.key);
        match &operation.call.ask {
            Ask::Complete { body, .. } => {
                told.completed.push((operation.start_ns, operation.end_ns, body.number));
            }
            _ => told.aborted_ns.push(operation.end_ns),
        }
    }

    pub fn check(&self) -> Vec<Violation> {
        self.uploads.iter().filter_map(|(id, upload)| upload.check(id)).collect()
    }
}

impl Upload {
    fn check(&self, id: &str) -> Option<Violation> {
        let aborted_ns = self.aborted_ns.iter().min();
        let late = self.completed.iter().find(|(start_ns, _, _)| aborted_ns < Some(start_ns));
        if let (Some(_), Some((_, _, number))) = (aborted_ns, late) {
            let detail = format!("upload {id} gave value {number} after it was aborted");
            return Some(Violation::new(Kind::Upload, &self.key, detail));
        }
        let (_, _, first) = self.completed.first()?;
        let (_, _, other) = self.completed.iter().find(|(_, _, number)| number != first)?;
        let detail = format!("upload {id} was completed as value {first} and as value {other}");
        Some(Violation::new(Kind::Upload, &self.key, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Body, Call, Written};

    fn judge(asks: &[(u64, Ask)]) -> usize {
        let mut uploads = Uploads::default();
        for (start_ns, ask) in asks {
            let call = Call { bucket: "b".to_owned(), key: "k".to_owned(), ask: ask.clone() };
            let end = End::Ok(Answer::Done(Written::default()));
            let (start_ns, end_ns) = (*start_ns, *start_ns + 5);
            uploads.record(&Operation { process: 0, node: 0, start_ns, end_ns, call, end });
        }
        uploads.check().len()
    }

    #[test]
    fn an_upload_ends_once() {
        let upload = || "u".to_owned();
        let complete = |number| Ask::Complete {
            upload: upload(),
            parts: Vec::new(),
            body: Body { number, etag: number.to_string() },
        };
        let abort = || Ask::Abort { upload: upload() };
        assert_eq!(judge(&[(1, complete(1)), (9, complete(1)), (20, abort())]), 0);
        assert_eq!(judge(&[(1, complete(1)), (2, complete(2))]), 1);
        assert_eq!(judge(&[(1, abort()), (9, complete(1))]), 1);
        assert_eq!(judge(&[(1, abort()), (3, complete(1))]), 0);
    }
}
