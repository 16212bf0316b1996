//! What breaks, and what must not break with it.

use std::time::{Duration, Instant};

use hardway_tests::kubectl::Kubectl;
use hardway_tests::lab::Worker;
use hardway_tests::manifest::web_server;
use hardway_tests::pods;
use hardway_tests::traffic::{self, Traffic};
use hardway_tests::workload::Workload;
use hardway_tests::{attacks, defer, steps, until, wait, within};
use serde_json::{Value, json};

/// Every process is killed in its turn, and started again.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn any_process_may_be_killed() {
    let workload = Workload::start("kill");
    let worker = workload.workers[0].name.clone();
    let mut processes: Vec<String> = ["etcd", "apiserver", "controller-manager", "scheduler"]
        .map(str::to_owned)
        .into();
    processes.extend(
        ["containerd", "kubelet", "proxy", "flannel-lite"].map(|p| format!("{p}@{worker}")),
    );
    let before = workload.identity();
    let _back = defer(|| {
        for process in &processes {
            workload.lab.try_tool(&format!("start {process}"));
        }
    });
    let mut failed = Vec::new();
    for process in &processes {
        let start = Instant::now();
        let attempt = std::panic::AssertUnwindSafe(|| {
            let traffic = Traffic::start(workload.addresses());
            workload.lab.tool(&format!("kill {process}"));
            // Down for a while: enough visits to see that they are answered.
            traffic.wait_for(20);
            workload.lab.tool(&format!("start {process}"));
            workload.works(process);
            traffic.assert_flawless();
            assert_eq!(workload.identity(), before, "pods are as they were");
        });
        let good = std::panic::catch_unwind(attempt).is_ok();
        eprintln!(
            "   {} {process} ({:.1?})",
            if good { "ok    " } else { "FAILED" },
            start.elapsed()
        );
        if !good {
            workload.lab.try_tool(&format!("start {process}"));
            failed.push(process.as_str());
        }
    }
    assert!(failed.is_empty(), "not survived: {}", failed.join(", "));
}

/// The apiserver's store is away for 20 seconds.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn etcd_may_be_away() {
    let workload = Workload::start("etcd");
    let namespace = &workload.namespace;
    let before = workload.identity();
    let _back = defer(|| drop(workload.lab.try_tool("start etcd")));
    let traffic = Traffic::start(workload.addresses());
    let mut acknowledged = Vec::new();
    let mut write = |number: u32| {
        let name = format!("written-{number}");
        let output = namespace.try_run(&format!("create configmap {name} --request-timeout=10s"));
        if output.success {
            acknowledged.push(name);
        }
        output
    };
    for number in 0..5 {
        assert!(write(number).success);
    }
    workload.lab.tool("kill etcd");
    let away = Instant::now();
    let mut number = 5;
    while away.elapsed() < Duration::from_secs(20) {
        let refused = write(number);
        number += 1;
        assert!(
            !refused.success,
            "acknowledged without a store: {refused:?}"
        );
        assert!(is_clear(&refused.stderr), "{}", refused.stderr);
        let read = namespace.try_run("get configmaps --request-timeout=5s");
        assert!(!read.success, "a consistent read without a store: {read:?}");
        assert!(is_clear(&read.stderr), "{}", read.stderr);
    }
    workload.lab.tool("start etcd");
    until("writes are taken again", || {
        number += 1;
        write(number).ok()
    });
    let listed = namespace.run("get configmaps -o name");
    for name in &acknowledged {
        assert!(
            listed.contains(&format!("configmap/{name}\n")),
            "{name} was acknowledged and is lost"
        );
    }
    workload.works("etcd");
    traffic.assert_flawless();
    assert_eq!(workload.identity(), before, "pods are as they were");
}

/// Whether an error says what is wrong: that the store is away.
fn is_clear(error: &str) -> bool {
    error.contains("etcd") || error.contains("timed out") || error.contains("Timeout")
}

