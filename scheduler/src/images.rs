//! The images of a node. A name of one is kept once for a node, in the node's own object: its
//! list has each image once for each name, sorted by these, so that one is found without a map
//! of all names beside it.

use k8s_openapi::api::core::v1::{ContainerImage, Node};
use std::sync::Arc;

/// The images that a node says it has.
pub fn of(node: &Node) -> &[ContainerImage] {
    let status = node.status.as_ref();
    let images = status.and_then(|s| s.images.as_deref());
    images.unwrap_or_default()
}

/// The names of images, as a sorted list has them.
pub fn names(sorted: &[ContainerImage]) -> impl Iterator<Item = &str> {
    sorted.iter().filter_map(name)
}

/// The size of the image that goes by a name, if it is in a sorted list.
pub fn size(sorted: &[ContainerImage], wanted: &str) -> Option<i64> {
    let at = sorted.binary_search_by(|image| name(image).cmp(&Some(wanted)));
    at.ok().map(|at| sorted[at].size_bytes.unwrap_or(0))
}

/// Sorts a list of images by their names, with one entry for each name.
pub fn sort(images: &mut Vec<ContainerImage>) {
    let by_name = images.drain(..).flat_map(|image| {
        let size_bytes = image.size_bytes;
        let names = image.names.into_iter().flatten();
        names.map(move |name| ContainerImage {
            names: Some(vec![name]),
            size_bytes,
        })
    });
    let mut sorted: Vec<_> = by_name.collect();
    sorted.sort_by(|a, b| name(a).cmp(&name(b)));
    sorted.dedup_by(|a, b| name(a) == name(b));
    sorted.shrink_to_fit();
    *images = sorted;
}

/// The same node with its images sorted: itself, if they are.
pub fn sorted(node: Arc<Node>) -> Arc<Node> {
    let images = of(&node);
    let has_one_name = |image: &ContainerImage| image.names.as_ref().is_some_and(|n| n.len() == 1);
    if images.iter().all(has_one_name) && images.is_sorted_by(|a, b| name(a) < name(b)) {
        return node;
    }
    let mut node = Arc::unwrap_or_clone(node);
    let status = node.status.as_mut();
    if let Some(images) = status.and_then(|status| status.images.as_mut()) {
        sort(images);
    }
    Arc::new(node)
}

fn name(image: &ContainerImage) -> Option<&str> {
    image.names.as_ref()?.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(images: serde_json::Value) -> Arc<Node> {
        let object = json!({"metadata": {"name": "n"}, "status": {"images": images}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn an_image_is_found_by_each_of_its_names() {
        let whole = node(json!([
            {"names": ["r.io/b@sha256:0", "r.io/b:1"], "sizeBytes": 7},
            {"names": [], "sizeBytes": 1},
            {"names": ["r.io/a:1"], "sizeBytes": 5},
            {"names": ["r.io/b:1"], "sizeBytes": 7},
            {"names": ["r.io/c:1"]},
        ]));
        let node = sorted(whole);
        let images = of(&node);
        let all: Vec<_> = names(images).collect();
        assert_eq!(all, ["r.io/a:1", "r.io/b:1", "r.io/b@sha256:0", "r.io/c:1"]);
        assert_eq!(size(images, "r.io/b@sha256:0"), Some(7));
        assert_eq!(size(images, "r.io/a:1"), Some(5));
        assert_eq!(size(images, "r.io/c:1"), Some(0));
        assert_eq!(size(images, "r.io/d:1"), None);
    }

    #[test]
    fn what_is_sorted_already_is_not_copied() {
        for images in [json!([{"names": ["a"]}, {"names": ["b"]}]), json!([])] {
            let node = node(images);
            assert!(Arc::ptr_eq(&node, &sorted(node.clone())));
        }
        let other = node(json!([{"names": ["b"]}, {"names": ["a"]}]));
        assert!(!Arc::ptr_eq(&other, &sorted(other.clone())));
    }
}
