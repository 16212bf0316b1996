//! What is wrong is refused in Kubernetes' words, and changes nothing.

use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{BUSYBOX, container, pod, replication_controller};
use hardway_tests::text::assert_has;
use hardway_tests::{Namespace, steps, until};
use serde_json::{Value, json};

/// Everything is left as this names it: created before, never changed after.
fn settled(namespace: &Namespace) -> Value {
    let list = namespace.json(
        "get configmaps,services,replicationcontrollers,pods --field-selector metadata.name!=none",
    );
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let told = items.iter().map(|item| {
        let metadata = &item["metadata"];
        json!([
            item["kind"],
            metadata["name"],
            metadata["generation"],
            item["spec"],
            item["data"]
        ])
    });
    told.collect()
}

/// Creates what must be refused; tells why it was.
#[track_caller]
fn refused(namespace: &Namespace, manifest: &str) -> String {
    let before = settled(namespace);
    let complaint = namespace.refused("create -f -", manifest);
    assert_eq!(settled(namespace), before, "something has changed");
    complaint
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn errors_are_told_as_kubernetes_tells_them() {
    let namespace = Namespace::new("errors");
    namespace.create(&config_map("there", json!({"a": "1"})));
    // What the cluster makes by itself must be there before others count what is.
    until("the cluster's own ConfigMap is there", || {
        namespace.try_run("get configmap kube-root-ca.crt").ok()
    });
    let steps: &[steps::Step<Namespace>] = &[
        ("wrong type", wrong_type),
        ("unknown field", unknown_field),
        ("duplicate field", duplicate_field),
        ("missing field", missing_field),
        ("bad values", bad_values),
        ("bad name", bad_name),
        ("selector and labels", selector_and_labels),
        ("duplicate name", duplicate_name),
        ("taken node port", taken_node_port),
        ("immutable fields", immutable_fields),
        ("no YAML", no_yaml),
        ("unknown resource", unknown_resource),
        ("not found", not_found),
        ("stale version", stale_version),
        ("forbidden", forbidden),
        ("service account", missing_service_account),
        ("wrong patches", wrong_patches),
        ("body too large", body_too_large),
        ("dry run", dry_run),
    ];
    steps::run(&namespace, &namespace, steps);
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn idle(name: &str) -> Value {
    pod(name, json!({"containers": [container("main", "true")]}))
}

fn wrong_type(namespace: &Namespace) {
    let mut controller = replication_controller("x", 1, json!({"containers": []}));
    controller["spec"]["replicas"] = json!("two");
    assert_eq!(
        refused(namespace, &controller.to_string()),
        "Error from server (BadRequest): error when creating \"STDIN\": ReplicationController in version \"v1\" cannot be handled as a ReplicationController: json: cannot unmarshal string into Go struct field ReplicationControllerSpec.spec.replicas of type int32\n"
    );
    let mut wrong = idle("x");
    wrong["spec"]["containers"] = json!({"name": "main"});
    assert_has(
        &refused(namespace, &wrong.to_string()),
        &[
            "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ],
    );
}

fn unknown_field(namespace: &Namespace) {
    let mut controller = replication_controller("x", 1, idle("x")["spec"].clone());
    controller["spec"]["replica"] = json!(1);
    assert_eq!(
        refused(namespace, &controller.to_string()),
        "Error from server (BadRequest): error when creating \"STDIN\": ReplicationController in version \"v1\" cannot be handled as a ReplicationController: strict decoding error: unknown field \"spec.replica\"\n"
    );
    let mut two = idle("x");
    two["spec"]["container"] = json!([]);
    two["spec"]["containers"][0]["imagee"] = json!("x");
    assert_has(
        &refused(namespace, &two.to_string()),
        &[
            "strict decoding error: unknown field \"spec.container\", unknown field \"spec.containers[0].imagee\"",
        ],
    );
    // Asked to, the server only warns.
    let mut fine = config_map("warned", json!({}));
    fine["extra"] = json!(1);
    let output = namespace.try_feed("create --validate=warn -f -", &fine.to_string());
    assert_eq!(output.stdout, "configmap/warned created\n", "{output:?}");
    assert_has(&output.stderr, &["Warning: unknown field \"extra\""]);
    namespace.run("delete configmap warned");
}

fn duplicate_field(namespace: &Namespace) {
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"},"data":{"a":"2"}}"#;
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?fieldValidation=Strict",
        namespace.name
    );
    let complaint = namespace.refused(&format!("create --raw {path} -f -"), body);
    assert_has(
        &complaint,
        &[
            "Error from server (BadRequest): ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data\"",
        ],
    );
}

fn missing_field(namespace: &Namespace) {
    let mut empty = idle("x");
    empty["spec"] = json!({"containers": []});
    assert_eq!(
        refused(namespace, &empty.to_string()),
        "The Pod \"x\" is invalid: spec.containers: Required value\n"
    );
    let mut nameless = idle("x");
    nameless["spec"]["containers"] = json!([{"command": ["true"]}]);
    let complaint = refused(namespace, &nameless.to_string());
    assert_has(
        &complaint,
        &[
            "The Pod \"x\" is invalid:",
            "* spec.containers[0].name: Required value",
        ],
    );
    assert!(
        complaint.contains("* spec.containers[0].image: Required value"),
        "{complaint}"
    );
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selector": {"a": "b"}}});
    assert_eq!(
        refused(namespace, &service.to_string()),
        "The Service \"x\" is invalid: spec.ports: Required value\n"
    );
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "x"}, "spec": {"selector": {"a": "b"}}});
    assert_eq!(
        refused(namespace, &controller.to_string()),
        "The ReplicationController \"x\" is invalid: spec.template: Required value\n"
    );
}

