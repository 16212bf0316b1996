//! Chapter 1: an application of two containers.

use std::collections::BTreeSet;

use super::terminal::visit_port;
use super::walk::Walk;
use super::{Chapter, Step, becomes, does, follows, refused, shows};
use crate::failure::{Failure, Result};

pub const CHAPTER: Chapter = Chapter {
    number: 1,
    title: "An application of two containers",
    steps: STEPS,
    afterwards: &["kubectl uncordon {worker2}"],
};

const STEPS: &[Step] = &[
    shows(
        "The cluster is there, and tells where.",
        "kubectl cluster-info",
        &["Kubernetes control plane is running at https://*:6443"],
    ),
    shows(
        "kubectl and the API server speak versions that fit.",
        "kubectl version",
        &["Client Version: *", "Server Version: *"],
    ),
    shows(
        "The API is made of groups in versions; the one of 2016 is still among them.",
        "kubectl api-versions",
        &["v1", "apps/v1", "extensions/v1beta1"],
    ),
    shows(
        "Two hosts are ready to run pods.",
        "kubectl get nodes -o wide",
        &[
            "{worker} Ready * {address} * containerd://*",
            "{worker2} Ready * {address2} * containerd://*",
        ],
    ),
    shows(
        "Nothing has happened yet.",
        "kubectl get events",
        &["No resources found in tutorial-1 namespace."],
    ),
    shows(
        "Every field explains itself.",
        "kubectl explain rc.spec.replicas",
        &["KIND: ReplicationController", "FIELD: replicas <integer>"],
    ),
    shows(
        "A controller is asked for two pods of two containers.",
        "kubectl create -f busmeme-rc.yml",
        &["replicationcontroller/busmeme-rc created"],
    ),
    becomes(
        "Both run, on different hosts, because each takes port 27017 of its host.",
        "kubectl get pods -o wide",
        &[
            "busmeme-rc-* 2/2 Running 0 * 10.244.* worker-*",
            "busmeme-rc-* 2/2 Running 0 * 10.244.* worker-*",
        ],
    ),
    does(
        "They share no host.",
        "kubectl get pods -o custom-columns=NODE:.spec.nodeName --no-headers | sort | uniq -c",
        different_hosts,
    ),
    shows(
        "A Service makes them reachable at a port of every node.",
        "kubectl create -f busmeme-service.yml",
        &["service/busmeme-service created"],
    ),
    becomes(
        "All that was made, in all namespaces.",
        "kubectl get rc,svc,pods --all-namespaces -o wide",
        &[
            "tutorial-1 replicationcontroller/busmeme-rc 2 2 2 * mongo,web *",
            "default service/kubernetes ClusterIP 10.96.0.1 *",
            "tutorial-1 service/busmeme-service NodePort * 3000:30061/TCP *",
        ],
    ),
    becomes(
        "The first node answers from outside; the web server has asked the database beside it.",
        "curl http://{address}:30061/",
        &["<p>visits: *"],
    ),
    becomes(
        "So does the second, whichever pod it picks.",
        "curl http://{address2}:30061/",
        &["<p>visits: *"],
    ),
    does(
        "Visitors of one node are spread over both pods.",
        "for i in 1 2 3 4 5 6 7 8; do curl -s http://{address}:30061/ | grep pod; done",
        spread,
    ),
    becomes(
        "A pod tells everything about itself.",
        "kubectl describe pod {pod}",
        &[
            "Name: {pod}",
            "Status: Running",
            "Controlled By: ReplicationController/busmeme-rc",
            "Host Port: 27017/TCP",
            "DATABASE_HOST: localhost",
            "/data/db from mongo-persistent-storage (rw)",
            "QoS Class: BestEffort",
            "Normal Scheduled * Successfully assigned tutorial-1/{pod} to worker-*",
            "Normal Started *",
        ],
    ),
    shows(
        "One more than there are hosts is asked for.",
        "kubectl scale rc busmeme-rc --replicas={crowd}",
        &["replicationcontroller/busmeme-rc scaled"],
    ),
    becomes(
        "It has to wait.",
        "kubectl get pods",
        &["busmeme-rc-* 0/2 Pending 0 *"],
    ),
    becomes(
        "The scheduler says why: the port is taken everywhere.",
        "kubectl describe pod {pending}",
        &[
            "Status: Pending",
            "Warning FailedScheduling * 0/{workers} nodes are available: {workers} node(s) didn't have free ports for the requested pod ports.*",
        ],
    ),
    becomes(
        "The controller counts.",
        "kubectl describe rc busmeme-rc",
        &[
            "Replicas: {crowd} current / {crowd} desired",
            "Pods Status: {workers} Running / 1 Waiting / 0 Succeeded / 0 Failed",
            "Normal SuccessfulCreate * Created pod: busmeme-rc-*",
        ],
    ),
    shows(
        "Two again: the one that waits goes.",
        "kubectl scale rc busmeme-rc --replicas=2",
        &["replicationcontroller/busmeme-rc scaled"],
    ),
    becomes(
        "Two are wanted, two are there.",
        "kubectl get rc",
        &["busmeme-rc 2 2 2 *"],
    ),
    shows(
        "Each container has its own log.",
        "kubectl logs {pod} mongo --tail=2 --timestamps",
        &["20*Z *"],
    ),
    follows(
        "A log can be followed; here while visitors come.",
        "kubectl logs {pod} web -f --since=1s",
        30061,
        &["*GET / 200 OK"],
    ),
    follows(
        "Or attached to: what the program prints from now on.",
        "kubectl attach {pod} -c web",
        30061,
        &["*GET / 200 OK"],
    ),
    shows(
        "A command runs inside a container.",
        "kubectl exec {pod} -c web -- date",
        &["* UTC *"],
    ),
    shows(
        "So does a shell, which reads what is typed (in a terminal: exec -it).",
        "echo 'hostname; echo done' | kubectl exec -i {pod} -c web -- sh",
        &["{pod}", "done"],
    ),
    shows(
        "A file is copied into it …",
        "kubectl cp busmeme-rc.yml {pod}:/tmp/copy.yml -c web",
        &[],
    ),
    shows(
        "… and is there.",
        "kubectl exec {pod} -c web -- grep kind: /tmp/copy.yml",
        &["kind: ReplicationController"],
    ),
    does(
        "A port of this machine leads into a pod.",
        "kubectl port-forward {pod} :3000",
        port_forward,
    ),
    shows(
        "Labels and annotations can be added,",
        "kubectl label pod {pod} stage=demo && kubectl annotate rc busmeme-rc owner=me",
        &[
            "pod/{pod} labeled",
            "replicationcontroller/busmeme-rc annotate*",
        ],
    ),
    shows(
        "objects changed in an editor,",
        "KUBE_EDITOR=\"sed -i 's/stage: demo/stage: edited/'\" kubectl edit pod {pod}",
        &["pod/{pod} edited"],
    ),
    shows(
        "or in place,",
        "kubectl patch rc busmeme-rc -p '{\"metadata\":{\"labels\":{\"tier\":\"front\"}}}'",
        &["replicationcontroller/busmeme-rc patched"],
    ),
    shows(
        "or replaced as a whole,",
        "kubectl replace -f busmeme-rc.yml",
        &["replicationcontroller/busmeme-rc replaced"],
    ),
    shows(
        "or brought to what a file says.",
        "kubectl apply -f busmeme-rc-changed.yml",
        &["replicationcontroller/busmeme-rc configured"],
    ),
    refused(
        "What is there already is not made again, and the error says so.",
        "kubectl create -f busmeme-rc.yml",
        &[
            "Error from server (AlreadyExists): error when creating \"busmeme-rc.yml\": replicationcontrollers \"busmeme-rc\" already exists",
        ],
    ),
    shows(
        "A pod is deleted.",
        "kubectl delete pod {pod} --wait=false",
        &["pod \"{pod}\" deleted*"],
    ),
    becomes(
        "Another takes its place.",
        "kubectl get pods",
        &[
            "busmeme-rc-* 2/2 Running 0 *",
            "busmeme-rc-* 2/2 Running 0 *",
            "!{last} *",
        ],
    ),
    shows(
        "A node is emptied for maintenance …",
        "kubectl drain {worker2} --pod-selector=name=web --ignore-daemonsets",
        &["node/{worker2} cordoned", "node/{worker2} drained"],
    ),
    shows(
        "… and gets no new pods meanwhile:",
        "kubectl get nodes",
        &["{worker2} Ready,SchedulingDisabled *"],
    ),
    becomes(
        "what ran there has nowhere to go, or went elsewhere.",
        "kubectl get pods -o wide",
        &[
            "busmeme-rc-* *",
            "busmeme-rc-* *",
            "!* Running * {worker2} *",
        ],
    ),
    shows(
        "The node takes pods again,",
        "kubectl uncordon {worker2}",
        &["node/{worker2} uncordoned"],
    ),
    becomes(
        "and all is as it was.",
        "kubectl get pods -o wide",
        &["busmeme-rc-* 2/2 Running *", "busmeme-rc-* 2/2 Running *"],
    ),
    shows(
        "The controller goes and leaves its pods,",
        "kubectl delete rc busmeme-rc --cascade=orphan",
        &["replicationcontroller \"busmeme-rc\" deleted*"],
    ),
    shows(
        "which run on,",
        "kubectl get pods",
        &["busmeme-rc-* 2/2 Running *", "busmeme-rc-* 2/2 Running *"],
    ),
    shows(
        "and a new one of that name adopts them.",
        "kubectl create -f busmeme-rc.yml",
        &["replicationcontroller/busmeme-rc created"],
    ),
    becomes(
        "It has to make none.",
        "kubectl get rc",
        &["busmeme-rc 2 2 2 *"],
    ),
    shows(
        "The controller goes,",
        "kubectl delete rc busmeme-rc",
        &["replicationcontroller \"busmeme-rc\" deleted*"],
    ),
    becomes(
        "and this time its pods with it.",
        "kubectl get pods",
        &["No resources found in tutorial-1 namespace."],
    ),
];

