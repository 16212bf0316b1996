//! What flow schemas see of a request, and how many seats it takes.

use super::Fairness;
use super::level::Details;
use crate::cache::Cache;
use crate::pipeline::{Request, Verb};
use hardway_access::{Attributes, User};
use hardway_fairness::{Digest, List, Work, list, mutating};
use hardway_proto::fields::FieldSelector;

/// A request for a resource.
pub fn request_digest(request: &Request) -> (Digest<'_>, Details) {
    let target = &request.target;
    // A namespace is in itself.
    let namespace = match (target.group(), target.plural()) {
        ("", "namespaces") => &target.name,
        _ => &target.namespace,
    };
    let verb = request.verb.as_str();
    let digest = Digest {
        user: &request.user.name,
        groups: &request.user.groups,
        verb,
        path: None,
        group: target.group(),
        resource: target.plural(),
        subresource: &target.subresource,
        namespace,
    };
    let details = Details {
        user: request.user.name.clone(),
        verb,
        target: Some(target.clone()),
        path: String::new(),
    };
    (digest, details)
}

/// A request for a resource that another server serves.
pub fn remote_digest<'a>(asked: &Attributes<'a>, path: &str) -> (Digest<'a>, Details) {
    let digest = Digest {
        user: &asked.user.name,
        groups: &asked.user.groups,
        verb: asked.verb,
        path: None,
        group: asked.group,
        resource: asked.resource,
        subresource: asked.subresource,
        namespace: asked.namespace,
    };
    let details = Details {
        user: asked.user.name.clone(),
        verb: "",
        target: None,
        path: path.to_owned(),
    };
    (digest, details)
}

/// A request for anything else.
pub fn path_digest<'a>(user: &'a User, verb: &'a str, path: &'a str) -> (Digest<'a>, Details) {
    let digest = Digest {
        user: &user.name,
        groups: &user.groups,
        verb,
        path: Some(path),
        group: "",
        resource: "",
        subresource: "",
        namespace: "",
    };
    let details = Details {
        user: user.name.clone(),
        verb: if verb == "get" { "get" } else { "" },
        target: None,
        path: path.to_owned(),
    };
    (digest, details)
}

/// What a request takes, in a level that sets this bound.
pub fn work(fairness: &Fairness, cache: &Cache, request: &Request, bound: Option<usize>) -> Work {
    let target = &request.target;
    let (group, plural) = (target.resource.kept_group(), target.plural());
    match request.verb {
        Verb::List => {}
        Verb::Watch if request.options.initial_events == Some(true) => {}
        Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => {
            let watches = fairness.interested(group, plural, &target.namespace);
            return mutating(watches, bound);
        }
        _ => return Work::ONE,
    }
    // What isn't stored has nothing to count.
    let Some(objects) = cache.of(group, plural).map(|of| of.len()) else {
        return Work::ONE;
    };
    let options = &request.options;
    let asked = List {
        objects,
        limit: options.limit,
        continued: !options.continuation.is_empty(),
        version: &options.resource_version,
        version_match: match request.verb {
            // It always begins with what is in memory.
            Verb::Watch => "NotOlderThan",
            _ => &options.resource_version_match,
        },
        selective: !options.label_selector.is_empty() || !options.field_selector.is_empty(),
        single: pinned(&options.field_selector, "metadata.name").is_some(),
    };
    list(&asked, bound)
}

/// The value that a field selector asks a field to have.
pub fn pinned(selector: &str, field: &str) -> Option<String> {
    if selector.is_empty() {
        return None;
    }
    let fields = FieldSelector::parse(selector).ok()?;
    fields.exact(field).map(str::to_owned)
}
