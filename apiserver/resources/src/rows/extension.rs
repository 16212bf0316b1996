//! What extends the API: custom resources, other API servers, admission.

use super::*;

const ADMISSION: Row = Row {
    group: "admissionregistration.k8s.io",
    categories: &["api-extensions"],
    strategy: VERSIONED,
    ..CLUSTER
};

pub const ROWS: &[Row] = &[
    Row {
        versions: &["v1beta1"],
        kind: "MutatingAdmissionPolicy",
        plural: "mutatingadmissionpolicies",
        ..ADMISSION
    },
    Row {
        versions: &["v1beta1"],
        kind: "MutatingAdmissionPolicyBinding",
        plural: "mutatingadmissionpolicybindings",
        ..ADMISSION
    },
    Row {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        ..ADMISSION
    },
    Row {
        kind: "ValidatingAdmissionPolicy",
        plural: "validatingadmissionpolicies",
        subresources: &[STATUS_ALONE],
        ..ADMISSION
    },
    Row {
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        ..ADMISSION
    },
    Row {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        ..ADMISSION
    },
    Row {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        plural: "apiservices",
        categories: &["api-extensions"],
        subresources: &[STATUS_ALONE],
        prefix: "apiregistration.k8s.io/apiservices",
        strategy: VERSIONED,
        ..CLUSTER
    },
    Row {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        subresources: &[STATUS],
        prefix: "apiextensions.k8s.io/customresourcedefinitions",
        strategy: VERSIONED,
        ..CLUSTER
    },
];
