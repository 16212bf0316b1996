//! Configuration reaches pods: as environment and as files, missing, late, changed.

use std::time::{Duration, Instant};

use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods::{self, Pod, sh, try_sh};
use hardway_tests::text::{assert_has, squeezed};
use hardway_tests::{Namespace, steps, until, wait};
use serde_json::{Value, json};

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn configuration_reaches_pods() {
    let namespace = Namespace::new("configuration");
    let steps: &[steps::Step<Namespace>] = &[
        ("secret that comes late", late_secret),
        ("key that comes late", late_key),
        ("volume that comes late", late_volume),
        ("optional references", optional),
        ("whole objects as environment", env_from),
        ("modes and groups", modes),
        ("updates all at once", updates),
        ("immutable", immutable),
    ];
    steps::run_side_by_side(&namespace, &namespace, steps);
}

/// How soon a pod must notice that what it waits for is there, or has changed: well
/// below the minute after which the kubelet looks by itself.
const PROMPT: Duration = Duration::from_secs(25);

/// Creates a pod of one container that idles, with something more.
fn create(namespace: &Namespace, name: &str, more: Value, volumes: Value) {
    let mut main = container("main", IDLE);
    for (key, value) in more.as_object().into_iter().flatten() {
        main[key] = value.clone();
    }
    namespace.create(&pod(
        name,
        json!({"containers": [main], "volumes": volumes}),
    ));
}

fn remove(namespace: &Namespace, name: &str) {
    namespace.run(&format!("delete pod {name} --wait=false"));
}

fn wait_refused(namespace: &Namespace, name: &str, message: &str) {
    let waiting = |pod: &Pod| {
        let waiting = &pod.container("main")["state"]["waiting"];
        waiting["reason"] == "CreateContainerConfigError" && waiting["message"] == message
    };
    pods::wait_until(namespace, name, &format!("refused: {message}"), waiting);
    let shown = format!("{name} 0/1 CreateContainerConfigError 0");
    assert_has(&namespace.run(&format!("get pod {name}")), &[&shown]);
    wait_event(
        namespace,
        name,
        &["Warning Failed", "kubelet Error:", message],
    );
}

/// Waits until `describe` has a line with all parts.
fn wait_event(namespace: &Namespace, pod: &str, parts: &[&str]) {
    until(&format!("{parts:?} is told of {pod}"), || {
        let told = namespace.try_run(&format!("describe pod {pod}")).ok()?;
        let told = squeezed(&told);
        let mut lines = told.lines();
        let found = lines.any(|line| parts.iter().all(|part| line.contains(part)));
        wait::holds(found, &told)
    });
}

/// Fails unless it takes little time until a condition holds.
fn promptly<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let answer = until(what, probe);
    let took = start.elapsed();
    eprintln!("   {what}: after {took:.1?}");
    assert!(took < PROMPT, "{what} took {took:?}");
    answer
}

fn ready(namespace: &Namespace, name: &str) -> Result<(), String> {
    let pod = pods::try_get(namespace, name)?;
    wait::holds(pod.ready(), &pod.value()["status"])
}

