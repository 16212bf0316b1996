//! The driver's program: `node` on each node, `controller` once.

use clap::{Parser, Subcommand};
use hardway_client::api::Client;
use hardway_client::{in_cluster, logging, signals, tls};
use hardway_csi_driver::driver::{Driver, Settings};
use hardway_csi_driver::mounts::Mounts;
use hardway_csi_driver::{serve, sidecars};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Parser)]
#[command(name = "hardway-csi-driver", about = "Folders as volumes, for tests")]
struct Arguments {
    /// The driver's name.
    #[arg(long)]
    name: String,
    /// Its folder, the same on all nodes.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Has volumes attached before they are staged.
    #[arg(long)]
    attaches: bool,
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Serves a kubelet.
    Node {
        /// The node's name.
        #[arg(long)]
        node: String,
        /// The kubelet's folder.
        #[arg(long, default_value = "/var/lib/kubelet", value_name = "DIR")]
        kubelet: PathBuf,
    },
    /// Makes, attaches and expands volumes.
    Controller,
}

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    logging::init("info", Default::default())?;
    tls::install_provider();
    let settings = |node: &str| Settings {
        name: arguments.name.clone(),
        node_id: node.to_owned(),
        root: arguments.root.clone(),
        stages: true,
        attaches: arguments.attaches,
        mount_group: false,
        limit: 100,
    };
    match &arguments.part {
        Part::Node { node, kubelet } => {
            let driver = Driver::new(settings(node), Arc::new(Mounts::Kernel));
            let socket = kubelet
                .join("plugins")
                .join(&arguments.name)
                .join("csi.sock");
            let registry = kubelet.join("plugins_registry");
            tokio::select! {
                ended = serve::driver(driver, &socket) => ended?,
                ended = serve::registrar(&arguments.name, &socket, &registry) => ended?,
                ended = signals::shutdown() => ended?,
            }
            // The kubelet takes a driver out whose socket goes.
            std::fs::remove_file(serve::registration_socket(&arguments.name, &registry))?;
        }
        Part::Controller => {
            let driver = Driver::new(settings(""), Arc::new(Mounts::noted()));
            let client = Client::new(&in_cluster::config()?, &arguments.name)?;
            sidecars::run(driver, client).await;
        }
    }
    Ok(())
}
