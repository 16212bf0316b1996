//! Version v1, the one that is stored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a website is to be.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "hardway.example",
    version = "v1",
    kind = "Website",
    namespaced,
    doc = "A website: pages, and servers that show them.",
    status = "WebsiteStatus",
    derive = "PartialEq",
    shortname = "web",
    category = "all",
    selectable = ".spec.service.type",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Available\")].status"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name becomes that of a Service: a letter, then at most 62 letters, digits or '-'")
)]
#[serde(rename_all = "camelCase")]
pub struct WebsiteSpec {
    /// How many servers show the pages.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 20))]
    pub replicas: i32,
    /// The pages. Without an index.html a website gets one that lists the others.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub pages: Vec<Page>,
    /// Where the website is found.
    #[serde(default)]
    pub service: WebsiteService,
}

impl Default for WebsiteSpec {
    fn default() -> Self {
        Self {
            replicas: one(),
            pages: Vec::new(),
            service: WebsiteService::default(),
        }
    }
}

/// One page.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its file's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    #[x_kube(validation = Rule::new("self != '.' && !self.startsWith('..')")
        .message("must be a file's name"))]
    pub name: String,
    /// What is in it.
    #[schemars(length(max = 262_144))]
    pub content: String,
}

/// Where a website is found.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.nodePort) || self.type == 'NodePort'")
    .message("only a Service of type NodePort has one")
    .reason(Reason::FieldValueForbidden)
    .field_path(".nodePort"))]
pub struct WebsiteService {
    /// Whether the website is found from within the cluster only, or also from outside.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// The Service's port.
    #[serde(default = "http")]
    #[schemars(range(min = 1, max = 65_535))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message(Message::Expression(
            "'others have the port written down: it stays %d'.format([oldSelf])".to_owned())))]
    pub port: i32,
    /// The port on each node. One is given where none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub node_port: Option<i32>,
}

impl Default for WebsiteService {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: http(),
            node_port: None,
        }
    }
}

/// The sorts of Services that a website may have.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// Found from within the cluster.
    #[default]
    ClusterIP,
    /// Found at a port of every node, too.
    NodePort,
}

/// How a website is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct WebsiteStatus {
    /// The generation of the website that this was seen for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many servers there are.
    pub replicas: i32,
    /// How many of them show the pages.
    pub ready_replicas: i32,
    /// The label selector of the servers, for autoscalers.
    pub selector: String,
    /// Where the website is, within the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What is to be said of it.
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

fn one() -> i32 {
    1
}

fn http() -> i32 {
    80
}

/// Conditions as Kubernetes' own kinds have them.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
                "message": {"type": "string", "maxLength": 32768},
            },
        },
    })
}
