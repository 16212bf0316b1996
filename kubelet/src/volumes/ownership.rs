//! Ownership of volumes: `fsGroup`, and who may read a token.

use k8s_openapi::api::core::v1::Pod;
use nix::fcntl::OFlag;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};

/// What the group may do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

/// The group that owns the pod's volumes, if it names one.
pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    context.fs_group.and_then(|group| u32::try_from(group).ok())
}

/// The user all containers of the pod run as, if the spec says so.
pub(super) fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let init = spec.init_containers.iter().flatten();
    let mut users = spec.containers.iter().chain(init).map(|container| {
        let own = container.security_context.as_ref();
        own.and_then(|c| c.run_as_user).or(of_pod)
    });
    let first = users.next()??;
    let same = users.all(|user| user == Some(first));
    same.then(|| u32::try_from(first).ok()).flatten()
}

/// Gives a tree to a group, as Kubernetes does for `fsGroup`: files become
/// accessible for it, directories too, and new files inherit it.
///
/// Others may be writing in it: each file is held while it is looked at and changed, so
/// that no link put in its place leads elsewhere.
pub(super) fn hand_over(path: &Path, group: u32, access: Access) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let held = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let metadata = held.metadata()?;
    if metadata.is_symlink() {
        return match metadata.gid() == group {
            true => Ok(()),
            // Its folder is held: what may be there instead is given to the group, and
            // nothing that it leads to.
            false => lchown(path, None, Some(group)),
        };
    }
    let this = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    if metadata.gid() != group {
        chown(&this, None, Some(group))?;
    }
    let mut mode = metadata.mode() & 0o7777;
    mode |= match access {
        Access::ReadOnly => 0o440,
        Access::ReadWrite => 0o660,
    };
    if metadata.is_dir() {
        mode |= 0o2110;
        for entry in fs::read_dir(&this)? {
            hand_over(&this.join(entry?.file_name()), group, access)?;
        }
    }
    // After the change of group, because that clears the set-group-ID bit.
    fs::set_permissions(&this, Permissions::from_mode(mode))
}

/// Whether a tree whose files only pods of this group write needn't be gone through: what
/// `fsGroupChangePolicy: OnRootMismatch` asks.
pub(super) fn is_handed_over(path: &Path, group: u32) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(metadata.gid() == group && metadata.mode() & 0o2770 == 0o2770)
}

/// Whether a pod leaves a volume as it is whose root has the right owner.
pub(super) fn only_on_mismatch(pod: &Pod) -> bool {
    let context = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let policy = context.and_then(|c| c.fs_group_change_policy.as_deref());
    policy == Some("OnRootMismatch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modes_follow_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let group = fs::metadata(&file).unwrap().gid();
        hand_over(dir.path(), group, Access::ReadWrite).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().mode() & 0o7777;
        assert_eq!(mode(&file), 0o660);
        assert_eq!(mode(dir.path()) & 0o2770, 0o2770);
    }

    #[test]
    fn a_user_counts_only_if_all_containers_run_as_it() {
        let pod = |a: Option<i64>, b: Option<i64>| -> Pod {
            serde_json::from_value(json!({"spec": {
                "securityContext": {"runAsUser": a},
                "containers": [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": b}}],
            }}))
            .unwrap()
        };
        assert_eq!(common_user(&pod(Some(5), None)), Some(5));
        assert_eq!(common_user(&pod(Some(5), Some(6))), None);
        assert_eq!(common_user(&pod(None, Some(6))), None);
    }
}
