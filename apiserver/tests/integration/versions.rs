//! One object, many versions: what manifests of years ago name is what is
//! there today.

mod manifests;

use crate::common::Lab;
use http::Method;
use serde_json::{Value, json};

const OLD: &str = "/apis/extensions/v1beta1/namespaces/default/deployments";
const BETA: &str = "/apis/apps/v1beta1/namespaces/default/deployments";
const NEW: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A manifest of 2016: no selector, labels in the template only.
fn deployment(name: &str) -> Value {
    json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.9"}]}}}})
}

fn daemon_set() -> Value {
    let mut object = deployment("agent");
    object["kind"] = json!("DaemonSet");
    object
}

fn ingress() -> Value {
    json!({"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {
            "backend": {"serviceName": "fallback", "servicePort": "http"},
            "rules": [{"host": "a.example", "http": {"paths": [
                {"path": "/x", "backend": {"serviceName": "web", "servicePort": 80}}]}}]}})
}

fn at(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_in_every_version() {
    let lab = Lab::start().await;
    let made = lab.create(OLD, &deployment("web")).await;
    assert_eq!(made["apiVersion"], "extensions/v1beta1");
    let spec = &made["spec"];
    assert_eq!(spec["selector"], json!({"matchLabels": {"app": "web"}}));
    assert_eq!(made["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(
        (&spec["replicas"], &spec["revisionHistoryLimit"]),
        (&json!(1), &json!(i32::MAX))
    );
    let rolling = json!({"maxSurge": 1, "maxUnavailable": 1});
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": rolling})
    );
    assert_eq!(
        made["metadata"]["managedFields"][0]["apiVersion"],
        "extensions/v1beta1"
    );

    // etcd has it once, in its present version.
    let mut etcd = lab.etcd_client().await;
    let options = etcd_client::GetOptions::new().with_prefix();
    let found = etcd
        .get("/registry/deployments/", Some(options))
        .await
        .unwrap();
    assert_eq!(found.kvs().len(), 1);
    let kept: Value = serde_json::from_slice(found.kvs()[0].value()).unwrap();
    assert_eq!(kept["apiVersion"], "apps/v1");

    for (path, version) in [
        (NEW, "apps/v1"),
        (BETA, "apps/v1beta1"),
        (OLD, "extensions/v1beta1"),
    ] {
        let (code, read) = lab.get(&at(path, "web")).await;
        assert_eq!(code, 200);
        assert_eq!(read["apiVersion"], version);
        assert_eq!(read["spec"], made["spec"]);
        assert_eq!(read["metadata"], made["metadata"]);
        let (_, list) = lab.get(path).await;
        assert_eq!(list["apiVersion"], version);
        assert_eq!(list["items"][0], read);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
    }
    assert_eq!(
        lab.post(NEW, &json!({"metadata": {"name": "web"}, "spec": spec}))
            .await
            .0,
        409
    );

    // A change through one version is a change in all; a watcher hears of it
    // in the version watched.
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = lab
        .watch(&format!("{OLD}?watch=1&resourceVersion={version}"))
        .await;
    let (code, changed) = lab
        .merge(&at(NEW, "web"), &json!({"spec": {"replicas": 3}}))
        .await;
    assert_eq!((code, &changed["metadata"]["generation"]), (200, &json!(2)));
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["apiVersion"], "extensions/v1beta1");
    assert_eq!(event["object"]["spec"]["replicas"], 3);

    // What was read in one version is stale in every other.
    let (code, stale) = lab.put(&at(OLD, "web"), &made).await;
    assert_eq!((code, &stale["reason"]), (409, &json!("Conflict")));
    assert!(
        stale["message"]
            .as_str()
            .unwrap()
            .contains("deployments.extensions \"web\"")
    );

    // Writing back what was read in an old version changes nothing.
    for path in [OLD, BETA] {
        let (_, read) = lab.get(&at(path, "web")).await;
        let (code, same) = lab.put(&at(path, "web"), &read).await;
        assert_eq!((code, &same), (200, &read));
    }
    let (code, gone) = lab
        .delete(&at(OLD, "web"), &json!({"propagationPolicy": "Background"}))
        .await;
    assert_eq!(
        (code, &gone["details"]["group"]),
        (200, &json!("extensions"))
    );
    assert_eq!(lab.get(&at(NEW, "web")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_has_its_own_rules() {
    let lab = Lab::start().await;
    let mut manifest = deployment("web");
    manifest["apiVersion"] = json!("apps/v1beta1");
    let made = lab.create(BETA, &manifest).await;
    assert_eq!(made["spec"]["revisionHistoryLimit"], 2);
    assert_eq!(made["spec"]["progressDeadlineSeconds"], 600);
    assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
    // From v1beta2 on the selector has to be there, and stays.
    let mut later = deployment("later");
    later["apiVersion"] = json!("apps/v1beta2");
    let beta2 = "/apis/apps/v1beta2/namespaces/default/deployments";
    let (code, refused) = lab.post(beta2, &later).await;
    assert_eq!(code, 422);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("spec.selector: Required value")
    );
    let other = json!({"spec": {
        "selector": {"matchLabels": {"app": "other"}},
        "template": {"metadata": {"labels": {"app": "other"}}}}});
    for (path, code) in [(NEW, 422), (beta2, 422), (BETA, 200)] {
        let answer = lab.merge(&at(path, "web"), &other).await;
        assert_eq!(answer.0, code, "{path}: {}", answer.1);
    }

    // A rollback is asked for in a field, or through a subresource of its own.
    let wish = json!({"kind": "DeploymentRollback", "apiVersion": "apps/v1beta1",
        "name": "web", "rollbackTo": {"revision": 2}, "updatedAnnotations": {"why": "broken"}});
    let (code, done) = lab.post(&format!("{BETA}/web/rollback"), &wish).await;
    assert_eq!(code, 200, "{done}");
    assert_eq!(
        done["message"],
        "rollback request for deployment \"web\" succeeded"
    );
    let (_, read) = lab.get(&at(OLD, "web")).await;
    assert_eq!(read["spec"]["rollbackTo"], json!({"revision": 2}));
    let (_, read) = lab.get(&at(NEW, "web")).await;
    let annotations = &read["metadata"]["annotations"];
    assert_eq!(annotations["deprecated.deployment.rollback.to"], "2");
    assert_eq!(annotations["why"], "broken");
    let clear = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": null}}});
    lab.merge(&at(NEW, "web"), &clear).await;
    let (_, read) = lab.get(&at(BETA, "web")).await;
    assert!(read["spec"].get("rollbackTo").is_none());
    assert_eq!(lab.post(&format!("{NEW}/web/rollback"), &wish).await.0, 404);

    // Each has its own Scale.
    let (_, scale) = lab.get(&format!("{OLD}/web/scale")).await;
    assert_eq!(
        (&scale["apiVersion"], &scale["kind"]),
        (&json!("extensions/v1beta1"), &json!("Scale"))
    );
    assert_eq!(scale["status"]["selector"], json!({"app": "other"}));
    assert_eq!(scale["status"]["targetSelector"], "app=other");
    let mut scale = scale;
    scale["spec"]["replicas"] = json!(4);
    let (code, scaled) = lab.put(&format!("{OLD}/web/scale"), &scale).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(4)));
    let (_, scale) = lab.get(&format!("{NEW}/web/scale")).await;
    assert_eq!(
        (&scale["apiVersion"], &scale["spec"]["replicas"]),
        (&json!("autoscaling/v1"), &json!(4))
    );

    // A DaemonSet's template is counted, and updates wait for deletions.
    let daemons = "/apis/extensions/v1beta1/namespaces/default/daemonsets";
    let made = lab.create(daemons, &daemon_set()).await;
    assert_eq!(made["spec"]["templateGeneration"], 1);
    assert_eq!(made["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "x:2"}]}}}});
    let present = "/apis/apps/v1/namespaces/default/daemonsets/agent";
    let (_, changed) = lab.merge(present, &image).await;
    let generation = "deprecated.daemonset.template.generation";
    assert_eq!(changed["metadata"]["annotations"][generation], "2");
    assert_eq!(
        lab.get(&at(daemons, "agent")).await.1["spec"]["templateGeneration"],
        2
    );

    // Deletion by an old version left dependents alone.
    lab.create(OLD, &deployment("orphans")).await;
    lab.delete(&at(OLD, "orphans"), &Value::Null).await;
    let (_, going) = lab.get(&at(NEW, "orphans")).await;
    assert_eq!(going["metadata"]["finalizers"], json!(["orphan"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingresses_cron_jobs_and_budgets() {
    let lab = Lab::start().await;
    let of = |group: &str| format!("/apis/{group}/namespaces/default/ingresses");
    let old = of("extensions/v1beta1");
    let made = lab.create(&old, &ingress()).await;
    assert_eq!(
        made["spec"]["backend"],
        json!({"serviceName": "fallback", "servicePort": "http"})
    );
    let (_, present) = lab.get(&at(&of("networking.k8s.io/v1"), "web")).await;
    assert_eq!(
        present["spec"]["defaultBackend"],
        json!({"service": {"name": "fallback", "port": {"name": "http"}}})
    );
    let path = &present["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!(path["pathType"], "ImplementationSpecific");
    assert_eq!(
        path["backend"],
        json!({"service": {"name": "web", "port": {"number": 80}}})
    );
    assert_eq!(
        lab.get(&at(&of("networking.k8s.io/v1beta1"), "web"))
            .await
            .0,
        200
    );

    // Fields have owners by the name each of them knows.
    let manager = &present["metadata"]["managedFields"][0];
    assert_eq!(manager["apiVersion"], "extensions/v1beta1");
    assert!(manager["fieldsV1"]["f:spec"]["f:backend"].is_object());
    let wish = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"defaultBackend": {"service": {"name": "new", "port": {"number": 81}}}}});
    let apply = |force: bool| {
        let path = at(&of("networking.k8s.io/v1"), "web");
        let path = format!("{path}?fieldManager=me&force={force}");
        lab.send(
            Method::PATCH,
            path.leak(),
            "application/apply-patch+yaml",
            wish.to_string(),
        )
    };
    let (code, conflict) = apply(false).await;
    assert_eq!(code, 409, "{conflict}");
    assert!(
        conflict["message"]
            .as_str()
            .unwrap()
            .contains(".spec.backend"),
        "{conflict}"
    );
    let (code, taken) = apply(true).await;
    assert_eq!(code, 200, "{taken}");
    let (_, shown) = lab.get(&at(&old, "web")).await;
    assert_eq!(
        shown["spec"]["backend"],
        json!({"serviceName": "new", "servicePort": 81})
    );

    let jobs = "/apis/batch/v1beta1/namespaces/default/cronjobs";
    let cron = json!({"apiVersion": "batch/v1beta1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "OnFailure", "containers": [{"name": "a", "image": "x:1"}]}}}}}});
    lab.create(jobs, &cron).await;
    let (_, read) = lab
        .get("/apis/batch/v1/namespaces/default/cronjobs/nightly")
        .await;
    assert_eq!(read["spec"]["concurrencyPolicy"], "Allow");

    let budgets = "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets";
    let none = json!({"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "none"}, "spec": {"minAvailable": 1, "selector": {}}});
    let made = lab.create(budgets, &none).await;
    assert_eq!(made["spec"]["selector"], json!({}));
    let (_, read) = lab
        .get("/apis/policy/v1/namespaces/default/poddisruptionbudgets/none")
        .await;
    assert_eq!(
        read["spec"]["selector"]["matchExpressions"][0]["operator"],
        "Exists"
    );

    let slices = "/apis/discovery.k8s.io/v1beta1/namespaces/default/endpointslices";
    let slice = json!({"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice",
        "metadata": {"name": "web"}, "addressType": "IPv4", "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["10.1.2.3"], "topology": {"kubernetes.io/hostname": "one"}}]});
    let made = lab.create(slices, &slice).await;
    assert_eq!(
        made["endpoints"][0]["topology"]["kubernetes.io/hostname"],
        "one"
    );
    let (_, read) = lab
        .get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web")
        .await;
    assert_eq!(read["endpoints"][0]["nodeName"], "one");

    let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "extensions/v1beta1"}}});
    lab.create(
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
        &scaler,
    )
    .await;
    for version in ["v2", "v2beta2"] {
        let path =
            format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/web");
        let (code, read) = lab.get(&path).await;
        assert_eq!(code, 200);
        assert_eq!(
            read["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
            50
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_where_to_move() {
    let lab = Lab::start().await;
    let text = "299 - \"extensions/v1beta1 Deployment is deprecated in v1.8+, unavailable in v1.16+; use apps/v1 Deployment\"";
    let web = at(OLD, "web");
    for (method, path, body) in [
        (Method::POST, OLD, deployment("web")),
        (Method::GET, OLD, Value::Null),
        (Method::GET, &web, Value::Null),
        (Method::PUT, &web, deployment("web")),
        (Method::GET, &format!("{OLD}/web/scale"), Value::Null),
        (
            Method::GET,
            &format!("{OLD}?watch=1&timeoutSeconds=1"),
            Value::Null,
        ),
        (Method::DELETE, &web, Value::Null),
        (Method::GET, &at(OLD, "gone"), Value::Null),
    ] {
        let told = lab
            .warnings(method.clone(), path, "application/json", &body)
            .await;
        assert_eq!(told, [text], "{method} {path}");
    }
    assert!(
        lab.warnings(Method::GET, NEW, "", &Value::Null)
            .await
            .is_empty()
    );

    let (_, metrics) = lab.get("/metrics").await;
    let line = "apiserver_requested_deprecated_apis{group=\"extensions\",removed_release=\"1.16\",resource=\"deployments\",subresource=\"scale\",version=\"v1beta1\"} 1";
    assert!(metrics.as_str().unwrap().contains(line));

    // Strictness knows the version's own fields.
    let strict = format!("{OLD}?fieldValidation=Strict");
    let mut typo = deployment("typo");
    typo["spec"]["rollbackTo"] = json!({"revision": 1});
    typo["spec"]["replica"] = json!(1);
    let (code, refused) = lab.post(&strict, &typo).await;
    assert_eq!(code, 400);
    assert_eq!(
        refused["message"],
        "Deployment in version \"v1beta1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replica\""
    );
    // In apps/v1 the field is another.
    let mut other = deployment("typo");
    other["apiVersion"] = json!("apps/v1");
    other["spec"]["rollbackTo"] = json!({"revision": 1});
    let (_, refused) = lab
        .post(&format!("{NEW}?fieldValidation=Strict"), &other)
        .await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("unknown field \"spec.rollbackTo\"")
    );

    // Permission is asked for the group that is named.
    let role = json!({"metadata": {"name": "old"}, "rules": [
        {"apiGroups": ["extensions"], "resources": ["deployments"], "verbs": ["list"]}]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1beta1/namespaces/default";
    lab.create(&format!("{rbac}/roles"), &role).await;
    let binding = json!({"metadata": {"name": "old"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "old"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    lab.create(&format!("{rbac}/rolebindings"), &binding).await;
    lab.until("jane may list", async || {
        lab.send_as("jane", Method::GET, OLD, &Value::Null).await.0 == 200
    })
    .await;
    let (code, refused) = lab.send_as("jane", Method::GET, NEW, &Value::Null).await;
    assert_eq!(code, 403);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("in API group \"apps\"")
    );
}
