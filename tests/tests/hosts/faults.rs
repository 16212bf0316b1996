//! What went wrong on hosts whose units were run for the first time, or could.
//!
//! What was seen then, and what shows that it is over:
//!
//! 1. `br_netfilter` and `bridge-nf-call-iptables`: [`pods_reach_services`],
//!    [`settings_come_back`], and [`lacks_are_told`] where they can't be set.
//! 2. Debian's etcd held the port, its containerd kept its configuration: [`etcd_stays_down`],
//!    [`containerd_is_configured`].
//! 3. systemd gave up on units: [`many_kills`], [`late_address`].
//! 4. Renewal lost settings, and did so in silence: `renewal::timer_renews`.
//! 5. Units could do everything: [`units_may_do_little`].
//! 6. Leases were kept by who had gone: [`leases_are_given_up`].
//! 7. The kubelet's errors, units of other roles, slow shut-downs: [`kubelet_starts_clean`],
//!    [`units_are_well_formed`], [`reboots`].
//! 8. Steps by hand, a page that couldn't be followed: the page is, command by command, and
//!    a third host joins with one.

use std::time::{Duration, Instant};

use hardway_tests::host::Host;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until, within};

use super::cluster::Cluster;

/// The checks, in the order in which they are made.
pub const STEPS: &[Step<Cluster>] = &[
    ("Debian's etcd stays down", etcd_stays_down),
    ("units are well-formed", units_are_well_formed),
    ("units may do little", units_may_do_little),
    ("init done again makes no other token", init_again),
    (
        "nothing is amiss when the kubelet starts",
        kubelet_starts_clean,
    ),
    ("pods reach Services", pods_reach_services),
    (
        "containerd has hardway's configuration",
        containerd_is_configured,
    ),
    ("the kernel's settings come back", settings_come_back),
    ("what a host lacks is said", lacks_are_told),
    ("whoever is killed comes back", killed_units_come_back),
    ("six kills of the kubelet in a row", many_kills),
    (
        "a leader that is stopped gives up its lease",
        leases_are_given_up,
    ),
    ("an address that comes late", late_address),
    ("each host is rebooted", reboots),
    ("all hosts lose power", power_cut),
];

/// The checks of a cluster whose nodes have certificates that somebody gave them.
pub const OF_A_HAND_MADE_CLUSTER: &[Step<Cluster>] = &[
    (
        "nothing is amiss when the kubelet starts",
        kubelet_starts_clean,
    ),
    ("pods reach Services", pods_reach_services),
    ("whoever is killed comes back", killed_units_come_back),
    ("all hosts lose power", power_cut),
];

/// Units of the control plane.
pub const CONTROL_PLANE: &[&str] = &[
    "hardway-etcd",
    "hardway-apiserver",
    "hardway-controller-manager",
    "hardway-scheduler",
];
/// Units of a node.
pub const NODE: &[&str] = &["hardway-flannel-lite", "hardway-proxy", "hardway-kubelet"];

/// Each unit with its host.
pub fn units(cluster: &Cluster) -> Vec<(&Host, &'static str)> {
    let mut units = Vec::new();
    for host in cluster.control_planes() {
        units.extend(CONTROL_PLANE.iter().map(|unit| (host, *unit)));
    }
    for worker in &cluster.workers {
        units.extend(NODE.iter().map(|unit| (worker, *unit)));
    }
    units
}

/// Waits until every unit does its work, and every node is Ready.
pub fn all_active(cluster: &Cluster) {
    for (host, unit) in units(cluster) {
        host.wait_active(unit);
    }
    for worker in &cluster.workers {
        cluster.wait_ready(&worker.name);
    }
}

fn etcd_stays_down(cluster: &Cluster) {
    let host = &cluster.control_plane;
    assert_eq!(host.property("etcd", "ActiveState"), "inactive");
    let old = host.property("hardway-etcd", "MainPID");
    // As an upgrade of Debian's package does.
    host.run("systemctl start etcd");
    assert_eq!(host.property("etcd", "ActiveState"), "inactive");
    assert_eq!(host.property("hardway-etcd", "MainPID"), old);
}

