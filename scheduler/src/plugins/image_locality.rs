//! Prefers nodes that have the pod's images already.

use crate::framework::{ClusterEvent, MAX_SCORE, Nodes, Plugin, Prepared, prepared};
use crate::images;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// Images smaller than this together aren't worth it; larger than
/// `MAX_PER_CONTAINER` per container counts no more.
const MIN_SIZE: i64 = 23 << 20;
const MAX_PER_CONTAINER: i64 = 1000 << 20;

/// The plugin.
pub struct ImageLocality;

/// The image of each container, by the name that nodes have for it, with how many nodes have
/// it; and how many nodes there are.
struct Spread {
    images: Vec<(String, i64)>,
    nodes: i64,
}
impl Prepared for Spread {}

/// `busybox` as the node names it: with its registry and tag.
fn normalized(image: &str) -> String {
    let (host, rest) = match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (first, rest.to_owned())
        }
        Some(_) => ("docker.io", image.to_owned()),
        None => ("docker.io", format!("library/{image}")),
    };
    let tagged = rest.contains('@')
        || rest
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
    let tag = if tagged { "" } else { ":latest" };
    format!("{host}/{rest}{tag}")
}

fn images_of(pod: &PodInfo) -> impl Iterator<Item = String> {
    let spec = pod.spec();
    let initial = spec.and_then(|s| s.init_containers.as_deref());
    let main = spec.map(|s| s.containers.as_slice());
    let containers = initial.into_iter().chain(main).flatten();
    containers
        .filter_map(|c| c.image.as_deref())
        .map(normalized)
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let with_holders = |image: String| {
            let holders = nodes.holders(&image) as i64;
            (image, holders)
        };
        Box::new(Spread {
            images: images_of(pod).map(with_holders).collect(),
            nodes: nodes.len() as i64,
        })
    }

    fn filters(&self, _: &dyn Prepared, _: &PodInfo) -> bool {
        false
    }

    fn weight(&self) -> i64 {
        1
    }

    fn scores(&self, spread: &dyn Prepared, _: &PodInfo) -> bool {
        let spread: &Spread = prepared(spread);
        spread.images.iter().any(|(_, holders)| *holders > 0)
    }

    /// Sizes of the images it has, each scaled by how widespread it is, so
    /// that one node with a rare image doesn't draw all its pods.
    fn score(&self, spread: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> i64 {
        let spread: &Spread = prepared(spread);
        let mut total = 0_i64;
        for (image, holders) in &spread.images {
            if let Some(size) = images::size(node.images(), image) {
                let scaled = size.saturating_mul(*holders) / spread.nodes.max(1);
                total = total.saturating_add(scaled);
            }
        }
        let max = MAX_PER_CONTAINER * spread.images.len() as i64;
        if max <= MIN_SIZE {
            return 0;
        }
        (total.clamp(MIN_SIZE, max) - MIN_SIZE) * MAX_SCORE / (max - MIN_SIZE)
    }

    fn may_help(&self, _: ClusterEvent) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, pod, score};
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_normalized() {
        assert_eq!(normalized("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(normalized("me/app:1"), "docker.io/me/app:1");
        assert_eq!(normalized("r.io:5000/app"), "r.io:5000/app:latest");
        assert_eq!(normalized("r.io/app@sha256:0"), "r.io/app@sha256:0");
    }

    #[test]
    fn a_node_with_the_image_scores_higher() {
        let images = json!([{"names": ["docker.io/library/big:1"], "sizeBytes": 1i64 << 30}]);
        let has = node("a", json!({}), json!({"status": {"images": images}}));
        let pod = pod(json!({"containers": [{"name": "c", "image": "big:1"}]}));
        let scores = score(
            ImageLocality,
            &pod,
            vec![has, node("b", json!({}), json!({}))],
        );
        assert!(scores[0] > scores[1], "{scores:?}");
    }

    #[test]
    fn images_of_init_containers_count_as_well() {
        let images = json!([{"names": ["docker.io/library/big:1"], "sizeBytes": 1i64 << 30}]);
        let has = node("a", json!({}), json!({"status": {"images": images}}));
        let pod = pod(json!({"containers": [{"name": "c", "image": "small:1"}],
            "initContainers": [{"name": "i", "image": "big:1"}]}));
        let nodes = vec![has, node("b", json!({}), json!({}))];
        let scores = score(ImageLocality, &pod, nodes);
        // Half of a GiB, of at most 2000 MiB for both, above 23 MiB.
        assert_eq!(scores, [(512 - 23) * 100 / (2000 - 23), 0]);
    }
}
