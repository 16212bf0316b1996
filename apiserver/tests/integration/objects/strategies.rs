//! What a kind's row says of it: how it takes PUT and DELETE, and what its subresources
//! change.

use super::path;
use crate::common::{Lab, PODS, pod, service_account};
use http::Method;
use serde_json::{Value, json};

/// A definition whose kind has the plural name of a built-in one.
async fn define(lab: &Lab, group: &str, plural: &str, kind: &str) -> String {
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let name = format!("{plural}.{group}");
    let crd = json!({"metadata": {"name": name}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"plural": plural, "kind": kind}, "versions": [{"name": "v1", "served": true,
        "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    lab.create(crds, &crd).await;
    let objects = format!("/apis/{group}/v1/namespaces/default/{plural}");
    lab.until("it is served", async || lab.get(&objects).await.0 == 200)
        .await;
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_is_written_by_its_own_strategy() {
    let lab = Lab::start().await;
    // What a built-in kind does isn't done by others of its name.
    let services = define(&lab, "serving.knative.dev", "services", "Service").await;
    let own = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"}});
    let (code, missing) = lab.put(&path(&services, "a"), &own).await;
    assert_eq!(code, 404, "{missing}");
    let jobs = define(&lab, "batch.volcano.sh", "jobs", "Job").await;
    let job =
        json!({"apiVersion": "batch.volcano.sh/v1", "kind": "Job", "metadata": {"name": "a"}});
    lab.create(&jobs, &job).await;
    let (code, gone) = lab.delete(&path(&jobs, "a"), &Value::Null).await;
    assert_eq!((code, &gone["status"]), (200, &json!("Success")), "{gone}");
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let template =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = json!({"metadata": {"name": "a"}, "spec": {"template": template}});
    lab.create(jobs, &job).await;
    let (_, going) = lab.delete(&path(jobs, "a"), &Value::Null).await;
    assert_eq!(
        going["metadata"]["finalizers"],
        json!(["orphan"]),
        "{going}"
    );

    // Some want to be told which version a PUT replaces.
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": []});
    lab.create(slices, &slice).await;
    assert_eq!(lab.put(&path(slices, "a"), &slice).await.0, 200);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "a"}});
    assert_eq!(lab.put(&path(leases, "a"), &lease).await.0, 201);
    let (code, refused) = lab.put(&path(leases, "a"), &lease).await;
    assert_eq!(
        (code, refused["message"].as_str().unwrap_or_default()),
        (
            422,
            "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
        )
    );

    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let class = json!({"metadata": {"name": "a"}, "provisioner": "p"});
    lab.create(classes, &class).await;
    let (_, deleted) = lab
        .delete(&format!("{}?dryRun=All", path(classes, "a")), &Value::Null)
        .await;
    assert_eq!(deleted["kind"], "StorageClass");
    let (_, deleted) = lab.delete(&path(classes, "a"), &Value::Null).await;
    assert_eq!(deleted["kind"], "StorageClass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subresource_changes_what_its_kind_says() {
    let lab = Lab::start().await;
    let noted = json!({"metadata": {"labels": {"l": "1"}, "annotations": {"a": "1"}},
        "spec": {"replicas": 7}, "status": {"observedGeneration": 1}});
    let is = |object: &Value| {
        let metadata = &object["metadata"];
        [
            &metadata["labels"],
            &metadata["annotations"],
            &metadata["generation"],
        ]
        .map(Value::clone)
    };
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
        "template": template}});
    lab.create(deployments, &deployment).await;
    let (code, changed) = lab.merge(&format!("{deployments}/d/status"), &noted).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(is(&changed), [Value::Null, json!({"a": "1"}), json!(1)]);
    let other = json!({"metadata": {"annotations": {"a": "2"}}});
    let (_, changed) = lab.merge(&path(deployments, "d"), &other).await;
    assert_eq!(is(&changed)[2], json!(2), "ReplicaSets get it as well");

    let toys = define(&lab, "example.com", "toys", "Toy").await;
    let toy = json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "t"}});
    lab.create(&toys, &toy).await;
    let (code, changed) = lab.merge(&format!("{toys}/t/status"), &noted).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(is(&changed), [Value::Null, Value::Null, json!(1)]);
    assert_eq!(changed["status"], noted["status"]);
    // Whoever applies a status owns it.
    let applied = json!({"apiVersion": "example.com/v1", "kind": "Toy", "status": {"size": 3}});
    let (code, changed) = lab
        .send(
            Method::PATCH,
            &format!("{toys}/t/status?fieldManager=me&force=true"),
            "application/apply-patch+yaml",
            applied.to_string(),
        )
        .await;
    assert_eq!(code, 200, "{changed}");
    let owners = changed["metadata"]["managedFields"].as_array().unwrap();
    let mine = owners.iter().find(|owner| owner["manager"] == "me");
    let mine = mine.unwrap_or_else(|| panic!("{changed}"));
    assert_eq!(mine["fieldsV1"]["f:status"]["f:size"], json!({}), "{mine}");

    service_account(&lab).await;
    lab.create(PODS, &pod("p")).await;
    let (code, pod) = lab.merge(&format!("{PODS}/p/status"), &noted).await;
    assert_eq!(code, 200, "{pod}");
    let labels = json!({"app": "p", "l": "1"});
    assert_eq!(is(&pod)[..2], [labels, json!({"a": "1"})]);
}
