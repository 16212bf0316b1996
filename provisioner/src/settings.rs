//! Flags, and what they mean.

use hardway_client::logging;
use std::net::IpAddr;
use std::path::PathBuf;

/// Makes volumes out of folders of this node.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "hardway-provisioner", version, args_override_self = true)]
pub struct Flags {
    /// The node this runs on.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: String,
    /// The folder of the node in which the volumes are; here it must have the same path.
    #[arg(long, default_value = "/var/lib/hardway-volumes", value_name = "DIR")]
    pub root: PathBuf,
    /// What StorageClasses call this provisioner.
    #[arg(
        long,
        default_value = "hardway.example/local-path",
        value_name = "NAME"
    )]
    pub provisioner_name: String,
    /// Kubeconfig file, where this is no pod of the cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Address to serve health and metrics on.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,
    /// Port to serve health and metrics on; 0 picks a free one.
    #[arg(long, default_value_t = 9154, value_name = "PORT")]
    pub secure_port: u16,
    /// What to log: a level or a tracing filter.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
    /// How to log it.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: logging::Format,
}

/// Why the flags can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No folder for volumes.
    #[error("--root {0}: want the absolute path of a folder that is there")]
    Root(PathBuf),
}

impl Flags {
    /// Whether there is a place for volumes.
    ///
    /// # Errors
    /// If there is none: volumes would land in this process' own file system.
    pub fn check(&self) -> Result<(), Error> {
        match self.root.is_absolute() && self.root.is_dir() {
            true => Ok(()),
            false => Err(Error::Root(self.root.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_folder_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let check = |root: &str| {
            let flags = ["hardway-provisioner", "--node-name=a", "--root", root];
            Flags::parse_from(flags).check()
        };
        assert!(check(folder.path().to_str().unwrap()).is_ok());
        let error = check("/nonexistent").unwrap_err().to_string();
        assert!(error.starts_with("--root /nonexistent: "), "{error}");
        assert!(check("relative").is_err());
    }
}
