//! `persistentVolumeClaim`: the volume that a claim is bound to, if it is one that needs
//! nobody's help: a path of the node.

use super::{host_path, ownership};
use crate::objects::Objects;
use hardway_proto::Kind;
use hardway_proto::claims::{allows_node, is_bound, is_for, volume_name};
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, LocalVolumeSource, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource, Pod,
};
use std::path::{Path, PathBuf};

/// Where a claim's volume is on this node. Files of a `local` one are given to the pod's
/// group; a `hostPath` belongs to the node.
///
/// # Errors
/// Why it can't be had, in Kubernetes' words where it has them.
pub(super) async fn set_up(
    source: &PersistentVolumeClaimVolumeSource,
    pod: &Pod,
    objects: &dyn Objects,
) -> Result<PathBuf, String> {
    let claim = objects
        .claim(pod.namespace(), &source.claim_name)
        .await
        .map_err(|e| format!("failed to fetch PVC from API server: {e}"))?;
    check_claim(&claim)?;
    let volume = objects.volume(volume_name(&claim)).await.map_err(|e| {
        format!(
            "failed to fetch PV {:?} from API server: {e}",
            volume_name(&claim)
        )
    })?;
    if volume
        .spec
        .as_ref()
        .is_some_and(|s| s.node_affinity.is_some())
    {
        // A pod may name its node itself, past the scheduler.
        let node = objects.node().await.map_err(|e| e.to_string())?;
        let labels = node.metadata.labels.clone().unwrap_or_default();
        if !allows_node(&volume, node.name(), &labels) {
            let why = "MountVolume.NodeAffinity check failed: no matching NodeSelectorTerms";
            return Err(why.to_owned());
        }
    }
    match self::source(&volume, &claim)? {
        Source::HostPath(source) => {
            host_path::check(source)?;
            Ok(PathBuf::from(&source.path))
        }
        Source::Local(of) => {
            let (of, pod, writes) = (of.clone(), pod.clone(), source.read_only != Some(true));
            // The folder may hold many files.
            let work = move || local(&of, &pod, writes);
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|e| e.to_string())?
        }
    }
}

fn check_claim(claim: &PersistentVolumeClaim) -> Result<(), String> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err("PVC is being deleted".to_owned());
    }
    match is_bound(claim) {
        true => Ok(()),
        false => Err("PVC is not bound".to_owned()),
    }
}

#[derive(Debug, PartialEq)]
enum Source<'a> {
    HostPath(&'a HostPathVolumeSource),
    Local(&'a LocalVolumeSource),
}

fn source<'a>(
    volume: &'a PersistentVolume,
    claim: &PersistentVolumeClaim,
) -> Result<Source<'a>, String> {
    let name = volume.name();
    if !is_for(volume, claim) {
        return Err(format!(
            "PV {name:?} is not bound to the expected PVC {}/{}",
            claim.namespace(),
            claim.name()
        ));
    }
    let spec = volume.spec.as_ref();
    if spec.is_some_and(|s| s.volume_mode.as_deref() == Some("Block")) {
        return Err(format!(
            "PV {name:?} is a block device; this node mounts file systems only"
        ));
    }
    let host_path = spec
        .and_then(|s| s.host_path.as_ref())
        .map(Source::HostPath);
    let local = || spec.and_then(|s| s.local.as_ref()).map(Source::Local);
    host_path.or_else(local).ok_or_else(|| {
        format!("the type of PV {name:?} is not supported on this node; use hostPath or local")
    })
}

/// A folder that was there before any pod, and stays.
fn local(source: &LocalVolumeSource, pod: &Pod, writes: bool) -> Result<PathBuf, String> {
    let path = Path::new(&source.path);
    if !path.exists() {
        return Err(format!("path {:?} does not exist", source.path));
    }
    if !path.is_dir() {
        return Err(format!(
            "path {:?} is not a directory; this node mounts no block devices",
            source.path
        ));
    }
    if let Some(group) = ownership::fs_group(pod).filter(|_| writes) {
        hand_over(path, group, ownership::only_on_mismatch(pod))
            .map_err(|e| format!("cannot give {} to group {group}: {e}", source.path))?;
    }
    Ok(path.to_owned())
}

