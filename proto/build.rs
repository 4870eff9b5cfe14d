//! Compiles the protobuf files in pure Rust: no `protoc` on the machine that builds.
//! It writes into OUT_DIR alone, and generates no service code unless the feature `grpc` asks for it.

#![allow(
    clippy::disallowed_methods,
    reason = "the fence of clippy.toml is for the state machine; a build script reads and writes files"
)]

use std::error::Error;
use std::path::PathBuf;

/// Every file, named from the include root, which is this crate's folder.
const FILES: [&str; 14] = [
    "vaultaire/admin/v1/admin.proto",
    "vaultaire/admin/v1/backend.proto",
    "vaultaire/admin/v1/cluster.proto",
    "vaultaire/admin/v1/operation.proto",
    "vaultaire/admin/v1/status.proto",
    "vaultaire/admin/v1/verify.proto",
    "vaultaire/v1/blob.proto",
    "vaultaire/v1/command.proto",
    "vaultaire/v1/object.proto",
    "vaultaire/v1/peer.proto",
    "vaultaire/v1/query.proto",
    "vaultaire/v1/response.proto",
    "vaultaire/v1/row.proto",
    "vaultaire/v1/types.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=vaultaire");

    let root = PathBuf::from(required("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(required("OUT_DIR")?);

    let mut compiler = protox::Compiler::new([&root])?;
    // Reflection without the comments of the source is half as useful as it could be.
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(FILES.map(|file| root.join(file)))?;
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    // Without `grpc` there is no tonic to call, hence nothing to generate for services.
    let services = cfg!(feature = "grpc");
    tonic_prost_build::configure()
        .build_client(services)
        .build_server(services)
        // Carried unread from the log to the connection: not copied on the way.
        .bytes(".vaultaire.v1.LogEntry.payload")
        .bytes(".vaultaire.v1.SnapshotPart.chunk")
        .bytes(".vaultaire.v1.PutBlobPart.chunk")
        .bytes(".vaultaire.v1.GetBlobPart.chunk")
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn required(name: &str) -> Result<std::ffi::OsString, String> {
    std::env::var_os(name).ok_or_else(|| format!("{name} is not set: run this through cargo"))
}