/// Pods of the step before run on every worker.
fn containerd_is_configured(cluster: &Cluster) {
    for host in &cluster.workers {
        let config = host.run("containerd --config /usr/share/hardway/containerd.toml config dump");
        assert!(config.contains("pause:3.10"), "{config}");
        assert!(config.contains("restrict_oom_score_adj = true"), "{config}");
        let command = host.run("tr '\\0' ' ' </proc/$(pidof containerd)/cmdline");
        assert!(
            command.contains("/usr/share/hardway/containerd.toml"),
            "{command}"
        );
        let sandboxes = host.run("ctr --namespace k8s.io containers list");
        assert!(sandboxes.contains("pause:3.10"), "{sandboxes}");
    }
}

/// A host has the units of its role alone, and systemd has nothing to say against them.
fn units_are_well_formed(cluster: &Cluster) {
    for host in cluster.hosts() {
        let said = host.run(
            "systemd-analyze verify --man=no $(ls /usr/lib/systemd/system/hardway-*.service) 2>&1",
        );
        let of_ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("hardway"))
            .collect();
        assert!(of_ours.is_empty(), "{}: {of_ours:#?}", host.name);
    }
    let node = cluster.workers[0].run("ls /usr/lib/systemd/system");
    assert!(!node.contains("hardway-apiserver"), "{node}");
}

/// What an attacker could do from a unit, from 0 (nothing) to 10, as systemd counts it.
fn exposure(host: &Host, unit: &str) -> f64 {
    let said = host.run(&format!(
        "systemd-analyze security --no-pager {unit}.service | tail -n 1"
    ));
    let number = said
        .split(": ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{unit}: {said}"))
}

fn units_may_do_little(cluster: &Cluster) {
    for (host, unit) in units(cluster) {
        let exposure = exposure(host, unit);
        eprintln!("      {unit} {exposure}");
        let bound = match unit {
            // It mounts what pods see, and is root.
            "hardway-kubelet" => 8.0,
            _ => 3.0,
        };
        assert!(exposure < bound, "{unit}: {exposure}");
    }
}

/// Nothing is to be repaired: what is there stays, the token too.
fn init_again(cluster: &Cluster) {
    let host = &cluster.control_plane;
    let tokens = || host.run("hardway token list");
    let certificates = || host.run("sha256sum /etc/hardway/pki/* /etc/hardway/kubeconfig/*");
    let ids = || {
        let of = |unit: &&str| host.property(unit, "MainPID");
        CONTROL_PLANE.iter().map(of).collect::<Vec<_>>()
    };
    let before = (tokens().lines().count(), certificates(), ids());
    let printed = host.run("hardway init");
    assert_eq!((tokens().lines().count(), certificates(), ids()), before);
    let token = printed
        .split_whitespace()
        .skip_while(|word| *word != "--token")
        .nth(1);
    let token = token.unwrap_or_else(|| panic!("no token in {printed}"));
    assert!(tokens().contains(token), "{}", tokens());
}

fn kubelet_starts_clean(cluster: &Cluster) {
    for host in &cluster.workers {
        let since = host.run("date +%s");
        host.run("systemctl restart hardway-kubelet");
        host.wait_active("hardway-kubelet");
        cluster.wait_ready(&host.name);
        let since = since.trim();
        let said = host.run(&format!(
            "journalctl --unit=hardway-kubelet --since=@{since} --no-pager --output=cat"
        ));
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", host.name);
    }
}

