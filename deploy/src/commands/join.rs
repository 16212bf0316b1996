//! `hardway join`: makes this host a node of a cluster that is there, or one more of its
//! control planes. Done again, it repairs, or goes on where it was interrupted.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anstream::println;
use serde_json::Value;

use crate::failure::{Failure, OrFail, Result};
use crate::host::control_plane::here;
use crate::host::discovery::{self, Found};
use crate::host::facts::{self, Facts};
use crate::host::shared_keys::CertificateKey;
use crate::host::steps::Steps;
use crate::host::token::{self, Token};
use crate::host::{Layout, clock, cluster, env, kubernetes, preflight, systemd};
use crate::http::{self, Identity};
use crate::packaging::Package;
use crate::pki::{self, CLUSTER_CA};
use crate::plan::API_PORT;
use crate::{api, shell};

mod control_plane;

/// How long the processes may take to be ready, and the node after them.
const PATIENCE: Duration = Duration::from_secs(120);
/// Kubeconfigs that are written when the first certificates have come.
const FIRST: &[&str] = &[
    "/etc/hardway/kubeconfig/kubelet.kubeconfig",
    "/var/lib/hardway/agents/kube-proxy/kubeconfig",
    "/var/lib/hardway/agents/flannel-lite/kubeconfig",
];

/// What `join` must be told; `hardway token create` on a control plane says it.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The control plane: ADDRESS or ADDRESS:PORT
    #[arg(value_name = "ADDRESS")]
    pub server: String,
    /// Token to join with
    #[arg(long, value_name = "TOKEN")]
    pub token: Token,
    /// Hash of the cluster's CA, so that nobody else can pass for the cluster; repeatable: all
    /// CAs that the cluster has must be named
    #[arg(long = "ca-cert-hash", value_name = "sha256:HASH", value_parser = token::parse_hash)]
    pub ca_cert_hashes: Vec<String>,
    /// Make this host a control plane instead of a node: etcd, apiserver, controller manager and
    /// scheduler beside those that are there
    #[arg(long)]
    pub control_plane: bool,
    /// Key to the files that control planes share; `hardway token create --control-plane`
    /// prints it
    #[arg(long, value_name = "KEY", requires = "control_plane")]
    pub certificate_key: Option<CertificateKey>,
    /// Address of this host for other hosts [default: the one it has towards the control plane]
    #[arg(long, value_name = "IP")]
    pub address: Option<Ipv4Addr>,
    /// Go on in spite of what is wrong with this host
    #[arg(long)]
    pub ignore_preflight_errors: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Root of the host's file system; one that isn't running gets its files, and joins
    /// at its first boot
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

