//! Certificates that live short are renewed by themselves under systemd: those of the
//! control plane by the timer, those of a node by its kubelet.

use std::time::{Duration, Instant};

use hardway_tests::host::Host;
use hardway_tests::steps::Step;
use hardway_tests::wait::{holds, until, within};

use super::cluster::Cluster;
use super::faults;
use super::repeated::Repeated;

/// The check of the control plane. That of nodes is made of one that joins.
pub const STEPS: &[Step<Cluster>] = &[(
    "a timer renews the control plane's certificates",
    timer_renews,
)];

/// How long certificates live here. Between the time they are due and their end must be
/// enough for a machine that does much else.
const LIFE: Duration = Duration::from_secs(90);
/// All that follows from a life happens within this.
const PATIENCE: Duration = Duration::from_secs(180);

/// The certificates of the control plane; below which port those that serve do.
const OF_CONTROL_PLANE: &[(&str, Option<u16>)] = &[
    ("etcd-server", Some(2379)),
    ("apiserver", Some(6443)),
    ("controller-manager", Some(10257)),
    ("scheduler", Some(10259)),
    ("apiserver-etcd-client", None),
    ("apiserver-kubelet-client", None),
    ("front-proxy-client", None),
    ("admin", None),
];
/// Those of a node that joined.
const OF_NODE: &[(&str, Option<u16>)] = &[
    ("/var/lib/kubelet/pki/kubelet-client-current.pem", None),
    (
        "/var/lib/kubelet/pki/kubelet-server-current.pem",
        Some(10250),
    ),
    (
        "/var/lib/hardway/agents/kube-proxy/client-current.pem",
        None,
    ),
    (
        "/var/lib/hardway/agents/flannel-lite/client-current.pem",
        None,
    ),
];

const TIMER: &str = "hardway-certificates.timer";
/// The timer as it is, but for the time: every five seconds in place of once a day.
const OFTEN: &str = "[Timer]
OnCalendar=
OnCalendar=*:*:0/5
RandomizedDelaySec=0
AccuracySec=1s
";

/// Number of the certificate in a file.
fn serial(host: &Host, file: &str) -> String {
    host.run(&format!("openssl x509 -noout -serial -in {file}"))
}

/// Whether it is good for a day at least.
fn is_long(host: &Host, file: &str) -> bool {
    let line = format!("openssl x509 -noout -checkend 86400 -in {file}");
    host.try_run(&line).success
}

/// Who listens on a port shows the certificate of this file.
#[track_caller]
fn wait_shown(host: &Host, port: u16, file: &str) {
    until(&format!("port {port} shows {file}"), || {
        let expected = serial(host, file);
        let shown = host.try_run(&format!(
            "openssl s_client -connect {}:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            if port == 2379 { "127.0.0.1".into() } else { host.address.to_string() },
        ));
        holds(
            shown.stdout == expected,
            format!("{} and not {expected}{}", shown.stdout, shown.stderr),
        )
    });
}

/// The processes that would be others if they had been started anew, and for how many times
/// others have led before them.
fn steady(cluster: &Cluster) -> Vec<String> {
    let processes = faults::units(cluster)
        .into_iter()
        .map(|(host, unit)| format!("{} {unit} {}", host.name, host.property(unit, "MainPID")));
    let host = &cluster.control_plane;
    let leaders = ["scheduler", "controller-manager"].map(|name| {
        let id = host.property(&format!("hardway-{name}"), "MainPID");
        until(&format!("the {name} leads"), || {
            let path = "jsonpath={.spec.holderIdentity}/{.spec.leaseTransitions}";
            let lease = format!("get lease --namespace=kube-system kube-{name} -o {path}");
            let leader = cluster.kubectl(&lease);
            // After a power cut the lease of who led before must run out.
            holds(leader.contains(&format!("_{id}/")), &leader)?;
            Ok(leader)
        })
    });
    processes.chain(leaders).collect()
}

