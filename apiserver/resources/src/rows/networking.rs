//! Networking and discovery.

use super::*;

const NETWORKING: &str = "networking.k8s.io";

pub const ROWS: &[Row] = &[
    Row {
        group: NETWORKING,
        kind: "IngressClass",
        plural: "ingressclasses",
        ..CLUSTER
    },
    Row {
        group: NETWORKING,
        kind: "Ingress",
        plural: "ingresses",
        short_names: &["ing"],
        subresources: &[STATUS],
        prefix: "ingress",
        ..NAMESPACED
    },
    Row {
        group: NETWORKING,
        kind: "IPAddress",
        plural: "ipaddresses",
        short_names: &["ip"],
        ..CLUSTER
    },
    Row {
        group: NETWORKING,
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        short_names: &["netpol"],
        ..NAMESPACED
    },
    Row {
        group: NETWORKING,
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        subresources: &[STATUS_ALONE],
        ..CLUSTER
    },
    Row {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        ..NAMESPACED
    },
];
