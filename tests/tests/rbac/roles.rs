//! What roles allow.

use super::{Guarded, can};
use std::collections::BTreeMap;

use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::text::assert_has;
use hardway_tests::{until, wait};
use serde_json::json;

pub fn role_binding(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    let clerk = guarded.account("clerk");
    assert!(!can(&clerk, "create configmaps"));
    let name = &namespace.name;
    namespace.run(&format!(
        "create rolebinding clerk --clusterrole=edit --serviceaccount={name}:clerk"
    ));
    until("the binding works", || {
        wait::holds(can(&clerk, "create configmaps"), "not yet")
    });
    clerk.run("create configmap from-clerk --from-literal=a=b");
    // Only here, and no more than the role says.
    assert!(!can(&clerk, "create configmaps --namespace=default"));
    assert!(!can(&clerk, "create roles"));
    assert!(!can(&clerk, "get nodes"));
    namespace.run("delete rolebinding clerk");
    until("the binding is gone", || {
        wait::holds(!can(&clerk, "create configmaps"), "still")
    });
}

pub fn aggregated_roles(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    for (role, may, may_not) in [
        ("view", "list pods", "delete pods"),
        ("view", "get configmaps", "get secrets"),
        (
            "edit",
            "get secrets",
            "create rolebindings.rbac.authorization.k8s.io",
        ),
        (
            "admin",
            "create rolebindings.rbac.authorization.k8s.io",
            "delete namespaces",
        ),
        ("cluster-admin", "delete namespaces", ""),
    ] {
        let binding = format!("{role}-{}", may.replace([' ', '.'], "-"));
        let user = namespace.with(&format!("--as={binding}"));
        namespace.run(&format!(
            "create rolebinding {binding} --clusterrole={role} --user={binding}"
        ));
        until("the binding works", || {
            wait::holds(can(&user, may), format!("{role}: {may}"))
        });
        assert!(
            may_not.is_empty() || !can(&user, may_not),
            "{role}: {may_not}"
        );
    }
}

pub fn names_and_subresources(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.run("create role narrow --verb=get --resource=configmaps --resource-name=this");
    namespace.run("create role logs --verb=get --resource=pods/log");
    for role in ["narrow", "logs"] {
        namespace.run(&format!(
            "create rolebinding {role} --role={role} --user=narrow"
        ));
    }
    let user = namespace.with("--as=narrow");
    until("the binding works", || {
        wait::holds(can(&user, "get pods --subresource=log"), "not yet")
    });
    assert!(can(&user, "get configmap/this"));
    assert!(!can(&user, "get configmap/that"));
    assert!(!can(&user, "list configmaps"));
    assert!(!can(&user, "get pods"));
    assert!(!can(&user, "create pods --subresource=exec"));
}

pub fn no_escalation(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.run("create rolebinding boss --clusterrole=admin --user=boss");
    let boss = namespace.with("--as=boss");
    until("the binding works", || {
        wait::holds(
            can(&boss, "create roles.rbac.authorization.k8s.io"),
            "not yet",
        )
    });
    boss.run("create role modest --verb=get --resource=pods");
    let told = boss.refused("create role greedy --verb=get --resource=nodes", "");
    assert_has(
        &told,
        &[
            "roles.rbac.authorization.k8s.io \"greedy\" is forbidden: user \"boss\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:",
            "{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}",
        ],
    );
    let told = boss.refused(
        "create rolebinding greedy --clusterrole=cluster-admin --user=boss",
        "",
    );
    assert!(
        told.contains("is attempting to grant RBAC permissions not currently held"),
        "{told}"
    );
}

