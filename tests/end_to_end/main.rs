//! Real processes of the `vaultaire` binary, driven as a user drives them: one module per subject.
//! S3's surface is tested with real clients in `clients/`; here are start, commands, configuration and
//! what is refused.

mod backends;
mod brake;
mod clusters;
mod commands;
mod comparing;
mod configuration;
mod console;
mod full_disk;
mod garbage;
mod gateways;
mod mounts;
mod open_files;
mod refusals;
mod repair;
mod snapshots;
mod start;
mod surfaces;
mod what_if;
