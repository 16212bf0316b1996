//! What the checks of a pod's spec depend on beside the spec: whose it is, and which faults
//! may stay because an earlier version had them (`PodValidationOptions` of
//! `pkg/apis/core/validation`, filled in by `pkg/api/pod`).

use super::super::field::{Errors, Path};
use super::super::json::{get, has, list, text};
use super::{affinity, annotations, resources, security};
use crate::rules::volume_source;
use serde_json::Value;

/// How a spec is checked; by default as that of a new template.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The metadata of the pod; templates have none.
    pub pod: Option<&'a Value>,
    /// A cost of deletion that is no number.
    pub any_deletion_cost: bool,
    /// Values in the label selectors of affinities to pods that no label can have.
    pub any_selector_values: bool,
    /// The same in what is required of nodes.
    pub any_node_values: bool,
    /// Label selectors of spreading constraints, whatever they are.
    pub any_spread_selectors: bool,
    /// Parts of huge pages.
    pub parts_of_pages: bool,
    /// Paths of projected tokens that leave the volume.
    pub any_token_paths: bool,
    /// Sysctls of namespaces that the pod shares with its host.
    pub host_sysctls: bool,
    /// Policies of SELinux that mount with an option, which is off in Kubernetes 1.33.
    pub any_selinux_policy: bool,
}

impl<'a> Options<'a> {
    /// For a pod with this metadata.
    pub fn of_pod(metadata: &'a Value) -> Self {
        Self {
            pod: Some(metadata),
            ..Self::default()
        }
    }

    /// Also for what the bearer of `metadata` and `spec` (a pod or template) has already,
    /// if there is one.
    pub fn after(self, old: Option<&Value>) -> Self {
        let Some(old) = old else {
            return self;
        };
        let (metadata, spec) = (get(old, "metadata"), get(old, "spec"));
        let path = Path::default();
        let context = get(spec, "securityContext");
        Self {
            any_deletion_cost: fails(|e| annotations::deletion_cost(e, &path, metadata)),
            any_selector_values: fails(|e| affinity::check_pod_selectors(e, &path, spec)),
            any_node_values: affinity::has_invalid_values(affinity::required_nodes(spec)),
            any_spread_selectors: fails(|e| affinity::check_spread_selectors(e, &path, spec)),
            parts_of_pages: resources::has_parts_of_pages(spec),
            any_token_paths: token_paths(spec).any(|place| {
                fails(|e| volume_source::relative(e, &path, place)) || place.starts_with("..")
            }),
            host_sysctls: fails(|e| security::check_shared_sysctls(e, &path, spec)),
            any_selinux_policy: has(context, "seLinuxChangePolicy"),
            ..self
        }
    }
}

/// Whether a check finds something.
fn fails(check: impl FnOnce(&mut Errors)) -> bool {
    !Errors::collect(check).is_empty()
}

/// Where the projected tokens of a pod go.
fn token_paths(spec: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(spec, "volumes").iter();
    let sources = volumes.flat_map(|volume| list(get(volume, "projected"), "sources"));
    let tokens = sources.map(|source| get(source, "serviceAccountToken"));
    tokens.map(|token| text(token, "path"))
}