fn bad_values(namespace: &Namespace) {
    let mut odd = idle("x");
    odd["spec"]["restartPolicy"] = json!("Sometimes");
    assert_eq!(
        refused(namespace, &odd.to_string()),
        "The Pod \"x\" is invalid: spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"\n"
    );
    let mut negative = replication_controller("x", 1, idle("x")["spec"].clone());
    negative["spec"]["replicas"] = json!(-1);
    assert_eq!(
        refused(namespace, &negative.to_string()),
        "The ReplicationController \"x\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
    );
    let mut port = idle("x");
    port["spec"]["containers"][0]["ports"] = json!([{"containerPort": 70000}]);
    assert_eq!(
        refused(namespace, &port.to_string()),
        "The Pod \"x\" is invalid: spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive\n"
    );
    let mut resources = idle("x");
    resources["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}});
    assert_eq!(
        refused(namespace, &resources.to_string()),
        "The Pod \"x\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1\n"
    );
    let mut mount = idle("x");
    mount["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "none", "mountPath": "/x"}]);
    assert_eq!(
        refused(namespace, &mount.to_string()),
        "The Pod \"x\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"none\"\n"
    );
    let mut quantity = idle("x");
    quantity["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "lots"}});
    assert_has(
        &refused(namespace, &quantity.to_string()),
        &[
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ],
    );
}

fn bad_name(namespace: &Namespace) {
    assert_eq!(
        refused(namespace, &idle("Bad_Name").to_string()),
        "The Pod \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n"
    );
}

fn selector_and_labels(namespace: &Namespace) {
    let mut controller = replication_controller("x", 1, idle("x")["spec"].clone());
    controller["spec"]["selector"] = json!({"app": "other"});
    let complaint = refused(namespace, &controller.to_string());
    assert_has(
        &complaint,
        &[
            "The ReplicationController \"x\" is invalid: spec.template.metadata.labels: Invalid value:",
            "`selector` does not match template `labels`",
        ],
    );
}

fn duplicate_name(namespace: &Namespace) {
    assert_eq!(
        refused(
            namespace,
            &config_map("there", json!({"a": "2"})).to_string()
        ),
        "Error from server (AlreadyExists): error when creating \"STDIN\": configmaps \"there\" already exists\n"
    );
}

fn taken_node_port(namespace: &Namespace) {
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": 30999}]},
        })
    };
    namespace.create(&service("first"));
    assert_eq!(
        refused(namespace, &service("second").to_string()),
        "The Service \"second\" is invalid: spec.ports[0].nodePort: Invalid value: 30999: provided port is already allocated\n"
    );
    let mut outside = service("second");
    outside["spec"]["ports"][0]["nodePort"] = json!(80);
    assert_eq!(
        refused(namespace, &outside.to_string()),
        "The Service \"second\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767\n"
    );
    // Given back, it can be had again.
    namespace.run("delete service first");
    namespace.create(&service("second"));
    namespace.run("delete service second");
}

