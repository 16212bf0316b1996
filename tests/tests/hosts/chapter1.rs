//! The first chapter of the tutorial, on hosts.

use std::path::Path;

use hardway_tests::steps::Step;
use hardway_tests::text::assert_has;
use hardway_tests::wait::{holds, until};

use super::cluster::Cluster;

/// The chapter's steps.
pub const STEPS: &[Step<Cluster>] = &[
    ("the application runs on both nodes", runs),
    ("it answers at both nodes", answers),
    ("there is no room for a third", no_room),
    ("one can look inside", looks_inside),
    ("a pod that is deleted is replaced", is_replaced),
    ("it goes", goes),
];

/// The names of the application's pods that run.
fn pods(cluster: &Cluster) -> Vec<String> {
    let path = "jsonpath={.items[?(@.status.phase=='Running')].metadata.name}";
    let names = cluster.kubectl(&format!("get pods -l name=web -o \"{path}\""));
    names.split_whitespace().map(str::to_owned).collect()
}

fn wait_two(cluster: &Cluster) -> Vec<String> {
    cluster.kubectl("wait --for=jsonpath={.status.readyReplicas}=2 rc/busmeme-rc --timeout=60s");
    pods(cluster)
}

fn runs(cluster: &Cluster) {
    cluster.give_images();
    for name in ["busmeme-rc.yml", "busmeme-service.yml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/examples/tutorial")
            .join(name);
        cluster.control_plane.copy(&file, &format!("/root/{name}"));
    }
    cluster.kubectl("create -f busmeme-rc.yml");
    assert_eq!(wait_two(cluster).len(), 2);
    let nodes = cluster.kubectl("get pods -l name=web -o wide");
    assert!(
        nodes.contains("worker-1") && nodes.contains("worker-2"),
        "{nodes}"
    );
}

fn answers(cluster: &Cluster) {
    cluster.kubectl("create -f busmeme-service.yml");
    for host in &cluster.workers {
        until(&format!("{} answers", host.name), || {
            let url = format!("http://{}:30061/", host.address);
            let page = cluster
                .control_plane
                .try_run(&format!("curl --silent --fail {url}"))
                .ok()?;
            holds(page.contains("<h1>Busmeme</h1>"), page)
        });
    }
}

fn no_room(cluster: &Cluster) {
    cluster.kubectl("scale rc busmeme-rc --replicas=3");
    until("a pod has no place", || {
        let events = cluster.kubectl("get events --field-selector=reason=FailedScheduling");
        holds(
            events.contains("didn't have free ports for the requested pod ports"),
            events,
        )
    });
    cluster.kubectl("scale rc busmeme-rc --replicas=2");
    wait_two(cluster);
}

fn looks_inside(cluster: &Cluster) {
    let pod = wait_two(cluster).remove(0);
    let logs = cluster.kubectl(&format!("logs {pod} mongo --tail=2 --timestamps"));
    assert_has(&logs, &["connection accepted from 127.0.0.1"]);
    let date = cluster.kubectl(&format!("exec {pod} -c web -- date"));
    assert_has(&date, &["UTC"]);
}

fn is_replaced(cluster: &Cluster) {
    let pod = wait_two(cluster).remove(0);
    cluster.kubectl(&format!("delete pod {pod}"));
    until("another pod is there", || {
        let names = pods(cluster);
        holds(names.len() == 2 && !names.contains(&pod), names.join(" "))
    });
}

fn goes(cluster: &Cluster) {
    cluster.kubectl("delete -f busmeme-service.yml -f busmeme-rc.yml");
    until("its pods are gone", || {
        let pods = cluster.kubectl("get pods -l name=web --no-headers");
        holds(pods.is_empty(), pods)
    });
}
