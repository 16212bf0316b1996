//! `hardway init`: makes this host the control plane of a cluster. Done again, it
//! repairs: what is there and good stays.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anstream::println;
use ipnetwork::Ipv4Network;
use jiff::Timestamp;

use crate::api::Api;
use crate::etcd::{self, member};
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::{self, Cluster};
use crate::host::control_plane::{administrator, here, host, wait_ready, write_kubeconfigs};
use crate::host::etcd_env::{self, State};
use crate::host::facts::{self, Facts};
use crate::host::shared_keys::secret;
use crate::host::steps::Steps;
use crate::host::token::{self, Token};
use crate::host::{Layout, env, kubernetes, preflight, systemd};
use crate::packaging::Package;
use crate::pki::{self, CLUSTER_CA};
use crate::{addons, encryption, shell};

/// How long the processes may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the first token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// By this the tokens that `init` made are known.
const DESCRIPTION: &str = "made by `hardway init`";

/// What `init` may be told. What it isn't, is as it was the time before.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// File that describes the cluster, in place of the flags [fields: address, clusterName,
    /// podCIDR, serviceCIDR, dnsDomain, extraSANs]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "cluster_name", "pod_cidr", "service_cidr", "dns_domain", "extra_sans"])]
    pub config: Option<PathBuf>,
    /// Address of this host for nodes and users [default: that of the default route]
    #[arg(long, value_name = "IP")]
    pub address: Option<Ipv4Addr>,
    /// Name of the cluster in kubeconfigs [default: hardway]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Addresses of pods [default: 10.244.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Option<Ipv4Network>,
    /// Virtual addresses of Services [default: 10.96.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub service_cidr: Option<Ipv4Network>,
    /// Domain of the cluster's own names [default: cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    pub dns_domain: Option<String>,
    /// Another name or address by which the API is reached; repeatable
    #[arg(long = "extra-san", value_name = "NAME")]
    pub extra_sans: Vec<String>,
    /// Have the keys that control planes share uploaded, for two hours, and print what to type on
    /// a host that is to join as a control plane
    #[arg(long)]
    pub upload_certs: bool,
    /// Go on in spite of what is wrong with this host
    #[arg(long)]
    pub ignore_preflight_errors: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Root of the host's file system; one that isn't running gets its files, and is
    /// started by its first boot
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
}

/// Makes it one.
pub fn run(options: &Options) -> Result<()> {
    let layout = Layout::new(&options.root);
    let cluster = decide(&layout, options)?;
    let name = facts::host_name()?;
    if layout.is_running() {
        let units = Package::ControlPlane.units();
        let facts = Facts::gather(&layout, cluster.address, units)?;
        let findings = preflight::findings(&facts, Package::ControlPlane);
        preflight::check(
            &findings,
            options.ignore_preflight_errors || options.dry_run,
        )?;
    }
    println!("control plane {name} at {}", cluster.server());
    steps(&layout, &cluster, &name).run(options.dry_run)?;
    if !layout.is_running() || options.dry_run {
        return Ok(());
    }
    let (api, now) = (administrator(&layout, &cluster), Timestamp::now());
    let token = ensure_token(&api, now)?;
    let ca = shell::read_text(&layout.pki().certificate(CLUSTER_CA))?;
    let control_plane = if options.upload_certs {
        let key = secret::upload(&api, &layout.etc(), now)?;
        token::control_plane_join_command(&cluster.server(), &token, &ca, &key)?
    } else {
        "hardway token create --control-plane    (here; it prints what to type there)".to_owned()
    };
    println!(
        "
kubectl:          export KUBECONFIG={}
a node:           {}
a control plane:  {control_plane}",
        layout.kubeconfigs().join("admin.kubeconfig").display(),
        token::join_command(&cluster.server(), &token, &ca)?
    );
    Ok(())
}

/// The token that an `init` before made, while it is good for half of its life or longer;
/// or else a new one.
fn ensure_token(api: &Api, now: Timestamp) -> Result<Token> {
    let secrets = api.get(token::PATH)?.unwrap_or_default();
    if let Some(token) = token::usable(&secrets, DESCRIPTION, now, TOKEN_LIFE / 2) {
        return Ok(token);
    }
    let token = Token::random()?;
    let secret = token.secret(now, Some(TOKEN_LIFE), DESCRIPTION);
    api.create(token::PATH, &secret)?;
    Ok(token)
}

