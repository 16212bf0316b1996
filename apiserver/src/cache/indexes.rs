//! What is looked up by something else than the key of an object: told of each change before
//! anybody sees it in the cache.

use super::claims::Claims;
use hardway_access::authz::node::Graph;
use hardway_resources::resource::Resource;
use serde_json::Value;

/// All indexes across objects.
#[derive(Default)]
pub(super) struct Indexes {
    /// Which node needs which object.
    pub graph: Graph,
    /// Which Service holds which address and port.
    pub claims: Claims,
}

impl Indexes {
    /// The object of a key of a resource is there now, or is another than before.
    pub fn put(&self, resource: &Resource, key: &str, object: &Value) {
        let (group, plural) = (&resource.group, &resource.plural);
        self.graph.put(group, plural, key, object);
        if is_services(resource) {
            self.claims.put(key, object);
        }
    }

    /// The object of a key is gone, or can't be read any more.
    pub fn remove(&self, resource: &Resource, key: &str) {
        self.graph.remove(&resource.group, &resource.plural, key);
        if is_services(resource) {
            self.claims.remove(key);
        }
    }

    /// Takes over all that others have been told, and nothing else.
    pub fn replace(&self, others: Self) {
        self.graph.replace(others.graph);
        self.claims.replace(others.claims);
    }
}

fn is_services(resource: &Resource) -> bool {
    resource.group.is_empty() && resource.plural == "services"
}
