//! The core group, and events.k8s.io, which shows its events anew.

use super::*;

const EVENTS: Strategy = Strategy {
    dependents: Dependents::None,
    expires: true,
    ..UPSERTED
};

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
        strategy: UPSERTED,
        short_names: &["ep"],
        prefix: "services/endpoints",
        ..NAMESPACED
    },
    Row {
        kind: "Event",
        plural: "events",
        strategy: EVENTS,
        short_names: &["ev"],
        ..NAMESPACED
    },
    Row {
        kind: "LimitRange",
        plural: "limitranges",
        strategy: UPSERTED,
        short_names: &["limits"],
        ..NAMESPACED
    },
    Row {
        kind: "Namespace",
        plural: "namespaces",
        strategy: RETURNED,
        short_names: &["ns"],
        verbs: &[
            "create", "delete", "get", "list", "patch", "update", "watch",
        ],
        subresources: &[
            Sub {
                verbs: &["update"],
                ..part("finalize", Part::Finalizers)
            },
            STATUS,
        ],
        ..CLUSTER
    },
    Row {
        kind: "Node",
        plural: "nodes",
        short_names: &["no"],
        subresources: &[stream("proxy", "NodeProxyOptions", Stream::Proxy), STATUS],
        prefix: "minions",
        ..CLUSTER
    },
    Row {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        strategy: RETURNED,
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..NAMESPACED
    },
    Row {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        strategy: RETURNED,
        short_names: &["pv"],
        subresources: &[STATUS],
        ..CLUSTER
    },
    Row {
        kind: "Pod",
        plural: "pods",
        strategy: RETURNED,
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            stream("attach", "PodAttachOptions", Stream::Attach),
            action("binding", ("", "v1", "Binding"), Action::Bind),
            Sub {
                keeps: METADATA,
                ..part("ephemeralcontainers", Part::EphemeralContainers)
            },
            action("eviction", ("policy", "v1", "Eviction"), Action::Evict),
            stream("exec", "PodExecOptions", Stream::Exec),
            Sub {
                body: None,
                ..stream("log", "PodLogOptions", Stream::Log)
            },
            stream("portforward", "PodPortForwardOptions", Stream::PortForward),
            stream("proxy", "PodProxyOptions", Stream::Proxy),
            Sub {
                keeps: METADATA,
                ..part("resize", Part::Resources)
            },
            // Kubelets of old spoiled them.
            Sub {
                keeps: &["ownerReferences"],
                ..STATUS
            },
        ],
        ..NAMESPACED
    },
    Row {
        kind: "PodTemplate",
        plural: "podtemplates",
        strategy: RETURNED,
        ..NAMESPACED
    },
    Row {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        strategy: ORPHANING,
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        prefix: "controllers",
        ..NAMESPACED
    },
    Row {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        strategy: RETURNED,
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
        strategy: RETURNED,
        short_names: &["sa"],
        subresources: &[action(
            "token",
            ("authentication.k8s.io", "v1", "TokenRequest"),
            Action::IssueToken,
        )],
        ..NAMESPACED
    },
    Row {
        kind: "Service",
        plural: "services",
        strategy: Strategy {
            create_on_update: true,
            ..RETURNED
        },
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[
            stream("proxy", "ServiceProxyOptions", Stream::Proxy),
            STATUS,
        ],
        prefix: "services/specs",
        ..NAMESPACED
    },
    Row {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        strategy: EVENTS,
        short_names: &["ev"],
        shows: Some(("", "v1")),
        ..NAMESPACED
    },
];
