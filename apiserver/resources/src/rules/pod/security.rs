//! Security contexts, of pods and of containers.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, list, text};
use super::super::volume_source::relative;
use super::options::Options;
use super::windows;
use hardway_proto::sysctl::{self, Namespace};
use serde_json::Value;
use std::collections::BTreeSet;

fn check_id(e: &mut Errors, path: &Path, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=2_147_483_647).contains(id)) {
        e.invalid(path, id, "must be between 0 and 2147483647, inclusive");
    }
}

fn check_ids(e: &mut Errors, path: &Path, context: &Value) {
    for field in ["runAsUser", "runAsGroup"] {
        check_id(e, &path.child(field), int(context, field));
    }
}

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(e: &mut Errors, path: &Path, context: &Value) {
    let (path, profile) = (path.child("seccompProfile"), get(context, "seccompProfile"));
    if profile.is_null() {
        return;
    }
    let kind = text(profile, "type");
    match kind {
        "" => e.required(
            &path.child("type"),
            "type is required when seccompProfile is set",
        ),
        _ => e.one_of(&path.child("type"), kind, PROFILES),
    }
    let (at, file) = (
        path.child("localhostProfile"),
        get(profile, "localhostProfile"),
    );
    match (kind, file.as_str()) {
        ("Localhost", Some(file)) => relative(e, &at, file),
        ("Localhost", None) => e.required(&at, "must be set when seccomp type is Localhost"),
        (_, Some(_)) => e.invalid(
            &at,
            profile,
            "can only be set when seccomp type is Localhost",
        ),
        (_, None) => {}
    }
}

fn app_armor(e: &mut Errors, path: &Path, context: &Value) {
    let (path, profile) = (
        path.child("appArmorProfile"),
        get(context, "appArmorProfile"),
    );
    if profile.is_null() {
        return;
    }
    let at = path.child("localhostProfile");
    let name = get(profile, "localhostProfile").as_str();
    match (text(profile, "type"), name) {
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            e.required(&path.child("type"), detail);
        }
        ("Localhost", Some(name)) => app_armor_name(e, &at, name),
        ("Localhost", None) => e.required(&at, "must be set when AppArmor type is Localhost"),
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            e.invalid(&at, name, "can only be set when AppArmor type is Localhost");
        }
        (kind, _) => e.one_of(&path.child("type"), kind, PROFILES),
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

/// A text that is there is one of a few; an empty one is none of them.
fn known(e: &mut Errors, path: &Path, bearer: &Value, field: &str, known: &[&str]) {
    if let Some(value) = get(bearer, field).as_str()
        && !known.contains(&value)
    {
        e.not_supported(&path.child(field), value, known);
    }
}

/// A container's security context; `own_users` says whether the pod has a user
/// namespace of its own.
pub fn check_container(e: &mut Errors, path: &Path, context: &Value, own_users: bool) {
    if context.is_null() {
        return;
    }
    check_ids(e, path, context);
    known(e, path, context, "procMount", &["Default", "Unmasked"]);
    if text(context, "procMount") == "Unmasked" && !own_users {
        e.invalid(
            &path.child("procMount"),
            "Unmasked",
            "`hostUsers` must be false to use `Unmasked`",
        );
    }
    seccomp(e, path, context);
    if get(context, "allowPrivilegeEscalation") == &Value::Bool(false) {
        if flag(context, "privileged") {
            e.invalid(
                path,
                context,
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            );
        }
        let added = list(get(context, "capabilities"), "add");
        for _ in added.iter().filter(|added| *added == "CAP_SYS_ADMIN") {
            e.invalid(
                path,
                context,
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            );
        }
    }
    windows::check_options(e, path, context);
    app_armor(e, path, context);
}

/// A pod's security context, and what else touches the host's namespaces.
pub fn check_pod(e: &mut Errors, path: &Path, spec: &Value, options: Options) {
    let context = get(spec, "securityContext");
    check_id(e, &path.child("fsGroup"), int(context, "fsGroup"));
    check_ids(e, path, context);
    for (i, group) in list(context, "supplementalGroups").iter().enumerate() {
        let path = path.child("supplementalGroups").index(i);
        check_id(e, &path, group.as_i64());
    }
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        e.invalid(
            &path.child("shareProcessNamespace"),
            get(spec, "shareProcessNamespace"),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
    check_sysctls(e, &path.child("sysctls"), spec, options);
    let policies = ["Always", "OnRootMismatch"];
    known(e, path, context, "fsGroupChangePolicy", &policies);
    seccomp(e, path, context);
    windows::check_options(e, path, context);
    app_armor(e, path, context);
    let policies = ["Merge", "Strict"];
    known(e, path, context, "supplementalGroupsPolicy", &policies);
    // Mounting with an option is off in Kubernetes 1.33 unless switched on.
    let policies = match options.any_selinux_policy {
        true => &["MountOption", "Recursive"][..],
        false => &["Recursive"],
    };
    known(e, path, context, "seLinuxChangePolicy", policies);
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
    let at = path.child("os");
    match text(get(spec, "os"), "name") {
        _ if !has(spec, "os") => {}
        "" => e.required(&at.child("name"), "cannot be empty"),
        "linux" => windows::refuse_windows(e, path, spec),
        "windows" => windows::refuse_linux(e, path, spec),
        other => e.not_supported(&at, other, &["linux", "windows"]),
    }
}

/// Whether users of the pod are those of the host.
pub fn has_host_users(spec: &Value) -> bool {
    get(spec, "hostUsers") != &Value::Bool(false)
}

fn sysctls(spec: &Value) -> impl Iterator<Item = (usize, &str)> {
    let sysctls = list(get(spec, "securityContext"), "sysctls").iter();
    sysctls.map(|sysctl| text(sysctl, "name")).enumerate()
}

fn check_sysctls(e: &mut Errors, path: &Path, spec: &Value, options: Options) {
    let mut seen = BTreeSet::new();
    for (i, name) in sysctls(spec) {
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
        if !options.host_sysctls {
            shared_sysctl(e, &at, name, spec);
        }
    }
}

/// A sysctl of a namespace that the pod shares with its host.
fn shared_sysctl(e: &mut Errors, path: &Path, name: &str, spec: &Value) {
    let shared = match sysctl::namespace(&sysctl::dotted(name)) {
        Some(Namespace::Net) => "hostNetwork",
        Some(Namespace::Ipc) => "hostIPC",
        None => return,
    };
    if flag(spec, shared) {
        let detail = format!("may not be specified when '{shared}' is true");
        e.invalid(path, name, &detail);
    }
}

/// All sysctls of namespaces that a pod shares with its host.
pub fn check_shared_sysctls(e: &mut Errors, path: &Path, spec: &Value) {
    for (_, name) in sysctls(spec) {
        shared_sysctl(e, path, name, spec);
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
            [r#"spec.os: Unsupported value: "plan9": supported values: "linux", "windows""#]
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
