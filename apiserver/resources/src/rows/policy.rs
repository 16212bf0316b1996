//! Who may do what, and what may happen to whom: RBAC, reviews, policies,
//! certificates, scheduling, flow control.

use super::*;

const RBAC: &str = "rbac.authorization.k8s.io";
const FLOW: Row = Row {
    group: "flowcontrol.apiserver.k8s.io",
    subresources: &[STATUS_ALONE],
    ..CLUSTER
};
const AUTHORIZATION: Row = Row {
    group: "authorization.k8s.io",
    verbs: CREATE,
    ..CLUSTER
};

pub const ROWS: &[Row] = &[
    Row {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        verbs: CREATE,
        ..CLUSTER
    },
    Row {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        plural: "tokenreviews",
        verbs: CREATE,
        ..CLUSTER
    },
    Row {
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        namespaced: true,
        ..AUTHORIZATION
    },
    Row {
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        ..AUTHORIZATION
    },
    Row {
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        ..AUTHORIZATION
    },
    Row {
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        ..AUTHORIZATION
    },
    Row {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests",
        short_names: &["csr"],
        subresources: &[part("approval", Part::Approval), STATUS],
        ..CLUSTER
    },
    Row {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        strategy: VERSIONED,
        short_names: &["pdb"],
        subresources: &[STATUS],
        ..NAMESPACED
    },
    Row {
        group: RBAC,
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        strategy: UPSERTED,
        ..CLUSTER
    },
    Row {
        group: RBAC,
        kind: "ClusterRole",
        plural: "clusterroles",
        strategy: UPSERTED,
        ..CLUSTER
    },
    Row {
        group: RBAC,
        kind: "RoleBinding",
        plural: "rolebindings",
        strategy: UPSERTED,
        ..NAMESPACED
    },
    Row {
        group: RBAC,
        kind: "Role",
        plural: "roles",
        strategy: UPSERTED,
        ..NAMESPACED
    },
    Row {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        short_names: &["pc"],
        ..CLUSTER
    },
    Row {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        strategy: Strategy {
            create_on_update: true,
            ..VERSIONED
        },
        ..NAMESPACED
    },
    Row {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        plural: "runtimeclasses",
        strategy: Strategy {
            create_on_update: true,
            ..VERSIONED
        },
        ..CLUSTER
    },
    Row {
        kind: "FlowSchema",
        plural: "flowschemas",
        ..FLOW
    },
    Row {
        kind: "PriorityLevelConfiguration",
        plural: "prioritylevelconfigurations",
        ..FLOW
    },
];
