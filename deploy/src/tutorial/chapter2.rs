//! Chapter 2: what is desired is kept.

use super::walk::Walk;
use super::{Chapter, Step, becomes, does, shows};
use crate::failure::{Failure, Result};

pub const CHAPTER: Chapter = Chapter {
    number: 2,
    title: "Desired state",
    steps: STEPS,
    afterwards: &[],
};

const STEPS: &[Step] = &[
    shows(
        "Two copies of a web application are desired.",
        "kubectl create -f lb-app-rc.yml",
        &["replicationcontroller/lb-app-rc created"],
    ),
    shows(
        "A Service is to spread visitors over them.",
        "kubectl create -f lb-app-service.yml",
        &["service/lb-app-service created"],
    ),
    becomes(
        "They are made.",
        "kubectl get pods",
        &["lb-app-rc-* 1/1 Running 0 *", "lb-app-rc-* 1/1 Running 0 *"],
    ),
    becomes(
        "The Service has found both by their label.",
        "kubectl describe svc lb-app-service",
        &[
            "Selector: name=lb-app",
            "NodePort: <unset> 30062/TCP",
            "Endpoints: 10.244.*:9999,10.244.*:9999",
        ],
    ),
    becomes(
        "Programs read the same from endpoint slices.",
        "kubectl get endpointslices",
        &["lb-app-service-* IPv4 9999 10.244.*,10.244.* *"],
    ),
    becomes(
        "Every node answers at the port.",
        "curl http://{address2}:30062/",
        &["VERSION: 1", "HOSTNAME: lb-app-rc-*"],
    ),
    shows(
        "One of them is deleted.",
        "kubectl delete pod {pod} --wait=false",
        &["pod \"{pod}\" deleted*"],
    ),
    becomes(
        "While it says goodbye, its replacement is there already.",
        "kubectl get pods",
        &["{last} * Terminating *", "lb-app-rc-* *", "lb-app-rc-* *"],
    ),
    becomes(
        "Then there are two again.",
        "kubectl get pods",
        &[
            "lb-app-rc-* 1/1 Running *",
            "lb-app-rc-* 1/1 Running *",
            "!* Terminating *",
        ],
    ),
    becomes(
        "The controller has noted what it did.",
        "kubectl describe rc lb-app-rc",
        &[
            "Replicas: 2 current / 2 desired",
            "Normal SuccessfulCreate * Created pod: lb-app-rc-*",
            "Normal SuccessfulCreate * Created pod: lb-app-rc-*",
            "Normal SuccessfulCreate * Created pod: lb-app-rc-*",
        ],
    ),
    shows(
        "A third pod carries the Service's label, but is ready only once a file is there.",
        "kubectl create -f lb-app-deployment-readiness.yml",
        &["deployment*/lb-app-readiness created"],
    ),
    becomes(
        "It runs and is not ready.",
        "kubectl get pods",
        &["lb-app-readiness-* 0/1 Running 0 *"],
    ),
    becomes(
        "So it gets no visitors: endpoints follow readiness, not existence.",
        "kubectl get endpoints lb-app-service",
        &["lb-app-service *:9999,*:9999 *", "!*:9999,*:9999,*:9999 *"],
    ),
    shows(
        "The file is made,",
        "kubectl exec deploy/lb-app-readiness -- touch /tmp/ready",
        &[],
    ),
    becomes(
        "and it is one of three.",
        "kubectl get endpoints lb-app-service",
        &["lb-app-service *:9999,*:9999,*:9999 *"],
    ),
    shows(
        "The file is removed,",
        "kubectl exec deploy/lb-app-readiness -- rm /tmp/ready",
        &[],
    ),
    becomes(
        "and it is out again.",
        "kubectl get endpoints lb-app-service",
        &["lb-app-service *:9999,*:9999 *", "!*:9999,*:9999,*:9999 *"],
    ),
    becomes(
        "It was never restarted: that is not what readiness is for.",
        "kubectl get pods",
        &["lb-app-readiness-* 0/1 Running 0 *"],
    ),
    shows(
        "Away with it.",
        "kubectl delete -f lb-app-deployment-readiness.yml",
        &["*\"lb-app-readiness\" deleted*"],
    ),
    does(
        "Ten pods are deleted, one after another, while a client asks all the time; no request fails.",
        "while sleep 0.02; do curl -s http://{address}:30062/; done &  for i in $(seq 10); do kubectl delete pod …; done",
        ten_deletions,
    ),
];

fn ten_deletions(walk: &mut Walk) -> Result<String> {
    walk.welcome(30062);
    let mut told = String::new();
    for _ in 0..10 {
        let oldest = two_serve(walk)?;
        told += &walk
            .terminal
            .must(&format!("kubectl delete pod {oldest} --wait=false"))?;
    }
    two_serve(walk)?;
    // Whoever was still sent to the last one that left is counted too.
    walk.until("the last one is gone", || {
        let pods = walk
            .terminal
            .json("kubectl get pods --selector name=lb-app -o json")?;
        match pods["items"].as_array().map_or(0, Vec::len) {
            2 => Ok(()),
            count => Err(Failure::new("count pods", format!("there are {count}"))),
        }
    })?;
    let counted = walk.farewell()?.flawless()?;
    Ok(format!("{told}{counted}"))
}

/// Waits until two pods serve; tells which has done so for longer.
fn two_serve(walk: &Walk) -> Result<String> {
    walk.until("two pods serve", || {
        let serving = walk.serving("lb-app")?;
        match serving.as_slice() {
            [oldest, _] => Ok(oldest.clone()),
            other => Err(Failure::new("count pods", format!("{} serve", other.len()))),
        }
    })
}
