//! What is for Windows alone, and what is not for it.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has};
use super::containers;
use hardway_proto::names;
use serde_json::Value;

/// Bytes of a GMSA credential spec.
const MAX_CREDENTIALS: usize = 64 * 1024;
/// Bytes of a user's domain, and of its name.
const MAX_DOMAIN: usize = 255;
const MAX_USER: usize = 104;
/// Characters of a NetBIOS name.
const MAX_NETBIOS: usize = 15;

/// `windowsOptions` of a pod or container (`validateWindowsSecurityContextOptions`).
pub fn check_options(e: &mut Errors, path: &Path, context: &Value) {
    let (path, options) = (path.child("windowsOptions"), get(context, "windowsOptions"));
    if let Some(name) = get(options, "gmsaCredentialSpecName").as_str() {
        let at = path.child("gmsaCredentialSpecName");
        e.each(&at, name, names::is_dns1123_subdomain(name));
    }
    if let Some(credentials) = get(options, "gmsaCredentialSpec").as_str() {
        let at = path.child("gmsaCredentialSpec");
        if credentials.is_empty() {
            let detail = "gmsaCredentialSpec cannot be an empty string";
            e.invalid(&at, credentials, detail);
        } else if credentials.len() > MAX_CREDENTIALS {
            let detail = "gmsaCredentialSpec size must be under 64 KiB";
            e.invalid(&at, credentials, detail);
        }
    }
    if let Some(name) = get(options, "runAsUserName").as_str() {
        for problem in user_problems(name) {
            let detail = format!("runAsUserName{problem}");
            e.invalid(&path.child("runAsUserName"), name, &detail);
        }
    }
}

/// What is wrong with the name of a user, which may have its domain before it.
fn user_problems(name: &str) -> Vec<&'static str> {
    if name.is_empty() {
        return vec![" cannot be an empty string"];
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return vec![" cannot contain control characters"];
    }
    let (domain, user) = match name.split_once('\\') {
        Some((_, user)) if user.contains('\\') => {
            return vec![" cannot contain more than one backslash"];
        }
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    let mut problems = Vec::new();
    let mut problem = |broken: bool, words| {
        if broken {
            problems.push(words);
        }
    };
    let domain_length = domain.map_or(0, str::len);
    problem(
        domain_length > MAX_DOMAIN,
        "'s Domain length must be under 256 characters",
    );
    problem(
        domain.is_some_and(|domain| !is_netbios(domain) && !is_dns(domain)),
        "'s Domain doesn't match the NetBios nor the DNS format",
    );
    problem(user.is_empty(), "'s User cannot be empty");
    problem(
        user.len() > MAX_USER,
        "'s User length must not be longer than 104 characters",
    );
    problem(
        !user.is_empty() && user.chars().all(|c| ['.', ' '].contains(&c)),
        "'s User cannot contain only periods or spaces",
    );
    problem(
        user.contains([
            '"', '/', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']',
        ]),
        r#"'s User cannot contain the following characters: "/\:;|=,+*?<>@[]"#,
    );
    problems
}

fn is_netbios(domain: &str) -> bool {
    (1..=MAX_NETBIOS).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(['/', ':', '*', '?', '"', '<', '>', '|'])
}

fn is_dns(domain: &str) -> bool {
    let is_label = |label: &str| names::is_dns1123_label(&label.to_ascii_lowercase()).is_empty();
    domain.split('.').all(is_label)
}

/// Containers that are processes of the host are so together, and in its network
/// (`validateWindowsHostProcessPod`).
pub fn check_host_process(e: &mut Errors, path: &Path, spec: &Value) {
    let of = |bearer: &Value| {
        let options = get(get(bearer, "securityContext"), "windowsOptions");
        get(options, "hostProcess").as_bool()
    };
    let of_pod = of(spec);
    let (mut count, mut of_host) = (0, 0);
    for (at, container) in containers::all(path, spec) {
        count += 1;
        let own = of(container);
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let detail =
                format!("pod hostProcess value must be identical if both are specified, was {pod}");
            let at = at.child("securityContext.windowsOptions.hostProcess");
            e.invalid(&at, &Value::Bool(own), &detail);
        }
        if own.or(of_pod) == Some(true) {
            of_host += 1;
        }
    }
    if of_host == 0 {
        return;
    }
    if of_host != count {
        e.invalid(
            path,
            "",
            "If pod contains any hostProcess containers then all containers must be HostProcess containers",
        );
    }
    if !flag(spec, "hostNetwork") {
        e.invalid(
            &path.child("hostNetwork"),
            &Value::Bool(false),
            "hostNetwork must be true if pod contains any hostProcess containers",
        );
    }
}

/// Fields of a pod for Linux that are for Windows alone.
pub fn refuse_windows(e: &mut Errors, path: &Path, spec: &Value) {
    let mut refuse = |path: &Path, bearer: &Value| {
        if has(get(bearer, "securityContext"), "windowsOptions") {
            let path = path.child("securityContext.windowsOptions");
            e.forbidden(&path, "windows options cannot be set for a linux pod");
        }
    };
    refuse(path, spec);
    for (at, container) in containers::all(path, spec) {
        refuse(&at, container);
    }
}

/// Fields of a pod for Windows that are for Linux alone.
pub fn refuse_linux(e: &mut Errors, path: &Path, spec: &Value) {
    let mut refuse = |path: &Path, bearer: &Value, fields: &[&str]| {
        for field in fields {
            let value = get(bearer, field);
            let none = match *field {
                // Kubernetes takes these for unset when they have no value of their own.
                "hostPID" | "hostIPC" => value != &Value::Bool(true),
                "sysctls" => value.as_array().is_none_or(Vec::is_empty),
                _ => value.is_null(),
            };
            if !none {
                e.forbidden(&path.child(field), "cannot be set for a windows pod");
            }
        }
    };
    let (at, context) = (path.child("securityContext"), get(spec, "securityContext"));
    refuse(&at, context, &["appArmorProfile", "seLinuxOptions"]);
    refuse(path, spec, &["hostUsers", "hostPID", "hostIPC"]);
    let profiles = [
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
    ];
    refuse(&at, context, &profiles);
    refuse(path, spec, &["shareProcessNamespace"]);
    let users = [
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
        "seLinuxChangePolicy",
    ];
    refuse(&at, context, &users);
    for (at, container) in containers::all(path, spec) {
        let (at, context) = (
            at.child("securityContext"),
            get(container, "securityContext"),
        );
        let fields = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ];
        refuse(&at, context, &fields);
    }
}
