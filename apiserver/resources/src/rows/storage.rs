//! Storage.

use super::*;

const STORAGE: Row = Row {
    group: "storage.k8s.io",
    ..CLUSTER
};
const CSI: Strategy = Strategy {
    unconditional_update: false,
    ..RETURNED
};

pub const ROWS: &[Row] = &[
    Row {
        kind: "CSIDriver",
        plural: "csidrivers",
        strategy: CSI,
        ..STORAGE
    },
    Row {
        kind: "CSINode",
        plural: "csinodes",
        strategy: CSI,
        ..STORAGE
    },
    Row {
        kind: "CSIStorageCapacity",
        plural: "csistoragecapacities",
        strategy: VERSIONED,
        namespaced: true,
        ..STORAGE
    },
    Row {
        kind: "StorageClass",
        plural: "storageclasses",
        strategy: RETURNED,
        short_names: &["sc"],
        ..STORAGE
    },
    Row {
        kind: "VolumeAttachment",
        plural: "volumeattachments",
        strategy: CSI,
        subresources: &[STATUS_ALONE],
        ..STORAGE
    },
];
