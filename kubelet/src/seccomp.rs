//! Seccomp profiles: which one a container gets, and that those of this node
//! come from their folder and from nowhere else.

use crate::cri::api::{SecurityProfile, security_profile::ProfileType};
use crate::env::ConfigError;
use crate::pod;
use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};
use std::path::{Component, Path, PathBuf};

/// Where profiles are, and what those get who ask for none.
#[derive(Clone, Debug)]
pub struct Seccomp {
    /// Directory of the node's own profiles.
    pub directory: PathBuf,
    /// Whether containers that ask for none get the runtime's own.
    pub default: bool,
}

/// The runtime's own profile.
pub fn runtime_default() -> SecurityProfile {
    profile(ProfileType::RuntimeDefault, String::new())
}

/// No profile at all.
pub fn unconfined() -> SecurityProfile {
    profile(ProfileType::Unconfined, String::new())
}

fn profile(kind: ProfileType, reference: String) -> SecurityProfile {
    SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: reference,
    }
}

impl Seccomp {
    /// The profile of a container: its own, else its pod's, else the node's
    /// default. A profile that can't be had is an error: nothing runs with
    /// less than it asks for.
    pub fn of(&self, pod: &Pod, container: &Container) -> Result<SecurityProfile, ConfigError> {
        let own = container.security_context.as_ref();
        let general = pod::spec(pod).security_context.as_ref();
        let asked = own
            .and_then(|c| c.seccomp_profile.as_ref())
            .or(general.and_then(|c| c.seccomp_profile.as_ref()));
        let Some(SeccompProfile {
            type_,
            localhost_profile,
        }) = asked
        else {
            return Ok(match self.default {
                true => runtime_default(),
                false => unconfined(),
            });
        };
        match (type_.as_str(), localhost_profile.as_deref()) {
            ("RuntimeDefault", _) => Ok(runtime_default()),
            ("Unconfined", _) => Ok(unconfined()),
            ("Localhost", Some(name)) if !name.is_empty() => {
                let path = self.find(name)?;
                Ok(profile(ProfileType::Localhost, path.display().to_string()))
            }
            ("Localhost", _) => Err(ConfigError(
                "localhostProfile must be set if seccompProfile type is Localhost.".into(),
            )),
            (other, _) => Err(ConfigError(format!(
                "seccompProfile type {other:?} is not known; use RuntimeDefault, Localhost or Unconfined"
            ))),
        }
    }

    /// The file of a profile. Links within the folder are followed.
    fn find(&self, name: &str) -> Result<PathBuf, ConfigError> {
        let fail = |why: String| {
            let directory = self.directory.display();
            ConfigError(format!("seccomp profile {name:?} of {directory}: {why}"))
        };
        let relative = Path::new(name);
        if relative.is_absolute() {
            return Err(fail("must be a relative path".into()));
        }
        if relative.components().any(|c| c == Component::ParentDir) {
            return Err(fail("must not contain '..'".into()));
        }
        let resolve = |path: &Path| path.canonicalize().map_err(|e| fail(e.to_string()));
        let directory = resolve(&self.directory)?;
        let path = resolve(&directory.join(relative))?;
        if !path.starts_with(&directory) {
            return Err(fail("leads out of the folder".into()));
        }
        if !path.is_file() {
            return Err(fail("is not a file".into()));
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fs;
    use std::os::unix::fs::symlink;

    fn ask(seccomp: &Seccomp, pod: Value, container: Value) -> Result<SecurityProfile, String> {
        let with = |profile: Value| match profile {
            Value::Null => json!({}),
            profile => json!({"seccompProfile": profile}),
        };
        let container = json!({"name": "c", "securityContext": with(container)});
        let pod = json!({"spec": {"containers": [], "securityContext": with(pod)}});
        let (pod, container) = (
            serde_json::from_value(pod).unwrap(),
            serde_json::from_value(container).unwrap(),
        );
        seccomp.of(&pod, &container).map_err(|e| e.to_string())
    }

    #[test]
    fn the_nearest_profile_counts() {
        let mut seccomp = Seccomp {
            directory: "/nowhere".into(),
            default: false,
        };
        let kind = |seccomp: &Seccomp, pod, container| {
            ask(seccomp, pod, container).unwrap().profile_type()
        };
        let (runtime, none) = (
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Unconfined"}),
        );
        let null = Value::Null;
        assert_eq!(
            kind(&seccomp, null.clone(), null.clone()),
            ProfileType::Unconfined
        );
        assert_eq!(
            kind(&seccomp, runtime.clone(), null.clone()),
            ProfileType::RuntimeDefault
        );
        assert_eq!(
            kind(&seccomp, runtime, none.clone()),
            ProfileType::Unconfined
        );
        seccomp.default = true;
        assert_eq!(
            kind(&seccomp, null.clone(), null.clone()),
            ProfileType::RuntimeDefault
        );
        assert_eq!(kind(&seccomp, null, none), ProfileType::Unconfined);
    }

    #[test]
    fn profiles_come_from_their_folder_alone() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().canonicalize().unwrap().join("seccomp");
        fs::create_dir_all(directory.join("audit")).unwrap();
        fs::write(directory.join("audit/log.json"), "{}").unwrap();
        fs::write(dir.path().join("outside.json"), "{}").unwrap();
        symlink("audit/log.json", directory.join("link")).unwrap();
        symlink("../outside.json", directory.join("escape")).unwrap();
        symlink("/etc/passwd", directory.join("absolute")).unwrap();
        let seccomp = Seccomp {
            directory: directory.clone(),
            default: false,
        };
        let find = |name: &str| {
            let local = json!({"type": "Localhost", "localhostProfile": name});
            ask(&seccomp, Value::Null, local)
        };
        let log = directory.join("audit/log.json").display().to_string();
        for name in ["audit/log.json", "link"] {
            let found = find(name).unwrap();
            assert_eq!(found.profile_type(), ProfileType::Localhost);
            assert_eq!(found.localhost_ref, log);
        }
        for (name, why) in [
            ("/etc/passwd", "must be a relative path"),
            ("../outside.json", "must not contain '..'"),
            ("audit/../../outside.json", "must not contain '..'"),
            ("escape", "leads out of the folder"),
            ("absolute", "leads out of the folder"),
            ("audit", "is not a file"),
            ("missing", "No such file or directory"),
        ] {
            let error = find(name).unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
        for bad in [json!({"type": "Localhost"}), json!({"type": "Other"})] {
            assert!(ask(&seccomp, bad, Value::Null).is_err());
        }
    }
}
