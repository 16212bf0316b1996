//! Whether a pod's claims go with a node, and what those get there that have no volume yet.
//! What is the same for all nodes is found out once.

use super::{FREE, OF_CLAIM, Storage};
use crate::node_info::NodeInfo;
use hardway_proto::Kind;
use hardway_proto::claims::{
    NO_PROVISIONER, SELECTED_NODE, allows_labels, allows_node, annotation, candidates,
    class_of_claim, is_bound, made_for, of_volumes, volume_name, waits_for_consumer,
};
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Why a pod's claims don't go with a node, or with any, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There is no such claim.
    #[error("persistentvolumeclaim {0:?} not found")]
    NoClaim(String),
    /// It is made for the pod, but not yet.
    #[error("waiting for ephemeral volume controller to create the persistentvolumeclaim {0:?}")]
    NotMade(String),
    /// It was made for another pod of that name, or by somebody.
    #[error("{0}")]
    NotItsOwn(String),
    /// It goes.
    #[error("persistentvolumeclaim {0:?} is being deleted")]
    ClaimGoes(String),
    /// Its volume went.
    #[error("persistentvolumeclaim {0:?} bound to non-existent persistentvolume {1:?}")]
    Lost(String, String),
    /// It gets its volume without regard to pods, and has none yet.
    #[error("pod has unbound immediate PersistentVolumeClaims")]
    Unbound,
    /// Its volume isn't there.
    #[error("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")]
    NoVolume,
    /// Its volume is elsewhere.
    #[error("node(s) had volume node affinity conflict")]
    Elsewhere,
    /// No volume for it is here, and none can be made.
    #[error("node(s) didn't find available persistent volumes to bind")]
    NothingToBind,
    /// One could be made, if there were room.
    #[error("node(s) did not have enough free storage")]
    NoRoom,
}

/// What a claim without a volume gets on a node.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This volume.
    Volume(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>),
    /// One that is made for it.
    Provision(Arc<PersistentVolumeClaim>),
}

impl Choice {
    /// Whose choice it is.
    pub fn claim(&self) -> &Arc<PersistentVolumeClaim> {
        match self {
            Self::Volume(claim, _) | Self::Provision(claim) => claim,
        }
    }
}

/// The claims of a pod.
#[derive(Default)]
pub struct Claims {
    /// Volumes that some have.
    bound: Vec<Arc<PersistentVolume>>,
    /// Whether volumes that some should have are not there.
    is_one_missing: bool,
    /// Claims that wait for this pod.
    waiting: Vec<Waiting>,
}

/// A claim that waits for its first pod.
struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    class: Arc<StorageClass>,
    kept: Option<Arc<PersistentVolume>>,
    free: Free,
}

/// Volumes that a claim could have, best first; those that a label ties to one host are found
/// by it, or each of many nodes would look at the volumes of all others.
#[derive(Default)]
struct Free {
    volumes: Vec<Arc<PersistentVolume>>,
    by_host: HashMap<String, Vec<usize>>,
    elsewhere: Vec<usize>,
}

impl Free {
    fn new(volumes: Vec<Arc<PersistentVolume>>) -> Self {
        let mut free = Self::default();
        for (at, volume) in volumes.iter().enumerate() {
            match only_host(volume) {
                Some(host) => free.by_host.entry(host.to_owned()).or_default().push(at),
                None => free.elsewhere.push(at),
            }
        }
        Self { volumes, ..free }
    }

    /// The best that is usable on a node.
    fn best(
        &self,
        node: &NodeInfo,
        usable: impl Fn(&PersistentVolume) -> bool,
    ) -> Option<&Arc<PersistentVolume>> {
        let here = node.labels().get(HOSTNAME);
        let here = here.and_then(|host| self.by_host.get(host));
        let first = |places: &[usize]| {
            let mut places = places.iter().copied();
            places.find(|&at| usable(&self.volumes[at]))
        };
        let found = [here.and_then(|here| first(here)), first(&self.elsewhere)];
        let best = found.into_iter().flatten().min()?;
        Some(&self.volumes[best])
    }
}

/// The host that a volume's affinity allows, if that is all it says.
fn only_host(volume: &PersistentVolume) -> Option<&str> {
    let affinity = volume.spec.as_ref()?.node_affinity.as_ref()?;
    let [term] = affinity.required.as_ref()?.node_selector_terms.as_slice() else {
        return None;
    };
    let [expression] = term.match_expressions.as_deref()? else {
        return None;
    };
    match expression.values.as_deref()? {
        [host] if expression.key == HOSTNAME && expression.operator == "In" => Some(host),
        _ => None,
    }
}

