//! Creating the application and its service, and visiting it.

use std::collections::BTreeSet;

use hardway_tests::text::{assert_has, rows};
use hardway_tests::{pods, until, wait};

use crate::Application;

pub fn create_controller(application: &Application) {
    let told = application.on_manifest("create -f", "busmeme-rc.yml");
    assert_eq!(told, "replicationcontroller/busmeme-rc created\n");
    let nodes: BTreeSet<String> = application.pods(2).iter().map(pods::Pod::node).collect();
    assert_eq!(nodes.len(), 2, "the host port keeps them apart: {nodes:?}");
    let table = rows(&application.namespace.run("get pods"));
    assert_eq!(table[0], ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    for row in &table[1..] {
        assert!(row[0].starts_with("busmeme-rc-") && row[0].len() == "busmeme-rc-".len() + 5);
        assert_eq!(row[1..4], ["2/2", "Running", "0"]);
    }
}

pub fn create_service(application: &Application) {
    let told = application.on_manifest("create -f", "busmeme-service.yml");
    assert_eq!(told, "service/busmeme-service created\n");
    let table = rows(&application.namespace.run("get svc busmeme-service -o wide"));
    assert_eq!(table[1][1], "NodePort");
    assert_eq!(table[1][3..5], ["<none>", "3000:30061/TCP"]);
    assert_eq!(table[1][6], "name=web");
    let pods = application.pods(2);
    until("endpoints and a slice tell both pods", || {
        for resource in ["endpoints busmeme-service", "endpointslices"] {
            let told = application
                .namespace
                .try_run(&format!("get {resource}"))
                .ok()?;
            let all = pods.iter().all(|pod| told.contains(&pod.ip()));
            wait::holds(all, told)?;
        }
        Ok(())
    });
}

pub fn visit_service(application: &Application) {
    let names: BTreeSet<String> = application.pods(2).iter().map(pods::Pod::name).collect();
    for worker in &application.workers {
        for name in &names {
            let line = format!("<p>pod: {name}</p>");
            let page = application.visit(worker, &format!("comes from {name}"), |page| {
                page.contains(&line)
            });
            assert_has(
                &page,
                &[
                    "<h1>Busmeme</h1>",
                    "A meme for every bus.",
                    "version: 1",
                    "visits:",
                ],
            );
        }
    }
    // Balanced: of 40 visits no pod gets nearly all.
    let worker = &application.workers[0];
    let mut from_first = 0;
    let first = format!("pod: {}<", names.first().expect("two pods"));
    for _ in 0..40 {
        let page = application.visit(worker, "answers", |_| true);
        from_first += usize::from(page.contains(&first));
    }
    assert!((5..=35).contains(&from_first), "{from_first} of 40 visits");
}

/// The state is in a folder of the node, so that the next pod there finds it.
pub fn database_remembers(application: &Application) {
    let namespace = &application.namespace;
    let pod = &application.pods(2)[0];
    let count = |pod: &str| -> u64 {
        let script = "wget -q -O - http://localhost:3000/ | sed -n 's/.*visits: //p' | tr -dc 0-9";
        let call = ["exec", pod, "-c", "web", "--", "sh", "-c", script];
        let told = namespace
            .try_call(&call, "")
            .ok()
            .unwrap_or_else(|e| panic!("{e}"));
        told.trim()
            .parse()
            .unwrap_or_else(|_| panic!("visits: {told}"))
    };
    let before = count(&pod.name());
    assert!(count(&pod.name()) > before);
}

pub fn scale_beyond_ports(application: &Application) {
    let namespace = &application.namespace;
    let told = namespace.run("scale rc busmeme-rc --replicas=3");
    assert_eq!(told, "replicationcontroller/busmeme-rc scaled\n");
    let reason =
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.";
    let third = until("the third pod is told to be unschedulable", || {
        let pods = pods::try_list(namespace, "name=web")?;
        let waiting = pods.iter().find(|pod| pod.node().is_empty());
        let waiting = waiting.filter(|_| pods.len() == 3);
        let waiting = waiting.ok_or_else(|| format!("{pods:?}"))?;
        let condition = &waiting.value()["status"]["conditions"][0];
        let message = condition["message"].as_str().unwrap_or_default();
        wait::holds(message.starts_with(reason), waiting.value())?;
        assert_eq!(condition["type"], "PodScheduled");
        assert_eq!(condition["status"], "False");
        assert_eq!(condition["reason"], "Unschedulable");
        Ok(waiting.name())
    });
    let table = rows(&namespace.run(&format!("get pod {third}")));
    assert_eq!(table[1][1..4], ["0/2", "Pending", "0"]);
    let told = until("the event is there", || {
        let told = namespace.try_run(&format!("describe pod {third}")).ok()?;
        wait::holds(told.contains("FailedScheduling"), &told).map(|()| told)
    });
    assert_has(
        &told,
        &[
            "Node: <none>",
            "Status: Pending",
            "PodScheduled False",
            "Events:",
            "Warning FailedScheduling",
            "default-scheduler",
            reason,
        ],
    );
    let controller = namespace.run("describe rc busmeme-rc");
    assert_has(
        &controller,
        &["Pods Status: 2 Running / 1 Waiting / 0 Succeeded / 0 Failed"],
    );
    // Scaling down takes the one that doesn't run.
    let before: BTreeSet<String> = running(application);
    namespace.run("scale rc busmeme-rc --replicas=2");
    pods::wait_gone(namespace, &third);
    assert_eq!(running(application), before);
}

fn running(application: &Application) -> BTreeSet<String> {
    let pods = pods::try_list(&application.namespace, "name=web").unwrap_or_default();
    let placed = pods.iter().filter(|pod| !pod.node().is_empty());
    placed.map(pods::Pod::name).collect()
}
