//! What pods were given of the node: what they asked for when they were let in, and what they
//! were let grow or shrink to since. The API says what is wanted; what a pod has counts until
//! there is room for that. Each pod has a file, so that a kubelet that was killed goes on
//! where it was.

pub mod resize;
pub mod waiting;

use crate::pod;
use crate::worker::observed::Observed;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Resources by the name, or the runtime's id, of a container.
pub type Resources = BTreeMap<String, ResourceRequirements>;

/// What is kept of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// What its containers were given, by name.
    #[serde(default)]
    allocated: Resources,
    /// What the runtime was asked to change of containers that run, by id.
    #[serde(default)]
    actuated: Resources,
    /// Ids of those of which it was asked and hasn't said that it did.
    #[serde(default)]
    asked: BTreeSet<String>,
}

impl Record {
    /// Of containers that are gone nothing is kept.
    fn clean(&mut self, observed: &Observed) {
        let is_there = |id: &String| observed.containers.iter().any(|c| c.id == *id);
        self.actuated.retain(|id, _| is_there(id));
        self.asked.retain(is_there);
    }
}

/// What the pods of this node were given.
#[derive(Debug, Default)]
pub struct Allocations {
    folder: PathBuf,
    records: Mutex<BTreeMap<String, Record>>,
}

impl Allocations {
    /// Those that a folder tells of, which is made if it isn't there. A file that can't be
    /// read is as none: the pod then has what it asks for.
    ///
    /// # Errors
    /// If the folder can't be made or read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let uid = path.file_stem().and_then(|stem| stem.to_str());
            let (Some(uid), Some("json")) = (uid, path.extension().and_then(|e| e.to_str())) else {
                continue;
            };
            let text = fs::read(&path)?;
            match serde_json::from_slice(&text) {
                Ok(record) => drop(records.insert(uid.to_owned(), record)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "an allocation is lost");
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            records: Mutex::new(records),
        })
    }

    /// A pod with what it was given in place of what it asks for now.
    pub fn allocated(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        let records = self.records.lock();
        let record = records.get(pod.uid());
        match record.and_then(|record| resize::with(pod, &record.allocated)) {
            Some(given) => Arc::new(given),
            None => pod.clone(),
        }
    }

    /// Gives a pod what it asks for.
    ///
    /// # Errors
    /// If that can't be kept; then it has what it had.
    pub fn allocate(&self, pod: &Pod) -> io::Result<()> {
        let containers = pod::all_containers(pod);
        let allocated =
            containers.map(|c| (c.name.clone(), c.resources.clone().unwrap_or_default()));
        let allocated: Resources = allocated.collect();
        self.change(pod.uid(), |record| record.allocated = allocated)
    }

    /// Notes that the runtime is about to be asked to give a container other resources: until
    /// it has, it isn't known what that one has.
    ///
    /// # Errors
    /// If that can't be kept; then the runtime must not be asked.
    pub fn actuating(&self, uid: &str, id: &str, observed: &Observed) -> io::Result<()> {
        self.change(uid, |record| {
            record.clean(observed);
            record.asked.insert(id.to_owned());
        })
    }

    /// Notes that a container has other resources from now on; of those that are gone
    /// nothing is kept.
    ///
    /// # Errors
    /// If that can't be kept.
    pub fn actuated(
        &self,
        uid: &str,
        id: &str,
        resources: ResourceRequirements,
        observed: &Observed,
    ) -> io::Result<()> {
        self.change(uid, |record| {
            record.clean(observed);
            record.asked.remove(id);
            record.actuated.insert(id.to_owned(), resources);
        })
    }

    /// Adds to what was observed what containers were changed to since they were made.
    pub fn complete(&self, uid: &str, observed: &mut Observed) {
        let records = self.records.lock();
        let Some(record) = records.get(uid) else {
            return;
        };
        for instance in &mut observed.containers {
            if let Some(resources) = record.actuated.get(&instance.id) {
                instance.resources = Some(resources.clone());
            }
            instance.unsure = record.asked.contains(&instance.id);
        }
    }

    /// Forgets a pod that is gone.
    pub fn forget(&self, uid: &str) {
        if self.records.lock().remove(uid).is_some()
            && let Err(error) = fs::remove_file(self.path(uid))
        {
            tracing::warn!(uid, %error, "an allocation stays");
        }
    }

    /// Forgets all pods but these.
    pub fn retain(&self, known: &BTreeSet<String>) {
        let gone: Vec<String> = {
            let records = self.records.lock();
            let gone = records.keys().filter(|uid| !known.contains(*uid));
            gone.cloned().collect()
        };
        gone.iter().for_each(|uid| self.forget(uid));
    }

    fn path(&self, uid: &str) -> PathBuf {
        self.folder.join(format!("{uid}.json"))
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut records = self.records.lock();
        let before = records.get(uid);
        let mut record = before.cloned().unwrap_or_default();
        change(&mut record);
        if before == Some(&record) {
            return Ok(());
        }
        // Whole or not at all, whenever the process ends.
        let new = self.folder.join(format!("{uid}.new"));
        fs::write(&new, serde_json::to_vec(&record)?)?;
        fs::rename(&new, self.path(uid))?;
        records.insert(uid.to_owned(), record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::observed::Instance;
    use serde_json::json;

    fn pod(cpu: &str) -> Arc<Pod> {
        let pod = json!({"metadata": {"name": "web", "uid": "u1"}, "spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": cpu}}},
        ]}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn what_was_given_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let allocations = Allocations::open(dir.path()).unwrap();
        let (small, large) = (pod("100m"), pod("200m"));
        assert!(
            Arc::ptr_eq(&allocations.allocated(&large), &large),
            "not known yet"
        );
        allocations.allocate(&small).unwrap();
        let observed = |id: &str| Observed {
            containers: vec![Instance {
                id: id.into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let resources = pod::spec(&small).containers[0].resources.clone().unwrap();
        for id in ["c1", "c2"] {
            allocations
                .actuated("u1", id, resources.clone(), &observed(id))
                .unwrap();
        }
        fs::write(dir.path().join("u2.json"), "{").unwrap();
        fs::write(dir.path().join("u3.new"), "{").unwrap();

        let again = Allocations::open(dir.path()).unwrap();
        assert_eq!(*again.allocated(&large), *small);
        let mut seen = observed("c2");
        again.complete("u1", &mut seen);
        assert_eq!(seen.containers[0].resources, Some(resources));
        let mut gone = observed("c1");
        again.complete("u1", &mut gone);
        assert_eq!(
            gone.containers[0].resources, None,
            "it isn't there any more"
        );
        again.retain(&BTreeSet::new());
        assert!(!dir.path().join("u1.json").exists());
    }

    #[test]
    fn what_the_runtime_was_asked_for_is_unsure_until_it_has_done_it() {
        let dir = tempfile::tempdir().unwrap();
        let observed = || Observed {
            containers: vec![Instance {
                id: "c1".into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        // The kubelet is killed after each step: what the next one knows.
        let open = || Allocations::open(dir.path()).unwrap();
        let known = || {
            let mut seen = observed();
            open().complete("u1", &mut seen);
            let instance = seen.containers.remove(0);
            (instance.resources, instance.unsure)
        };
        let of = |cpu| {
            pod::spec(&pod(cpu)).containers[0]
                .resources
                .clone()
                .unwrap()
        };
        let (old, new) = (of("100m"), of("200m"));
        let seen = observed();
        open().actuated("u1", "c1", old.clone(), &seen).unwrap();
        assert_eq!(known(), (Some(old.clone()), false));
        open().actuating("u1", "c1", &seen).unwrap();
        assert_eq!(known(), (Some(old), true));
        open().actuated("u1", "c1", new.clone(), &seen).unwrap();
        assert_eq!(known(), (Some(new), false));
        open().actuating("u1", "c1", &seen).unwrap();
        let gone = Observed::default();
        open().actuating("u1", "c2", &gone).unwrap();
        assert_eq!(known(), (None, false), "it was gone in between");
    }
}