pub fn node_identity(guarded: &Guarded) {
    let [own, other] = [0, 1].map(|index: usize| guarded.workers[index].name.clone());
    let node = guarded.component(&format!("kubelet-{own}"));
    let here = node.namespace(&guarded.namespace.name);
    node.run(&format!("get node {own}"));
    let told = node.refused(&format!("get node {other}"), "");
    assert_eq!(
        told,
        format!(
            "Error from server (Forbidden): nodes \"{other}\" is forbidden: User \"system:node:{own}\" cannot get resource \"nodes\" in API group \"\" at the cluster scope: node '{own}' cannot read '{other}', only its own Node object\n"
        )
    );
    node.refused(&format!("label node {other} x=y"), "");
    node.refused("get nodes", "");
    node.run(&format!("get nodes --field-selector=metadata.name={own}"));
    let told = node.refused(
        &format!("label node {own} node-restriction.kubernetes.io/x=y"),
        "",
    );
    assert!(told.contains("is not allowed to modify labels"), "{told}");
    let told = node.refused(&format!("taint node {own} x=y:NoSchedule"), "");
    assert!(
        told.contains(&format!(
            "nodes \"{own}\" is forbidden: node \"{own}\" is not allowed to modify taints"
        )),
        "{told}"
    );
    // Secrets only of its own pods.
    let namespace = &guarded.namespace;
    namespace.run("create secret generic hidden --from-literal=a=b");
    let told = here.refused("get secret hidden", "");
    assert_eq!(
        told,
        format!(
            "Error from server (Forbidden): secrets \"hidden\" is forbidden: User \"system:node:{own}\" cannot get resource \"secrets\" in API group \"\" in the namespace \"{}\": no relationship found between node '{own}' and this object\n",
            namespace.name
        )
    );
    let spec = |node: &str| {
        json!({
            "nodeName": node,
            "containers": [container("main", IDLE)],
            "volumes": [{"name": "hidden", "secret": {"secretName": "hidden"}}],
        })
    };
    namespace.create(&pod("elsewhere", spec(&other)));
    pods::wait_pod(namespace, "elsewhere");
    here.refused("get secret hidden", "");
    namespace.create(&pod("here", spec(&own)));
    until("the node reads its pod's secret", || {
        here.try_run("get secret hidden").ok()
    });
    assert!(here.refused("get secrets", "").contains("(Forbidden)"));
    // A token of theirs is for the apiserver, as the pod is.
    let uid = namespace.run("get pod here -o jsonpath={.metadata.uid}");
    let told = here.refused(
        &format!(
            "create token default --bound-object-kind=Pod --bound-object-name=here --bound-object-uid={uid} --audience=vault"
        ),
        "",
    );
    assert!(
        told.contains("audience \"vault\" not found in pod spec volume"),
        "{told}"
    );
    let told = here.refused("get pods", "");
    assert!(
        told.contains("can only list/watch pods with spec.nodeName field selector"),
        "{told}"
    );
    here.run(&format!("get pods --field-selector=spec.nodeName={own}"));
    // Pods only of its own.
    let told = here.refused("delete pod elsewhere", "");
    assert!(
        told.contains("can only delete pods with spec.nodeName set to itself"),
        "{told}"
    );
    let told = here.refused("run mine --image=busybox:1.36", "");
    assert!(
        told.contains("can only create mirror pods")
            || told.contains("pod does not have \"kubernetes.io/config.mirror\" annotation"),
        "{told}"
    );
    namespace.run("delete pod here elsewhere --wait=false");
}

pub fn components(guarded: &Guarded) {
    let may: BTreeMap<&str, [&str; 2]> = BTreeMap::from([
        (
            "scheduler",
            [
                "create pods --subresource=binding",
                "create deployments.apps",
            ],
        ),
        (
            "controller-manager",
            ["create pods", "create pods --subresource=exec"],
        ),
        (
            "kube-proxy-worker-1",
            ["list endpointslices.discovery.k8s.io", "list secrets"],
        ),
        ("flannel-lite-worker-1", ["patch nodes", "list pods"]),
    ]);
    for (name, [can_do, can_not]) in may {
        let component = guarded.component(name);
        assert!(can(&component, can_do), "{name} {can_do}");
        if name != "controller-manager" {
            assert!(!can(&component, can_not), "{name} {can_not}");
        }
    }
}
