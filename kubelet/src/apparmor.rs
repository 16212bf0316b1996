//! AppArmor profiles: which one a container asks for, in its field or in the
//! annotation of old, and that a node without AppArmor takes no such pod.

use crate::admission::Rejection;
use crate::cri::api::{SecurityProfile, security_profile::ProfileType};
use crate::pod;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod};

/// Annotation that asked for a container's profile before there was a field.
const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Whether the kernel of this host enforces profiles.
pub fn is_enabled() -> bool {
    let parameter = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    parameter.is_ok_and(|text| text.starts_with('Y'))
}

/// The profile a container asks for, if any: its own, else its annotation's,
/// else its pod's.
pub fn of(pod: &Pod, container: &Container) -> Option<AppArmorProfile> {
    let own = container.security_context.as_ref();
    let general = pod::spec(pod).security_context.as_ref();
    own.and_then(|c| c.app_armor_profile.clone())
        .or_else(|| annotated(pod, &container.name))
        .or_else(|| general.and_then(|c| c.app_armor_profile.clone()))
}

fn annotated(pod: &Pod, container: &str) -> Option<AppArmorProfile> {
    let annotations = pod.meta().annotations.as_ref()?;
    let value = annotations.get(&format!("{ANNOTATION}{container}"))?;
    let (kind, name) = match value.as_str() {
        "" => return None,
        "runtime/default" => ("RuntimeDefault", None),
        "unconfined" => ("Unconfined", None),
        other => ("Localhost", Some(other.trim_start_matches("localhost/"))),
    };
    Some(AppArmorProfile {
        type_: kind.into(),
        localhost_profile: name.map(str::to_owned),
    })
}

/// As the runtime is told.
pub fn profile(asked: &AppArmorProfile) -> SecurityProfile {
    let kind = match asked.type_.as_str() {
        "Localhost" => ProfileType::Localhost,
        "Unconfined" => ProfileType::Unconfined,
        _ => ProfileType::RuntimeDefault,
    };
    SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: asked.localhost_profile.clone().unwrap_or_default(),
    }
}

/// The same in one word, which older runtimes go by.
pub fn old_name(asked: &AppArmorProfile) -> String {
    match asked.type_.as_str() {
        "Localhost" => {
            let name = asked.localhost_profile.as_deref().unwrap_or_default();
            format!("localhost/{name}")
        }
        "Unconfined" => "unconfined".into(),
        _ => "runtime/default".into(),
    }
}

/// Refuses a pod that is to be confined where nothing confines.
pub fn check(pod: &Pod, enabled: bool) -> Result<(), Rejection> {
    let confined = |container: &Container| {
        of(pod, container).is_some_and(|profile| profile.type_ != "Unconfined")
    };
    if enabled || !pod::all_containers(pod).any(confined) {
        return Ok(());
    }
    Err(Rejection::new(
        "AppArmor",
        "Cannot enforce AppArmor: AppArmor is not enabled on the host".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_host_without_app_armor_confines_nobody() {
        let pod = |annotation: &str, of_pod: Option<&str>| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"annotations": {format!("{ANNOTATION}c"): annotation}},
                "spec": {"containers": [{"name": "c"}], "securityContext": {
                    "appArmorProfile": of_pod.map(|kind| json!({"type": kind}))}},
            }))
            .unwrap()
        };
        assert!(check(&pod("", None), false).is_ok());
        assert!(check(&pod("unconfined", Some("RuntimeDefault")), false).is_ok());
        assert!(check(&pod("", Some("Unconfined")), false).is_ok());
        for asking in [pod("localhost/x", None), pod("", Some("RuntimeDefault"))] {
            let refused = check(&asking, false).unwrap_err();
            assert_eq!(refused.reason, "AppArmor");
            assert_eq!(
                refused.message,
                "Cannot enforce AppArmor: AppArmor is not enabled on the host"
            );
            assert!(check(&asking, true).is_ok());
        }
        let made = profile(&annotated(&pod("localhost/x", None), "c").unwrap());
        assert_eq!(made.profile_type(), ProfileType::Localhost);
        assert_eq!(made.localhost_ref, "x");
        let asked = annotated(&pod("localhost/x", None), "c").unwrap();
        assert_eq!(old_name(&asked), "localhost/x");
    }
}
