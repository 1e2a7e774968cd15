//! What is made of the `.proto` files: Rust for the calls of `records.proto`, which move vectors, and for the message that is a
//! secret, a client of them for the tests, and a description of all of them, from which the other calls are served and which reflection shows.
//!
//! Invariant: needs no `protoc`, and writes nothing but into the directory that cargo names.
#![expect(clippy::disallowed_methods, reason = "a build script asks cargo where to write, and writes there")]

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use tonic_prost_build::Config;

/// What Rust is made of.
const TYPED: [&str; 3] = ["lethedb/v1/value.proto", "lethedb/v1/records.proto", "lethedb/v1/unseal.proto"];
/// What nobody is to print.
const SECRET: &str = "lethedb.v1.UnsealRequest";
const DESCRIBED: [&str; 4] =
    ["lethedb/v1/analysis.proto", "lethedb/v1/collections.proto", "lethedb/v1/admin.proto", "lethedb/v1/access.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(TYPED.iter().chain(&DESCRIBED))?;
    fs::write(out.join("lethedb.bin"), compiler.encode_file_descriptor_set())?;

    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| TYPED.contains(&file.name()));
    let rust = tonic_prost_build::configure().build_transport(false);
    // Names tell the codec which message it weighs.
    let mut named = Config::new();
    named.enable_type_names();
    named.skip_debug([SECRET]);
    let served = rust.clone().build_client(false).codec_path("crate::grpc::codec::Typed");
    served.compile_fds_with_config(files.clone(), named)?;
    let clients = out.join("client");
    fs::create_dir_all(&clients)?;
    rust.build_server(false).build_client(true).out_dir(clients).compile_fds(files)?;
    Ok(())
}