fn immutable_fields(namespace: &Namespace) {
    namespace.create(&pod(
        "fixed",
        json!({"containers": [container("main", hardway_tests::manifest::IDLE)]}),
    ));
    let complaint = namespace.refused(r#"patch pod fixed -p '{"spec":{"hostNetwork":true}}'"#, "");
    assert_has(
        &complaint,
        &[
            "The Pod \"fixed\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ],
    );
    // It must be gone before others count what is there.
    namespace.run("delete pod fixed");
    let mut frozen = config_map("frozen", json!({"a": "1"}));
    frozen["immutable"] = json!(true);
    namespace.create(&frozen);
    let complaint = namespace.refused(r#"patch configmap frozen -p '{"data":{"a":"2"}}'"#, "");
    assert_has(
        &complaint,
        &[
            "The ConfigMap \"frozen\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    assert_eq!(namespace.json("get configmap frozen")["data"]["a"], "1");
    namespace.run("create service clusterip fixed --tcp=80:80");
    let complaint = namespace.refused(
        r#"patch service fixed --type=json -p '[{"op":"replace","path":"/spec/clusterIP","value":"10.96.9.9"},{"op":"replace","path":"/spec/clusterIPs/0","value":"10.96.9.9"}]'"#,
        "",
    );
    assert_has(
        &complaint,
        &[
            "The Service \"fixed\" is invalid: spec.clusterIPs[0]: Invalid value:",
            "may not change once set",
        ],
    );
    let complaint = namespace.refused(
        r#"patch configmap there --type=merge -p '{"metadata":{"name":"other"}}'"#,
        "",
    );
    assert_has(
        &complaint,
        &[
            "Error from server (BadRequest): the name of the object (other) does not match the name on the URL (there)",
        ],
    );
}

fn no_yaml(namespace: &Namespace) {
    let complaint = refused(namespace, "a: b: c\n");
    assert!(
        complaint.starts_with("error: error parsing STDIN: error converting YAML to JSON:"),
        "{complaint}"
    );
    let path = format!("/api/v1/namespaces/{}/pods", namespace.name);
    let complaint = namespace.refused(&format!("create --raw {path} -f -"), "not an object");
    assert!(complaint.starts_with("Error from server (BadRequest): the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error:"), "{complaint}");
    let other = config_map("x", json!({})).to_string();
    let complaint = namespace.refused(&format!("create --raw {path} -f -"), &other);
    assert!(
        complaint.starts_with("Error from server (BadRequest): "),
        "{complaint}"
    );
}

fn unknown_resource(namespace: &Namespace) {
    assert_eq!(
        namespace.refused("get foos", ""),
        "error: the server doesn't have a resource type \"foos\"\n"
    );
    assert_has(
        &refused(
            namespace,
            "apiVersion: v1\nkind: Foo\nmetadata: {name: x}\n",
        ),
        &[
            "error: resource mapping not found for name: \"x\" namespace: \"\" from \"STDIN\": no matches for kind \"Foo\" in version \"v1\"",
        ],
    );
    assert_eq!(
        namespace.refused("get --raw /apis/nothing.example/v1/things", ""),
        "Error from server (NotFound): the server could not find the requested resource\n"
    );
}

fn not_found(namespace: &Namespace) {
    for (line, told) in [
        (
            "get pod none",
            "Error from server (NotFound): pods \"none\" not found\n",
        ),
        (
            "delete configmap none",
            "Error from server (NotFound): configmaps \"none\" not found\n",
        ),
        (
            "get deployments.apps none",
            "Error from server (NotFound): deployments.apps \"none\" not found\n",
        ),
        (
            "logs none",
            "error: error from server (NotFound): pods \"none\" not found in namespace \"NAMESPACE\"\n",
        ),
        (
            "scale rc none --replicas=1",
            "error: no objects passed to scale replicationcontrollers \"none\" not found\n",
        ),
    ] {
        assert_eq!(
            namespace.refused(line, ""),
            told.replace("NAMESPACE", &namespace.name),
            "{line}"
        );
    }
    let elsewhere = Kubectl::stock().namespace("no-such-namespace");
    assert_eq!(
        elsewhere.refused("create -f -", &config_map("x", json!({})).to_string()),
        "Error from server (NotFound): error when creating \"STDIN\": namespaces \"no-such-namespace\" not found\n"
    );
}

fn stale_version(namespace: &Namespace) {
    let old = namespace.json("get configmap there");
    namespace.run("annotate configmap there a=b");
    assert_eq!(
        namespace.refused("replace -f -", &old.to_string()),
        "Error from server (Conflict): error when replacing \"STDIN\": Operation cannot be fulfilled on configmaps \"there\": the object has been modified; please apply your changes to the latest version and try again\n"
    );
    let mut other = old;
    other["metadata"]["resourceVersion"] = Value::Null;
    other["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let complaint = namespace.refused("replace -f -", &other.to_string());
    assert_has(
        &complaint,
        &[
            "Error from server (Conflict):",
            "Precondition failed: UID in precondition: 00000000-0000-0000-0000-000000000000, UID in object meta:",
        ],
    );
}

fn forbidden(namespace: &Namespace) {
    let jane = namespace.with("--as=jane");
    let name = &namespace.name;
    assert_eq!(
        jane.refused("get pods", ""),
        format!(
            "Error from server (Forbidden): pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"{name}\"\n"
        )
    );
    assert_eq!(
        jane.refused("get nodes", ""),
        "Error from server (Forbidden): nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"\" at the cluster scope\n"
    );
    assert_eq!(
        jane.refused("delete configmap there", ""),
        format!(
            "Error from server (Forbidden): configmaps \"there\" is forbidden: User \"jane\" cannot delete resource \"configmaps\" in API group \"\" in the namespace \"{name}\"\n"
        )
    );
    assert_eq!(
        jane.refused("create -f -", &config_map("x", json!({})).to_string()),
        format!(
            "Error from server (Forbidden): error when creating \"STDIN\": configmaps is forbidden: User \"jane\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"{name}\"\n"
        )
    );
    namespace.run("get configmap there");
}

fn missing_service_account(namespace: &Namespace) {
    let mut orphan = idle("x");
    orphan["spec"]["serviceAccountName"] = json!("nobody");
    assert_eq!(
        refused(namespace, &orphan.to_string()),
        format!(
            "Error from server (Forbidden): error when creating \"STDIN\": pods \"x\" is forbidden: error looking up service account {}/nobody: serviceaccount \"nobody\" not found\n",
            namespace.name
        )
    );
}

fn wrong_patches(namespace: &Namespace) {
    let complaint = namespace.refused(
        r#"patch configmap there --type=json -p '[{"op":"remove","path":"/data/none"}]'"#,
        "",
    );
    assert_has(
        &complaint,
        &["The request is invalid: the server rejected our request due to an error in our request"],
    );
    let complaint = namespace.refused(r#"patch configmap there -p '{"data":{"a":7}}'"#, "");
    assert!(
        complaint
            .contains("cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        "{complaint}"
    );
    assert_eq!(
        namespace.json("get configmap there")["data"],
        json!({"a": "1"})
    );
}

fn body_too_large(namespace: &Namespace) {
    let much = "x".repeat(4 << 20);
    let complaint = refused(namespace, &config_map("x", json!({"a": much})).to_string());
    assert!(
        complaint.contains("Request entity too large: limit is 3145728"),
        "{complaint}"
    );
    // What fits into a request may still be more than a ConfigMap holds.
    let complaint = refused(
        namespace,
        &config_map("x", json!({"a": "x".repeat(1_100_000)})).to_string(),
    );
    assert_has(
        &complaint,
        &["The ConfigMap \"x\" is invalid: []: Too long: may not be more than 1048576 bytes"],
    );
}

fn dry_run(namespace: &Namespace) {
    let before = settled(namespace);
    let mut manifest = idle("dry");
    manifest["spec"]["containers"][0]["image"] = json!(BUSYBOX);
    let told = namespace.feed("create --dry-run=server -f -", &manifest.to_string());
    assert_eq!(told, "pod/dry created (server dry run)\n");
    let told = namespace.run("delete configmap there --dry-run=server");
    assert!(
        told.starts_with("configmap \"there\" deleted (server dry run)"),
        "{told}"
    );
    namespace.run("label configmap there x=y --dry-run=server");
    assert_eq!(settled(namespace), before);
    assert!(namespace.json("get configmap there")["metadata"]["labels"].is_null());
}
