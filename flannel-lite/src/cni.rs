//! The CNI configuration that attaches pods to this node's bridge.

use ipnetwork::Ipv4Network;
use serde_json::json;
use std::io;
use std::path::PathBuf;

/// The bridge all pods of the node are ports of.
pub const BRIDGE: &str = "cni0";

const FILE: &str = "10-flannel.conflist";

/// Where the CNI plugins' files are.
#[derive(Clone, Debug)]
pub struct Cni {
    /// The runtime reads configuration here.
    pub conf_dir: PathBuf,
    /// host-local writes addresses given away here.
    pub data_dir: PathBuf,
}

impl Cni {
    /// The configuration's text.
    pub fn conflist(&self, subnet: Ipv4Network, mtu: u32) -> String {
        let bridge = json!({
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            // Masquerading is the egress table's business.
            "ipMasq": false,
            "hairpinMode": true,
            "mtu": mtu,
            "ipam": {
                "type": "host-local",
                "dataDir": self.data_dir,
                "ranges": [[{"subnet": subnet}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        });
        let port_map = json!({
            "type": "portmap",
            "capabilities": {"portMappings": true},
            "snat": true,
        });
        let list = json!({"cniVersion": "0.4.0", "name": "cbr0", "plugins": [bridge, port_map]});
        format!("{list:#}\n")
    }

    /// Puts the configuration in place, unless it is there. The runtime never
    /// sees half a file: it doesn't look at the temporary one's name.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let path = self.conf_dir.join(FILE);
        let explain = |error: io::Error| {
            let reason = format!("CNI configuration {}: {error}", path.display());
            io::Error::new(error.kind(), reason)
        };
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let temporary = self.conf_dir.join(format!(".{FILE}.new"));
        std::fs::create_dir_all(&self.conf_dir)
            .and_then(|()| std::fs::write(&temporary, text))
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(explain)?;
        tracing::info!(path = %path.display(), "wrote the CNI configuration");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_file_is_written_whole_and_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let cni = Cni {
            conf_dir: folder.path().join("net.d"),
            data_dir: "/data".into(),
        };
        let text = cni.conflist("10.244.1.0/24".parse().unwrap(), 1450);
        cni.write(&text).unwrap();
        let path = cni.conf_dir.join(FILE);
        let list: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let bridge = &list["plugins"][0];
        assert_eq!(bridge["ipam"]["ranges"][0][0]["subnet"], "10.244.1.0/24");
        assert_eq!(bridge["ipam"]["dataDir"], "/data");
        assert_eq!(bridge["mtu"], 1450);
        let inode = |path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        let before = inode(&path);
        cni.write(&text).unwrap();
        assert_eq!(inode(&path), before);
        cni.write(&cni.conflist("10.244.2.0/24".parse().unwrap(), 1450))
            .unwrap();
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .contains("10.244.2.0/24")
        );
        assert_eq!(std::fs::read_dir(&cni.conf_dir).unwrap().count(), 1);
    }
}
