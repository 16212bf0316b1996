//! Compiles the messages of CRI, CSI and of plugins' registration with a pure-Rust compiler, so
//! no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(
        [
            "proto/runtime/v1/cri.proto",
            "proto/csi/v1/csi.proto",
            "proto/pluginregistration/v1/api.proto",
        ],
        ["proto"],
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".")
        .compile_fds(files)?;
    Ok(())
}
