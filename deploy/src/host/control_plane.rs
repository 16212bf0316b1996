//! This host as one of a control plane: its cluster, its certificates, its apiserver.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::cluster::{self, Cluster};
use super::{Layout, facts, systemd};
use crate::api::Api;
use crate::failure::{Failure, Result};
use crate::pki::{self, CLUSTER_CA, Pki, Renewed};
use crate::plan::{API_PORT, Host, Role};
use crate::{http, kubeconfig, shell};

/// How long the apiserver may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// The administrator, asking the apiserver of this host.
pub fn administrator(layout: &Layout, cluster: &Cluster) -> Api {
    let address = SocketAddr::from((cluster.address, API_PORT));
    Api::new(address, layout.pki().identity(CLUSTER_CA, "admin"))
}

/// The cluster whose control plane this host is.
///
/// # Errors
/// If it is none.
pub fn here(layout: &Layout) -> Result<Cluster> {
    let path = layout.etc().join(cluster::FILE);
    let text = shell::read_text(&path).map_err(|failure| {
        failure.way_out("this is done on the host of the control plane, which `hardway init` makes")
    })?;
    Cluster::parse(&text, &path.display().to_string())
}

/// The host of the control plane.
pub fn host(cluster: &Cluster, name: &str) -> Host {
    Host {
        name: name.to_owned(),
        role: Role::ControlPlane,
        address: cluster.address,
        mac: String::new(),
        namespace: String::new(),
        link: String::new(),
        cgroup: String::new(),
    }
}

/// Writes the kubeconfigs of the control plane's processes and of the administrator.
///
/// # Errors
/// If a certificate can't be read, or a kubeconfig can't be written.
pub fn write_kubeconfigs(layout: &Layout, cluster: &Cluster, host: Host) -> Result<()> {
    // Components read them when the host runs, wherever its root is now.
    let installed = Pki::new(&Layout::new("/".as_ref()).etc().join("pki"));
    let (folder, hosts) = (layout.kubeconfigs(), [host]);
    let name = &cluster.cluster_name;
    kubeconfig::ensure(&folder, &layout.pki(), &installed, &hosts, name)
}

/// Issues those certificates of this host anew that are due, or that another CA has signed than
/// today's, or all of them, each for so long.
///
/// # Errors
/// If it is no control plane, or a CA can't sign.
pub fn renew(layout: &Layout, now: SystemTime, life: Duration, all: bool) -> Result<Vec<Renewed>> {
    let cluster = here(layout)?;
    let host = host(&cluster, &facts::host_name()?);
    let leaves = pki::of_control_plane(&host, &cluster.api_names());
    let done = layout.pki().renew(&leaves, now, life, all)?;
    write_kubeconfigs(layout, &cluster, host)?;
    if done.iter().any(|it| it.is_new) {
        // Of one that was lost nobody knows any more whose it was.
        systemd::apply_owners(layout, "hardway-control-plane.conf")?;
    }
    Ok(done)
}

/// Waits until the apiserver says it is ready, to the administrator under its address.
///
/// # Errors
/// If it isn't in time, in its own words.
pub fn wait_ready(layout: &Layout, cluster: &Cluster) -> Result<String> {
    let address = SocketAddr::new(IpAddr::V4(cluster.address), API_PORT);
    let identity = layout.pki().identity(CLUSTER_CA, "admin");
    let began = Instant::now();
    loop {
        let why = match http::get_tls(address, "/readyz", &identity) {
            Ok(answer) if answer.status == 200 => return Ok(String::new()),
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(failure) => failure.to_string(),
        };
        if began.elapsed() > PATIENCE {
            return Err(Failure::new("wait for the API", why)
                .way_out("see what it says:  journalctl --unit hardway-apiserver"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
