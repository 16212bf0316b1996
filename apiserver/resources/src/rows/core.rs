//! The core group, and events.k8s.io, which shows its events anew.

use super::*;

pub const ROWS: &[Row] = &[
    Row {
        kind: "Binding",
        plural: "bindings",
        verbs: CREATE,
        ..NAMESPACED
    },
    Row {
        kind: "ComponentStatus",
        plural: "componentstatuses",
        short_names: &["cs"],
        verbs: &["get", "list"],
        ..CLUSTER
    },
    Row {
        kind: "ConfigMap",
        plural: "configmaps",
        short_names: &["cm"],
        ..NAMESPACED
    },
    Row {
        kind: "Endpoints",
        plural: "endpoints",
        short_names: &["ep"],
        prefix: "services/endpoints",
        ..NAMESPACED
    },
    Row {
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        ..NAMESPACED
    },
    Row {
        kind: "LimitRange",
        plural: "limitranges",
        short_names: &["limits"],
        ..NAMESPACED
    },
    Row {
        kind: "Namespace",
        plural: "namespaces",
        short_names: &["ns"],
        verbs: &[
            "create", "delete", "get", "list", "patch", "update", "watch",
        ],
        subresources: &[sub("finalize", &["update"]), STATUS],
        ..CLUSTER
    },
    Row {
        kind: "Node",
        plural: "nodes",
        short_names: &["no"],
        subresources: &[
            sub_of("proxy", PROXY, ("", "v1", "NodeProxyOptions")),
            STATUS,
        ],
        prefix: "minions",
        ..CLUSTER
    },
    Row {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..NAMESPACED
    },
    Row {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        short_names: &["pv"],
        subresources: &[STATUS],
        ..CLUSTER
    },
    Row {
        kind: "Pod",
        plural: "pods",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            sub_of("attach", CONNECT, ("", "v1", "PodAttachOptions")),
            sub_of("binding", CREATE, ("", "v1", "Binding")),
            sub("ephemeralcontainers", READ_WRITE),
            sub_of("eviction", CREATE, ("policy", "v1", "Eviction")),
            sub_of("exec", CONNECT, ("", "v1", "PodExecOptions")),
            sub("log", GET),
            sub_of("portforward", CONNECT, ("", "v1", "PodPortForwardOptions")),
            sub_of("proxy", PROXY, ("", "v1", "PodProxyOptions")),
            sub("resize", READ_WRITE),
            STATUS,
        ],
        ..NAMESPACED
    },
    Row {
        kind: "PodTemplate",
        plural: "podtemplates",
        ..NAMESPACED
    },
    Row {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        prefix: "controllers",
        ..NAMESPACED
    },
    Row {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        short_names: &["quota"],
        subresources: &[STATUS],
        ..NAMESPACED
    },
    Row {
        kind: "Secret",
        plural: "secrets",
        ..NAMESPACED
    },
    Row {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        short_names: &["sa"],
        subresources: &[sub_of(
            "token",
            CREATE,
            ("authentication.k8s.io", "v1", "TokenRequest"),
        )],
        ..NAMESPACED
    },
    Row {
        kind: "Service",
        plural: "services",
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[
            sub_of("proxy", PROXY, ("", "v1", "ServiceProxyOptions")),
            STATUS,
        ],
        prefix: "services/specs",
        ..NAMESPACED
    },
    Row {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        shows: Some(("", "v1")),
        ..NAMESPACED
    },
];