/// The cluster that is asked for, if it makes sense, and agrees with the one that is there.
fn decide(layout: &Layout, options: &Options) -> Result<Cluster> {
    let path = layout.etc().join(cluster::FILE);
    let old = match path.exists() {
        true => Some(here(layout)?),
        false => None,
    };
    let asked = match &options.config {
        Some(file) => Cluster::parse(&shell::read_text(file)?, &file.display().to_string())?,
        None => {
            let base = match (&old, options.address) {
                (Some(old), _) => old.clone(),
                (None, Some(address)) => Cluster::at(address),
                // An address of nobody's, for documentation; nothing is sent there.
                (None, None) => Cluster::at(
                    facts::address_towards(([192, 0, 2, 1], 9).into())
                        .map_err(|failure| failure.way_out("name it with --address"))?,
                ),
            };
            with_flags(base, options)
        }
    };
    asked.validate()?;
    is_not_half_joined(layout)?;
    let differences = old.map(|old| old.fixed_differences(&asked));
    match differences.unwrap_or_default().as_slice() {
        [] => Ok(asked),
        differences => Err(Failure::new(
            "change the cluster that is here",
            differences.join("; "),
        )
        .way_out("nodes and pods have it already; for another cluster remove this one first:  hardway reset")),
    }
}

/// A host whose etcd is to be one of several must not begin a cluster of its own, in which all
/// that is stored would be missing.
fn is_not_half_joined(layout: &Layout) -> Result<()> {
    let state = etcd_env::read(&layout.etc());
    if state != Some(State::Existing) || etcd::has_data(layout) {
        return Ok(());
    }
    let folder = layout.path(etcd::DATA);
    Err(Failure::new(
        "make this host a control plane",
        format!("its cluster is there already, but {} is empty", folder.display()),
    )
    .way_out("with other control planes go on with the line that  hardway token create --control-plane  prints on one of them; without, restore a copy; for a new cluster have this host leave the old one first:  hardway reset"))
}

/// A cluster with what the flags say.
fn with_flags(base: Cluster, options: &Options) -> Cluster {
    Cluster {
        address: options.address.unwrap_or(base.address),
        cluster_name: options.cluster_name.clone().unwrap_or(base.cluster_name),
        pod_cidr: options.pod_cidr.unwrap_or(base.pod_cidr),
        service_cidr: options.service_cidr.unwrap_or(base.service_cidr),
        dns_domain: options.dns_domain.clone().unwrap_or(base.dns_domain),
        extra_sans: match options.extra_sans.is_empty() {
            true => base.extra_sans,
            false => options.extra_sans.clone(),
        },
    }
}

/// What makes a host a control plane, in order.
fn steps<'a>(layout: &'a Layout, cluster: &'a Cluster, name: &str) -> Steps<'a> {
    let host = host(cluster, name);
    let etc = layout.etc();
    let mut steps = Steps::default();
    let folder = etc.clone();
    steps.add(format!("CAs and certificates in {}/pki", etc.display()), {
        let leaves = pki::of_control_plane(&host, &cluster.api_names());
        move || layout.pki().ensure_leaves(&leaves, SystemTime::now())
    });
    steps.add(
        format!("kubeconfigs in {}/kubeconfig", etc.display()),
        move || {
            write_kubeconfigs(layout, cluster, host)?;
            Ok(String::new())
        },
    );
    steps.add("key that encrypts Secrets", {
        let etc = etc.clone();
        move || encryption::ensure(&etc.join(encryption::FILE))
    });
    let has_changed = std::rc::Rc::new(std::cell::Cell::new(true));
    let changed = has_changed.clone();
    steps.add(format!("settings in {}", etc.display()), move || {
        let text = cluster.to_yaml();
        shell::write_file(&folder.join(cluster::FILE), text.as_bytes(), 0o644)?;
        let anew = env::write_cluster(&folder, &cluster.variables())?
            | env::ensure_host(&folder, &[("ADDRESS", &cluster.address.to_string())])?;
        changed.set(anew);
        Ok(if anew { "changed" } else { "kept" }.to_owned())
    });
    let folder = etc.clone();
    steps.add("how etcd starts", move || {
        let state = match etcd::has_data(layout) {
            true => State::Existing,
            false => State::New,
        };
        etcd_env::write(&folder, state, None)?;
        Ok(String::new())
    });
    steps.add("owners of the keys", move || {
        systemd::apply_owners(layout, "hardway-control-plane.conf")
    });
    let units = Package::ControlPlane.units();
    steps.add(format!("enable {}", units.join(", ")), move || {
        systemd::enable(layout, units)
    });
    if layout.is_running() {
        steps.add("start them, and wait until they are ready", move || {
            systemd::start(units, has_changed.get(), PATIENCE)
        });
        steps.add("etcd can be found by other control planes", move || {
            etcd_env::settle(&etc)?;
            announce(layout, cluster)
        });
        steps.add("the API answers", move || wait_ready(layout, cluster));
        steps.add("add-ons, and what nodes need to join", move || {
            let mut api = administrator(layout, cluster);
            let ca = shell::read_text(&layout.pki().certificate(CLUSTER_CA))?;
            addons::apply_all(&mut api, &kubernetes::objects(cluster, &ca)?)?;
            addons::apply(&mut api, cluster, &[], &addons::by_default())
        });
    }
    steps
}

