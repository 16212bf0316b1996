//! Storage.

use super::*;

const STORAGE: Row = Row {
    group: "storage.k8s.io",
    ..CLUSTER
};

pub const ROWS: &[Row] = &[
    Row {
        kind: "CSIDriver",
        plural: "csidrivers",
        ..STORAGE
    },
    Row {
        kind: "CSINode",
        plural: "csinodes",
        ..STORAGE
    },
    Row {
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        namespaced: true,
        ..STORAGE
    },
    Row {
        kind: "StorageClass",
        plural: "storageclasses",
        short_names: &["sc"],
        ..STORAGE
    },
    Row {
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        subresources: &[STATUS],
        ..STORAGE
    },
];
