//! One admin call: every answer leaves through it, every change leaves a line in the log.

use tonic::metadata::MetadataValue;
use tonic::{Response, Status};
use ulid::Ulid;

use crate::error::Error;
use crate::grpc::status;

/// Under this name every answer, and every refusal, carries the id that the log has for the call.
const REQUEST_ID: &str = "x-request-id";

/// A call under way.
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    id: String,
    /// What is changed, and the request id that the caller named; none for a question.
    change: Option<(String, String)>,
}

impl Call {
    /// Changes nothing.
    pub fn question(name: &'static str) -> Self {
        Self { name, id: Ulid::new().to_string(), change: None }
    }

    /// Changes `subject`.
    pub fn change(name: &'static str, subject: &str, request_id: &str) -> Self {
        let change = Some((subject.to_owned(), request_id.to_owned()));
        Self { change, ..Self::question(name) }
    }

    /// Ends the call.
    pub fn answer<T>(self, outcome: Result<T, Error>) -> Result<Response<T>, Status> {
        let Self { name, id, change } = self;
        // An id is letters and digits, which metadata takes.
        let value = MetadataValue::try_from(id.as_str()).ok();
        match outcome {
            Ok(answer) => {
                match change {
                    Some((subject, request_id)) => {
                        tracing::info!(call = name, id, subject, request_id, "admin change");
                    }
                    None => tracing::debug!(call = name, id, "admin question answered"),
                }
                let mut response = Response::new(answer);
                value.and_then(|value| response.metadata_mut().insert(REQUEST_ID, value));
                Ok(response)
            }
            Err(error) => {
                let (subject, request_id) = change.unwrap_or_default();
                tracing::info!(call = name, id, subject, request_id, %error, "admin call refused");
                let mut status = status::of(&error);
                value.and_then(|value| status.metadata_mut().insert(REQUEST_ID, value));
                Err(status)
            }
        }
    }
}
