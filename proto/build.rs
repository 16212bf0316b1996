//! Compiles the .proto files with a pure-Rust compiler, so no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/hardway/v1/api.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".hardway.v1")
        .compile_fds(files)?;
    Ok(())
}
