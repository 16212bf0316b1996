//! How large volumes are on this node: what their claims said when they came here, or what they
//! were expanded to here. Several nodes may have a volume: the first one that has expanded it
//! tells the claim, and the others have their own part to do all the same.

use hardway_proto::quantity::Quantity;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Sizes by the name of the persistent volume.
#[derive(Default)]
pub(super) struct Sizes(Mutex<BTreeMap<String, Known>>);

struct Known {
    size: Quantity,
    /// UIDs of the pods that have it here.
    pods: BTreeSet<String>,
}

impl Sizes {
    /// A pod has a volume, or is about to. Where another has it already its size is known.
    pub fn came(&self, volume: &str, pod_uid: &str, size: Quantity) {
        let mut all = self.0.lock();
        let known = all.entry(volume.to_owned()).or_insert_with(|| Known {
            size,
            pods: BTreeSet::new(),
        });
        known.pods.insert(pod_uid.to_owned());
    }

    /// How large it is here, if a pod has it.
    pub fn of(&self, volume: &str) -> Option<Quantity> {
        self.0.lock().get(volume).map(|known| known.size)
    }

    /// It was expanded here.
    pub fn expanded(&self, volume: &str, size: Quantity) {
        if let Some(known) = self.0.lock().get_mut(volume) {
            known.size = size;
        }
    }

    /// A pod has nothing any more. What nobody has is forgotten.
    pub fn left(&self, pod_uid: &str) {
        self.0.lock().retain(|_, known| {
            known.pods.remove(pod_uid);
            !known.pods.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_that_of_the_first_pod_until_the_last_has_left() {
        let size = |text: &str| text.parse::<Quantity>().unwrap();
        let sizes = Sizes::default();
        sizes.came("v", "a", size("1Gi"));
        sizes.came("v", "b", size("2Gi"));
        assert_eq!(sizes.of("v"), Some(size("1Gi")), "it was not expanded here");
        sizes.expanded("v", size("2Gi"));
        sizes.left("a");
        assert_eq!(sizes.of("v"), Some(size("2Gi")));
        sizes.left("b");
        assert_eq!(sizes.of("v"), None);
        sizes.expanded("v", size("3Gi"));
        assert_eq!(sizes.of("v"), None);
    }
}
