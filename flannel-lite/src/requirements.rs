//! What the overlay needs of the host.

use hardway_client::host::{Requirement, What};

/// Where runtimes look for CNI plugins: upstream's packages, Debian's, Fedora's.
const PLUGIN_FOLDERS: &[&str] = &["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// All of it.
pub const ALL: &[Requirement] = &[
    Requirement {
        what: What::Sysctl {
            name: "net.ipv4.ip_forward",
            value: "1",
            module: None,
        },
        otherwise: "pods reach nothing outside of their node",
        vital: true,
    },
    Requirement {
        what: What::Program {
            name: "nft",
            package: "nftables",
        },
        otherwise: "pods reach nothing outside of the cluster",
        vital: true,
    },
    plugin("bridge"),
    plugin("host-local"),
    plugin("portmap"),
];

/// A plugin that the CNI configuration names. The runtime's own setting says
/// where it looks, which nobody else knows; so this is no more than a warning.
const fn plugin(name: &'static str) -> Requirement {
    Requirement {
        what: What::File {
            name,
            folders: PLUGIN_FOLDERS,
            package: "containernetworking-plugins",
        },
        otherwise: "no pod starts, unless the runtime's bin_dir is another folder that has it",
        vital: false,
    }
}