/// Makes it one.
pub fn run(options: &Options) -> Result<()> {
    let layout = Layout::new(&options.root);
    if options.control_plane && !layout.is_running() {
        let why = "its etcd has to run to become a member";
        return Err(Failure::new("join as a control plane", why)
            .way_out("leave --root out, and join when the host runs"));
    }
    let server = resolve(&options.server)?;
    let address = match options.address {
        Some(address) => address,
        None => facts::address_towards(server)
            .map_err(|failure| failure.way_out("name it with --address"))?,
    };
    let package = match options.control_plane {
        true => Package::ControlPlane,
        false => Package::Node,
    };
    let units = package.units();
    if layout.is_running() {
        let facts = Facts::gather(&layout, address, units)?;
        let findings = preflight::findings(&facts, package);
        preflight::check(
            &findings,
            options.ignore_preflight_errors || options.dry_run,
        )?;
    }
    let found = discovery::discover(server, &options.token, &options.ca_cert_hashes)?.at(server);
    same_cluster(&layout, &found, !options.ca_cert_hashes.is_empty())?;
    if layout.is_running() {
        let findings: Vec<_> = clock::finding(server, &found).into_iter().collect();
        preflight::check(
            &findings,
            options.ignore_preflight_errors || options.dry_run,
        )?;
    }
    if options.control_plane {
        let host = control_plane::Joining {
            layout: &layout,
            server,
            address,
            found: &found,
            options,
        };
        return host.run();
    }
    let config = configuration(server, &found, &options.token)?;
    let name = facts::host_name()?.to_lowercase();
    println!(
        "node {name} at {address}, of the cluster at {}",
        found.server
    );

    let etc = layout.etc();
    let mut steps = Steps::default();
    steps.add(
        format!("the cluster's CA, and settings, in {}", etc.display()),
        || {
            let ca = layout.pki().certificate(CLUSTER_CA);
            shell::write_file(&ca, found.ca.as_bytes(), 0o644)?;
            env::write_cluster(&etc, &kubernetes::variables(&config))?;
            env::ensure_host(&etc, &[("ADDRESS", &address.to_string())])?;
            Ok(String::new())
        },
    );
    steps.add("what the first certificates are asked for with", || {
        forget_server(&layout)?;
        let text = discovery::bootstrap_kubeconfig(&found, &options.token);
        shell::write_file(&layout.bootstrap_kubeconfig(), text.as_bytes(), 0o600)?;
        Ok(String::new())
    });
    steps.add("folders", || {
        systemd::apply_owners(&layout, "hardway-node.conf")
    });
    steps.add(format!("enable {}", units.join(", ")), || {
        systemd::enable(&layout, units)
    });
    if layout.is_running() {
        steps.add("start them, and wait until they are ready", || {
            systemd::start(&["containerd.service"], false, PATIENCE)?;
            systemd::start(units, true, PATIENCE)
        });
        steps.add(format!("node {name} is Ready"), || {
            wait_ready(&layout, server, &name)
        });
        if layout.etc().join(cluster::FILE).exists() {
            steps.add("it is known for a control plane as well", || {
                control_plane::label(&layout, &here(&layout)?, &name)
            });
        }
        steps.add("the token goes from this host", || forget(&layout));
        steps.add("pods may go to it", || {
            no_pressure(&node(server, &name, &layout.node())?)
        });
    }
    steps.run(options.dry_run)
}

/// Address and port of the apiserver.
fn resolve(server: &str) -> Result<SocketAddr> {
    let what = || format!("find the control plane {server}");
    let named = server.trim_start_matches("https://");
    let named = match named.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => named.to_owned(),
        _ => format!("{named}:{API_PORT}"),
    };
    let mut found = named.to_socket_addrs().or_fail(what)?;
    found
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| Failure::new(what(), "it has no IPv4 address"))
}

/// What the cluster's hosts are told.
fn configuration(server: SocketAddr, found: &Found, token: &Token) -> Result<Value> {
    let token = token.to_string();
    let path = kubernetes::CONFIG_PATH;
    let answer = http::get_without_certificate(server, path, Some(&found.ca), Some(&token))?;
    api::read("ask for the cluster's settings", &answer).map_err(|failure| {
        failure.way_out("is the token over?  hardway token list, on the control plane")
    })
}

/// A host belongs to one cluster: keys and pods of another would be in the way. One whose CA has
/// ended may have had to make another: whoever names that one's hash says that it is the same.
fn same_cluster(layout: &Layout, found: &Found, is_named: bool) -> Result<()> {
    let path = layout.pki().certificate(CLUSTER_CA);
    let Ok(ca) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let (own, theirs) = (token::ca_hashes(&ca)?, token::ca_hashes(&found.ca)?);
    let has_ended = is_named && pki::have_ended(&ca, SystemTime::now())?;
    if has_ended || own.iter().any(|hash| theirs.contains(hash)) {
        return Ok(());
    }
    Err(Failure::new(
        "join",
        format!(
            "this host belongs to another cluster, that of {}",
            path.display()
        ),
    )
    .way_out("have it leave that one first:  hardway reset"))
}

