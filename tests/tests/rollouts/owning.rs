//! Deployments and the ReplicaSets they own: remembered, adopted, deleted.

use hardway_tests::text::rows;
use hardway_tests::{pods, until, wait};
use serde_json::json;

use super::{Rollouts, idle, name, revision};

pub fn history_limit(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    rollouts.create(&idle("forgetful", 0, json!({"revisionHistoryLimit": 2})));
    for version in 2..=5 {
        kubectl.run(&format!("set env deploy/forgetful VERSION={version}"));
        rollouts.rolled_out("forgetful");
    }
    until("two old revisions are left", || {
        let sets = rollouts.try_sets("forgetful")?;
        let seen: Vec<u64> = sets.iter().map(revision).collect();
        wait::holds(seen == [3, 4, 5], format!("{seen:?}"))
    });
    let gone = kubectl.refused("rollout undo deploy/forgetful --to-revision=1", "");
    assert!(
        gone.contains("unable to find specified revision 1 in history"),
        "{gone}"
    );
}

pub fn orphans(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let manifest = idle("adopted", 1, json!({}));
    rollouts.create(&manifest);
    let set = rollouts.sets("adopted").remove(0);
    let pod = pods::wait_ready(kubectl, "app=adopted", 1).remove(0);
    kubectl.run("delete deployment adopted --cascade=orphan");
    let left = rollouts.sets("adopted").remove(0);
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left}");
    // Its pod is as it was, and comes along.
    rollouts.create(&manifest);
    until("the ReplicaSet is the Deployment's again", || {
        let sets = rollouts.try_sets("adopted")?;
        let same = |metadata: &serde_json::Value| metadata["uid"] == set["metadata"]["uid"];
        let owned =
            |metadata: &serde_json::Value| metadata["ownerReferences"][0]["kind"] == "Deployment";
        let mut all = sets.iter().map(|set| &set["metadata"]);
        let good = sets.len() == 1 && all.all(|metadata| same(metadata) && owned(metadata));
        wait::holds(good, format!("{sets:?}"))
    });
    let now = pods::wait_ready(kubectl, "app=adopted", 1).remove(0);
    assert_eq!(now.uid(), pod.uid());
    // A ReplicaSet that somebody deletes comes again.
    kubectl.run(&format!("delete rs {}", name(&set)));
    until("there is another ReplicaSet", || {
        let sets = rollouts.try_sets("adopted")?;
        let new = sets.len() == 1 && sets[0]["metadata"]["uid"] != set["metadata"]["uid"];
        wait::holds(new, format!("{sets:?}"))
    });
    rollouts.rolled_out("adopted");
}

pub fn collision(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let manifest = idle("taken", 0, json!({}));
    rollouts.create(&manifest);
    let set = name(&rollouts.sets("taken")[0]);
    kubectl.run("delete deployment taken --cascade=foreground");
    let labels = json!({"app": "stranger"});
    kubectl.create(&json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": set},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": manifest["spec"]["template"]["spec"]}},
    }));
    rollouts.create(&manifest);
    assert_eq!(
        rollouts.field("deploy taken", ".status.collisionCount"),
        "1"
    );
    let sets = rollouts.sets("taken");
    assert!(sets.len() == 1 && name(&sets[0]) != set, "{sets:?}");
}

pub fn cascades(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    for (deployment, how) in [("gone", ""), ("gone-first", "--cascade=foreground")] {
        rollouts.create(&idle(deployment, 1, json!({})));
        let deleted = kubectl.run(&format!("delete deploy {deployment} {how}"));
        assert_eq!(
            deleted,
            format!("deployment.apps \"{deployment}\" deleted\n")
        );
        let left = || {
            kubectl
                .try_run(&format!("get rs,pods -l app={deployment} -o name"))
                .ok()
        };
        if how.is_empty() {
            until("its ReplicaSet and pod go", || {
                wait::holds(left()?.is_empty(), left()?)
            });
        } else {
            assert_eq!(left().as_deref(), Ok(""), "they go first");
        }
    }
}

pub fn autoscale(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    rollouts.create(&idle("measured", 1, json!({})));
    let made = kubectl.run("autoscale deployment measured --min=1 --max=3 --cpu-percent=80");
    assert_eq!(
        made,
        "horizontalpodautoscaler.autoscaling/measured autoscaled\n"
    );
    let table = rows(&kubectl.run("get hpa measured"));
    assert_eq!(table[1][..2], ["measured", "Deployment/measured"]);
    let path = ".spec.metrics[0].resource.target.averageUtilization";
    assert_eq!(rollouts.field("hpa.v2.autoscaling measured", path), "80");
    let refused = kubectl.refused(
        "scale deploy/measured --current-replicas=7 --replicas=2",
        "",
    );
    assert!(
        refused.contains("Expected replicas to be 7, was 1"),
        "{refused}"
    );
}

pub fn refused(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let mut manifest = idle("refused", 0, json!({}));
    let complaints = |manifest: &serde_json::Value, complaint: &str| {
        let said = kubectl.refused("apply -f -", &manifest.to_string());
        assert!(said.contains(complaint), "{said}");
    };
    let mut wrong = manifest.clone();
    wrong["spec"]["selector"] = json!({"matchLabels": {"app": "other"}});
    complaints(&wrong, "`selector` does not match template `labels`");
    wrong = manifest.clone();
    wrong["spec"]["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
    complaints(
        &wrong,
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    );
    wrong = manifest.clone();
    wrong["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}});
    complaints(
        &wrong,
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
    );
    wrong = manifest.clone();
    wrong["spec"]["minReadySeconds"] = json!(600);
    complaints(
        &wrong,
        "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
    );
    wrong = manifest.clone();
    wrong["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    complaints(
        &wrong,
        "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
    );
    kubectl.feed("apply -f -", &manifest.to_string());
    let labels = json!({"app": "refused", "tier": "x"});
    manifest["spec"]["selector"]["matchLabels"] = labels.clone();
    manifest["spec"]["template"]["metadata"]["labels"] = labels;
    complaints(&manifest, "field is immutable");
}