fn hand_over(path: &Path, group: u32, only_on_mismatch: bool) -> std::io::Result<()> {
    // The administrator may have named the folder by a link.
    let path = path.canonicalize()?;
    if only_on_mismatch && ownership::is_handed_over(&path, group)? {
        return Ok(());
    }
    ownership::hand_over(&path, group, ownership::Access::ReadWrite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use serde_json::{Value, json};
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn claim(more: Value) -> PersistentVolumeClaim {
        let mut metadata = json!({"name": "data", "namespace": "n", "uid": "u", "annotations":
            {"pv.kubernetes.io/bind-completed": "yes"}});
        for (field, value) in more.as_object().unwrap() {
            metadata[field] = value.clone();
        }
        let object = json!({"metadata": metadata, "spec": {"volumeName": "v"}});
        serde_json::from_value(object).unwrap()
    }

    fn volume(spec: Value, uid: &str) -> PersistentVolume {
        let mut spec = spec;
        spec["claimRef"] = json!({"namespace": "n", "name": "data", "uid": uid});
        serde_json::from_value(json!({"metadata": {"name": "v"}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_claim_must_be_bound_and_stay() {
        assert_eq!(check_claim(&claim(json!({}))), Ok(()));
        let unbound = claim(json!({"annotations": {}}));
        assert_eq!(check_claim(&unbound), Err("PVC is not bound".to_owned()));
        let gone = claim(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(check_claim(&gone), Err("PVC is being deleted".to_owned()));
    }

    #[test]
    fn only_the_claims_own_volume_is_mounted_if_the_node_can() {
        let local = json!({"local": {"path": "/disk"}});
        let mine = volume(local.clone(), "u");
        assert!(matches!(
            source(&mine, &claim(json!({}))),
            Ok(Source::Local(_))
        ));
        let others = source(&volume(local, "other"), &claim(json!({}))).unwrap_err();
        assert_eq!(others, r#"PV "v" is not bound to the expected PVC n/data"#);
        let nfs = volume(json!({"nfs": {"server": "s", "path": "/"}}), "u");
        let refused = source(&nfs, &claim(json!({}))).unwrap_err();
        assert!(refused.contains("use hostPath or local"), "{refused}");
        let block = volume(
            json!({"local": {"path": "/dev/x"}, "volumeMode": "Block"}),
            "u",
        );
        assert!(source(&block, &claim(json!({}))).is_err());
    }

    fn pod(context: Value) -> Pod {
        let spec = json!({"containers": [], "securityContext": context});
        let metadata = json!({"name": "p", "namespace": "n"});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn a_local_volume_is_a_folder_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &Path| LocalVolumeSource {
            path: path.display().to_string(),
            fs_type: None,
        };
        let plain = pod(json!({}));
        let found = local(&at(dir.path()), &plain, true);
        assert_eq!(found, Ok(dir.path().to_owned()));
        let missing = local(&at(&dir.path().join("x")), &plain, true).unwrap_err();
        assert!(missing.ends_with("does not exist"), "{missing}");
        let file = dir.path().join("f");
        std::fs::write(&file, "").unwrap();
        assert!(local(&at(&file), &plain, true).is_err());
    }

    #[test]
    fn files_are_given_to_the_pods_group_once_if_it_asks_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let group = std::fs::metadata(dir.path()).unwrap().gid();
        let at = LocalVolumeSource {
            path: dir.path().display().to_string(),
            fs_type: None,
        };
        let mode = || std::fs::metadata(&file).unwrap().mode() & 0o777;
        let write = || {
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        };
        write();
        let always = pod(json!({ "fsGroup": group }));
        local(&at, &always, false).unwrap();
        assert_eq!(mode(), 0o600, "it only reads");
        local(&at, &always, true).unwrap();
        assert_eq!(mode(), 0o660);
        write();
        let once = json!({"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"});
        local(&at, &pod(once), true).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[tokio::test]
    async fn a_claims_volume_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        let objects = Fake::default().with_claim(json!({"local": {"path": path}}));
        let source = |name: &str| PersistentVolumeClaimVolumeSource {
            claim_name: name.into(),
            read_only: None,
        };
        let found = set_up(&source("data"), &pod(json!({})), &objects).await;
        assert_eq!(found, Ok(dir.path().to_owned()));
        let affinity = |host: &str| {
            json!({"local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [{
                "matchExpressions": [{"key": "host", "operator": "In", "values": [host]}]}]}}})
        };
        let here = Fake::default().with_claim(affinity("here"));
        assert!(
            set_up(&source("data"), &pod(json!({})), &here)
                .await
                .is_ok()
        );
        let there = Fake::default().with_claim(affinity("there"));
        let refused = set_up(&source("data"), &pod(json!({})), &there)
            .await
            .unwrap_err();
        assert!(
            refused.contains("no matching NodeSelectorTerms"),
            "{refused}"
        );
        let missing = set_up(&source("other"), &pod(json!({})), &objects).await;
        let missing = missing.unwrap_err();
        assert!(missing.contains("persistentvolumeclaim"), "{missing}");
    }
}