/// Waits until the node is Ready, as the node itself is told by the apiserver.
fn wait_ready(layout: &Layout, server: SocketAddr, name: &str) -> Result<String> {
    let identity = layout.node();
    let began = Instant::now();
    loop {
        let why = match node(server, name, &identity) {
            Ok(node) => match not_ready(&node) {
                None => return Ok(String::new()),
                Some(why) => why,
            },
            Err(failure) => failure.to_string(),
        };
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(format!("wait for node {name}"), why)
                .way_out("see what the kubelet says:  journalctl --unit hardway-kubelet"));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn node(server: SocketAddr, name: &str, identity: &Identity) -> Result<Value> {
    let answer = http::get_tls(server, &format!("/api/v1/nodes/{name}"), identity)?;
    api::read("ask for the node", &answer)
}

/// What a node says of itself.
fn conditions(node: &Value) -> impl Iterator<Item = &Value> {
    let all = node.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten()
}

/// Why a node isn't Ready, in its own words.
fn not_ready(node: &Value) -> Option<String> {
    match conditions(node).find(|condition| condition["type"] == "Ready") {
        Some(ready) if ready["status"] == "True" => None,
        Some(ready) => Some(api::text(&ready["message"]).to_owned()),
        None => Some("it says nothing yet".to_owned()),
    }
}

/// What a node lacks when it is Ready and gets no pods nevertheless: condition, and what
/// to do about it.
const PRESSURES: &[(&str, &str)] = &[
    (
        "DiskPressure",
        "make room where pods and images are:  df -h /var/lib/kubelet /var/lib/containerd",
    ),
    (
        "MemoryPressure",
        "see who holds the memory:  ps -e --sort=-rss -o rss,args | head",
    ),
    (
        "PIDPressure",
        "see whose processes they are:  systemd-cgtop --order=tasks",
    ),
];

/// A node that is short of something is Ready, and has a taint that keeps pods away.
fn no_pressure(node: &Value) -> Result<String> {
    let is_under =
        |kind: &str| conditions(node).any(|it| it["type"] == kind && it["status"] == "True");
    let under: Vec<_> = PRESSURES
        .iter()
        .filter(|(kind, _)| is_under(kind))
        .collect();
    if under.is_empty() {
        return Ok(String::new());
    }
    let kinds: Vec<&str> = under.iter().map(|(kind, _)| *kind).collect();
    let ways_out: Vec<&str> = under.iter().map(|(_, way_out)| *way_out).collect();
    Err(Failure::new(
        "use the node",
        format!(
            "it has joined and is Ready, but gets no pods while it has {}",
            kinds.join(", ")
        ),
    )
    .way_out(format!(
        "{}\nthe node takes pods by itself when it is over; see  kubectl describe node",
        ways_out.join("\n")
    )))
}

/// Removes kubeconfigs of a time before: the apiserver may be elsewhere now. Certificates
/// stay, and are used again if they are good.
fn forget_server(layout: &Layout) -> Result<()> {
    FIRST.iter().try_for_each(|path| remove(&layout.path(path)))
}

/// Removes the token once all have certificates of their own, which renew themselves.
fn forget(layout: &Layout) -> Result<String> {
    let missing = FIRST.iter().find(|path| !layout.path(path).exists());
    if let Some(path) = missing {
        return Ok(format!("kept, {path} isn't there yet"));
    }
    remove(&layout.bootstrap_kubeconfig())?;
    Ok(String::new())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::NODE_CERTIFICATE;
    use crate::pki::Pki;

    #[test]
    fn the_port_may_be_left_out() {
        for (server, expected) in [
            ("10.0.0.1", "10.0.0.1:6443"),
            ("10.0.0.1:443", "10.0.0.1:443"),
            ("https://10.0.0.1:6443", "10.0.0.1:6443"),
        ] {
            assert_eq!(resolve(server).unwrap().to_string(), expected);
        }
        assert!(resolve("::1").is_err());
    }

    #[test]
    fn a_host_of_another_cluster_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str| {
            let pki = Pki::new(&folder.path().join(name));
            pki.ensure(&[], SystemTime::now()).unwrap();
            Found {
                server: String::new(),
                ca: shell::read_text(&pki.certificate(CLUSTER_CA)).unwrap(),
            }
        };
        let (ours, theirs) = (found("ours"), found("theirs"));
        let layout = Layout::new(folder.path());
        same_cluster(&layout, &ours, false).unwrap();
        let ca = layout.pki().certificate(CLUSTER_CA);
        shell::write_file(&ca, ours.ca.as_bytes(), 0o644).unwrap();
        same_cluster(&layout, &ours, false).unwrap();
        // One that has ended may have had to be replaced: who names the new one says so.
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let pki = Pki::new(&folder.path().join("ended"));
        pki.ensure(&[], past).unwrap();
        let ended = shell::read_text(&pki.certificate(CLUSTER_CA)).unwrap();
        shell::write_file(&ca, ended.as_bytes(), 0o644).unwrap();
        same_cluster(&layout, &theirs, true).unwrap();
        same_cluster(&layout, &theirs, false).unwrap_err();
        shell::write_file(&ca, ours.ca.as_bytes(), 0o644).unwrap();
        let failure = same_cluster(&layout, &theirs, true).unwrap_err();
        assert!(failure.way_out.unwrap().contains("hardway reset"));
    }

    #[test]
    fn a_node_that_was_there_before_finds_the_apiserver_where_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        for path in FIRST.iter().chain([&NODE_CERTIFICATE]) {
            shell::write_file(&layout.path(path), b"x", 0o600).unwrap();
        }
        forget_server(&layout).unwrap();
        assert!(!FIRST.iter().any(|path| layout.path(path).exists()));
        assert!(layout.path(NODE_CERTIFICATE).exists());
        // The token stays for as long as it is needed.
        shell::write_file(&layout.bootstrap_kubeconfig(), b"x", 0o600).unwrap();
        assert!(forget(&layout).unwrap().contains("isn't there yet"));
        for path in FIRST {
            shell::write_file(&layout.path(path), b"x", 0o600).unwrap();
        }
        forget(&layout).unwrap();
        assert!(!layout.bootstrap_kubeconfig().exists());
    }

    #[test]
    fn a_node_says_itself_why_it_is_not_ready() {
        let with = |conditions: Value| json!({"status": {"conditions": conditions}});
        let node = with(json!([{"type": "Ready", "status": "False", "message": "no network"}]));
        assert_eq!(not_ready(&node).unwrap(), "no network");
        assert_eq!(not_ready(&with(json!([]))).unwrap(), "it says nothing yet");
        let ready = with(json!([{"type": "Ready", "status": "True", "message": "posting"}]));
        assert_eq!(not_ready(&ready), None);
    }

    #[test]
    fn a_node_that_gets_no_pods_is_no_success() {
        let with = |disk: &str, pids: &str| {
            json!({"status": {"conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "DiskPressure", "status": disk},
                {"type": "PIDPressure", "status": pids},
                {"type": "Ready", "status": "True"},
            ]}})
        };
        no_pressure(&with("False", "False")).unwrap();
        let failure = no_pressure(&with("True", "False")).unwrap_err();
        assert!(
            failure
                .why
                .contains("is Ready, but gets no pods while it has DiskPressure")
        );
        assert!(failure.way_out.unwrap().contains("df -h /var/lib/kubelet"));
        let failure = no_pressure(&with("True", "True")).unwrap_err();
        assert!(failure.why.ends_with("DiskPressure, PIDPressure"));
        // Its kubelet says nothing of it any more: that is Ready's business.
        no_pressure(&with("Unknown", "Unknown")).unwrap();
    }
}
