//! Security contexts, of pods and of containers.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, list, text};
use super::volumes;
use hardway_proto::sysctl::{self, Namespace};
use serde_json::Value;
use std::collections::BTreeSet;

/// Annotations that profiles were asked for with before there were fields.
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// A pod's lists of containers.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

fn check_id(e: &mut Errors, path: &Path, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=2_147_483_647).contains(id)) {
        e.invalid(path, id, "must be between 0 and 2147483647, inclusive");
    }
}

fn check_common(e: &mut Errors, path: &Path, context: &Value) {
    check_ids(e, path, context);
    check_profiles(e, path, context);
}

fn check_ids(e: &mut Errors, path: &Path, context: &Value) {
    for field in ["runAsUser", "runAsGroup"] {
        check_id(e, &path.child(field), int(context, field));
    }
}

fn check_profiles(e: &mut Errors, path: &Path, context: &Value) {
    for (field, word) in [
        ("seccompProfile", "seccomp"),
        ("appArmorProfile", "AppArmor"),
    ] {
        if !has(context, field) {
            continue;
        }
        let profile = get(context, field);
        let path = path.child(field);
        let kind = text(profile, "type");
        if kind.is_empty() {
            let detail = format!("type is required when {field} is set");
            e.required(&path.child("type"), &detail);
        }
        e.one_of(
            &path.child("type"),
            kind,
            &["Localhost", "RuntimeDefault", "Unconfined"],
        );
        let at = path.child("localhostProfile");
        if kind == "Localhost" {
            let Some(file) = get(profile, "localhostProfile").as_str() else {
                e.required(&at, &format!("must be set when {word} type is Localhost"));
                continue;
            };
            match word {
                "seccomp" => volumes::check_relative(e, &at, file),
                _ => app_armor_name(e, &at, file),
            }
        } else if has(profile, "localhostProfile") {
            e.invalid(
                &at,
                get(profile, "localhostProfile"),
                &format!("can only be set when {word} type is Localhost"),
            );
        }
    }
    let windows = get(context, "windowsOptions");
    if text(windows, "gmsaCredentialSpecName").is_empty() && has(windows, "gmsaCredentialSpecName")
    {
        e.invalid(
            &path.child("windowsOptions.gmsaCredentialSpecName"),
            "",
            "gmsaCredentialSpecName cannot be an empty string",
        );
    }
}

fn app_armor_name(e: &mut Errors, path: &Path, name: &str) {
    // The longest path of the kernel, without its end.
    const LONGEST: usize = 4095;
    if name.trim() != name {
        e.invalid(path, name, "must not be padded with whitespace");
    } else if name.is_empty() {
        e.required(path, "must be set when AppArmor type is Localhost");
    }
    if name.len() > LONGEST {
        e.too_long(path, LONGEST);
    }
}

/// The old way to ask for profiles, in annotations of a pod or template.
pub fn check_annotations(e: &mut Errors, path: &Path, metadata: &Value, spec: &Value) {
    let path = path.child("annotations");
    let annotations = get(metadata, "annotations").as_object();
    for (key, value) in annotations.into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            let at = path.child(key);
            match profile.strip_prefix("localhost/") {
                Some(file) => volumes::check_relative(e, &at, file),
                None if ["runtime/default", "docker/default", "unconfined"].contains(&profile) => {}
                None => e.invalid(&at, profile, "must be a valid seccomp profile"),
            }
        } else if let Some(container) = key.strip_prefix(APP_ARMOR) {
            let mut all = CONTAINERS.iter().flat_map(|field| list(spec, field));
            if !all.any(|c| text(c, "name") == container) {
                e.invalid(&path.key(key), container, "container not found");
            }
            let plain = ["", "runtime/default", "unconfined"].contains(&profile);
            if !plain && !profile.starts_with("localhost/") {
                let detail = format!("invalid AppArmor profile name: {profile:?}");
                e.invalid(&path.key(key), profile, &detail);
            }
        }
    }
}

/// A container's security context; `own_users` says whether the pod has a user
/// namespace of its own.
pub fn check_container(e: &mut Errors, path: &Path, context: &Value, own_users: bool) {
    if context.is_null() {
        return;
    }
    check_common(e, path, context);
    if get(context, "allowPrivilegeEscalation") == &Value::Bool(false) {
        if flag(context, "privileged") {
            e.invalid(
                path,
                context,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            );
        }
        let added = list(get(context, "capabilities"), "add");
        if added.iter().any(|c| c == "CAP_SYS_ADMIN") {
            e.invalid(
                path,
                context,
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            );
        }
    }
    e.one_of(
        &path.child("procMount"),
        text(context, "procMount"),
        &["Default", "Unmasked"],
    );
    if text(context, "procMount") == "Unmasked" && !own_users {
        e.invalid(
            &path.child("procMount"),
            "Unmasked",
            "`hostUsers` must be false to use `Unmasked`",
        );
    }
}