impl Storage {
    /// The claims of a pod, and the volumes that come into question for them.
    ///
    /// # Errors
    /// Why the pod can't be anywhere.
    pub fn claims_of(&self, pod: &Pod) -> Result<Claims, Mismatch> {
        let (mut claims, mut seen) = (Claims::default(), BTreeSet::new());
        for named in of_volumes(pod) {
            let name = || named.name.clone().into_owned();
            if !seen.insert(name()) {
                continue;
            }
            let claim = self.claim(pod.namespace(), &named.name);
            let claim = claim.ok_or_else(|| match named.is_ephemeral {
                true => Mismatch::NotMade(name()),
                false => Mismatch::NoClaim(name()),
            })?;
            let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref());
            if phase == Some("Lost") {
                return Err(Mismatch::Lost(name(), volume_name(&claim).to_owned()));
            }
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(Mismatch::ClaimGoes(name()));
            }
            if named.is_ephemeral {
                made_for(&claim, pod).map_err(Mismatch::NotItsOwn)?;
            }
            if is_bound(&claim) {
                match self.volume(volume_name(&claim)) {
                    Some(volume) => claims.bound.push(volume),
                    None => claims.is_one_missing = true,
                }
            } else {
                claims.waiting.push(self.waiting(claim)?);
            }
        }
        Ok(claims)
    }

    fn waiting(&self, claim: Arc<PersistentVolumeClaim>) -> Result<Waiting, Mismatch> {
        let name = class_of_claim(&claim).unwrap_or_default();
        let class = self.class(name);
        let class = class.filter(|class| waits_for_consumer(class));
        let class = class
            .filter(|_| volume_name(&claim).is_empty())
            .ok_or(Mismatch::Unbound)?;
        let key = ObjectKey::of(claim.as_ref()).to_string();
        let mut volumes = self.volumes.by_index(FREE, name);
        volumes.extend(self.volumes.by_index(OF_CLAIM, &key));
        let found = candidates(&claim, volumes.iter());
        Ok(Waiting {
            class,
            kept: found.kept,
            free: Free::new(found.free),
            claim,
        })
    }

    /// What the claims that have no volume get on a node.
    ///
    /// # Errors
    /// Why the pod can't be there.
    pub fn choose(&self, claims: &Claims, node: &NodeInfo) -> Result<Vec<Choice>, Vec<Mismatch>> {
        let (mut choices, mut reasons) = (Vec::new(), Vec::new());
        let is_here = |volume: &PersistentVolume| allows_node(volume, &node.name, node.labels());
        if !claims.bound.iter().all(|volume| is_here(volume)) {
            reasons.push(Mismatch::Elsewhere);
        }
        for waiting in &claims.waiting {
            match self.choose_for(waiting, node, &choices) {
                Ok(choice) => choices.push(choice),
                Err(reason) if reasons.contains(&reason) => {}
                Err(reason) => reasons.push(reason),
            }
        }
        if claims.is_one_missing {
            reasons.push(Mismatch::NoVolume);
        }
        match reasons.is_empty() {
            true => Ok(choices),
            false => Err(reasons),
        }
    }

    fn choose_for(
        &self,
        waiting: &Waiting,
        node: &NodeInfo,
        others: &[Choice],
    ) -> Result<Choice, Mismatch> {
        let Waiting { claim, class, .. } = waiting;
        let provision = || {
            if class.provisioner == NO_PROVISIONER || !allows_labels(class, node.labels()) {
                return Err(Mismatch::NothingToBind);
            }
            match self.has_room(claim, class, node) {
                true => Ok(Choice::Provision(claim.clone())),
                false => Err(Mismatch::NoRoom),
            }
        };
        if let Some(selected) = annotation(claim.as_ref(), SELECTED_NODE) {
            // It is being made.
            return match selected == node.name {
                true => provision(),
                false => Err(Mismatch::NothingToBind),
            };
        }
        let is_taken = |volume: &PersistentVolume| {
            let taken = |choice: &Choice| matches!(choice, Choice::Volume(_, v) if v.name() == volume.name());
            others.iter().any(taken)
        };
        let usable = |volume: &PersistentVolume| {
            allows_node(volume, &node.name, node.labels()) && !is_taken(volume)
        };
        // What is kept for it has its data: it gets no other.
        let found = match &waiting.kept {
            Some(volume) => Some(volume).filter(|volume| usable(volume)),
            None => waiting.free.best(node, usable),
        };
        match found {
            Some(volume) => Ok(Choice::Volume(claim.clone(), volume.clone())),
            None => provision(),
        }
    }
}
