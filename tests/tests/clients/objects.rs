//! How objects come and go, and what else is asked for.

use super::config_map;
use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::text::assert_has;
use hardway_tests::{Namespace, pods, until, wait};
use serde_json::{Value, json};

pub fn generated_names(namespace: &Namespace) {
    let mut manifest = config_map("", json!({}));
    manifest["metadata"] = json!({"generateName": "some-"});
    let told = namespace.create(&manifest);
    let name = told
        .trim_start_matches("configmap/")
        .trim_end_matches(" created\n");
    assert!(name.starts_with("some-") && name.len() == 10, "{told}");
}

pub fn finalizers(namespace: &Namespace) {
    let mut manifest = config_map("held", json!({}));
    manifest["metadata"]["finalizers"] = json!(["example.com/hold"]);
    namespace.create(&manifest);
    namespace.run("delete configmap held --wait=false");
    let held = namespace.json("get configmap held");
    assert!(held["metadata"]["deletionTimestamp"].is_string(), "{held}");
    namespace.run(r#"patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'"#);
    assert!(
        namespace
            .refused("get configmap held", "")
            .contains("(NotFound)")
    );
}

pub fn delete_collection(namespace: &Namespace) {
    for name in ["heap-1", "heap-2"] {
        namespace.create(&config_map(name, json!({})));
        namespace.run(&format!("label configmap {name} heap=yes"));
    }
    namespace.run("delete configmaps -l heap=yes");
    assert_eq!(namespace.run("get configmaps -l heap=yes -o name"), "");
    namespace.run("get configmap kube-root-ca.crt");
}

pub fn namespace_goes(namespace: &Namespace) {
    let other = Namespace::new("going");
    // Holds the namespace in its last state until this test has looked at it.
    let mut held = config_map("inside", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/look-first"]);
    other.create(&held);
    other.create(&pod(
        "inside",
        json!({"containers": [container("main", IDLE)]}),
    ));
    pods::wait_pod(&other, "inside");
    namespace.run(&format!("delete namespace {} --wait=false", other.name));
    let told = other.refused("create -f -", &config_map("late", json!({})).to_string());
    let expected = format!(
        "configmaps \"late\" is forbidden: unable to create new content in namespace {} because it is being terminated",
        other.name
    );
    assert!(told.contains(&expected), "{told}");
    until("the namespace tells what holds it", || {
        let told = other.json(&format!("get namespace {}", other.name))["status"]["conditions"]
            .to_string();
        wait::holds(
            told.contains("example.com/look-first in 1 resource instances"),
            told,
        )
    });
    other.run(r#"patch configmap inside --type=merge -p '{"metadata":{"finalizers":null}}'"#);
    until("the namespace is gone", || {
        let told = namespace.try_run(&format!("get namespace {}", other.name));
        wait::holds(told.stderr.contains("(NotFound)"), format!("{told:?}"))
    });
}

pub fn custom_resources(namespace: &Namespace) {
    let group = format!("{}.example.com", namespace.name);
    let name = format!("buses.{group}");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "buses", "singular": "bus", "kind": "Bus", "shortNames": ["bs"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Seats", "type": "integer", "jsonPath": ".spec.seats"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["seats"], "properties": {
                        "seats": {"type": "integer", "minimum": 1},
                        "colour": {"type": "string", "default": "red"},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    });
    let stock = Kubectl::stock();
    let _gone = hardway_tests::defer(|| {
        drop(Kubectl::stock().try_run(&format!("delete crd {name} --wait=false")))
    });
    stock.create(&definition);
    stock.run(&format!(
        "wait --for=condition=Established crd/{name} --timeout=60s"
    ));
    let bus = |name: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": "Bus", "metadata": {"name": name}, "spec": spec});
    until("a bus can be made", || {
        namespace
            .try_feed("create -f -", &bus("one", json!({"seats": 50})).to_string())
            .ok()
    });
    assert_has(&namespace.run("get bs"), &["NAME SEATS", "one 50"]);
    assert_eq!(namespace.json("get bus one")["spec"]["colour"], "red");
    let told = namespace.refused("create -f -", &bus("two", json!({"seats": 0})).to_string());
    assert_has(
        &told,
        &[
            "The Bus \"two\" is invalid: spec.seats: Invalid value: 0: spec.seats in body should be greater than or equal to 1",
        ],
    );
    let told = namespace.refused("create -f -", &bus("two", json!({})).to_string());
    assert_has(
        &told,
        &["The Bus \"two\" is invalid: spec.seats: Required value"],
    );
    let told = namespace.refused(
        "create -f -",
        &bus("two", json!({"seats": 1, "wings": 2})).to_string(),
    );
    assert!(
        told.contains("strict decoding error: unknown field \"spec.wings\""),
        "{told}"
    );
    namespace.feed("apply -f -", &bus("three", json!({"seats": 3})).to_string());
    assert_eq!(
        namespace.feed("apply -f -", &bus("three", json!({"seats": 4})).to_string()),
        format!("bus.{group}/three configured\n")
    );
    until("it is explained", || {
        let told = namespace.try_run("explain bus.spec").ok()?;
        wait::holds(told.contains("seats") && told.contains("<integer>"), told)
    });
    stock.run(&format!("delete crd {name}"));
    until("the resource is gone", || {
        let told = namespace.try_run("get buses");
        wait::holds(
            told.stderr
                .contains("the server doesn't have a resource type \"buses\"")
                || told
                    .stderr
                    .contains("could not find the requested resource"),
            format!("{told:?}"),
        )
    });
}

pub fn proxies(namespace: &Namespace) {
    let base = format!("/api/v1/namespaces/{}", namespace.name);
    until("the pod proxy answers", || {
        let line = format!("get --raw {base}/pods/target:8080/proxy/");
        let told = namespace.try_run(&line).ok()?;
        wait::holds(told == "target\n", told)
    });
    namespace.run("expose pod target --port=80 --target-port=8080");
    until("the service proxy answers", || {
        let told = namespace
            .try_run(&format!("get --raw {base}/services/target:80/proxy/"))
            .ok()?;
        wait::holds(told == "target\n", told)
    });
    let node = pods::get(namespace, "target").node();
    assert_eq!(
        namespace.run(&format!("get --raw /api/v1/nodes/{node}/proxy/healthz")),
        "ok"
    );
    let list = namespace.run(&format!("get --raw /api/v1/nodes/{node}/proxy/pods"));
    assert!(list.contains("\"target\""), "{list}");
}

pub fn wait_for(namespace: &Namespace) {
    let told = namespace.run("wait --for=condition=Ready pod/target --timeout=60s");
    assert_eq!(told, "pod/target condition met\n");
    let told =
        namespace.run("wait --for=jsonpath={.status.phase}=Running pod/target --timeout=60s");
    assert_eq!(told, "pod/target condition met\n");
    let told = namespace.refused("wait --for=delete pod/target --timeout=1s", "");
    assert!(
        told.contains("timed out waiting for the condition on pods/target"),
        "{told}"
    );
}

pub fn api_resources(namespace: &Namespace) {
    let told = namespace.run("api-resources -o wide");
    for row in [
        "pods po v1 true Pod create,delete,deletecollection,get,list,patch,update,watch all",
        "services svc v1 true Service",
        "deployments deploy apps/v1 true Deployment",
        "ingresses ing networking.k8s.io/v1 true Ingress",
        "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition",
    ] {
        assert_has(&told, &[row]);
    }
    let all = namespace.run("get all");
    assert_has(&all, &["pod/target"]);
}

pub fn pod_events(namespace: &Namespace) {
    let told = until("the pod's events are there", || {
        let told = namespace.try_run("events --for=pod/target").ok()?;
        wait::holds(told.contains("Scheduled"), &told).map(|()| told)
    });
    assert_has(
        &told,
        &[
            "LAST SEEN TYPE REASON OBJECT MESSAGE",
            "Scheduled Pod/target Successfully assigned",
        ],
    );
}
