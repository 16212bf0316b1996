//! Chapter 3: rolling updates, and back.

use super::walk::Walk;
use super::{Chapter, Step, becomes, does, shows};
use crate::failure::{Failure, Result};

pub const CHAPTER: Chapter = Chapter {
    number: 3,
    title: "Rolling updates and rollbacks",
    steps: STEPS,
    afterwards: &[],
};

const VISITS: &str = "while sleep 0.02; do curl -s http://{address}:30062/; done > visits &";

const STEPS: &[Step] = &[
    shows(
        "A Service that does not care for versions.",
        "kubectl create -f lb-app-service.yml",
        &["service/lb-app-service created"],
    ),
    shows(
        "A manifest of 2016 is taken as it is, with a word about where to move.",
        "kubectl create -f lb-app-deployment-v1.yml",
        &[
            "Warning: extensions/v1beta1 Deployment *apps/v1*",
            "deployment*/lb-app created",
        ],
    ),
    shows(
        "The rollout can be waited for.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    becomes(
        "The Deployment made a ReplicaSet, and that made two pods.",
        "kubectl get deployments,rs,pods",
        &[
            "deployment.apps/lb-app 2/2 2 2 *",
            "replicaset.apps/lb-app-* 2 2 2 *",
            "pod/lb-app-* 1/1 Running 0 *",
            "pod/lb-app-* 1/1 Running 0 *",
        ],
    ),
    shows(
        "It is the same object in the version of today, with the selector that was left out.",
        "kubectl get deployments.v1.apps lb-app -o jsonpath='{.apiVersion} {.spec.selector.matchLabels}{\"\\n\"}'",
        &["apps/v1 {\"name\":\"lb-app\"}"],
    ),
    shows(
        "And in the version it was written in.",
        "kubectl get deployments.v1beta1.extensions lb-app -o jsonpath='{.apiVersion}{\"\\n\"}'",
        &["extensions/v1beta1"],
    ),
    does(
        "A client starts to ask all the time, and goes on through what follows. It sees version 1.",
        VISITS,
        |walk| {
            walk.welcome(30062);
            sees(walk, "1")
        },
    ),
    shows(
        "Version 2 replaces the manifest.",
        "kubectl replace -f lb-app-deployment-v2.yml",
        &["deployment*/lb-app replaced"],
    ),
    shows(
        "Pods are exchanged one after another.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    does("The client sees version 2.", "tail visits", |walk| {
        sees(walk, "2")
    }),
    shows(
        "Both revisions are remembered.",
        "kubectl rollout history deployment/lb-app",
        &["1 lb-app version 1", "2 lb-app version 2"],
    ),
    shows(
        "One of them can be looked at.",
        "kubectl rollout history deployment/lb-app --revision=1",
        &["Image: hardway.example/lb-app:1"],
    ),
    shows(
        "Back to the first.",
        "kubectl rollout undo deployment/lb-app --to-revision=1",
        &["deployment.apps/lb-app rolled back"],
    ),
    shows(
        "Going back is a rollout like any other.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    does(
        "The client sees version 1 again, and was never turned away.",
        "kill %1",
        one_two_one,
    ),
    shows(
        "What was revision 1 is now revision 3.",
        "kubectl rollout history deployment/lb-app",
        &["2 lb-app version 2", "3 lb-app version 1", "!1 *"],
    ),
    shows(
        "A paused Deployment collects changes.",
        "kubectl rollout pause deployment/lb-app",
        &["deployment.apps/lb-app paused"],
    ),
    shows(
        "A new image,",
        "kubectl set image deployment/lb-app lb-app=hardway.example/lb-app:2",
        &["deployment.apps/lb-app image updated"],
    ),
    becomes(
        "and no pod is up to date, because none is exchanged.",
        "kubectl get deployment lb-app",
        &["lb-app 2/2 0 2 *"],
    ),
    shows(
        "Resumed,",
        "kubectl rollout resume deployment/lb-app",
        &["deployment.apps/lb-app resumed"],
    ),
    shows(
        "it does what it was told meanwhile.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    shows(
        "All pods are exchanged though nothing changed.",
        "kubectl rollout restart deployment/lb-app",
        &["deployment.apps/lb-app restarted"],
    ),
    shows(
        "That too is a rollout.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    shows(
        "An image that does not exist is asked for.",
        "kubectl set image deployment/lb-app lb-app=hardway.example/lb-app:none",
        &["deployment.apps/lb-app image updated"],
    ),
    becomes(
        "The update stops at the first new pods; an old one goes on serving.",
        "kubectl get pods",
        &["lb-app-* 0/1 *ImagePull* 0 *", "lb-app-* 1/1 Running 0 *"],
    ),
    shows(
        "Back to what worked.",
        "kubectl rollout undo deployment/lb-app",
        &["deployment.apps/lb-app rolled back"],
    ),
    shows(
        "It works again.",
        "kubectl rollout status deployment/lb-app",
        &["deployment \"lb-app\" successfully rolled out"],
    ),
    becomes(
        "The Deployment tells the whole story: one ReplicaSet up, another down.",
        "kubectl describe deployment lb-app",
        &[
            "StrategyType: RollingUpdate",
            "Available True MinimumReplicasAvailable",
            "Normal ScalingReplicaSet * Scaled up replica set lb-app-* from 0 to *",
            "Normal ScalingReplicaSet * Scaled down replica set lb-app-* from * to 0",
        ],
    ),
    shows(
        "More of it.",
        "kubectl scale deployment lb-app --replicas=4",
        &["deployment.apps/lb-app scaled"],
    ),
    becomes(
        "There are four.",
        "kubectl get deployment lb-app",
        &["lb-app 4/4 4 4 *"],
    ),
    shows(
        "How many there shall be can be left to an autoscaler.",
        "kubectl autoscale deployment lb-app --min=2 --max=5 --cpu-percent=80",
        &["horizontalpodautoscaler.autoscaling/lb-app autoscaled"],
    ),
    shows(
        "Its pods request no CPU that their use could be measured against.",
        "kubectl get hpa",
        &["lb-app Deployment/lb-app *<unknown>/80% 2 5 *"],
    ),
    shows(
        "The Deployment goes,",
        "kubectl delete deployment lb-app",
        &["deployment.apps \"lb-app\" deleted*"],
    ),
    becomes(
        "its ReplicaSets go, and their pods.",
        "kubectl get rs,pods",
        &["No resources found in tutorial-3 namespace."],
    ),
];

/// Waits until only one version answers.
fn sees(walk: &mut Walk, version: &str) -> Result<String> {
    walk.until(&format!("only version {version} answers"), || {
        let seen = walk.visited()?;
        match seen.settled_on() {
            Some(settled) if settled == version => Ok(format!("VERSION: {version}")),
            other => Err(Failure::new("look at the visits", format!("{other:?}"))),
        }
    })
}

fn one_two_one(walk: &mut Walk) -> Result<String> {
    sees(walk, "1")?;
    let seen = walk.farewell()?;
    let counted = seen.flawless()?;
    let story = seen.story().join(", then ");
    if story == "1, then 2, then 1" {
        Ok(format!("{counted}; the version was {story}"))
    } else {
        Err(Failure::new("versions that answered", story))
    }
}