fn late_secret(namespace: &Namespace) {
    let of = |key: &str| json!({"secretKeyRef": {"name": "lbapp-db", "key": key}});
    let env = json!({"env": [
        {"name": "LBAPP_DB_USER", "valueFrom": of("username")},
        {"name": "LBAPP_DB_PWD", "valueFrom": of("password")},
    ]});
    create(namespace, "secretive", env, json!([]));
    wait_refused(namespace, "secretive", "secret \"lbapp-db\" not found");
    namespace.run(
        "create secret generic lbapp-db --from-literal=username=root --from-literal=password=t0p",
    );
    promptly("the pod starts once its secret is there", || {
        ready(namespace, "secretive")
    });
    let told = sh(namespace, "secretive", "echo $LBAPP_DB_USER $LBAPP_DB_PWD");
    assert_eq!(told, "root t0p\n");
    // What runs keeps the environment it was given.
    namespace.run(r#"patch secret lbapp-db -p '{"stringData":{"password":"other"}}'"#);
    assert_eq!(sh(namespace, "secretive", "echo $LBAPP_DB_PWD"), "t0p\n");
    remove(namespace, "secretive");
}

fn late_key(namespace: &Namespace) {
    namespace.run("create configmap half --from-literal=first=1");
    namespace.run("create secret generic half --from-literal=first=1");
    let env = |source: &str| json!({"env": [{"name": "SECOND", "valueFrom": {source: {"name": "half", "key": "second"}}}]});
    create(namespace, "keyless-map", env("configMapKeyRef"), json!([]));
    create(namespace, "keyless-secret", env("secretKeyRef"), json!([]));
    let missing =
        |kind: &str| format!("couldn't find key second in {kind} {}/half", namespace.name);
    wait_refused(namespace, "keyless-map", &missing("ConfigMap"));
    wait_refused(namespace, "keyless-secret", &missing("Secret"));
    namespace.run(r#"patch configmap half -p '{"data":{"second":"2"}}'"#);
    namespace.run(r#"patch secret half -p '{"stringData":{"second":"2"}}'"#);
    for name in ["keyless-map", "keyless-secret"] {
        promptly("the pod starts once the key is there", || {
            ready(namespace, name)
        });
        assert_eq!(sh(namespace, name, "echo $SECOND"), "2\n");
        remove(namespace, name);
    }
}

fn late_volume(namespace: &Namespace) {
    let mount = json!({"volumeMounts": [{"name": "files", "mountPath": "/files"}]});
    let volumes = json!([{"name": "files", "configMap": {"name": "later"}}]);
    create(namespace, "mountless", mount, volumes);
    let failed = "MountVolume.SetUp failed for volume \"files\" : ";
    wait_event(
        namespace,
        "mountless",
        &[
            "Warning FailedMount",
            &format!("{failed}configmap \"later\" not found"),
        ],
    );
    until("the pod is shown to be coming up", || {
        let shown = squeezed(&namespace.try_run("get pod mountless").ok()?);
        wait::holds(shown.contains("mountless 0/1 ContainerCreating 0"), shown)
    });
    namespace.run("create configmap later --from-literal=a=1");
    promptly("the pod starts once its volume is there", || {
        ready(namespace, "mountless")
    });
    assert_eq!(sh(namespace, "mountless", "cat /files/a"), "1");
    remove(namespace, "mountless");
    // A key that isn't there is as bad.
    let mount = json!({"volumeMounts": [{"name": "files", "mountPath": "/files"}]});
    let volumes = json!([{"name": "files", "secret": {"secretName": "partial", "items": [{"key": "none", "path": "none"}]}}]);
    namespace.run("create secret generic partial --from-literal=some=1");
    create(namespace, "itemless", mount, volumes);
    wait_event(
        namespace,
        "itemless",
        &[&format!("{failed}references non-existent secret key: none")],
    );
    remove(namespace, "itemless");
}

fn optional(namespace: &Namespace) {
    let more = json!({
        "env": [
            {"name": "NO_MAP", "valueFrom": {"configMapKeyRef": {"name": "perhaps", "key": "a", "optional": true}}},
            {"name": "NO_SECRET", "valueFrom": {"secretKeyRef": {"name": "perhaps", "key": "a", "optional": true}}},
            {"name": "THERE", "value": "yes"},
        ],
        "envFrom": [{"configMapRef": {"name": "perhaps", "optional": true}}, {"secretRef": {"name": "perhaps", "optional": true}}],
        "volumeMounts": [{"name": "map", "mountPath": "/map"}, {"name": "secret", "mountPath": "/secret"}],
    });
    let volumes = json!([
        {"name": "map", "configMap": {"name": "perhaps", "optional": true}},
        {"name": "secret", "secret": {"secretName": "perhaps", "optional": true, "items": [{"key": "a", "path": "b"}]}},
    ]);
    create(namespace, "easy", more, volumes);
    pods::wait_pod(namespace, "easy");
    let told = sh(
        namespace,
        "easy",
        "ls /map /secret; env | grep -E '^(NO_|THERE)'",
    );
    assert_eq!(squeezed(&told), "/map:\n\n/secret:\nTHERE=yes");
    // Files come when the object does, and go with it.
    namespace.run("create configmap perhaps --from-literal=a=1");
    namespace.run("create secret generic perhaps --from-literal=a=2");
    promptly("optional files come", || {
        let told = try_sh(namespace, "easy", "cat /map/a /secret/b").ok()?;
        wait::holds(told == "12", told)
    });
    namespace.run("delete configmap/perhaps secret/perhaps");
    promptly("optional files go", || {
        let told = try_sh(namespace, "easy", "ls /map /secret | grep -v :").stdout;
        wait::holds(told.trim().is_empty(), told)
    });
    assert_eq!(
        pods::get(namespace, "easy").container("main")["restartCount"],
        0
    );
    remove(namespace, "easy");
}

fn env_from(namespace: &Namespace) {
    namespace.run("create configmap settings --from-literal=plain=1 --from-literal=with.dots-and-dashes=2 --from-literal=3=three");
    namespace.run("create secret generic settings --from-literal=plain=secret");
    let more = json!({
        "envFrom": [
            {"configMapRef": {"name": "settings"}},
            {"prefix": "P_", "configMapRef": {"name": "settings"}},
            {"prefix": "S_", "secretRef": {"name": "settings"}},
            // The later one wins, and what is named goes before both.
            {"secretRef": {"name": "settings"}},
        ],
        "env": [{"name": "S_plain", "value": "named"}],
    });
    create(namespace, "surrounded", more, json!([]));
    pods::wait_pod(namespace, "surrounded");
    // As process 1 was given it: a shell passes on only names it likes.
    let told = sh(namespace, "surrounded", "tr '\\0' '\\n' < /proc/1/environ");
    for line in [
        "plain=secret",
        "with.dots-and-dashes=2",
        "3=three",
        "P_plain=1",
        "P_with.dots-and-dashes=2",
        "P_3=three",
        "S_plain=named",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} in\n{told}");
    }
    remove(namespace, "surrounded");
}

fn modes(namespace: &Namespace) {
    namespace.run("create configmap moded --from-literal=a=1 --from-literal=b=2");
    namespace.run("create secret generic moded --from-literal=key=3");
    let mut main = container("main", IDLE);
    let names = ["map", "secret", "all", "down"];
    let mounts = names.map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    main["volumeMounts"] = json!(mounts);
    let spec = json!({
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000},
        "containers": [main],
        "volumes": [
            {"name": "map", "configMap": {"name": "moded", "defaultMode": 0o400, "items": [
                {"key": "a", "path": "deep/a"}, {"key": "b", "path": "b", "mode": 0o555}]}},
            {"name": "secret", "secret": {"secretName": "moded", "defaultMode": 0o400}},
            {"name": "all", "projected": {"defaultMode": 0o440, "sources": [
                {"configMap": {"name": "moded", "items": [{"key": "a", "path": "a", "mode": 0o444}]}},
                {"secret": {"name": "moded"}},
                {"secret": {"name": "none", "optional": true}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ]}},
            {"name": "down", "downwardAPI": {"defaultMode": 0o400, "items": [
                {"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
        ],
    });
    namespace.create(&pod("moded", spec));
    pods::wait_pod(namespace, "moded");
    // The group may read what its owner may.
    let told = sh(
        namespace,
        "moded",
        "cd /; stat -L -c '%n %a %g' map/deep/a map/b secret/key all/a all/key all/name down/app; ls map all; cat map/deep/a map/b secret/key all/a all/key all/name down/app",
    );
    assert_eq!(
        told,
        "map/deep/a 440 2000\nmap/b 555 2000\nsecret/key 440 2000\nall/a 444 2000\nall/key 440 2000\nall/name 440 2000\ndown/app 440 2000\n\
         all:\na\nkey\nname\n\nmap:\nb\ndeep\n12313modedmoded"
    );
    remove(namespace, "moded");
}

fn updates(namespace: &Namespace) {
    namespace.run("create configmap living --from-literal=one=first --from-literal=two=first");
    namespace.run("create secret generic living --from-literal=key=first");
    let more = json!({"volumeMounts": [
        {"name": "map", "mountPath": "/map"},
        {"name": "secret", "mountPath": "/secret"},
        {"name": "all", "mountPath": "/all"},
        {"name": "map", "mountPath": "/fixed", "subPath": "one"},
    ]});
    let volumes = json!([
        {"name": "map", "configMap": {"name": "living"}},
        {"name": "secret", "secret": {"secretName": "living"}},
        {"name": "all", "projected": {"sources": [{"configMap": {"name": "living"}}, {"secret": {"name": "living"}}]}},
    ]);
    create(namespace, "living", more, volumes);
    pods::wait_pod(namespace, "living");
    let version = |script: &str| sh(namespace, "living", script);
    let before = version("readlink /map/..data");
    assert_eq!(version("readlink /map/one"), "..data/one\n");
    // A version that is open stays whole while the next one takes its place.
    namespace.run(r#"patch configmap living -p '{"data":{"one":"second","two":"second"}}'"#);
    namespace.run(r#"patch secret living -p '{"stringData":{"key":"second"}}'"#);
    promptly("changed files arrive", || {
        let told = try_sh(
            namespace,
            "living",
            "cat /map/one /map/two /secret/key /all/one /all/two /all/key",
        )
        .ok()?;
        wait::holds(told == "second".repeat(6), told)
    });
    assert_ne!(version("readlink /map/..data"), before);
    until("old versions go", || {
        let versions = version("ls -A /map | grep -c '^\\.\\.2'");
        wait::holds(versions == "1\n", versions)
    });
    assert_eq!(version("cat /fixed"), "first", "a part stays as it was");
    remove(namespace, "living");
}

fn immutable(namespace: &Namespace) {
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "carved"},
        "data": {"a": "stone"}, "immutable": true,
    }));
    let mount = json!({"volumeMounts": [{"name": "files", "mountPath": "/files"}]});
    let volumes = json!([{"name": "files", "configMap": {"name": "carved"}}]);
    create(namespace, "carved", mount.clone(), volumes.clone());
    pods::wait_pod(namespace, "carved");
    assert_eq!(sh(namespace, "carved", "cat /files/a"), "stone");
    let refused = namespace.refused(r#"patch configmap carved -p '{"data":{"a":"sand"}}'"#, "");
    assert!(
        refused.contains("field is immutable when `immutable` is set"),
        "{refused}"
    );
    // Others can still use it.
    create(namespace, "carved-too", mount, volumes);
    pods::wait_pod(namespace, "carved-too");
    assert_eq!(sh(namespace, "carved-too", "cat /files/a"), "stone");
    remove(namespace, "carved");
    remove(namespace, "carved-too");
}