/// A restart of the kubelet is nothing to its pods.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_kubelet_restart_leaves_pods_alone() {
    let workload = Workload::start("restart");
    let before = workload.identity();
    let watch = workload
        .namespace
        .spawn("get pods --watch --output-watch-events");
    watch.wait_for("web-");
    let traffic = Traffic::start(workload.addresses());
    let lab = &workload.lab;
    for Worker { name, .. } in &workload.workers {
        // The kubelet comes up before its runtime does.
        lab.tool(&format!("stop kubelet@{name}"));
        lab.tool(&format!("kill containerd@{name}"));
        let down = lease_renewed(&workload, name);
        std::thread::scope(|scope| {
            scope.spawn(|| lab.tool(&format!("start kubelet@{name}")));
            until("the kubelet renews its lease", || {
                wait::holds(lease_renewed(&workload, name) > down, &down)
            });
            lab.tool(&format!("start containerd@{name}"));
        });
    }
    workload.works("restart");
    traffic.assert_flawless();
    assert_eq!(workload.identity(), before);
    let seen = watch.printed();
    let unready = seen
        .lines()
        .any(|line| line.contains(" web-") && line.contains(" 0/1 ") && !line.contains("after-"));
    assert!(!unready, "a pod was not ready for a moment:\n{seen}");
}

/// When a node's Lease was renewed last.
fn lease_renewed(workload: &Workload, node: &str) -> String {
    workload.namespace.run(&format!(
        "get lease {node} --namespace kube-node-lease -o jsonpath={{.spec.renewTime}}"
    ))
}

