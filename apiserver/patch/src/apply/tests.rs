use super::*;
use crate::managed_fields::update;
use crate::typed::tests::deployment;
use crate::versions::Versions;
use jiff::Timestamp;

fn writer(manager: &str, second: i64) -> Writer<'_> {
    Writer::main(
        manager,
        "apps/v1",
        Timestamp::from_second(1_700_000_000 + second).unwrap(),
    )
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

fn with_containers(containers: Value) -> Value {
    object(json!({"template": {"spec": {"containers": containers}}}))
}

fn do_apply(
    live: Option<&Value>,
    applied: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Status> {
    let writer = writer(manager, 0);
    check_applied(applied, &deployment(), writer.api_version)?;
    apply(live, applied, &deployment(), &writer, force)
}

fn entry<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    entries.iter().find(|e| e["manager"] == manager)
}

#[test]
fn creates_and_owns() {
    let created = do_apply(None, &object(json!({"replicas": 3})), "kubectl", false).unwrap();
    assert_eq!(created["spec"], json!({"replicas": 3}));
    assert_eq!(
        created["metadata"]["managedFields"],
        json!([{"manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1",
            "time": "2023-11-14T22:13:20Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}])
    );
}

#[test]
fn what_is_no_longer_applied_goes() {
    let first = with_containers(json!([
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "b", "image": "1"}]));
    let second =
        with_containers(json!([{"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}]));
    let live = do_apply(None, &first, "m", false).unwrap();
    let live = do_apply(Some(&live), &second, "m", false).unwrap();
    assert_eq!(live["spec"], second["spec"]);
}

#[test]
fn what_somebody_else_owns_too_stays() {
    let live = do_apply(
        None,
        &object(json!({"replicas": 3, "paused": true})),
        "a",
        false,
    )
    .unwrap();
    let live = do_apply(Some(&live), &object(json!({"replicas": 3})), "b", false).unwrap();
    let mut nothing = object(json!({}));
    nothing.as_object_mut().unwrap().remove("spec");
    let live = do_apply(Some(&live), &nothing, "a", false).unwrap();
    assert_eq!(live["spec"], json!({"replicas": 3}));
    assert!(entry(&live, "a").is_none(), "owns nothing and is dropped");
    assert!(entry(&live, "b").is_some());
}

#[test]
fn defaults_inside_a_removed_element_go_with_it() {
    let applied =
        with_containers(json!([{"name": "a"}, {"name": "b", "ports": [{"containerPort": 80}]}]));
    let mut live = do_apply(None, &applied, "m", false).unwrap();
    live["spec"]["template"]["spec"]["containers"][1]["ports"][0]["protocol"] = json!("TCP");
    live["spec"]["template"]["spec"]["containers"][1]["command"] = json!(["defaulted"]);
    let live = do_apply(
        Some(&live),
        &with_containers(json!([{"name": "a"}])),
        "m",
        false,
    )
    .unwrap();
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"],
        json!([{"name": "a"}])
    );
}

#[test]
fn the_default_of_a_key_identifies() {
    let port = |port: Value| with_containers(json!([{"name": "a", "ports": [port]}]));
    let live = do_apply(
        None,
        &port(json!({"containerPort": 80, "protocol": "TCP"})),
        "m",
        false,
    )
    .unwrap();
    let live = do_apply(
        Some(&live),
        &port(json!({"containerPort": 80, "name": "http"})),
        "n",
        false,
    )
    .unwrap();
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP", "name": "http"}])
    );
}

#[test]
fn a_conflict_is_told_as_kubernetes_tells_it() {
    let mut live = object(json!({"replicas": 1}));
    update(
        None,
        &mut live,
        &deployment(),
        &writer("kubectl-client-side-apply", 0),
    );
    let status = do_apply(Some(&live), &object(json!({"replicas": 2})), "m", false).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas"#
    );
    assert_eq!(
        status.details.unwrap().causes,
        [Cause {
            reason: "FieldManagerConflict".into(),
            message: r#"conflict with "kubectl-client-side-apply" using apps/v1"#.into(),
            field: ".spec.replicas".into()
        }]
    );
    let taken = do_apply(Some(&live), &object(json!({"replicas": 2})), "m", true).unwrap();
    assert_eq!(taken["spec"]["replicas"], 2);
    assert!(entry(&taken, "kubectl-client-side-apply").is_none());
}

#[test]
fn several_conflicts_are_grouped_by_manager() {
    let live = do_apply(
        None,
        &object(json!({"replicas": 1, "paused": true})),
        "a",
        false,
    )
    .unwrap();
    let status = do_apply(
        Some(&live),
        &object(json!({"replicas": 2, "paused": false})),
        "b",
        false,
    )
    .unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.paused\n- .spec.replicas"
    );
}

#[test]
fn the_same_value_is_shared_without_conflict() {
    let live = do_apply(None, &object(json!({"replicas": 1})), "a", false).unwrap();
    let live = do_apply(Some(&live), &object(json!({"replicas": 1})), "b", false).unwrap();
    assert!(entry(&live, "a").is_some() && entry(&live, "b").is_some());
}

#[test]
fn applying_again_changes_nothing() {
    let applied = object(json!({"replicas": 1}));
    let live = do_apply(None, &applied, "a", false).unwrap();
    let again = apply(
        Some(&live),
        &applied,
        &deployment(),
        &writer("a", 60),
        false,
    )
    .unwrap();
    assert_eq!(live, again);
}

#[test]
fn a_null_creation_timestamp_unsets_nothing() {
    let mut applied = object(json!({"replicas": 1}));
    applied["metadata"]["creationTimestamp"] = Value::Null;
    let mut live = do_apply(None, &applied, "a", false).unwrap();
    live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let again = apply(
        Some(&live),
        &applied,
        &deployment(),
        &writer("a", 60),
        false,
    )
    .unwrap();
    assert_eq!(live, again);
}

#[test]
fn kubectl_takes_over_what_client_side_apply_set() {
    let configuration = object(json!({"replicas": 1}));
    let mut live = configuration.clone();
    live["metadata"]["annotations"] = json!({LAST_APPLIED: configuration.to_string()});
    update(
        None,
        &mut live,
        &deployment(),
        &writer("kubectl-client-side-apply", 0),
    );
    let new = do_apply(
        Some(&live),
        &object(json!({"replicas": 4})),
        "kubectl",
        false,
    )
    .unwrap();
    assert_eq!(new["spec"]["replicas"], 4);
    let annotation = new["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .unwrap();
    assert!(annotation.contains("\"replicas\":4"), "{annotation}");

    live["spec"]["replicas"] = json!(2);
    assert!(
        do_apply(
            Some(&live),
            &object(json!({"replicas": 4})),
            "kubectl",
            false
        )
        .is_err()
    );
}

#[test]
fn an_object_without_owners_gets_one_before_the_first_apply() {
    let live = object(json!({"replicas": 1, "paused": true}));
    let status = do_apply(Some(&live), &object(json!({"replicas": 2})), "m", false).unwrap_err();
    assert!(
        status
            .message
            .contains(r#"conflict with "before-first-apply" using apps/v1: .spec.replicas"#)
    );
    let new = do_apply(Some(&live), &object(json!({"replicas": 2})), "m", true).unwrap();
    assert_eq!(
        entry(&new, "before-first-apply").unwrap()["fieldsV1"],
        json!({"f:spec": {"f:paused": {}}})
    );
}

#[test]
fn atomic_maps_are_owned_whole() {
    let selector = |value: &str| object(json!({"selector": {"matchLabels": {"app": value}}}));
    let live = do_apply(None, &selector("a"), "a", false).unwrap();
    let status = do_apply(Some(&live), &selector("b"), "b", false).unwrap_err();
    assert!(
        status.message.ends_with(".spec.selector"),
        "{}",
        status.message
    );
}

#[test]
fn a_null_unsets() {
    let live = do_apply(
        None,
        &object(json!({"replicas": 1, "paused": true})),
        "a",
        false,
    )
    .unwrap();
    let live = do_apply(
        Some(&live),
        &object(json!({"replicas": 1, "paused": null})),
        "a",
        false,
    )
    .unwrap();
    assert_eq!(live["spec"], json!({"replicas": 1}));
}

#[test]
fn wrong_configurations_are_refused() {
    let mut owned = object(json!({}));
    owned["metadata"]["managedFields"] = json!([]);
    let status = do_apply(None, &owned, "m", false).unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (400, "metadata.managedFields must be nil")
    );

    let status = do_apply(None, &object(json!({"bogus": 1})), "m", false).unwrap_err();
    assert_eq!(
        status.message,
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.bogus: field not declared in schema"
    );
    let twice = with_containers(json!([{"name": "a"}, {"name": "a"}]));
    let status = do_apply(None, &twice, "m", false).unwrap_err();
    assert!(
        status
            .message
            .ends_with(r#".spec.template.spec.containers: duplicate entries for key [name="a"]"#)
    );
    let mut other = object(json!({}));
    other["apiVersion"] = json!("apps/v1beta1");
    assert_eq!(do_apply(None, &other, "m", false).unwrap_err().code, 400);
}

#[test]
fn managers_see_changes_in_their_own_versions() {
    // In the old version `replicas` is called `minReadySeconds`.
    let convert = |object: &Value, from: &str, to: &str| {
        let mut object = object.clone();
        let (old, new) = match (from, to) {
            ("apps/v0", "apps/v1") => ("minReadySeconds", "replicas"),
            ("apps/v1", "apps/v0") => ("replicas", "minReadySeconds"),
            _ => return None,
        };
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
            && let Some(value) = spec.remove(old)
        {
            spec.insert(new.into(), value);
        }
        object["apiVersion"] = to.into();
        Some((deployment(), object))
    };
    let by = |manager: &'static str, version: &'static str| Writer {
        api_version: version,
        versions: Versions::by(&convert),
        ..writer(manager, 0)
    };
    let old = |spec: Value| {
        let mut object = object(spec);
        object["apiVersion"] = "apps/v0".into();
        object
    };
    let first = old(json!({"minReadySeconds": 2, "paused": true}));
    let mut live = apply(None, &first, &deployment(), &by("m", "apps/v0"), false).unwrap();
    assert_eq!(entry(&live, "m").unwrap()["apiVersion"], "apps/v0");
    (_, live) = convert(&live, "apps/v0", "apps/v1").unwrap();

    // Somebody else's wish for the same field by its new name is a conflict.
    let wish = object(json!({"replicas": 3}));
    let refused = apply(
        Some(&live),
        &wish,
        &deployment(),
        &by("o", "apps/v1"),
        false,
    );
    assert!(
        refused
            .unwrap_err()
            .message
            .ends_with("conflict with \"m\": .spec.minReadySeconds")
    );
    let taken = apply(Some(&live), &wish, &deployment(), &by("o", "apps/v1"), true).unwrap();
    assert_eq!(
        entry(&taken, "m").unwrap()["fieldsV1"],
        json!({"f:spec": {"f:paused": {}}})
    );

    // The same manager goes on in the new version: what it drops goes.
    let next = object(json!({"paused": true}));
    let moved = apply(
        Some(&live),
        &next,
        &deployment(),
        &by("m", "apps/v1"),
        false,
    )
    .unwrap();
    assert_eq!(moved["spec"], json!({"paused": true}));
    assert_eq!(entry(&moved, "m").unwrap()["apiVersion"], "apps/v1");

    // An update takes the field from whoever knows it by another name.
    let mut updated = live.clone();
    updated["spec"]["replicas"] = 5.into();
    update(
        Some(&live),
        &mut updated,
        &deployment(),
        &by("u", "apps/v1"),
    );
    assert_eq!(
        entry(&updated, "m").unwrap()["fieldsV1"],
        json!({"f:spec": {"f:paused": {}}})
    );
}