/// A pod's security context, and what else touches the host's namespaces.
pub fn check_pod(e: &mut Errors, path: &Path, spec: &Value) {
    let context = get(spec, "securityContext");
    check_id(e, &path.child("fsGroup"), int(context, "fsGroup"));
    check_ids(e, path, context);
    for (i, group) in list(context, "supplementalGroups").iter().enumerate() {
        check_id(
            e,
            &path.child("supplementalGroups").index(i),
            group.as_i64(),
        );
    }
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        e.invalid(
            &path.child("shareProcessNamespace"),
            get(spec, "shareProcessNamespace"),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
    check_sysctls(e, &path.child("sysctls"), spec);
    e.one_of(
        &path.child("fsGroupChangePolicy"),
        text(context, "fsGroupChangePolicy"),
        &["Always", "OnRootMismatch"],
    );
    check_profiles(e, path, context);
    e.one_of(
        &path.child("supplementalGroupsPolicy"),
        text(context, "supplementalGroupsPolicy"),
        &["Merge", "Strict"],
    );
}

/// A user namespace of the pod's own goes with no other namespace of the host.
pub fn check_host_users(e: &mut Errors, path: &Path, spec: &Value) {
    if has_host_users(spec) {
        return;
    }
    for (field, shown) in [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ] {
        if flag(spec, field) {
            e.forbidden(&path.child(shown), "when `hostUsers` is false");
        }
    }
}

/// The operating system a pod is for, where it says so.
pub fn check_os(e: &mut Errors, path: &Path, spec: &Value) {
    if !has(spec, "os") {
        return;
    }
    let os = text(get(spec, "os"), "name");
    if os.is_empty() {
        e.required(&path.child("os.name"), "cannot be empty");
    }
    e.one_of(&path.child("os.name"), os, &["linux", "windows"]);
    if os != "linux" {
        return;
    }
    let mut refuse = |path: Path, object: &Value| {
        if has(get(object, "securityContext"), "windowsOptions") {
            let path = path.child("securityContext.windowsOptions");
            e.forbidden(&path, "windows options cannot be set for a linux pod");
        }
    };
    refuse(path.clone(), spec);
    for field in CONTAINERS {
        for (i, container) in list(spec, field).iter().enumerate() {
            refuse(path.child(field).index(i), container);
        }
    }
}

/// Whether users of the pod are those of the host.
pub fn has_host_users(spec: &Value) -> bool {
    get(spec, "hostUsers") != &Value::Bool(false)
}

fn check_sysctls(e: &mut Errors, path: &Path, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (i, sysctl) in list(get(spec, "securityContext"), "sysctls")
        .iter()
        .enumerate()
    {
        let name = text(sysctl, "name");
        let at = path.index(i).child("name");
        if name.is_empty() {
            e.required(&at, "");
        } else if !sysctl::is_name(name) {
            let detail = format!(
                "must have at most {} characters and match regex {}",
                sysctl::MAX_LENGTH,
                sysctl::REGEX
            );
            e.invalid(&at, name, &detail);
        } else if !seen.insert(name) {
            e.duplicate(&at, name);
        }
        let shared = match sysctl::namespace(&sysctl::dotted(name)) {
            Some(Namespace::Net) => "hostNetwork",
            Some(Namespace::Ipc) => "hostIPC",
            None => "",
        };
        if flag(spec, shared) {
            e.invalid(
                &at,
                name,
                &format!("may not be specified when '{shared}' is true"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::POD;
    use crate::rules::KindRules;
    use serde_json::{Value, json};

    /// Complaints about a pod with one container and these fields of its spec.
    fn complaints(metadata: Value, fields: Value) -> Vec<String> {
        let mut pod = json!({"metadata": metadata, "spec": {
            "containers": [{"name": "web", "image": "a:1"}]}});
        for (name, value) in fields.as_object().unwrap() {
            pod["spec"][name] = value.clone();
        }
        KindRules::default(&POD, &mut pod);
        let causes = KindRules::validate(&POD, &pod);
        let texts = causes.iter().map(|c| format!("{}: {}", c.field, c.message));
        texts.collect()
    }

    fn of_spec(fields: Value) -> Vec<String> {
        complaints(json!({"name": "a"}), fields)
    }

    #[test]
    fn profiles_stay_in_their_folder() {
        let with = |file: Value| {
            let profile = json!({"type": "Localhost", "localhostProfile": file});
            of_spec(json!({"securityContext": {"seccompProfile": profile}}))
        };
        let at = "spec.securityContext.seccompProfile.localhostProfile";
        let bad = |file: &str, what: &str| format!("{at}: Invalid value: {file:?}: {what}");
        assert_eq!(with(json!("audit/log.json")), [""; 0]);
        assert_eq!(
            with(json!("/etc/passwd")),
            [bad("/etc/passwd", "must be a relative path")]
        );
        assert_eq!(
            with(json!("a/../../b")),
            [bad("a/../../b", "must not contain '..'")]
        );
        assert_eq!(
            with(Value::Null),
            [format!(
                "{at}: Required value: must be set when seccomp type is Localhost"
            )]
        );
        let container = json!([{"name": "web", "image": "a:1", "securityContext": {
            "seccompProfile": {"type": "Localhost", "localhostProfile": "../x"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": " x"}}}]);
        let at = "spec.containers[0].securityContext";
        assert_eq!(
            of_spec(json!({"containers": container})),
            [
                format!(
                    "{at}.seccompProfile.localhostProfile: Invalid value: \"../x\": must not contain '..'"
                ),
                format!(
                    "{at}.appArmorProfile.localhostProfile: Invalid value: \" x\": must not be padded with whitespace"
                ),
            ]
        );
    }

    #[test]
    fn profiles_in_annotations_are_checked_alike() {
        let with = |key: &str, value: &str| {
            complaints(json!({"name": "a", "annotations": {key: value}}), json!({}))
        };
        let pod = "seccomp.security.alpha.kubernetes.io/pod";
        assert_eq!(with(pod, "localhost/a.json"), [""; 0]);
        assert_eq!(
            with(pod, "localhost/../a"),
            [format!(
                "metadata.annotations.{pod}: Invalid value: \"../a\": must not contain '..'"
            )]
        );
        assert_eq!(
            with(pod, "strict"),
            [format!(
                "metadata.annotations.{pod}: Invalid value: \"strict\": must be a valid seccomp profile"
            )]
        );
        let of = "container.apparmor.security.beta.kubernetes.io/";
        assert_eq!(with(&format!("{of}web"), "runtime/default"), [""; 0]);
        assert_eq!(
            with(&format!("{of}none"), "x"),
            [
                format!(
                    "metadata.annotations[{of}none]: Invalid value: \"none\": container not found"
                ),
                format!(
                    "metadata.annotations[{of}none]: Invalid value: \"x\": invalid AppArmor profile name: \"x\""
                ),
            ]
        );
    }

    #[test]
    fn sysctls_have_names_and_not_those_of_a_shared_namespace() {
        let with = |name: &str, host: &str| {
            let sysctls = json!([{"name": name, "value": "1"}]);
            of_spec(json!({host: true, "securityContext": {"sysctls": sysctls}}))
        };
        let at = "spec.securityContext.sysctls[0].name: Invalid value";
        assert_eq!(with("net.core.somaxconn", "hostIPC"), [""; 0]);
        assert_eq!(
            with("net/core/somaxconn", "hostNetwork"),
            [format!(
                "{at}: \"net/core/somaxconn\": may not be specified when 'hostNetwork' is true"
            )]
        );
        assert_eq!(
            with("kernel.shmmax", "hostIPC"),
            [format!(
                "{at}: \"kernel.shmmax\": may not be specified when 'hostIPC' is true"
            )]
        );
        assert_eq!(
            with("Kernel.shmmax", "hostPID"),
            [format!(
                r"{at}: {:?}: must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                "Kernel.shmmax"
            )]
        );
    }

    #[test]
    fn users_of_its_own_go_with_no_namespace_of_the_host() {
        assert_eq!(
            of_spec(json!({"hostUsers": false, "hostNetwork": true, "hostPID": true})),
            [
                "spec.hostNetwork: Forbidden: when `hostUsers` is false",
                "spec.HostPID: Forbidden: when `hostUsers` is false",
            ]
        );
        let unmasked = json!([{"name": "web", "image": "a:1",
            "securityContext": {"procMount": "Unmasked"}}]);
        assert_eq!(
            of_spec(json!({"containers": unmasked})),
            [
                "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`"
            ]
        );
        assert_eq!(
            of_spec(json!({"containers": unmasked, "hostUsers": false})),
            [""; 0]
        );
    }

    #[test]
    fn what_is_for_windows_is_not_for_linux() {
        let spec = json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}});
        assert_eq!(
            of_spec(spec),
            [
                "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"
            ]
        );
        assert_eq!(
            of_spec(json!({"os": {"name": "plan9"}})),
            [r#"spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows""#]
        );
        let policy = json!({"securityContext": {"supplementalGroupsPolicy": "Some"}});
        assert_eq!(
            of_spec(policy),
            [
                r#"spec.securityContext.supplementalGroupsPolicy: Unsupported value: "Some": supported values: "Merge", "Strict""#
            ]
        );
    }
}
