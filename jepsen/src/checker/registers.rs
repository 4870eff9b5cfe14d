//! All keys of a history as registers: what each operation says is taken down as it ends, and each key is judged by
//! both checkers once all is told.

use std::collections::BTreeMap;

use super::linearizable::{self, CONFIGURATIONS_MAX, Verdict};
use super::listing::{self, Listing};
use super::register::{ABSENT, Content, Kind, Look, NEVER_NS, Op, Register};
use super::{Kind as Wrong, Violation, explain, versions};
use crate::history::Condition;
use crate::operation::{Answer, Ask, Bytes, End, Operation, Seen};

/// Keys of all buckets.
#[derive(Debug, Default)]
pub struct Registers {
    keys: BTreeMap<String, Register>,
    /// The entity tag of every body that was sent.
    bodies: BTreeMap<u64, String>,
    /// Where in its key's operations each upload was completed as a body.
    completes: BTreeMap<(String, u64), usize>,
    violations: Vec<Violation>,
}

/// What came of judging all keys.
#[derive(Debug, Default)]
pub struct Judged {
    pub violations: Vec<Violation>,
    /// Keys whose search was given up, and why.
    pub undecided: Vec<String>,
    pub keys: usize,
    pub ops: usize,
}

/// What a key is called across buckets.
pub fn full_name(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

impl Registers {
    /// A body is about to be sent.
    pub fn declare(&mut self, bucket: &str, key: &str, number: u64, etag: &str) {
        let register = self.keys.entry(full_name(bucket, key)).or_default();
        let content = register.content(etag);
        register.call(content, format!("value {number}"));
        self.bodies.insert(number, etag.to_owned());
    }

    /// Takes in what an operation said of its key.
    pub fn record(&mut self, operation: &Operation) {
        let name = full_name(&operation.call.bucket, &operation.call.key);
        if let End::Ok(answer) = &operation.end {
            self.violations.extend(self.check_bytes(&name, &operation.call.ask, answer));
        }
        let register = self.keys.entry(name).or_default();
        let Some((kind, position)) = understand(register, operation) else { return };
        let end_ns = match operation.end {
            End::Info(_) => NEVER_NS,
            End::Ok(_) | End::Fail { .. } => operation.end_ns,
        };
        let Operation { process, start_ns, .. } = *operation;
        let op = Op { process, start_ns, end_ns, kind, position };
        if let Ask::Complete { upload, body, .. } = &operation.call.ask
            && op.written().is_some()
        {
            // Asked again, it is the same write: an upload is completed once.
            let once = (upload.clone(), body.number);
            match self.completes.get(&once) {
                Some(at) => {
                    let first = &mut register.ops[*at];
                    first.start_ns = first.start_ns.min(start_ns);
                    first.end_ns = first.end_ns.min(end_ns);
                    first.position = first.position.or(position);
                    return;
                }
                None => {
                    self.completes.insert(once, register.ops.len());
                }
            }
        }
        register.ops.push(op);
    }

    /// Bytes and entity tag are those of one body.
    fn check_bytes(&self, name: &str, ask: &Ask, answer: &Answer) -> Option<Violation> {
        let wrong = |detail| Some(Violation::new(Wrong::WrongBytes, name, detail));
        match answer {
            Answer::Found(Seen { etag, bytes: Bytes::Body(number), .. })
                if self.bodies.get(number) != Some(etag) =>
            {
                wrong(format!("the bytes of value {number} came with etag {etag}"))
            }
            Answer::Found(Seen { etag, bytes: Bytes::Foreign { size_bytes, sha256 }, .. }) => {
                let what = format!("{size_bytes} bytes with SHA-256 {sha256} and etag {etag}");
                wrong(format!("nobody sent what was read: {what}"))
            }
            Answer::Done(written) => {
                let (told, sent) = (written.etag.as_ref()?, ask.body()?);
                if *told == sent.etag {
                    return None;
                }
                let number = sent.number;
                wrong(format!("value {number} of etag {} was acknowledged as {told}", sent.etag))
            }
            Answer::Found(_)
            | Answer::Missing
            | Answer::Listed { .. }
            | Answer::Started { .. }
            | Answer::Versions(_) => None,
        }
    }

    /// Judges listings by what is known of the keys.
    pub fn check_listings(&self, listings: &[Listing]) -> Vec<Violation> {
        listing::check(listings, &self.keys)
    }

    /// Judges every key by the order that the server names, and by the search that does not trust it.
    pub fn check(self, configurations_max: usize) -> Judged {
        let mut judged = Judged { violations: self.violations, ..Judged::default() };
        for (name, register) in self.keys.iter().filter(|(_, register)| !register.ops.is_empty()) {
            judged.keys += 1;
            judged.ops += register.ops.len();
            let found = versions::check(name, register);
            let is_right = found.is_empty();
            judged.violations.extend(found);
            match linearizable::check(&register.ops, configurations_max.min(CONFIGURATIONS_MAX)) {
                Verdict::Linearizable => {}
                Verdict::Violation => {
                    let detail = explain::counterexample(register);
                    judged.violations.push(Violation::new(Wrong::NotLinearizable, name, detail));
                }
                Verdict::Unknown(reason) if is_right => {
                    judged.undecided.push(format!("{name}: {reason:?}"));
                }
                Verdict::Unknown(_) => {}
            }
        }
        judged
    }
}

/// What an operation did to its key or learnt of it, and the position that it was told.
fn understand(register: &mut Register, operation: &Operation) -> Option<(Kind, Option<u128>)> {
    let ask = &operation.call.ask;
    match &operation.end {
        End::Ok(Answer::Done(written)) => {
            Some((write(register, ask)?, position(written.position.as_deref())))
        }
        End::Ok(Answer::Found(seen)) => {
            let look = Look::Is(register.content(&seen.etag));
            Some((Kind::Look(look), position(seen.position.as_deref())))
        }
        End::Ok(Answer::Missing) => Some((Kind::Look(Look::Is(ABSENT)), None)),
        End::Ok(Answer::Listed { .. } | Answer::Started { .. } | Answer::Versions(_)) => None,
        End::Fail { status: 412, .. } => {
            Some((Kind::Look(Look::Not(demanded(register, ask)?)), None))
        }
        // S3 answers so where a condition names a tag and nothing is there.
        End::Fail { status: 404, code } if code == "NoSuchKey" => {
            demanded(register, ask).map(|_| (Kind::Look(Look::Is(ABSENT)), None))
        }
        End::Fail { .. } => None,
        End::Info(_) => Some((write(register, ask)?, None)),
    }
}

fn write(register: &mut Register, ask: &Ask) -> Option<Kind> {
    let needs = demanded(register, ask).map(match ask {
        Ask::Delete { .. } => Look::IsOrAbsent,
        _ => Look::Is,
    });
    let content = match ask {
        Ask::Put { body, .. } | Ask::Complete { body, .. } => register.content(&body.etag),
        Ask::Delete { .. } => ABSENT,
        Ask::Get
        | Ask::Head
        | Ask::List { .. }
        | Ask::StartUpload
        | Ask::Part { .. }
        | Ask::Abort { .. }
        | Ask::ListVersions => return None,
    };
    Some(Kind::Write { content, needs })
}

/// What a conditional write demanded of its key.
fn demanded(register: &mut Register, ask: &Ask) -> Option<Content> {
    match ask {
        Ask::Put { condition: Condition::Absent, .. } => Some(ABSENT),
        Ask::Put { condition: Condition::Etag(etag), .. } | Ask::Delete { etag: Some(etag) } => {
            Some(register.content(etag))
        }
        Ask::Put { condition: Condition::None, .. }
        | Ask::Delete { etag: None }
        | Ask::Get
        | Ask::Head
        | Ask::List { .. }
        | Ask::StartUpload
        | Ask::Part { .. }
        | Ask::Complete { .. }
        | Ask::Abort { .. }
        | Ask::ListVersions => None,
    }
}

fn position(text: Option<&str>) -> Option<u128> {
    u128::from_str_radix(text?, 16).ok()
}