/// Every certificate is made to end soon, and the timer to look often. It renews them in
/// time; who uses them goes on with the new ones when the old ones have ended.
fn timer_renews(cluster: &Cluster) {
    let host = &cluster.control_plane;
    assert_eq!(host.property(TIMER, "ActiveState"), "active");
    assert_eq!(host.property(TIMER, "UnitFileState"), "enabled");
    assert_ne!(host.property(TIMER, "NextElapseUSecRealtime"), "");

    let files: Vec<String> = OF_CONTROL_PLANE
        .iter()
        .map(|(name, _)| format!("/etc/hardway/pki/{name}.crt"))
        .collect();
    let owners =
        || host.run("stat --format '%n %U:%G %a' /etc/hardway/pki/* /etc/hardway/kubeconfig/*");
    let settings = || host.run("sha256sum /etc/hardway/*.env /etc/hardway/*.yaml");
    let before = (owners(), settings(), steady(cluster));
    let asked = Repeated::start(
        host,
        "kubectl --kubeconfig=/etc/hardway/kubeconfig/admin.kubeconfig \
             annotate namespace default at=$(date +%s.%N) --overwrite",
    );
    let seconds = LIFE.as_secs();
    host.run(&format!(
        "hardway certificates renew --all --valid-for {seconds}s"
    ));
    let began = Instant::now();
    let first: Vec<String> = files.iter().map(|file| serial(host, file)).collect();
    let drop_in = format!("/etc/systemd/system/{TIMER}.d/often.conf");
    host.write(&drop_in, OFTEN);
    host.run(&format!(
        "systemctl daemon-reload; systemctl restart {TIMER}"
    ));
    within(PATIENCE, "the timer has had all of them renewed", || {
        let due: Vec<_> = files.iter().filter(|file| !is_long(host, file)).collect();
        holds(
            due.is_empty(),
            format!("{due:?}{}", host.journal("hardway-certificates")),
        )
    });
    let renewed = began.elapsed();
    host.run(&format!(
        "rm -r $(dirname {drop_in}); systemctl daemon-reload; systemctl restart {TIMER}"
    ));
    assert!(renewed < LIFE, "renewed {renewed:?} after they were made");
    eprintln!("      renewed {renewed:.1?} after they were made, for a life of {LIFE:?}");
    for ((file, first), (_, port)) in files.iter().zip(&first).zip(OF_CONTROL_PLANE) {
        assert_ne!(&serial(host, file), first, "{file}");
        if let Some(port) = port {
            wait_shown(host, *port, file);
        }
    }
    within(PATIENCE, "the old ones have ended", || {
        holds(began.elapsed() > LIFE, "not yet")
    });
    faults::all_active(cluster);
    let outcome = asked.finish();
    eprintln!("      {} writes meanwhile", outcome.times);
    outcome.assert_flawless();
    assert_eq!((owners(), settings(), steady(cluster)), before);
    assert_eq!(
        host.property("hardway-certificates.service", "Result"),
        "success"
    );
}

/// Certificates that the cluster signs from now on live so long, or as long as they do
/// by themselves.
fn sign_for(cluster: &Cluster, life: Option<Duration>) {
    let flags = life.map_or(String::new(), |life| {
        format!("--cluster-signing-duration={}s", life.as_secs())
    });
    let host = &cluster.control_plane;
    let settings = "/etc/default/hardway-controller-manager";
    host.write(settings, &format!("FLAGS={flags}\n"));
    host.run("systemctl restart hardway-controller-manager");
}

/// A node is joined by `join` while certificates live short. Its processes take up those
/// that the kubelet asks for without being started anew, and the node stays Ready.
pub fn node_renews(cluster: &Cluster, worker: &Host, join: impl FnOnce()) {
    sign_for(cluster, Some(LIFE));
    join();
    let steady = || {
        let id = |unit: &&str| worker.property(unit, "MainPID");
        let path = "jsonpath={.status.conditions[?(@.type==\\\"Ready\\\")]['status','lastTransitionTime']}";
        let ready = cluster.kubectl(&format!("get node {} -o \"{path}\"", worker.name));
        (faults::NODE.iter().map(id).collect::<Vec<_>>(), ready)
    };
    let serials = || -> Vec<String> {
        let files = OF_NODE.iter();
        files.map(|(file, _)| serial(worker, file)).collect()
    };
    let began = Instant::now();
    for (file, _) in OF_NODE {
        until(&format!("{file} is there"), || {
            holds(
                worker.path(file).exists(),
                worker.journal("hardway-kubelet"),
            )
        });
    }
    let (first, before) = (serials(), steady());
    // What is asked for from here on lives long: the check ends with the first renewal.
    sign_for(cluster, None);
    within(PATIENCE, "all certificates of the node are others", || {
        let now = serials();
        let old: Vec<_> = now.iter().zip(&first).filter(|(a, b)| a == b).collect();
        holds(
            old.is_empty(),
            format!("{old:?}{}", worker.journal("hardway-kubelet")),
        )
    });
    eprintln!(
        "      the node's certificates are renewed after {:.1?}",
        began.elapsed()
    );
    for (file, port) in OF_NODE {
        assert!(is_long(worker, file), "{file}");
        if let Some(port) = port {
            wait_shown(worker, *port, file);
        }
    }
    within(PATIENCE, "the old ones have ended", || {
        holds(began.elapsed() > LIFE, "not yet")
    });
    // The node goes on to be heard of, and the apiserver to reach its kubelet.
    let logs = format!("get --raw /api/v1/nodes/{}/proxy/healthz", worker.name);
    assert_eq!(cluster.kubectl(&logs), "ok");
    let heard = format!(
        "get lease --namespace=kube-node-lease {} -o jsonpath={{.spec.renewTime}}",
        worker.name
    );
    let last = cluster.kubectl(&heard);
    until("the node is heard of", || {
        let now = cluster.kubectl(&heard);
        holds(now != last, now)
    });
    assert_eq!(steady(), before);
}
