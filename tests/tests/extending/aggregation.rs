//! An API server behind the apiserver that is away.

use hardway_tests::kubectl::Kubectl;
use hardway_tests::{Namespace, cleanup, until, wait};
use serde_json::json;

use crate::hooks::Hooks;

/// It is told by name, its group can't be used, and all else can; a namespace that is deleted
/// is emptied, says whom it waits for, and goes when that one is no longer wanted.
pub fn away(hooks: &Hooks) {
    let (kubectl, group) = (Kubectl::stock(), hooks.unique("behind"));
    let service = format!("v1.{group}");
    let _service = cleanup::create_global(&json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": service},
        "spec": {"group": group, "version": "v1", "groupPriorityMinimum": 1000,
            "versionPriority": 10, "insecureSkipTLSVerify": true,
            "service": {"namespace": hooks.namespace.name, "name": "nobody"}}}));
    let table = until("it is told to be away", || {
        let table = kubectl.try_run(&format!("get apiservice {service}")).ok()?;
        wait::holds(table.contains("False (ServiceNotFound)"), &table).map(|()| table)
    });
    assert!(
        table.contains(&format!("{}/nobody", hooks.namespace.name)),
        "{table}"
    );
    let refused = kubectl.refused(&format!("get --raw /apis/{group}/v1"), "");
    assert_eq!(
        refused,
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request\n"
    );
    let found = kubectl.run("api-resources --cached=false");
    assert!(found.contains("deployments"), "{found}");

    let going = Namespace::new("going");
    going.run("create configmap left");
    kubectl.run(&format!("delete namespace {} --wait=false", going.name));
    let get = format!("get namespace {}", going.name);
    let message = until("the namespace says whom it waits for", || {
        let namespace = kubectl.try_json(&get)?;
        let conditions = namespace["status"]["conditions"].as_array();
        let failure = conditions.into_iter().flatten().find(|condition| {
            condition["type"] == "NamespaceDeletionDiscoveryFailure"
                && condition["status"] == "True"
        });
        let failure = failure.ok_or_else(|| namespace["status"].to_string())?;
        assert_eq!(failure["reason"], "DiscoveryFailed");
        Ok(failure["message"].as_str().unwrap_or_default().to_owned())
    });
    let start = "Discovery failed for some groups, 1 failing: ";
    assert!(
        message.starts_with(start) && message.contains(&format!("{group}/v1: ")),
        "{message}"
    );
    until("all else of it is gone", || {
        let left = going.run("get configmaps -o name");
        wait::holds(left.is_empty(), left)
    });
    kubectl.run(&format!("delete apiservice {service}"));
    until("the namespace is gone", || {
        let left = kubectl.run(&format!("{get} --ignore-not-found"));
        wait::holds(left.is_empty(), left)
    });
}
