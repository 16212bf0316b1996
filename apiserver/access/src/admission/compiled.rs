//! What users wrote to be held against requests (webhook configurations, policies), made ready
//! when it changes and not when a request comes.

use crate::Objects;
use crate::objects::parse;
use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// All objects of a resource, each compiled into a `T` once for as long as it stays as it is,
/// and what is made of all of them together.
pub struct Compiled<T, S> {
    group: &'static str,
    resource: &'static str,
    compile: Box<dyn Fn(&Value) -> T + Send + Sync>,
    gather: Box<Gather<T, S>>,
    state: RwLock<State<T, S>>,
}

/// Makes one thing of all.
type Gather<T, S> = dyn Fn(&[Arc<T>]) -> S + Send + Sync;

struct State<T, S> {
    /// That of the objects that were looked at last.
    revision: Option<u64>,
    each: HashMap<Bytes, Arc<T>>,
    all: Arc<S>,
}

impl<T, S: Default> Compiled<T, S> {
    /// Of a resource whose objects are compiled by the one function, in the order of their
    /// names, and gathered by the other.
    pub fn new(
        group: &'static str,
        resource: &'static str,
        compile: impl Fn(&Value) -> T + Send + Sync + 'static,
        gather: impl Fn(&[Arc<T>]) -> S + Send + Sync + 'static,
    ) -> Self {
        Self {
            group,
            resource,
            compile: Box::new(compile),
            gather: Box::new(gather),
            state: RwLock::new(State {
                revision: None,
                each: HashMap::new(),
                all: Arc::default(),
            }),
        }
    }

    /// As the objects are now.
    pub fn current(&self, objects: &dyn Objects) -> Arc<S> {
        // Asked before they are listed: what changes meanwhile is looked at again.
        let revision = Some(objects.revision(self.group, self.resource));
        {
            let state = self.state.read();
            if state.revision == revision {
                return state.all.clone();
            }
        }
        let mut state = self.state.write();
        if state.revision < revision {
            self.renew(&mut state, objects.list(self.group, self.resource, None));
            state.revision = revision;
        }
        state.all.clone()
    }

    fn renew(&self, state: &mut State<T, S>, found: Vec<Bytes>) {
        let mut each = HashMap::with_capacity(found.len());
        let mut list = Vec::with_capacity(found.len());
        for bytes in found {
            let known = state.each.get(&bytes).cloned();
            let Some(compiled) = known.or_else(|| Some(Arc::new((self.compile)(&parse(&bytes)?))))
            else {
                continue;
            };
            list.push(compiled.clone());
            each.insert(bytes, compiled);
        }
        state.all = Arc::new((self.gather)(&list));
        state.each = each;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use crate::text;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn only_what_changes_is_compiled() {
        let objects = Fake::default();
        let object = |name: &str, x: u8| json!({"metadata": {"name": name}, "x": x});
        for (name, x) in [("b", 0), ("a", 0)] {
            objects.put("g", "r", object(name, x));
        }
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let compile = move |object: &Value| {
            counted.fetch_add(1, Ordering::Relaxed);
            format!("{}{}", text(object, "/metadata/name"), object["x"])
        };
        let compiled = Compiled::new("g", "r", compile, |all: &[Arc<String>]| {
            all.iter().map(|one| one.to_string()).collect::<Vec<_>>()
        });
        for _ in 0..2 {
            assert_eq!(*compiled.current(&objects), ["a0", "b0"]);
            assert_eq!(count.load(Ordering::Relaxed), 2);
        }
        objects.put("g", "r", object("a", 1));
        assert_eq!(*compiled.current(&objects), ["a1", "b0"]);
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }
}
