//! Earlier versions of kinds, as manifests of years ago name them: each shows
//! the objects of a present row. They have neither short names nor categories,
//! so that nobody meets them without asking.

use super::*;

const fn rollback_of(group: &'static str) -> Sub {
    let body = (group, "v1beta1", "DeploymentRollback");
    action("rollback", body, Action::RollBack)
}

const fn scale_of(group: &'static str, version: &'static str) -> Sub {
    Sub {
        body: Some((group, version, "Scale")),
        ..SCALE
    }
}

const EXTENSIONS: Row = Row {
    group: "extensions",
    versions: &["v1beta1"],
    shows: Some(("apps", "v1")),
    deprecated: Some(("1.8", "1.16")),
    ..NAMESPACED
};
const APPS_1: Row = Row {
    group: "apps",
    ..EXTENSIONS
};
const APPS_2: Row = Row {
    versions: &["v1beta2"],
    deprecated: Some(("1.9", "1.16")),
    ..APPS_1
};
const NETWORKING: Row = Row {
    group: "networking.k8s.io",
    versions: &["v1beta1"],
    shows: Some(("networking.k8s.io", "v1")),
    deprecated: Some(("1.19", "1.22")),
    ..NAMESPACED
};
const RBAC: Row = Row {
    group: "rbac.authorization.k8s.io",
    versions: &["v1beta1"],
    shows: Some(("rbac.authorization.k8s.io", "v1")),
    deprecated: Some(("1.17", "1.22")),
    strategy: UPSERTED,
    ..NAMESPACED
};

const DEPLOYMENT: Row = Row {
    kind: "Deployment",
    plural: "deployments",
    strategy: ORPHANING,
    ..NAMESPACED
};
const DAEMON_SET: Row = Row {
    kind: "DaemonSet",
    plural: "daemonsets",
    subresources: &[STATUS],
    strategy: ORPHANING,
    ..NAMESPACED
};
const REPLICA_SET: Row = Row {
    kind: "ReplicaSet",
    plural: "replicasets",
    strategy: ORPHANING,
    ..NAMESPACED
};
const STATEFUL_SET: Row = Row {
    kind: "StatefulSet",
    plural: "statefulsets",
    strategy: ORPHANING,
    ..NAMESPACED
};
const REVISION: Row = Row {
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    ..NAMESPACED
};
const INGRESS: Row = Row {
    kind: "Ingress",
    plural: "ingresses",
    subresources: &[STATUS],
    prefix: "ingress",
    ..NAMESPACED
};

/// A kind in a version.
const fn at(version: Row, kind: Row) -> Row {
    Row {
        group: version.group,
        versions: version.versions,
        shows: version.shows,
        deprecated: version.deprecated,
        ..kind
    }
}

const fn with(subresources: &'static [Sub], row: Row) -> Row {
    Row {
        subresources,
        ..row
    }
}

const EXTENSIONS_SCALE: Sub = scale_of("extensions", "v1beta1");
const APPS_1_SCALE: Sub = scale_of("apps", "v1beta1");
const APPS_2_SCALE: Sub = scale_of("apps", "v1beta2");

pub const ROWS: &[Row] = &[
    at(EXTENSIONS, DAEMON_SET),
    with(
        &[
            rollback_of("extensions"),
            EXTENSIONS_SCALE,
            DEPLOYMENT_STATUS,
        ],
        at(EXTENSIONS, DEPLOYMENT),
    ),
    Row {
        shows: Some(("networking.k8s.io", "v1")),
        deprecated: Some(("1.14", "1.22")),
        ..at(EXTENSIONS, INGRESS)
    },
    Row {
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        shows: Some(("networking.k8s.io", "v1")),
        deprecated: Some(("1.9", "1.16")),
        ..EXTENSIONS
    },
    with(&[EXTENSIONS_SCALE, STATUS], at(EXTENSIONS, REPLICA_SET)),
    at(APPS_1, REVISION),
    with(
        &[rollback_of("apps"), APPS_1_SCALE, DEPLOYMENT_STATUS],
        at(APPS_1, DEPLOYMENT),
    ),
    with(&[APPS_1_SCALE, STATUS], at(APPS_1, STATEFUL_SET)),
    at(APPS_2, REVISION),
    at(APPS_2, DAEMON_SET),
    with(&[APPS_2_SCALE, DEPLOYMENT_STATUS], at(APPS_2, DEPLOYMENT)),
    with(&[APPS_2_SCALE, STATUS], at(APPS_2, REPLICA_SET)),
    with(&[APPS_2_SCALE, STATUS], at(APPS_2, STATEFUL_SET)),
    Row {
        group: "batch",
        versions: &["v1beta1"],
        kind: "CronJob",
        plural: "cronjobs",
        strategy: ORPHANING,
        subresources: &[STATUS],
        shows: Some(("batch", "v1")),
        deprecated: Some(("1.21", "1.25")),
        ..NAMESPACED
    },
    Row {
        group: "autoscaling",
        versions: &["v2beta2"],
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        subresources: &[STATUS],
        shows: Some(("autoscaling", "v2")),
        deprecated: Some(("1.23", "1.26")),
        ..NAMESPACED
    },
    Row {
        group: "discovery.k8s.io",
        versions: &["v1beta1"],
        kind: "EndpointSlice",
        plural: "endpointslices",
        shows: Some(("discovery.k8s.io", "v1")),
        deprecated: Some(("1.21", "1.25")),
        ..NAMESPACED
    },
    at(NETWORKING, INGRESS),
    Row {
        kind: "IngressClass",
        plural: "ingressclasses",
        namespaced: false,
        ..NETWORKING
    },
    Row {
        group: "policy",
        versions: &["v1beta1"],
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        strategy: VERSIONED,
        subresources: &[STATUS],
        shows: Some(("policy", "v1")),
        deprecated: Some(("1.21", "1.25")),
        ..NAMESPACED
    },
    Row {
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        namespaced: false,
        ..RBAC
    },
    Row {
        kind: "ClusterRole",
        plural: "clusterroles",
        namespaced: false,
        ..RBAC
    },
    Row {
        kind: "RoleBinding",
        plural: "rolebindings",
        ..RBAC
    },
    Row {
        kind: "Role",
        plural: "roles",
        ..RBAC
    },
];