fn different_hosts(walk: &mut Walk) -> Result<String> {
    let printed = walk.terminal.must(
        "kubectl get pods -o custom-columns=NODE:.spec.nodeName --no-headers | sort | uniq -c",
    )?;
    if printed.lines().all(|line| line.trim().starts_with("1 ")) {
        return Ok(printed);
    }
    Err(Failure::new("two of them are on one host", printed.trim()))
}

fn spread(walk: &mut Walk) -> Result<String> {
    let mut told = String::new();
    walk.until("both pods have answered", || {
        for _ in 0..8 {
            let page = visit_port(walk.workers[0].address, 30061)?;
            let pod = page.lines().find(|line| line.contains("pod: "));
            told.push_str(pod.unwrap_or("no pod"));
            told.push('\n');
        }
        let pods: BTreeSet<&str> = told.lines().collect();
        if pods.len() == 2 {
            Ok(())
        } else {
            Err(Failure::new("ask again and again", told.trim()))
        }
    })?;
    Ok(told)
}

fn port_forward(walk: &mut Walk) -> Result<String> {
    let command = walk.fill("kubectl port-forward {pod} :3000")?;
    let running = walk.terminal.start(&command)?;
    let page = walk.until("the port is open", || {
        let printed = running.printed();
        let port = printed
            .lines()
            .find_map(|line| line.strip_prefix("Forwarding from 127.0.0.1:"))
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .ok_or_else(|| Failure::new("wait for it", printed.trim()))?;
        visit_port(std::net::Ipv4Addr::LOCALHOST, port)
            .map(|page| format!("$ curl http://127.0.0.1:{port}/\n{page}"))
    })?;
    Ok(format!("{}{page}", running.printed()))
}