/// Has etcd know its member by this host's address: one that was made before there could be
/// several knows itself as 127.0.0.1, and a host may have another address than before.
fn announce(layout: &Layout, cluster: &Cluster) -> Result<String> {
    let what = || "say where etcd's member is";
    let client = etcd::Client::of_host(layout);
    let peer_url = member::peer_url(cluster.address);
    let own = client.status().or_fail(what)?.member;
    let members = client.members().or_fail(what)?;
    let is_known = members
        .iter()
        .any(|member| member.id == own && member.peer_urls == [peer_url.as_str()]);
    if is_known {
        return Ok(peer_url);
    }
    client.update_peer(own, &peer_url).or_fail(what)?;
    Ok(format!("now {peer_url}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::commands::certificates::renew;

    fn options(root: &Path) -> Options {
        Options {
            address: Some(Ipv4Addr::new(192, 168, 1, 10)),
            root: root.to_owned(),
            ..Options::default()
        }
    }

    /// A root on which the package is installed, as far as `systemctl enable` needs it.
    fn installed() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("usr/lib/systemd/system");
        fs::create_dir_all(&units).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        for unit in Package::ControlPlane.units() {
            fs::copy(from.join(unit), units.join(unit)).unwrap();
        }
        root
    }

    fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.push((path.clone(), fs::read(&path).unwrap_or_default())),
                }
            }
        }
        all.sort();
        all
    }

    #[test]
    fn a_host_that_is_not_running_gets_its_files_once() {
        let root = installed();
        run(&options(root.path())).unwrap();
        let etc = root.path().join("etc/hardway");
        let text = |path: &str| shell::read_text(&etc.join(path)).unwrap();
        assert!(text("host.env").contains("\nADDRESS=192.168.1.10\n"));
        assert!(text("cluster.env").contains("\nCLUSTER_DNS=10.96.0.10\n"));
        let scheduler = text("kubeconfig/scheduler.kubeconfig");
        assert!(scheduler.contains("server: https://192.168.1.10:6443"));
        assert!(scheduler.contains("\"/etc/hardway/pki/scheduler.key\""));
        for secret in [
            "pki/ca.key",
            "encryption.yaml",
            "kubeconfig/admin.kubeconfig",
        ] {
            let mode = fs::metadata(etc.join(secret)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
        let enabled = root
            .path()
            .join("etc/systemd/system/multi-user.target.wants");
        let timers = enabled.with_file_name("timers.target.wants");
        for unit in Package::ControlPlane.units() {
            let folder = match unit.ends_with(".timer") {
                true => &timers,
                false => &enabled,
            };
            assert!(folder.join(unit).is_symlink(), "{unit}");
        }

        // Again, without a word about the address: everything is as it was.
        let before = files(root.path());
        let again = Options {
            address: None,
            ..options(root.path())
        };
        run(&again).unwrap();
        assert_eq!(files(root.path()), before);
        // What is lost comes back, also by the timer.
        for renewal in [false, true] {
            fs::remove_file(etc.join("pki/apiserver.key")).unwrap();
            match renewal {
                false => run(&again).unwrap(),
                true => {
                    let root = root.path().to_owned();
                    let options = renew::Options {
                        all: false,
                        valid_for: None,
                        root,
                    };
                    renew::run(&options, None).unwrap();
                }
            }
            assert!(etc.join("pki/apiserver.key").exists());
        }
    }

    #[test]
    fn nothing_changes_when_it_would_be_wrong_or_is_only_asked_about() {
        let root = installed();
        let before = files(root.path());
        let bad = Options {
            pod_cidr: Some("10.96.0.0/16".parse().unwrap()),
            ..options(root.path())
        };
        assert!(run(&bad).unwrap_err().why.contains("overlap"));
        let asked = Options {
            dry_run: true,
            ..options(root.path())
        };
        run(&asked).unwrap();
        assert_eq!(files(root.path()), before);

        run(&options(root.path())).unwrap();
        let before = files(root.path());
        let other = Options {
            dns_domain: Some("example.org".to_owned()),
            ..options(root.path())
        };
        let failure = run(&other).unwrap_err();
        assert_eq!(failure.why, "dnsDomain is cluster.local, not example.org");
        assert_eq!(files(root.path()), before);
    }

    #[test]
    fn a_new_name_of_the_api_gets_into_its_certificate() {
        let root = installed();
        run(&options(root.path())).unwrap();
        let certificate = root.path().join("etc/hardway/pki/apiserver.crt");
        let before = fs::read(&certificate).unwrap();
        let more = Options {
            extra_sans: vec!["api.example.org".to_owned(), "2001:db8::1".to_owned()],
            ..options(root.path())
        };
        run(&more).unwrap();
        let after = fs::read(&certificate).unwrap();
        assert_ne!(after, before);
        run(&options(root.path())).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), after, "it is remembered");
    }
}
