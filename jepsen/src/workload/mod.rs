//! What the clients do, each load in a file of its own.

pub mod body;
pub mod group;
pub mod payload;
pub mod puts;
pub mod run;
pub mod script;
