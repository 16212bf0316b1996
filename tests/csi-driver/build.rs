//! Compiles the messages that the kubelet has of CSI, for their other side.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = "../../kubelet/proto";
    println!("cargo:rerun-if-changed={folder}");
    let files = ["csi/v1/csi.proto", "pluginregistration/v1/api.proto"];
    let files = protox::compile(files.map(|file| format!("{folder}/{file}")), [folder])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_fds(files)?;
    Ok(())
}
