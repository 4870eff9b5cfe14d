//! One node as a library: the binary and the tests run the same. A map; nothing is defined here.
//!
//! `cli` is what can be typed and `node` puts everything together; `config` is what a file may say and `settings`
//! what runs. Below them `raft`, `tables` and `catalog` keep the replicated state (`gateway` asks others for it), `grpc`, `http`
//! and the router serve it, and `workers` make the world agree with it. `verify` tells whether it does.

pub mod about;
pub mod absent;
pub mod advice;
pub mod ask;
pub mod blobs;
pub mod catalog;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod config;
pub mod discovery;
pub mod engine;
pub mod error;
pub mod files;
pub mod founding;
pub mod gateway;
pub mod grpc;
pub mod http;
pub mod identity;
pub mod idle;
pub mod listen;
pub mod machine;
pub mod metrics;
pub mod node;
pub mod notify;
pub mod open_files;
pub mod opener;
pub mod peer;
pub mod place;
pub mod propose;
pub mod raft;
pub mod reserve;
pub mod secrets;
pub mod settings;
pub mod stopwatch;
pub mod support;
pub mod tables;
pub mod telemetry;
pub mod throttle;
pub mod tls;
pub mod verify;
pub mod workers;

#[cfg(test)]
mod world;
