//! Security contexts, of pods and of containers.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, int, list, text};
use serde_json::Value;

fn check_id(e: &mut Errors, path: &Path, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=2_147_483_647).contains(id)) {
        e.invalid(path, id, "must be between 0 and 2147483647, inclusive");
    }
}

fn check_common(e: &mut Errors, path: &Path, context: &Value) {
    for field in ["runAsUser", "runAsGroup"] {
        check_id(e, &path.child(field), int(context, field));
    }
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
            e.required(&path.child("type"), "type is required when profile is set");
        }
        e.one_of(
            &path.child("type"),
            kind,
            &["Localhost", "RuntimeDefault", "Unconfined"],
        );
        let at = path.child("localhostProfile");
        if kind == "Localhost" && text(profile, "localhostProfile").is_empty() {
            e.required(&at, &format!("must be set when {word} type is Localhost"));
        } else if kind != "Localhost" && has(profile, "localhostProfile") {
            e.invalid(
                &at,
                get(profile, "localhostProfile"),
                &format!("can only be set when {word} type is Localhost"),
            );
        }
    }
}

/// A container's security context.
pub fn check_container(e: &mut Errors, path: &Path, context: &Value) {
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
}

/// A pod's security context, and what else touches the host's namespaces.
pub fn check_pod(e: &mut Errors, path: &Path, spec: &Value) {
    let context = get(spec, "securityContext");
    check_common(e, path, context);
    check_id(e, &path.child("fsGroup"), int(context, "fsGroup"));
    for (i, group) in list(context, "supplementalGroups").iter().enumerate() {
        check_id(
            e,
            &path.child("supplementalGroups").index(i),
            group.as_i64(),
        );
    }
    e.one_of(
        &path.child("fsGroupChangePolicy"),
        text(context, "fsGroupChangePolicy"),
        &["Always", "OnRootMismatch"],
    );
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        e.invalid(
            &path.child("shareProcessNamespace"),
            get(spec, "shareProcessNamespace"),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        );
    }
    let mut seen = Vec::new();
    for (i, sysctl) in list(context, "sysctls").iter().enumerate() {
        let name = text(sysctl, "name");
        let at = path.child("sysctls").index(i).child("name");
        if name.is_empty() {
            e.required(&at, "");
        } else if seen.contains(&name) {
            e.duplicate(&at, name);
        }
        seen.push(name);
    }
}
