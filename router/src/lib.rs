//! The S3 front: authenticate, authorise, place, stream. It keeps no state of its own: what is true
//! is in the catalog, where bytes lie is the backends' business.
//!
//! A request passes `server -> service -> gate -> s3s (signatures) -> s3 (table of contents) -> ops`.

pub mod access;
pub mod attributes;
pub mod auth;
pub mod body;
pub mod call;
pub mod checksum;
pub mod commit;
pub mod condition;
pub mod config;
pub mod copy;
pub mod epochs;
pub mod error;
pub mod form;
pub mod gate;
pub mod headers;
pub mod host;
pub mod http_date;
pub mod limits;
pub mod listing;
pub mod lookup;
pub mod markup;
pub mod metrics;
pub mod operation;
pub mod ops;
pub mod place;
pub mod query;
pub mod range;
pub mod reply;
pub mod request_id;
pub mod s3;
pub mod server;
pub mod service;
pub mod targets;
pub mod token;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