/// Requests from pods to a Service whose pods are on the same host too, and look-ups of its
/// name: none fails.
fn pods_reach_services(cluster: &Cluster) {
    cluster.give_images();
    let node = &cluster.workers[0];
    assert_eq!(
        node.run("sysctl --values net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables"),
        "1\n1\n"
    );
    cluster.kubectl(
        "create deployment web --image=busybox:1.36 --replicas=3 -- httpd -f -p 8080 -h /etc",
    );
    cluster.kubectl("expose deployment web --port=80 --target-port=8080");
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    let ask = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do \
                   timeout 5 wget -q -O /dev/null http://web.default.svc.cluster.local/passwd || echo failed; \
               done";
    until("the Service answers", || {
        let once = "timeout 5 wget -q -O /dev/null http://web/passwd";
        let line = format!("exec deployment/web -- sh -c '{once}'");
        cluster.try_kubectl(&line).ok().map(drop)
    });
    let failed = cluster.kubectl(&format!("exec deployment/web -- sh -c '{ask}'"));
    assert_eq!(failed, "", "requests failed");
}

/// Somebody else's sysctl must not take Services away for longer than a moment.
fn settings_come_back(cluster: &Cluster) {
    for host in &cluster.workers {
        host.run(
            "sysctl --quiet --write net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0",
        );
        host.run("systemctl restart hardway-flannel-lite hardway-proxy");
        until("the settings are back", || {
            let values =
                host.run("sysctl --values net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables");
            holds(values == "1\n1\n", values)
        });
    }
}

/// Where the proxy may not set what it needs, it says so: in its status, and with the node.
fn lacks_are_told(cluster: &Cluster) {
    let host = &cluster.workers[0];
    let setting = "net.bridge.bridge-nf-call-iptables";
    let drop_in = "/etc/systemd/system/hardway-proxy.service.d/hardened.conf";
    // One who isn't ready is not waited for.
    let restart = "systemctl daemon-reload; systemctl --no-block restart hardway-proxy";
    host.write(drop_in, "[Service]\nProtectKernelTunables=true\n");
    host.run(&format!("sysctl --quiet --write {setting}=0; {restart}"));
    until("the node has an event of it", || {
        let events = cluster
            .kubectl("get events --all-namespaces --field-selector=reason=HostRequirementNotMet");
        let has = |word: &str| events.contains(word);
        holds(has(setting) && has(&format!("node/{}", host.name)), &events)
    });
    until("the unit's status has it", || {
        let status = host.property("hardway-proxy", "StatusText");
        holds(status.contains(setting), status)
    });
    host.run(&format!("rm -r $(dirname {drop_in}); {restart}"));
    host.wait_active("hardway-proxy");
    assert_eq!(host.run(&format!("sysctl --values {setting}")), "1\n");
}

/// The containers of a host, by their processes.
pub fn containers(host: &Host) -> String {
    host.run("ctr --namespace k8s.io tasks list | sort")
}

/// Waits until no pod is about to end: the web server takes its 30 s.
fn wait_settled(cluster: &Cluster) {
    until("no pod is about to end", || {
        let path = "jsonpath={.items[*].metadata.deletionTimestamp}";
        let ending = cluster.kubectl(&format!("get pods --all-namespaces -o '{path}'"));
        holds(ending.is_empty(), ending)
    });
}

fn killed_units_come_back(cluster: &Cluster) {
    wait_settled(cluster);
    let before: Vec<String> = cluster.workers.iter().map(containers).collect();
    for (host, unit) in units(cluster) {
        let old = host.property(unit, "MainPID");
        let began = Instant::now();
        host.run(&format!("systemctl kill --signal=KILL {unit}"));
        until(&format!("{unit} is another process"), || {
            let new = host.property(unit, "MainPID");
            holds(new != old && new != "0", new)
        });
        host.wait_active(unit);
        eprintln!("      {unit} is back after {:.1?}", began.elapsed());
    }
    all_active(cluster);
    let after: Vec<String> = cluster.workers.iter().map(containers).collect();
    assert_eq!(before, after, "containers are as they were");
}

