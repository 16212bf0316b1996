//! Version v1alpha1, in which websites were first written: pages are a map, and where the
//! website is found is said in two fields. It is served for those who still write it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::v1::WebsiteStatus;

/// What a website is to be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "hardway.example",
    version = "v1alpha1",
    kind = "Website",
    namespaced,
    storage = false,
    deprecated = "hardway.example/v1alpha1 Website is deprecated; use hardway.example/v1 Website",
    doc = "A website: pages, and servers that show them.",
    status = "WebsiteStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
pub struct WebsiteSpec {
    /// How many servers show the pages.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 20))]
    pub replicas: i32,
    /// The pages, by their files' names.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100))]
    pub pages: BTreeMap<String, String>,
    /// The Service's port.
    #[serde(default = "http")]
    #[schemars(range(min = 1, max = 65_535))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the port stays what it is"))]
    pub port: i32,
    /// Whether the website is also found from outside the cluster.
    #[serde(default)]
    pub exposed: bool,
}

fn one() -> i32 {
    1
}

fn http() -> i32 {
    80
}
