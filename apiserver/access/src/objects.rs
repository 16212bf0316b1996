//! Read access to what is stored.

use crate::authz::node::Graph;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use hardway_proto::quota::Counted;
use serde_json::Value;
use std::sync::Arc;

/// Read access to stored objects; the watch cache implements it.
pub trait Objects: Send + Sync {
    /// One object's JSON; `namespace` is empty for cluster scope.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Bytes>;
    /// All objects of a resource, of one namespace or of all.
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Bytes>;
    /// One object, parsed. Who has the objects may keep it so as long as it stays as it is:
    /// small ones are asked for with each request.
    fn read(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        parse(&self.get(group, resource, namespace, name)?).map(Arc::new)
    }
    /// All objects of a resource of which there are few, parsed like one.
    fn read_all(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let all = self.list(group, resource, namespace);
        let parsed = all.iter().filter_map(|bytes| parse(bytes));
        parsed.map(Arc::new).collect()
    }
    /// What quotas see of the objects of a resource in a namespace.
    fn counted(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Counted>> {
        let all = self.list(group, resource, Some(namespace));
        let parsed = all.iter().filter_map(|bytes| parse(bytes));
        parsed
            .map(|object| Arc::new(Counted::of(group, resource, &object)))
            .collect()
    }
    /// Changes whenever any object of the resource changes.
    fn revision(&self, group: &str, resource: &str) -> u64;
    /// Which node needs which object; never older than what the others tell.
    fn graph(&self) -> &Graph;
    /// The revision up to which all is shown.
    fn shown(&self) -> i64;
    /// Waits until everything is shown that was written before; tells the revision then.
    ///
    /// # Errors
    /// If that can't be told, or takes too long.
    fn catch_up(&self) -> BoxFuture<'_, Result<i64, Status>>;
}

impl dyn Objects + '_ {
    /// All objects of a resource of which there may be many, each parsed when it is its turn.
    pub fn parse_all(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = Value> + use<> {
        let all = self.list(group, resource, namespace).into_iter();
        all.filter_map(|bytes| parse(&bytes))
    }
}

/// What the store holds was valid JSON when it was written; anything else is
/// treated as absent, and told.
pub(crate) fn parse(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes)
        .inspect_err(|error| tracing::error!(%error, "a stored object is no valid JSON"))
        .ok()
}

/// The string at a JSON pointer, or `""`.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The elements of the array at a JSON pointer; none if there is no array.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The strings of the array at a JSON pointer.
pub(crate) fn strings<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> {
    items(object, pointer).iter().filter_map(Value::as_str)
}

/// The fields of the object at a JSON pointer; none if there is no object.
pub(crate) fn fields<'a>(
    object: &'a Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// Whether the boolean at a JSON pointer is true.
pub(crate) fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// A mirror pod: the node's account of a pod it runs on its own.
pub(crate) fn is_mirror(pod: &Value) -> bool {
    pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror")
        .is_some()
}

#[cfg(test)]
pub(crate) mod fake {
    use super::*;
    use parking_lot::RwLock;
    use std::collections::BTreeMap;

    type Key = (String, String, String, String);

    /// Objects in a map, for tests.
    #[derive(Default)]
    pub struct Fake {
        objects: RwLock<(BTreeMap<Key, Bytes>, u64)>,
        graph: Graph,
    }

    impl Fake {
        pub fn put(&self, group: &str, resource: &str, object: Value) {
            let key = (
                group.to_owned(),
                resource.to_owned(),
                text(&object, "/metadata/namespace").to_owned(),
                text(&object, "/metadata/name").to_owned(),
            );
            let path = [&key.2, &key.3].map(String::as_str).join("/");
            let path = path.trim_start_matches('/');
            self.graph.put(group, resource, path, &object);
            let mut all = self.objects.write();
            all.0.insert(key, object.to_string().into());
            all.1 += 1;
        }
    }

    impl Objects for Fake {
        fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Bytes> {
            let key = (group.into(), resource.into(), namespace.into(), name.into());
            self.objects.read().0.get(&key).cloned()
        }
        fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Bytes> {
            self.objects
                .read()
                .0
                .iter()
                .filter(|((g, r, ns, _), _)| {
                    g == group && r == resource && namespace.is_none_or(|n| n == ns)
                })
                .map(|(_, bytes)| bytes.clone())
                .collect()
        }
        fn revision(&self, _: &str, _: &str) -> u64 {
            self.objects.read().1
        }
        fn graph(&self) -> &Graph {
            &self.graph
        }
        fn shown(&self) -> i64 {
            self.objects.read().1 as i64
        }
        fn catch_up(&self) -> BoxFuture<'_, Result<i64, Status>> {
            Box::pin(std::future::ready(Ok(self.shown())))
        }
    }
}
