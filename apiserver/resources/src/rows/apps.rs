//! Workloads: apps, batch, autoscaling.

use super::*;

const APPS: Row = Row {
    group: "apps",
    ..NAMESPACED
};
const BATCH: Row = Row {
    group: "batch",
    categories: &["all"],
    subresources: &[STATUS],
    ..NAMESPACED
};
const AUTOSCALER: Row = Row {
    group: "autoscaling",
    versions: &["v2"],
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[STATUS],
    ..NAMESPACED
};

pub const ROWS: &[Row] = &[
    Row {
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        ..APPS
    },
    Row {
        kind: "DaemonSet",
        plural: "daemonsets",
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[STATUS],
        ..APPS
    },
    Row {
        kind: "Deployment",
        plural: "deployments",
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[SCALE, DEPLOYMENT_STATUS],
        ..APPS
    },
    Row {
        kind: "ReplicaSet",
        plural: "replicasets",
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..APPS
    },
    Row {
        kind: "StatefulSet",
        plural: "statefulsets",
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..APPS
    },
    AUTOSCALER,
    Row {
        versions: &["v1"],
        shows: Some(("autoscaling", "v2")),
        ..AUTOSCALER
    },
    Row {
        kind: "CronJob",
        plural: "cronjobs",
        short_names: &["cj"],
        ..BATCH
    },
    Row {
        kind: "Job",
        plural: "jobs",
        strategy: ORPHANING,
        ..BATCH
    },
];