/// A worker loses power: its pods are replaced on the other, it comes back clean.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_worker_may_be_killed() {
    let workload = Workload::start("power");
    let lab = &workload.lab;
    let victim = workload.workers[1].clone();
    let tolerations: Value = ["not-ready", "unreachable"]
        .iter()
        .map(|taint| json!({"key": format!("node.kubernetes.io/{taint}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}))
        .collect();
    let spec = json!({"containers": [web_server("web")], "tolerations": tolerations});
    workload.controller("hasty", 4, spec);
    let before = workload.ready("hasty", 4);
    assert!(
        before.iter().any(|pod| pod.node() == victim.name),
        "spread over both nodes: {before:?}"
    );
    let _back = defer(|| drop(lab.try_tool(&format!("node start {}", victim.name))));
    let mac = || lab.on(&victim.name, "ip -brief link show eth0");
    let mac_before = mac();
    let start = Instant::now();
    lab.tool(&format!("node kill {}", victim.name));
    wait_lost(&victim);
    within(
        Duration::from_secs(90),
        "all pods run on the other node",
        || {
            let pods = pods::try_list(&workload.namespace, "app=hasty")?;
            let here = pods
                .iter()
                .filter(|pod| pod.ready() && pod.node() != victim.name)
                .count();
            wait::holds(here == 4, format!("{pods:?}"))
        },
    );
    eprintln!("   replaced after {:.0?}", start.elapsed());
    // The service answers at the node that is left, from the pod that is left.
    let left = &workload.addresses()[0];
    for _ in 0..20 {
        until("the node that is left answers", || traffic::visit(left));
    }
    lab.tool(&format!("node start {}", victim.name));
    // Whoever remembers where it was finds it there.
    let hardware = |link: String| link.split_whitespace().nth(2).map(str::to_owned);
    assert_eq!(hardware(mac()), hardware(mac_before));
    workload.works("power");
    workload.ready("web", 2);
    let after = workload.ready("hasty", 4);
    assert!(
        after.iter().all(|pod| pod.node() != victim.name),
        "{after:?}"
    );
    until("no pod hangs", || {
        let told = workload.namespace.try_run("get pods").ok()?;
        wait::holds(!told.contains("Terminating"), told)
    });
    for address in workload.addresses() {
        until("the service answers everywhere", || {
            traffic::visit(&address)
        });
    }
    for worker in &workload.workers {
        workload.assert_clean(worker);
    }
}

/// Waits until a node's silence is told.
fn wait_lost(worker: &Worker) {
    let patience = Duration::from_secs(70);
    within(patience, "the node is told to be lost", || {
        let told = Kubectl::stock()
            .try_run(&format!("get node {} --no-headers", worker.name))
            .ok()?;
        wait::holds(told.contains("NotReady"), told)
    });
}

/// A worker's plug is pulled and put back.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_worker_may_be_cut_off() {
    let workload = Workload::start("cut");
    let lab = &workload.lab;
    let victim = workload.workers[1].clone();
    let before = workload.identity();
    let _back = defer(|| drop(lab.try_tool(&format!("node join {}", victim.name))));
    lab.tool(&format!("node cut {}", victim.name));
    wait_lost(&victim);
    until("the node is tainted", || {
        let node = Kubectl::stock().try_json(&format!("get node {}", victim.name))?;
        let taints = node["spec"]["taints"].to_string();
        wait::holds(taints.contains("node.kubernetes.io/unreachable"), taints)
    });
    let left = &workload.addresses()[0];
    until("its pods get no visitors", || {
        let ready = workload
            .namespace
            .try_run("get endpoints web -o jsonpath={.subsets[*].addresses[*].ip}")
            .ok()?;
        wait::holds(ready.split_whitespace().count() == 1, ready)
    });
    for _ in 0..20 {
        until("the node that is left answers", || traffic::visit(left));
    }
    lab.tool(&format!("node join {}", victim.name));
    workload.works("cut");
    workload.ready("web", 2);
    assert_eq!(
        workload.identity(),
        before,
        "within the time tolerated nothing is replaced"
    );
    until("the node is told to be whole", || {
        let node = Kubectl::stock().try_json(&format!("get node {}", victim.name))?;
        wait::holds(node["spec"]["taints"].is_null(), node["spec"].clone())
    });
    for address in workload.addresses() {
        until("the service answers everywhere", || {
            traffic::visit(&address)
        });
    }
}

/// Every process stands still for longer than anybody waits for it, and goes on.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn any_process_may_stand_still() {
    let workload = Workload::start("still");
    let lab = &workload.lab;
    let worker = workload.workers[0].name.clone();
    let agents = ["containerd", "kubelet", "proxy", "flannel-lite"];
    // Those that don't wait for each other stand still together.
    let groups = [
        vec!["etcd".to_owned()],
        vec!["apiserver".to_owned()],
        ["controller-manager", "scheduler"]
            .map(str::to_owned)
            .to_vec(),
        agents.map(|process| format!("{process}@{worker}")).to_vec(),
    ];
    let before = workload.identity();
    let everybody: Vec<String> = groups.concat();
    let _back = defer(|| {
        for process in &everybody {
            drop(lab.try_tool(&format!("resume {process}")));
            drop(lab.try_tool(&format!("start {process}")));
        }
    });
    for group in &groups {
        let traffic = Traffic::start(workload.addresses());
        for process in group {
            lab.tool(&format!("suspend {process}"));
        }
        let start = Instant::now();
        // Longer than leases of leaders last, shorter than a node may be silent.
        while start.elapsed() < Duration::from_secs(17) {
            traffic.wait_for(20);
        }
        for process in group {
            lab.tool(&format!("resume {process}"));
        }
        // Who finds that it stood still may end, for its supervisor to start it again.
        until("all are well again", || {
            for process in group {
                drop(lab.try_tool(&format!("start {process}")));
            }
            lab.try_tool("status").ok()
        });
        workload.works(&group[0]);
        traffic.assert_flawless();
        assert_eq!(workload.identity(), before, "pods are as they were");
    }
}

/// One object, one endless loop, one greedy client: the rest goes on.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn attacks_stop_nobody_else() {
    let workload = Workload::start("attack");
    let steps: &[steps::Step<Workload>] = &[
        ("poisoned status", |workload| {
            attacks::poison(&workload.namespace, "poison");
            workload.works("poison");
        }),
        ("circle of owners", |workload| {
            attacks::owner_circle(&workload.namespace, "circle");
            workload.works("circle");
        }),
        ("flood", |workload| {
            let flood = attacks::flood(&workload.lab, &workload.namespace, || {
                attacks::leases_are_renewed(&workload.lab, 2);
                workload.works("flood");
            });
            eprintln!("   {flood:?}");
            assert!(flood.served > 0, "the account may ask for this: {flood:?}");
        }),
    ];
    steps::run(&workload, &workload.namespace, steps);
}