/// systemd would give up on a unit that ends five times in ten seconds.
fn many_kills(cluster: &Cluster) {
    let host = &cluster.workers[0];
    let mut old = host.property("hardway-kubelet", "MainPID");
    for _ in 0..6 {
        host.run("systemctl kill --signal=KILL hardway-kubelet");
        old = until("the kubelet is another process", || {
            let new = host.property("hardway-kubelet", "MainPID");
            holds(new != old && new != "0", &new)?;
            Ok(new)
        });
    }
    host.wait_active("hardway-kubelet");
    cluster.wait_ready(&host.name);
}

fn leases_are_given_up(cluster: &Cluster) {
    for (unit, lease) in [
        ("hardway-scheduler", "kube-scheduler"),
        ("hardway-controller-manager", "kube-controller-manager"),
    ] {
        let host = &cluster.control_plane;
        let holder = || {
            let path = "-o jsonpath={.spec.holderIdentity}";
            cluster.kubectl(&format!("get lease --namespace=kube-system {lease} {path}"))
        };
        let old = until("there is a leader", || {
            let holder = holder();
            holds(!holder.is_empty(), "nobody")?;
            Ok(holder)
        });
        host.run(&format!("systemctl stop {unit}"));
        assert_eq!(holder(), "", "{unit} was {old}");
        let began = Instant::now();
        host.run(&format!("systemctl start {unit}"));
        until("there is a leader again", || {
            let holder = holder();
            holds(!holder.is_empty() && holder != old, holder)
        });
        eprintln!("      {unit} leads {:.1?} after its start", began.elapsed());
    }
}

/// So much later than the units comes the network. systemd's own bound, five starts in ten
/// seconds, would be reached.
const LATE: Duration = Duration::from_secs(15);

/// The network of all hosts comes up after their units.
fn late_address(cluster: &Cluster) {
    let names = |host: &Host| {
        let of_host = units(cluster).into_iter();
        let of_host = of_host.filter(|(of, _)| of.name == host.name);
        of_host.map(|(_, unit)| unit).collect::<Vec<_>>().join(" ")
    };
    for host in cluster.hosts() {
        host.run(&format!(
            "ip address delete {}/24 dev eth0; systemctl restart --no-block {}",
            host.address,
            names(host)
        ));
    }
    let began = Instant::now();
    within(
        LATE * 2,
        "the units are without an address for long",
        || {
            for host in cluster.hosts() {
                let names = names(host);
                let states = host.run(&format!("systemctl is-failed {names} || true"));
                assert!(
                    !states.contains("failed"),
                    "{}: {names}: {states}",
                    host.name
                );
            }
            holds(began.elapsed() > LATE, "not yet")
        },
    );
    for host in cluster.hosts() {
        let gateway = super::cluster::address(1);
        host.run(&format!(
            "ip address add {}/24 dev eth0; ip route replace default via {gateway}",
            host.address
        ));
    }
    let came = Instant::now();
    all_active(cluster);
    eprintln!(
        "      all well {:.1?} after their addresses came",
        came.elapsed()
    );
}

fn reboots(cluster: &Cluster) {
    for host in cluster.hosts() {
        let began = Instant::now();
        host.shut_down();
        let down = began.elapsed();
        // A pod that ignores that it is to end (the web server does) must not hold it up.
        assert!(
            down.as_secs() < 60,
            "{}: down in {down:?}\n{}",
            host.name,
            host.console()
        );
        host.power_on();
        eprintln!(
            "      {}: down in {down:.1?}, up {:.1?} after that",
            host.name,
            began.elapsed() - down
        );
        all_active(cluster);
        eprintln!("      all well after {:.1?}", began.elapsed());
    }
    cluster.kubectl("rollout status deployment/web --timeout=100s");
}

fn power_cut(cluster: &Cluster) {
    for host in cluster.hosts() {
        host.power_cut();
    }
    for host in cluster.hosts() {
        host.power_on();
    }
    let began = Instant::now();
    all_active(cluster);
    eprintln!(
        "      all well {:.1?} after the power came back",
        began.elapsed()
    );
    cluster.kubectl("rollout status deployment/web --timeout=100s");
    cluster.kubectl("delete deployment/web service/web");
}
