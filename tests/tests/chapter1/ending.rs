//! Taking things away: pods, controllers, nodes.

use std::collections::BTreeSet;

use hardway_tests::kubectl::Kubectl;
use hardway_tests::pods::{self, Pod};
use hardway_tests::text::{assert_has, squeezed};
use hardway_tests::{defer, until, wait};

use crate::Application;

fn names(pods: &[Pod]) -> BTreeSet<String> {
    pods.iter().map(Pod::name).collect()
}

pub fn delete_pod(application: &Application) {
    let namespace = &application.namespace;
    let before = application.two_pods();
    let name = before[0].name();
    let watch = namespace.spawn("get pods --watch");
    watch.wait_for(&name);
    let told = namespace.run(&format!("delete pod {name}"));
    assert!(
        told.starts_with(&format!("pod \"{name}\" deleted")),
        "{told}"
    );
    assert!(pods::try_get(namespace, &name).is_err_and(|e| e.contains("(NotFound)")));
    let after = application.pods(2);
    let fresh: Vec<&Pod> = after
        .iter()
        .filter(|pod| pod.name() != before[1].name())
        .collect();
    assert_eq!(fresh.len(), 1, "the other pod stays: {after:?}");
    until("the watch shows it ending", || {
        let seen = squeezed(&watch.printed());
        let ending = seen
            .lines()
            .any(|line| line.starts_with(&name) && line.contains(" Terminating "));
        wait::holds(ending, seen)
    });
    // The service follows.
    for worker in &application.workers {
        application.visit(worker, "comes from the new pod", |page| {
            page.contains(&format!("pod: {}<", fresh[0].name()))
        });
    }
    until("the endpoints are those of the pods", || {
        let endpoints = namespace
            .try_run("get endpoints busmeme-service -o jsonpath='{.subsets[*].addresses[*].ip}'")
            .ok()?;
        let told: BTreeSet<&str> = endpoints.split_whitespace().collect();
        let ips: Vec<String> = after.iter().map(Pod::ip).collect();
        wait::holds(told == ips.iter().map(String::as_str).collect(), endpoints)
    });
}

pub fn drain(application: &Application) {
    let namespace = &application.namespace;
    let stock = Kubectl::stock();
    let before = application.two_pods();
    let worker = application.workers[0].name.clone();
    let _back = defer(|| drop(stock.try_run(&format!("uncordon {worker}"))));
    assert_eq!(
        stock.run(&format!("cordon {worker}")),
        format!("node/{worker} cordoned\n")
    );
    let nodes = squeezed(&stock.run("get nodes"));
    assert!(
        nodes.contains(&format!("{worker} Ready,SchedulingDisabled")),
        "{nodes}"
    );
    let told = stock.run(&format!(
        "drain {worker} --ignore-daemonsets --delete-emptydir-data --force"
    ));
    let leaves = before
        .iter()
        .find(|pod| pod.node() == worker)
        .expect("one on each node");
    assert!(
        told.contains(&format!("pod/{} evicted\n", leaves.name())),
        "{told}"
    );
    assert!(
        told.ends_with(&format!("node/{worker} drained\n")),
        "{told}"
    );
    let waiting = until("the replacement finds no place", || {
        let pods = pods::try_list(namespace, "name=web")?;
        let pending = pods
            .iter()
            .find(|pod| pod.phase() == "Pending" && pod.node().is_empty());
        let message =
            pending.map(|pod| pod.value()["status"]["conditions"][0]["message"].to_string());
        let message = message.unwrap_or_default();
        wait::holds(
            message.contains("0/2 nodes are available"),
            format!("{pods:?}"),
        )?;
        Ok(message)
    });
    assert_has(
        &waiting,
        &[
            "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) were unschedulable.",
        ],
    );
    assert_eq!(
        stock.run(&format!("uncordon {worker}")),
        format!("node/{worker} uncordoned\n")
    );
    let after = application.pods(2);
    assert!(after.iter().any(|pod| pod.node() == worker), "{after:?}");
}

pub fn delete_orphaning(application: &Application) {
    let namespace = &application.namespace;
    let before = application.two_pods();
    let told = namespace.run("delete rc busmeme-rc --cascade=orphan");
    assert!(
        told.starts_with("replicationcontroller \"busmeme-rc\" deleted"),
        "{told}"
    );
    until("the pods belong to nobody", || {
        let pods = pods::try_list(namespace, "name=web")?;
        let free = pods
            .iter()
            .all(|pod| pod.value()["metadata"]["ownerReferences"].is_null());
        wait::holds(free, format!("{pods:?}"))
    });
    assert_eq!(names(&application.pods(2)), names(&before));
    // A controller that wants such pods takes them.
    application.on_manifest("create -f", "busmeme-rc.yml");
    until("the pods belong to the new controller", || {
        let pods = pods::try_list(namespace, "name=web")?;
        let owned = pods
            .iter()
            .all(|pod| pod.value()["metadata"]["ownerReferences"][0]["name"] == "busmeme-rc");
        wait::holds(owned, format!("{pods:?}"))
    });
    assert_eq!(names(&application.pods(2)), names(&before));
}

pub fn delete_cascading(application: &Application) {
    let namespace = &application.namespace;
    application.two_pods();
    let told = namespace.run("delete rc busmeme-rc");
    assert!(
        told.starts_with("replicationcontroller \"busmeme-rc\" deleted"),
        "{told}"
    );
    until("the pods go with it", || {
        let output = namespace.try_run("get pods -l name=web");
        wait::holds(
            output.stderr.starts_with("No resources found"),
            output.stdout,
        )
    });
    // Foreground: the controller goes after its pods.
    application.on_manifest("create -f", "busmeme-rc.yml");
    application.pods(2);
    namespace.run("delete rc busmeme-rc --cascade=foreground");
    let left = namespace.try_run("get rc,pods -l name -o name");
    assert_eq!(left.stdout, "");
    let told = application.on_manifest("delete -f", "busmeme-service.yml");
    assert!(
        told.starts_with("service \"busmeme-service\" deleted"),
        "{told}"
    );
    let worker = &application.workers[0];
    until("nobody answers any more", || {
        let answer = hardway_tests::http::get(&format!("{}:30061", worker.address), "/");
        wait::holds(answer.is_err(), format!("{answer:?}"))
    });
}
